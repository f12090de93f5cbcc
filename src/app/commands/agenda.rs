//! Questions of calendar apps.

use crate::domain::ids::{PatientId, ResourceId};
use crate::domain::interval::Interval;

/// The visits of a patient.
#[derive(Debug, Clone)]
pub struct PatientAgenda {
    /// The patient.
    pub patient: PatientId,
    /// The revision as of which the caller knows them.
    pub known: Option<i64>,
}

/// The visits that need a practitioner.
#[derive(Debug, Clone)]
pub struct PractitionerAgenda {
    /// The practitioner.
    pub practitioner: ResourceId,
    /// When.
    pub during: Interval,
    /// The revision as of which the caller knows them.
    pub known: Option<i64>,
}
