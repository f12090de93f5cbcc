//! The person treated.

use chrono::NaiveDate;

use super::ids::PatientId;
use super::text::{Label, Personal, Prose};

/// What a practice knows of a patient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatientRecord {
    /// Given name.
    pub given_name: Personal<Label>,
    /// Family name.
    pub family_name: Personal<Label>,
    /// Day of birth.
    pub birth_date: Personal<NaiveDate>,
    /// Telephone number; empty if unknown.
    pub phone: Personal<Prose<50>>,
    /// E-mail address; empty if unknown.
    pub email: Personal<Prose<254>>,
    /// What the front desk should know.
    pub notes: Personal<Prose<2000>>,
}

/// A patient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patient {
    /// The id.
    pub id: PatientId,
    /// The record.
    pub record: PatientRecord,
    /// Revision that last changed it.
    pub changed_revision: i64,
}
