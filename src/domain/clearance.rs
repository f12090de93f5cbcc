//! Clearance: a named practitioner's decision that a patient may be treated.

use chrono::{Days, NaiveDate, TimeDelta};

use super::catalog::{BodyArea, Evidence, Qualification};
use super::ids::{AppointmentId, ClearanceId, PatientId, ProtocolId, ResourceId, TreatmentId};
use super::interval::Instant;
use super::text::{Code, Personal, Prose};

/// Longest validity of a clearance, in days.
pub const MAX_CLEARANCE_DAYS: i32 = 1095;
/// Longest cooling-off time and longest time after a patch test, in hours.
pub const MAX_WAIT_HOURS: i32 = 1000;
/// Oldest that a screening may be at check-in, in days.
pub const MAX_SCREENING_DAYS: i32 = 365;

/// What a patient needs before a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClearanceRules {
    /// The treatment that is the consultation.
    pub consultation: TreatmentId,
    /// What a practitioner must be qualified for to clear and to override.
    pub qualification: Qualification,
    /// Calendar days for which a clearance is valid unless the practitioner says otherwise.
    pub valid_days: i32,
    /// Hours between a clearance and the first session at least.
    pub cooling_off_hours: i32,
    /// Hours between a patch test and the first session at least; 0 for no patch test.
    pub patch_test_hours: i32,
    /// Calendar days that a screening may be old at check-in.
    pub screening_days: i32,
    /// Where these rules come from.
    pub evidence: Evidence,
}

impl ClearanceRules {
    /// When a session under it may begin at the earliest: after the cooling-off time, and after the patch test.
    pub fn not_before(&self, decided: Instant, patch_tested: Option<Instant>) -> Instant {
        let cooled = decided + TimeDelta::hours(self.cooling_off_hours.into());
        let tested = patch_tested.map(|at| at + TimeDelta::hours(self.patch_test_hours.into()));
        tested.map_or(cooled, |tested| tested.max(cooled))
    }

    /// The last day of a clearance that is valid from a day, unless the practitioner says otherwise.
    pub fn last_day(&self, from: NaiveDate) -> NaiveDate {
        from.checked_add_days(Days::new(self.valid_days.unsigned_abs().into())).unwrap_or(NaiveDate::MAX)
    }
}

/// What a practitioner decided after a consultation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The patient may be treated.
    Cleared {
        /// Most sessions of a series.
        session_count: i32,
        /// The first day that it covers.
        valid_from: NaiveDate,
        /// The last day that it covers.
        valid_until: NaiveDate,
        /// When a session under it may begin at the earliest.
        not_before: Instant,
        /// The conditions of the screening that it clears.
        conditions: Personal<Vec<Code>>,
    },
    /// The patient may not be treated.
    Declined,
}

/// That a decision counts no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// Since when.
    pub at: Instant,
    /// The practitioner who revoked it.
    pub by: ResourceId,
    /// Why.
    pub reason: Personal<Prose<2000>>,
}

/// A practitioner's decision after a consultation, for one patient, protocol and area. Of several the latest counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clearance {
    /// Its id.
    pub id: ClearanceId,
    /// The patient.
    pub patient: PatientId,
    /// The protocol.
    pub protocol: ProtocolId,
    /// The protocol's highest version that asked for a clearance when it was decided.
    pub protocol_version: i32,
    /// The area.
    pub area: BodyArea,
    /// The appointment that was the consultation.
    pub consultation: AppointmentId,
    /// What was decided.
    pub decision: Decision,
    /// What the practitioner noted.
    pub notes: Personal<Prose<2000>>,
    /// When it was decided.
    pub decided_at: Instant,
    /// Who signed.
    pub decided_by: ResourceId,
    /// Whether it was revoked.
    pub revoked: Option<Revocation>,
}
