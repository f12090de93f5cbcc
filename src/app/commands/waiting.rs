//! What callers ask of the waiting list.

use chrono::NaiveDate;

use super::{Known, PageOf};
use crate::domain::catalog::BodyArea;
use crate::domain::finding::Times;
use crate::domain::ids::{ClinicId, PatientId, ResourceId, SeriesId, TreatmentId, WaitingId};
use crate::domain::interval::Instant;

/// A new entry.
#[derive(Debug, Clone)]
pub struct AddEntry {
    /// For what, and who waits.
    pub which: AddedVisit,
    /// Where.
    pub clinic: ClinicId,
    /// Who has to treat.
    pub practitioner: Option<ResourceId>,
    /// The first day that will do.
    pub first: NaiveDate,
    /// The last one.
    pub last: NaiveDate,
    /// Weekdays and hours.
    pub times: Times,
    /// Whether it comes before those that are not.
    pub is_urgent: bool,
}

/// What a new entry is for.
#[derive(Debug, Clone, Copy)]
pub enum AddedVisit {
    /// A treatment by itself.
    Treatment {
        /// Who waits.
        patient: PatientId,
        /// The treatment.
        treatment: TreatmentId,
        /// The area.
        area: Option<BodyArea>,
    },
    /// A session of a series, whose patient waits.
    Session {
        /// The series.
        series: SeriesId,
        /// Which session, from 1.
        number: i32,
    },
}

/// Time to offer an entry.
#[derive(Debug, Clone)]
pub struct OfferTime {
    /// The entry.
    pub entry: Known<WaitingId>,
    /// When the visit begins.
    pub start: Instant,
    /// Resources that must be used.
    pub named: Vec<ResourceId>,
    /// For how many minutes it is held.
    pub hold_minutes: i32,
}

/// Entries of a practice.
#[derive(Debug, Clone)]
pub struct ListEntries {
    /// Only of this patient.
    pub patient: Option<PatientId>,
    /// Whether also those that have ended.
    pub with_ended: bool,
    /// Which page.
    pub page: PageOf<i64>,
}
