//! How far a session keeps its neighbours in the series away, beyond the gap in days: while it takes place, and where a
//! treatment forbids what it is itself.

use crate::domain::booking::Timing;
use crate::domain::catalog::{Restriction, Span};
use crate::domain::finding::{Starts, next_tick_number, tick_number};
use crate::domain::interval::Instant;
use crate::domain::zone::Zone;
use chrono::TimeDelta;

use super::optimum::Candidate;

/// Most starts that one session of a plan is tried at, where it depends on the time of day who may follow whom. A
/// protocol whose gap is clearly longer than what its treatment forbids of itself needs one of each day and practitioner
/// only.
const MAX_STARTS: usize = 20_000;

/// Every how many of the starts are to be tried, so that they are not too many.
pub(super) fn stride(starts: &Starts) -> usize {
    let all = 0..usize::MAX;
    let count: usize = match starts.by.as_slice() {
        [] => starts.all.count_within(all),
        by => by.iter().map(|(_, starts)| starts.count_within(all.clone())).sum(),
    };
    count.div_ceil(MAX_STARTS).max(1)
}

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

    /// Whether one start of a day and practitioner is enough, because it cannot depend on the time of day who may follow
    /// whom: a visit may reach into the next day, hours are rounded up to days, and a clock may change.
    pub(super) fn one_is_enough(&self, shortest_gap: i32) -> bool {
        const ROOM: i32 = 3;
        let days = |span: Option<Span>| match span {
            None => 0,
            Some(Span::Days(days)) => days,
            Some(Span::Hours(hours)) => hours / 24 + 1,
        };
        shortest_gap > 1 && self.own.iter().all(|own| days(own.before).max(days(own.after)) + ROOM <= shortest_gap)
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
