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

/// How far a session keeps its neighbours away.
pub(super) struct Reach<'a> {
    timing: &'a Timing<'a>,
    zone: Zone,
    /// What it forbids that the session before it is, with when that is so in its visit.
    before: (Vec<&'a Restriction>, Option<(i64, i64)>),
    /// What it forbids that the session after it is, likewise.
    after: (Vec<&'a Restriction>, Option<(i64, i64)>),
}

impl<'a> Reach<'a> {
    /// Where all sessions are of one treatment.
    pub(super) fn new(timing: &'a Timing<'a>, zone: Zone) -> Self {
        Self::between(timing, Some(timing), Some(timing), zone)
    }

    /// Of a session between two others; those that are not there are kept nowhere.
    pub(super) fn between(
        timing: &'a Timing<'a>,
        before: Option<&'a Timing<'a>>,
        after: Option<&'a Timing<'a>>,
        zone: Zone,
    ) -> Self {
        let forbidden = |other: Option<&'a Timing<'a>>| {
            let is_other = |own: &&Restriction| {
                let exposes = |other: &Timing<'_>| other.treatment().content.exposures.contains(&own.activity);
                !own.advice_only && other.is_some_and(exposes)
            };
            let own = timing.treatment().content.restrictions.iter().filter(is_other).collect();
            (own, other.and_then(Timing::exposing_minutes))
        };
        Self { timing, zone, before: forbidden(before), after: forbidden(after) }
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
        let mut spans = self.before.0.iter().map(|own| own.before).chain(self.after.0.iter().map(|own| own.after));
        shortest_gap > 1 && spans.all(|span| days(span) + ROOM <= shortest_gap)
    }

    /// A place where a session could be. A session ends before the next one of its series begins, turnover included.
    pub(super) fn candidate(&self, day: i64, start: Instant, who: usize, cost: u64) -> Candidate {
        let mut free_from = start + TimeDelta::minutes(self.timing.minutes());
        let mut after = i64::MAX;
        let during = |own: &&Restriction| self.timing.restricts(self.zone, start, own);
        if let (forbidden, Some((from, _))) = &self.after {
            for during in forbidden.iter().filter_map(during) {
                free_from = free_from.max(during.end() - TimeDelta::minutes(*from));
            }
        }
        if let (forbidden, Some((_, to))) = &self.before {
            for during in forbidden.iter().filter_map(during) {
                after = after.min(tick_number(during.start() - TimeDelta::minutes(*to)));
            }
        }
        Candidate { day, start: tick_number(start), who, cost, free_from: next_tick_number(free_from), after }
    }
}
