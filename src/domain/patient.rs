//! The person treated.

use chrono::NaiveDate;

use super::ids::PatientId;
use super::text::{Label, Personal, Prose, folded};

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

/// Where a patient stands in the list of all: family name and given name without differences of letter case, then id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatientPlace {
    /// Family name, folded.
    pub family_name: Personal<String>,
    /// Given name, folded.
    pub given_name: Personal<String>,
    /// Id.
    pub id: PatientId,
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

impl Patient {
    /// Where they stand in the list of all.
    pub fn place(&self) -> PatientPlace {
        PatientPlace {
            family_name: Personal::new(folded(self.record.family_name.expose().as_str())),
            given_name: Personal::new(folded(self.record.given_name.expose().as_str())),
            id: self.id,
        }
    }
}
