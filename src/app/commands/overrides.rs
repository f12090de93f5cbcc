//! What practitioners decide about a patient, and what they decide upon.

use chrono::NaiveDate;

use super::PageOf;
use crate::domain::ids::{AppointmentId, OverrideId, PatientId, ReactionId};
use crate::domain::interval::Instant;
use crate::domain::overrides::Purpose;
use crate::domain::reaction::ReactionGrade;
use crate::domain::text::{Code, Personal, Prose};

/// A decision otherwise than the rules.
#[derive(Debug, Clone)]
pub struct GrantOverride {
    /// The patient.
    pub patient: PatientId,
    /// What it is for.
    pub purpose: Purpose,
    /// Why; not empty.
    pub reason: Personal<Prose<2000>>,
}

/// An override to take back.
#[derive(Debug, Clone)]
pub struct RevokeOverride {
    /// Which.
    pub id: OverrideId,
    /// Why; may be empty.
    pub reason: Personal<Prose<2000>>,
}

/// The overrides of a patient.
#[derive(Debug, Clone)]
pub struct ListOverrides {
    /// The patient.
    pub patient: PatientId,
    /// Whether with those that were revoked.
    pub include_revoked: bool,
    /// Which page.
    pub page: PageOf<OverrideId>,
}

/// A reaction to a session.
#[derive(Debug, Clone)]
pub struct ReportReaction {
    /// The session.
    pub appointment: AppointmentId,
    /// Which reaction.
    pub kind: Personal<Code>,
    /// How grave it is; none for as grave as its rule says.
    pub grade: Option<ReactionGrade>,
    /// When it began.
    pub onset: Personal<Instant>,
    /// What was seen or told; may be empty.
    pub description: Personal<Prose<2000>>,
}

/// A reaction after which the patient may be treated again.
#[derive(Debug, Clone)]
pub struct ClearReaction {
    /// Which.
    pub id: ReactionId,
    /// The first day on which the patient may be treated again.
    pub earliest: NaiveDate,
    /// Another minimum gap for the rest of the series; none for as it is.
    pub gap_days: Option<i32>,
    /// May be empty.
    pub notes: Personal<Prose<2000>>,
}

/// The reactions of a patient.
#[derive(Debug, Clone)]
pub struct ListReactions {
    /// The patient.
    pub patient: PatientId,
    /// Which page.
    pub page: PageOf<ReactionId>,
}
