//! One search for the cheapest plan of a series: from wishes and free time to stages of candidates, and back to a plan.

use chrono::{Datelike, NaiveDate};

use super::cost::{Cost, CostKind, FINISH_DAY, GAP_DAY, HOURS, PRACTITIONER, WEEKDAY};
use super::optimum::{Candidate, Chain, Link, Stage};
use super::reach::{Reach, stride};
use super::series::{Plan, PlanKind, PlannedSession, SeriesQuestion, SessionPlace, Terms};
use crate::domain::catalog::GapDays;
use crate::domain::finding::{Day, Ticks, instant_of};
use crate::domain::ids::ResourceId;
use crate::domain::series::BookedSession;

/// Least days between the first sessions of two plans that begin in different weeks.
const WEEK: i64 = 7;
/// What a day later costs where the earliest end is looked for: more than all else together.
const FINISH_FIRST: u64 = 1_000_000;
/// What a day beyond the longest gap costs where the smallest excess is looked for: likewise.
const EXCESS_FIRST: u64 = 1_000_000;

/// The number of a day, as the optimum counts them.
pub(super) fn number(day: NaiveDate) -> i64 {
    i64::from(day.num_days_from_ce())
}

/// One search for the cheapest plan.
pub(super) struct Search<'a> {
    question: &'a SeriesQuestion<'a>,
    terms: &'a Terms,
    reach: Reach<'a>,
    /// Who may treat; the optimum knows them by their places.
    pub practitioners: Vec<Option<ResourceId>>,
    /// The starts in the part of the day that was wished; none if any will do.
    in_hours: Option<Ticks>,
}

impl<'a> Search<'a> {
    pub fn new(question: &'a SeriesQuestion<'a>, terms: &'a Terms) -> Self {
        let SeriesQuestion { board, timing, starts, sessions, .. } = question;
        let mut practitioners: Vec<Option<ResourceId>> = starts.by_whom().map(|(id, _)| id).collect();
        for booked in sessions.iter().filter_map(|place| place.booked) {
            if !practitioners.contains(&booked.practitioner) {
                practitioners.push(booked.practitioner);
            }
        }
        let parts = &terms.wishes.times;
        let in_hours =
            parts.names_parts().then(|| board.days.visits_within(&parts.any_day().week(), timing.present_minutes()));
        let reach = Reach::new(timing, board.zone);
        Self { question, terms, reach, practitioners, in_hours }
    }

    fn who(&self, practitioner: Option<ResourceId>) -> usize {
        self.practitioners.iter().position(|known| *known == practitioner).unwrap_or_default()
    }

