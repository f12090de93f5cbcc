//! Aftercare windows, as a patient is told of them.

use chrono::TimeDelta;

use super::catalog::{Activity, Evidence};
use super::ids::AppointmentId;
use super::interval::{Instant, Interval};
use super::text::Prose;
use super::zone::Zone;

/// A stretch in which an activity is forbidden.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AftercareWindow {
    /// What is forbidden.
    pub activity: Activity,
    /// When.
    pub during: Interval,
    /// The zone of the clinic of the visit.
    pub zone: Zone,
    /// The visit that it belongs to.
    pub appointment: AppointmentId,
    /// What to tell the patient.
    pub instruction: Prose<2000>,
    /// Where the numbers come from.
    pub evidence: Evidence,
}

/// The first start, not before `from`, of a stretch of that length which no window touches.
pub fn earliest_clear(from: Instant, length: TimeDelta, windows: &[Interval]) -> Instant {
    let mut sorted = windows.to_vec();
    sorted.sort_unstable();
    sorted.into_iter().fold(from, |start, window| {
        let touches = start < window.end() && window.start() < start + length;
        if touches { window.end() } else { start }
    })
}

#[cfg(test)]
mod tests {
    use chrono::{TimeZone, Utc};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_earliest_clear_stretch_is_the_one_found_by_trying_every_minute(
            parts in prop::collection::vec((0..60_i64, 1..20_i64), 0..6), from in 0..60_i64, length in 1..10_i64,
        ) {
            let at = |minute: i64| Utc.timestamp_opt(1_700_000_000 + 60 * minute, 0).unwrap();
            let windows: Vec<_> =
                parts.iter().filter_map(|(start, length)| Interval::new(at(*start), at(start + length))).collect();
            let clear = |start: i64| {
                let wanted = Interval::new(at(start), at(start + length)).unwrap();
                windows.iter().all(|window| !window.overlaps(wanted))
            };
            let slow = (from..200).find(|start| clear(*start)).unwrap();
            prop_assert_eq!(earliest_clear(at(from), TimeDelta::minutes(length), &windows), at(slow));
        }
    }
}
