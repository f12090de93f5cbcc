//! Clearance: a named practitioner's decision that a patient may be treated.

use super::catalog::{Evidence, Qualification};
use super::ids::TreatmentId;

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