    pub fn stages(&self) -> Vec<Stage> {
        let SeriesQuestion { sessions, gap, .. } = self.question;
        let sessions = sessions.get(..self.terms.sessions).unwrap_or_default();
        let everywhere = self.candidates();
        let last_open = sessions.iter().rposition(|place| place.booked.is_none());
        let mut first_open = true;
        let mut stages: Vec<Stage> = Vec::with_capacity(sessions.len());
        let mut before: Option<(i64, i64, bool)> = None;
        for (place, SessionPlace { booked, .. }) in sessions.iter().enumerate() {
            let previous = place.checked_sub(1).and_then(|place| sessions.get(place));
            let lapsed = previous.filter(|previous| self.question.has_lapsed(previous));
            let link = match (before, booked) {
                // What is booked on both sides is as it is.
                (Some((day, _, true)), Some(booked)) => Link { shortest: number(booked.day) - day, prices: vec![0] },
                (None | Some(_), Some(_) | None) => self.link(lapsed.and_then(|previous| previous.booked)),
            };
            let longest = i64::try_from(link.prices.len()).unwrap_or_default() - 1 + link.shortest;
            let (candidates, from, to) = if let Some(booked) = booked {
                let day = number(booked.day);
                (vec![self.booked(booked)], day, day)
            } else {
                let shortest = i64::from(gap.minimum);
                let reach = before.map(|(from, to, _)| (from + shortest, to + longest));
                let (mut from, mut to) = reach.unwrap_or((i64::MIN, i64::MAX));
                let is_first = std::mem::take(&mut first_open);
                if is_first {
                    from = from.max(number(self.terms.first.0));
                    to = to.min(number(self.terms.first.1));
                }
                let start = everywhere.partition_point(|candidate| candidate.day < from);
                let end = everywhere.partition_point(|candidate| candidate.day <= to);
                let mut candidates: Vec<Candidate> = everywhere.get(start..end).unwrap_or_default().to_vec();
                if let (None, Some(other)) = (before, self.terms.not_near) {
                    candidates.retain(|candidate| (candidate.day - number(other)).abs() >= WEEK);
                }
                if is_first && self.terms.near_first {
                    let (from, to) = (number(self.question.first.0), number(self.question.first.1));
                    for candidate in &mut candidates {
                        // The days asked for may be none: until yesterday, from today on.
                        let outside = (from - candidate.day).max(candidate.day - to).max(0);
                        candidate.cost += FINISH_FIRST * outside.unsigned_abs();
                    }
                }
                if last_open == Some(place) {
                    let price = if self.terms.finish_first { FINISH_FIRST } else { FINISH_DAY };
                    for candidate in &mut candidates {
                        candidate.cost += price * self.finish_days(candidate.day);
                    }
                }
                (candidates, from, to)
            };
            before = Some((from, to, booked.is_some()));
            stages.push(Stage { candidates, link });
        }
        stages
    }

    /// Days from the first day asked for.
    fn finish_days(&self, day: i64) -> u64 {
        u64::try_from(day - number(self.question.first.0)).unwrap_or_default()
    }

    /// From a session to the next; from one whose longest gap has passed, to any day.
    fn link(&self, lapsed: Option<BookedSession>) -> Link {
        let GapDays { minimum, target, maximum, .. } = self.question.gap;
        let (minimum, target, maximum) = (i64::from(minimum), i64::from(target), i64::from(maximum));
        let days = self.question.board.days.all();
        let (longest, excess) = match lapsed {
            Some(before) => (days.last().map_or(0, |last| (last.date - before.day).num_days()), 0),
            None if self.terms.longer_gaps => (i64::try_from(days.len()).unwrap_or_default(), EXCESS_FIRST),
            None => (maximum, EXCESS_FIRST),
        };
        let longest = longest.max(maximum);
        let price = |gap: i64| {
            let excess = u64::try_from(gap - maximum).unwrap_or_default() * excess;
            gap.abs_diff(target) * GAP_DAY + excess
        };
        Link { shortest: minimum, prices: (minimum..=longest).map(price).collect() }
    }

    fn booked(&self, session: &BookedSession) -> Candidate {
        let reach = Reach::new(self.question.timing, session.zone);
        reach.candidate(number(session.day), session.start, self.who(session.practitioner), 0)
    }

    /// The places where a session could be, wishes included: of each day and practitioner the cheapest, or all of them
    /// where it depends on the time of day who may follow whom.
    fn candidates(&self) -> Vec<Candidate> {
        let SeriesQuestion { board, starts, gap, .. } = self.question;
        let wishes = &self.terms.wishes;
        // Of each day and practitioner the cheapest, or as many as may matter.
        let stride = (!self.reach.one_is_enough(gap.minimum)).then(|| stride(starts));
        let mut candidates = Vec::new();
        let last = wishes.finish_by.unwrap_or(NaiveDate::MAX);
        for day in board.days.between(NaiveDate::MIN, last) {
            let away = wishes.away.iter().any(|(from, to)| (*from..=*to).contains(&day.date));
            let missed_day = !wishes.times.has_weekday(day.date.weekday());
            if away || self.terms.not_on == Some(day.date.weekday()) || wishes.required && missed_day {
                continue;
            }
            let by_day = if missed_day { WEEKDAY } else { 0 };
            for (practitioner, starts) in starts.by_whom() {
                let missed = wishes.practitioner.is_some() && wishes.practitioner != practitioner;
                let left_out = practitioner.is_some() && self.terms.not_with == practitioner;
                if left_out || wishes.required && missed {
                    continue;
                }
                let cost = by_day + if missed { PRACTITIONER } else { 0 };
                self.of_day(day, starts, practitioner, cost, stride, &mut candidates);
            }
        }
        candidates
    }

