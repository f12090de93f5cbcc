//! How far a session keeps its neighbours in the series away, beyond the gap in days: while it takes place, and where a
//! treatment forbids what it is itself.

use crate::domain::booking::Timing;
use crate::domain::catalog::Restriction;
use crate::domain::finding::{next_tick_number, tick_number};
use crate::domain::interval::Instant;
use crate::domain::zone::Zone;
use chrono::TimeDelta;

use super::optimum::Candidate;

/// How far sessions of one treatment keep each other away.
pub(super) struct Reach<'a> {
    timing: &'a Timing<'a>,
    zone: Zone,
    /// What the treatment forbids and is.
    own: Vec<&'a Restriction>,
}

impl<'a> Reach<'a> {
    pub(super) fn new(timing: &'a Timing<'a>, zone: Zone) -> Self {
        let content = &timing.treatment().content;
        let own = content.restrictions.iter().filter(|own| content.exposures.contains(&own.activity)).collect();
        Self { timing, zone, own }
    }

    /// Whether it can depend on the time of day who may follow whom, on days that are two or more apart.
    pub(super) fn depends_on_time_of_day(&self) -> bool {
        !self.own.is_empty()
    }

    /// A place where a session could be. A session ends before the next one of its series begins, turnover included.
    pub(super) fn candidate(&self, day: i64, start: Instant, who: usize, cost: u64) -> Candidate {
        let mut free_from = start + TimeDelta::minutes(self.timing.minutes());
        let mut after = i64::MAX;
        if let Some((from, to)) = self.timing.exposing_minutes() {
            for during in self.own.iter().filter_map(|own| self.timing.restricts(self.zone, start, own)) {
                free_from = free_from.max(during.end() - TimeDelta::minutes(from));
                after = after.min(tick_number(during.start() - TimeDelta::minutes(to)));
            }
        }
        Candidate { day, start: tick_number(start), who, cost, free_from: next_tick_number(free_from), after }
    }
}
