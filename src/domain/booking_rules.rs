//! What a practice asks of those who cancel, move or miss a visit, and for how long it lets time be held.

use chrono::TimeDelta;

use super::appointment::{Appointment, MAX_HOLD_MINUTES};
use super::interval::Instant;
use super::named_enum;

/// Longest notice that a practice may ask for, in hours: two weeks.
pub const MAX_NOTICE_HOURS: i32 = 336;
/// Notice that a practice asks for, unless it says otherwise, in hours.
pub const DEFAULT_NOTICE_HOURS: i32 = 24;
/// Longest that a practice may let one hold be kept in all, in minutes: a day.
pub const MAX_HOLD_TOTAL_MINUTES: i32 = 1_440;
/// Longest that one hold is kept in all, unless the practice says otherwise, in minutes.
pub const DEFAULT_HOLD_TOTAL_MINUTES: i32 = 240;

/// The rules of a practice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BookingRules {
    /// Who cancels later than so many hours before a visit is late.
    pub cancel_notice_hours: i32,
    /// Who moves a visit later than so many hours before it is late.
    pub move_notice_hours: i32,
    /// Whether a session that is cancelled late counts as used.
    pub late_cancellation_counts: bool,
    /// Whether a session to which nobody came counts as used.
    pub no_show_counts: bool,
    /// Longest that a visit is held at once, in minutes.
    pub max_hold_minutes: i32,
    /// Longest that one hold is kept in all, in minutes.
    pub max_hold_total_minutes: i32,
}

impl Default for BookingRules {
    fn default() -> Self {
        Self {
            cancel_notice_hours: DEFAULT_NOTICE_HOURS,
            move_notice_hours: DEFAULT_NOTICE_HOURS,
            late_cancellation_counts: false,
            no_show_counts: false,
            max_hold_minutes: MAX_HOLD_MINUTES,
            max_hold_total_minutes: DEFAULT_HOLD_TOTAL_MINUTES,
        }
    }
}

named_enum! {
    /// Why a visit does not take place, or not then.
    pub enum EndReason {
        /// The patient is ill.
        PatientIll = "patient_ill",
        /// Another time suits the patient better.
        PatientAsked = "patient_asked",
        /// The patient does not want it any more.
        NotWanted = "not_wanted",
        /// The clinic's own doing.
        Clinic = "clinic",
        /// Weather, or the way there.
        WeatherOrTravel = "weather_or_travel",
        /// The patient forgot.
        Forgotten = "forgotten",
        /// Something else, or nobody knows.
        Other = "other",
    }
}

/// How a visit came to its end without taking place, under the rules of the practice as they were then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// Why.
    pub because: EndReason,
    /// The notice that was asked for, in hours.
    pub notice_hours: i32,
    /// Whether it counts as a session used.
    pub counts_as_used: bool,
}

impl Ending {
    /// Whether a visit that begins at `start` was ended with less notice than was asked for.
    pub fn was_late(self, at: Instant, start: Instant) -> bool {
        start - at < TimeDelta::hours(self.notice_hours.into())
    }
}

impl BookingRules {
    /// Until when something is held at most that is held since then.
    pub fn latest_hold(&self, since: Instant) -> Instant {
        since + TimeDelta::minutes(self.max_hold_total_minutes.into())
    }

    /// How a visit ends that is cancelled now, or a hold that is released: nobody asks for notice of that.
    pub fn on_cancelling(&self, visit: &Appointment, because: EndReason, now: Instant) -> Ending {
        let notice_hours = if visit.held_until().is_some() { 0 } else { self.cancel_notice_hours };
        let ending = Ending { because, notice_hours, counts_as_used: false };
        let late = ending.was_late(now, visit.visit.start());
        Ending { counts_as_used: late && self.late_cancellation_counts && may_count(visit, because), ..ending }
    }

    /// How a visit ends that is moved. It never counts: the one that replaces it takes place.
    pub const fn on_moving(&self, because: EndReason) -> Ending {
        Ending { because, notice_hours: self.move_notice_hours, counts_as_used: false }
    }

    /// How a visit ends to which nobody came.
    pub fn on_missing(&self, visit: &Appointment, because: EndReason) -> Ending {
        let counts_as_used = self.no_show_counts && may_count(visit, because);
        Ending { because, notice_hours: self.cancel_notice_hours, counts_as_used }
    }
}

/// Only sessions are counted, and nothing that the clinic caused.
fn may_count(visit: &Appointment, because: EndReason) -> bool {
    visit.session.is_some() && because != EndReason::Clinic
}