    fn of_day(
        &self,
        day: &Day,
        starts: &Ticks,
        practitioner: Option<ResourceId>,
        cost: u64,
        stride: Option<usize>,
        candidates: &mut Vec<Candidate>,
    ) {
        let who = self.who(practitioner);
        let missed = |tick: usize| self.in_hours.as_ref().is_some_and(|hours| !hours.has(tick));
        let mut ticks = starts.within(day.ticks.clone()).filter(|tick| !self.terms.wishes.required || !missed(*tick));
        let candidate = |tick: usize| {
            let cost = cost + if missed(tick) { HOURS } else { 0 };
            self.reach.candidate(number(day.date), self.question.board.window.instant(tick), who, cost)
        };
        if let Some(stride) = stride {
            candidates.extend(ticks.step_by(stride).map(candidate));
        } else {
            let first = ticks.next();
            let wished = first.into_iter().chain(ticks).find(|tick| !missed(*tick));
            candidates.extend(wished.or(first).map(candidate));
        }
    }

    pub fn plan(&self, chain: &Chain, kind: PlanKind) -> Plan {
        let SeriesQuestion { board, sessions, .. } = self.question;
        let session = |(pick, SessionPlace { number, booked }): (&Candidate, &SessionPlace)| {
            let start = match booked {
                Some(booked) => booked.start,
                None => instant_of(pick.start),
            };
            PlannedSession {
                number: *number,
                start,
                day: booked.map_or_else(|| board.zone.day(start), |booked| booked.day),
                practitioner: self.practitioners.get(pick.who).copied().flatten(),
                booked: booked.map(|booked| booked.id),
            }
        };
        let sessions: Vec<PlannedSession> = chain.picks.iter().zip(sessions).map(session).collect();
        let cost = self.cost(&sessions);
        Plan { kind, sessions, cost }
    }

    /// What a plan costs, counted anew from its sessions.
    fn cost(&self, sessions: &[PlannedSession]) -> Cost {
        let SeriesQuestion { board, gap, .. } = self.question;
        let wishes = &self.terms.wishes;
        let mut cost = Cost::default();
        for session in sessions.iter().filter(|session| session.booked.is_none()) {
            let tick = usize::try_from(board.window.tick_at(session.start)).unwrap_or_default();
            let missed_hours = self.in_hours.as_ref().is_some_and(|hours| !hours.has(tick));
            let missed_practitioner = wishes.practitioner.is_some() && wishes.practitioner != session.practitioner;
            cost.add(CostKind::Weekdays, u64::from(!wishes.times.has_weekday(session.day.weekday())));
            cost.add(CostKind::Hours, u64::from(missed_hours));
            cost.add(CostKind::Practitioner, u64::from(missed_practitioner));
        }
        for pair in sessions.windows(2) {
            let [before, after] = pair else { continue };
            if before.booked.is_none() || after.booked.is_none() {
                let days = (after.day - before.day).num_days();
                cost.add(CostKind::Gaps, days.abs_diff(i64::from(gap.target)));
            }
            cost.add(CostKind::Changes, u64::from(before.practitioner != after.practitioner));
        }
        let last = sessions.iter().rfind(|session| session.booked.is_none());
        cost.add(CostKind::Finish, last.map_or(0, |session| self.finish_days(number(session.day))));
        cost
    }
}
