//! What callers ask about patients' fitness.

use chrono::NaiveDate;

use super::PageOf;
use crate::domain::catalog::BodyArea;
use crate::domain::ids::{AppointmentId, ClearanceId, PatientId, ProtocolId, ScreeningId, SeriesId};
use crate::domain::interval::Instant;
use crate::domain::screening::Answers;
use crate::domain::text::{Code, Personal, Prose};

/// Whose questions are answered.
#[derive(Debug, Clone, Copy)]
pub enum Questionnaire {
    /// Of a protocol in its highest version.
    Protocol(ProtocolId),
    /// Of a series, in the version that it runs on under.
    Series(SeriesId),
}

/// A new screening.
#[derive(Debug, Clone)]
pub struct RecordScreening {
    /// The patient.
    pub patient: PatientId,
    /// Whose questions.
    pub questionnaire: Questionnaire,
    /// The answers.
    pub answers: Personal<Answers>,
}

/// The screenings of a patient.
#[derive(Debug, Clone)]
pub struct ListScreenings {
    /// The patient.
    pub patient: PatientId,
    /// Which page.
    pub page: PageOf<ScreeningId>,
}

/// For what a patient is cleared.
#[derive(Debug, Clone)]
pub struct ClearedPatient {
    /// How many sessions; none for as many as the protocol allows.
    pub session_count: Option<i32>,
    /// The last day; none for as long as the protocol says.
    pub valid_until: Option<NaiveDate>,
    /// The conditions that are cleared.
    pub conditions: Personal<Vec<Code>>,
    /// When a patch test was made.
    pub patch_tested_at: Option<Instant>,
}

/// What a consultation ended in.
#[derive(Debug, Clone)]
pub struct RecordClearance {
    /// The consultation.
    pub consultation: AppointmentId,
    /// The protocol.
    pub protocol: ProtocolId,
    /// The area.
    pub area: BodyArea,
    /// For what the patient is cleared; none for a decline.
    pub cleared: Option<ClearedPatient>,
    /// What the practitioner noted.
    pub notes: Personal<Prose<2000>>,
}

/// A revocation.
#[derive(Debug, Clone)]
pub struct Revoke<Id> {
    /// What to revoke.
    pub id: Id,
    /// Why.
    pub reason: Personal<Prose<2000>>,
}

/// The decisions about a patient.
#[derive(Debug, Clone)]
pub struct ListClearances {
    /// The patient.
    pub patient: PatientId,
    /// Which page.
    pub page: PageOf<ClearanceId>,
}
