//! Practices, clinics and closures.

use super::booking_rules::BookingRules;
use super::hours::Week;
use super::ids::{ClinicId, ClosureId, PracticeId};
use super::interval::Interval;
use super::text::{Label, Prose};
use super::zone::Zone;

/// Furthest ahead that a practice may let visits be booked, in days.
pub const MAX_HORIZON_DAYS: i32 = 800;
/// Unless the caller says otherwise.
pub const DEFAULT_HORIZON_DAYS: i32 = 400;
/// Most stretches of a clinic's opening hours.
pub const MAX_OPENING_STRETCHES: usize = 50;

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Practice {
    /// Its id.
    pub id: PracticeId,
    /// Its name.
    pub name: Label,
    /// How many days ahead of now a visit may begin.
    pub booking_horizon_days: i32,
    /// What it asks of those who cancel, move or miss a visit.
    pub booking_rules: BookingRules,
    /// Number of its latest change.
    pub revision: i64,
    /// Revision that last changed its settings.
    pub changed_revision: i64,
}

/// A site of a practice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clinic {
    /// Its id.
    pub id: ClinicId,
    /// Its name.
    pub name: Label,
    /// Where its wall clock is.
    pub zone: Zone,
    /// When it is open.
    pub opening_hours: Week,
    /// Revision that last changed it.
    pub changed_revision: i64,
}

/// A stretch in which a clinic takes no visits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closure {
    /// Its id.
    pub id: ClosureId,
    /// The clinic.
    pub clinic: ClinicId,
    /// When.
    pub during: Interval,
    /// Why.
    pub reason: Prose<200>,
}
