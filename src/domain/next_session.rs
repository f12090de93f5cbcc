//! What a series needs after one of its sessions was cancelled or missed.

use chrono::{NaiveDate, TimeDelta};

use super::booking::Neighbour;
use super::interval::Instant;
use super::series::Series;
use super::zone::Zone;

/// A session that may be booked next, and the days that the gaps of its series leave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenSession {
    /// Which session, from 1.
    pub number: i32,
    /// The calendar day of the session before it that is booked or took place.
    pub previous: Option<NaiveDate>,
    /// The first day, today or later.
    pub earliest: NaiveDate,
    /// The last day, before `earliest` if its neighbours leave none; nothing if none is the last.
    pub latest: Option<NaiveDate>,
}

impl Series {
    /// The first session that is not booked and may be, by the calendar of a clinic.
    pub fn next_open(&self, zone: Zone, now: Instant) -> Option<OpenSession> {
        if !self.is_active() {
            return None;
        }
        let number = self.open(self.session_count, now).into_iter().next()?;
        let neighbours = self.neighbours(number, now);
        let (shortest, longest) =
            (TimeDelta::days(self.gap.days().minimum.into()), TimeDelta::days(neighbours.maximum_gap));
        // Days lie in the supported years, so that nothing here is out of a calendar's range.
        let after_previous = neighbours.previous.and_then(|previous| previous.day.checked_add_signed(shortest));
        let near_next = neighbours.next.filter(Neighbour::binds);
        let near_next = near_next.and_then(|next| next.day.checked_sub_signed(longest));
        let earliest = [after_previous, near_next].into_iter().flatten().fold(zone.day(now), NaiveDate::max);
        let near_previous = neighbours.previous.filter(Neighbour::binds);
        let near_previous = near_previous.and_then(|previous| previous.day.checked_add_signed(longest));
        let before_next = neighbours.next.and_then(|next| next.day.checked_sub_signed(shortest));
        let latest = [near_previous, before_next].into_iter().flatten().min();
        Some(OpenSession { number, previous: neighbours.previous.map(|previous| previous.day), earliest, latest })
    }
}
