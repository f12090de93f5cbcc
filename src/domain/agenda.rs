//! Visits as a calendar app is told of them: when and where, and nothing of why.

use super::ids::AppointmentId;

use super::interval::{Instant, Interval};
use super::text::Label;
use super::zone::Zone;

/// How long past visits stay among a patient's, in days.
pub const PAST_DAYS: i64 = 31;
/// How long a cancelled visit is still told of, in days: long enough for an app that is opened once a month.
pub const CANCELLED_DAYS: i64 = 31;
/// Longest stretch of a practitioner's days that is told at once, in days.
pub const MAX_DAYS: i64 = 92;
/// Most visits that are told at once.
pub const MAX_ENTRIES: i32 = 1_000;

/// A visit, through all its moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The appointment as which it was booked first: what stays the same through all moves.
    pub first: AppointmentId,
    /// What its clinic is called.
    pub clinic: Label,
    /// The clinic's zone.
    pub zone: Zone,
    /// When it is, or would have been.
    pub during: Interval,
    /// Whether it takes place; if not, it was cancelled, moved away, or nobody came.
    pub takes_place: bool,
    /// The revision that last changed what is told here.
    pub revision: i64,
    /// When that was.
    pub changed_at: Instant,
}

/// Visits as of a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agenda {
    /// The revision that last changed one of them, or what is told of it.
    pub revision: i64,
    /// The visits by start; none if the caller knows them as of that revision.
    pub entries: Option<Vec<Entry>>,
}
