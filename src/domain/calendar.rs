//! A set of time, as intervals that are sorted, apart from each other and not empty.

use super::interval::Interval;

/// A set of instants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Calendar(Vec<Interval>);

impl Calendar {
    /// The union of intervals, in any order, overlapping or not.
    pub fn union(mut parts: Vec<Interval>) -> Self {
        parts.sort_unstable();
        let mut merged: Vec<Interval> = Vec::with_capacity(parts.len());
        for part in parts {
            match merged.last_mut() {
                Some(last) if part.start() <= last.end() => {
                    if let Some(longer) = Interval::new(last.start(), last.end().max(part.end())) {
                        *last = longer;
                    }
                }
                Some(_) | None => merged.push(part),
            }
        }
        Self(merged)
    }

    /// What is left without the instants of `taken`.
    #[must_use]
    pub fn minus(&self, taken: &Self) -> Self {
        let mut left = Vec::with_capacity(self.0.len());
        let mut cuts = taken.0.as_slice();
        for part in &self.0 {
            let mut start = part.start();
            // Cuts that end before this part ends before all later parts too.
            let passed = cuts.partition_point(|cut| cut.end() <= start);
            cuts = cuts.get(passed..).unwrap_or_default();
            for cut in cuts.iter().take_while(|cut| cut.start() < part.end()) {
                left.extend(Interval::new(start, cut.start()));
                start = start.max(cut.end());
            }
            left.extend(Interval::new(start, part.end()));
        }
        Self(left)
    }

    /// Whether all of `wanted` is in the set.
    pub fn covers(&self, wanted: Interval) -> bool {
        let next = self.0.partition_point(|part| part.end() < wanted.end());
        self.0.get(next).is_some_and(|part| part.contains(wanted))
    }

    /// Its intervals in order.
    pub fn intervals(&self) -> &[Interval] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use chrono::{TimeDelta, TimeZone, Utc};
    use proptest::prelude::*;

    use super::*;

    fn interval(start: i64, end: i64) -> Option<Interval> {
        let at = |minutes| Utc.timestamp_opt(1_700_000_000, 0).unwrap() + TimeDelta::minutes(minutes);
        Interval::new(at(start), at(end))
    }

    fn sets() -> impl Strategy<Value = Vec<(i64, i64)>> {
        prop::collection::vec((0..60_i64, 1..12_i64).prop_map(|(start, length)| (start, start + length)), 0..8)
    }

    fn calendar(parts: &[(i64, i64)]) -> Calendar {
        Calendar::union(parts.iter().filter_map(|(start, end)| interval(*start, *end)).collect())
    }

    fn has(parts: &[(i64, i64)], minute: i64) -> bool {
        parts.iter().any(|(start, end)| (*start..*end).contains(&minute))
    }

    proptest! {
        #[test]
        fn a_calendar_agrees_with_counting_minute_by_minute(
            open in sets(), taken in sets(), start in 0..70_i64, length in 1..10_i64,
        ) {
            let free = calendar(&open).minus(&calendar(&taken));
            let slow = (start..start + length).all(|minute| has(&open, minute) && !has(&taken, minute));
            prop_assert_eq!(free.covers(interval(start, start + length).unwrap()), slow);
            prop_assert!(free.intervals().windows(2).all(|pair| pair[0].end() < pair[1].start()
                || taken.iter().any(|(a, b)| a < b)));
        }
    }
}
