//! Plans against trying everything, on small random instances.

use std::collections::BTreeSet;

use chrono::{Datelike, NaiveDate, TimeDelta, Weekday};
use proptest::prelude::*;
use uuid::Uuid;

use super::cost::{CHANGE, FINISH_DAY, GAP_DAY, HOURS, PRACTITIONER, WEEKDAY};
use super::*;
use crate::domain::booking::small::{HERE, at, everywhere, facts, treatment, zone};
use crate::domain::booking::{
    AskedSession, Facts, SessionRequest, SessionsOf, Timing, VisitRequest, plan_sessions, plan_visit,
};
use crate::domain::catalog::{BodyArea, GapDays, ResourceKind, Treatment};
use crate::domain::combination::Combined;
use crate::domain::finding::{Board, Starts, Times, TimesOfDay, Wanted, find};
use crate::domain::ids::{AppointmentId, ResourceId};
use crate::domain::interval::Instant;
use crate::domain::refusal::Other;
use crate::domain::series::BookedSession;

/// Cases in each place.
const CASES: u32 = 300;
/// Starts are this far apart, so that there are few enough to try all chains of them.
const GRID: i32 = 240;

#[derive(Debug, Clone)]
struct Case {
    facts: Facts,
    treatment: Treatment,
    gap: GapDays,
    sessions: usize,
    first: (NaiveDate, NaiveDate),
    wishes: Wishes,
    /// A session that is booked already.
    booked: Option<BookedSession>,
    /// Days after it until its longest gap has passed, whichever gap is tried.
    lapses_after: i64,
}

/// A session at a time of the day in steps of four hours, with somebody.
fn session(number: i32, offset: i64, time: i64, practitioner: Option<ResourceId>) -> BookedSession {
    let start = zone().midnight(day(offset)) + TimeDelta::hours(4 * time);
    let id = AppointmentId(Uuid::from_u128(u128::from(number.unsigned_abs())));
    BookedSession { number, id, start, day: zone().day(start), zone: zone(), practitioner }
}

fn day(offset: i64) -> NaiveDate {
    zone().day(at(0)) + TimeDelta::days(offset)
}

fn weekdays() -> impl Strategy<Value = Vec<Weekday>> {
    // The instances begin on a Saturday and last until Thursday.
    let days = [Weekday::Sat, Weekday::Sun, Weekday::Mon, Weekday::Tue, Weekday::Wed];
    prop_oneof![Just(Vec::new()), prop::sample::subsequence(days.to_vec(), 1..4)]
}

fn parts() -> impl Strategy<Value = Vec<TimesOfDay>> {
    let part = |from, until| TimesOfDay::new(from * 60, until * 60).unwrap();
    prop_oneof![
        2 => Just(Vec::new()),
        1 => Just(vec![part(6, 14)]),
        1 => Just(vec![part(0, 5), part(12, 24)]),
    ]
}

prop_compose! {
    fn wishes()(
        weekdays in weekdays(), parts in parts(), practitioner in prop::option::of(100..106_u128),
        same_practitioner in any::<bool>(), finish_by in prop::option::of(1..6_i64),
        away in prop::collection::vec((0..6_i64, 0..2_i64), 0..2), required in any::<bool>(),
    ) -> Wishes {
        Wishes {
            times: Times::new(weekdays, parts).unwrap(),
            practitioner: practitioner.map(|id| ResourceId(Uuid::from_u128(id))),
            same_practitioner,
            finish_by: finish_by.map(day),
            away: away.into_iter().map(|(from, more)| (day(from), day(from + more))).collect(),
            required,
        }
    }
}

prop_compose! {
    fn cases()(
        mut facts in facts(), mut treatment in treatment(), gaps in (prop_oneof![3 => 1..3_i32, 1 => 4..6_i32], 0..2_i32, 0..3_i32),
        sessions in 1..4_usize, first in (-1..3_i64, 0..4_i64), wishes in prop_oneof![1 => Just(Wishes::default()), 3 => wishes()],
        booked in prop::option::weighted(0.3, (1..4_i32, -6..5_i64, 0..6_i64)),
    ) -> Case {
        treatment.content.spacing_days = Some(5);
        // No more than the floor, as every protocol that is published has it.
        if let Some(across) = &mut treatment.content.across_areas {
            across.days = 1;
        }
        facts.look_for_earliest = false;
        let mut wishes = wishes;
        let needs_practitioner = treatment.content.needs().iter().any(|need| need.kind == ResourceKind::Practitioner);
        wishes.practitioner = wishes.practitioner.filter(|_| needs_practitioner);
        let (minimum, target, more) = gaps;
        let gap = GapDays::new(1, minimum, minimum + target, minimum + target + more).unwrap();
        let somebody = facts.resources.iter().find(|r| needs_practitioner && r.kind == ResourceKind::Practitioner);
        let somebody = somebody.map(|resource| resource.id);
        let booked = booked.map(|(number, offset, time)| session(number, offset, time, somebody));
        // Something is left to plan.
        let booked = booked.filter(|booked| sessions > 1 && usize::try_from(booked.number).unwrap() <= sessions);
        let first = (day(first.0), day(first.0 + first.1));
        let lapses_after = i64::from(gap.maximum);
        Case { facts, treatment, gap, sessions, first, wishes, booked, lapses_after }
    }
}

/// The sessions of a plan that are not booked.
fn planned(plan: &Plan) -> impl Iterator<Item = &PlannedSession> {
    plan.sessions.iter().filter(|session| session.booked.is_none())
}

/// Where a session is moved to, how far apart the later ones are and when, and whether there is one between each two
/// that is not booked: days and times of the day in steps of four hours.
type Move = ((i64, i64), Vec<(i64, i64)>, bool);

fn moves() -> impl Strategy<Value = Move> {
    ((0..5_i64, 0..6_i64), prop::collection::vec((1..4_i64, 0..6_i64), 1..3), any::<bool>())
}

/// A session where it could be, for trying everything.
#[derive(Debug, Clone, Copy)]
struct Place {
    start: Instant,
    day: NaiveDate,
    who: Option<ResourceId>,
    cost: u64,
}

impl Case {
    fn board(&self) -> Board {
        Board::new(HERE, &self.facts.clinics[&HERE], &self.facts.resources, self.facts.spans[0])
    }

    fn wanted<'a>(&'a self, timing: &'a Timing<'a>) -> Wanted<'a> {
        Wanted {
            timing,
            patient: Some(&self.facts.patient),
            area: Some(BodyArea::Face),
            spacing_days: Some(i64::from(self.gap.minimum)),
            neighbours: None,
            follow_up: None,
            earliest: self.facts.now.max(at(-250)),
            latest: self.facts.horizon_end.min(at(1_000)),
            grid_minutes: GRID,
            moved_from: None,
        }
    }

    fn question<'a>(&'a self, board: &'a Board, starts: &'a Starts, timing: &'a Timing<'a>) -> SeriesQuestion<'a> {
        SeriesQuestion {
            board,
            starts,
            timing,
            gap: self.gap,
            sessions: (1..=self.sessions)
                .map(|number| SessionPlace { number: i32::try_from(number).unwrap(), booked: self.booked(number) })
                .collect(),
            now: self.facts.now,
            first: self.first,
            wishes: self.wishes.clone(),
        }
    }

    fn asked(&self, start: Instant, named: Vec<ResourceId>) -> VisitRequest {
        VisitRequest {
            clinic: HERE,
            start,
            named,
            area: Some(BodyArea::Face),
            spacing_days: Some(i64::from(self.gap.minimum)),
            spacing_override: None,
            neighbours: None,
            follow_up: None,
            preferred: Vec::new(),
            moved_from: None,
        }
    }

    /// Every start on the grid and every practitioner with whom a session by itself may be booked.
    fn bookable(&self) -> Vec<(Instant, Option<ResourceId>)> {
        let on_grid = |start: &Instant| {
            let time = zone().local(*start).time();
            chrono::Timelike::num_seconds_from_midnight(&time).is_multiple_of(GRID.unsigned_abs() * 60)
        };
        let needs_practitioner =
            Timing::new(&self.treatment).needs.iter().any(|need| need.kind == ResourceKind::Practitioner);
        let mut bookable = Vec::new();
        for start in (-250..=1_000).map(at).filter(on_grid) {
            let may = |named| plan_visit(&self.facts, &self.treatment, &self.asked(start, named)).is_ok();
            if !needs_practitioner && may(Vec::new()) {
                bookable.push((start, None));
            }
            for resource in &self.facts.resources {
                let is_one = resource.kind == ResourceKind::Practitioner;
                if needs_practitioner && is_one && may(vec![resource.id]) {
                    bookable.push((start, Some(resource.id)));
                }
            }
        }
        bookable
    }

    /// The same with what it costs by itself, without those that the wishes rule out.
    fn places(&self) -> Vec<Place> {
        let minutes = TimeDelta::minutes(Timing::new(&self.treatment).present_minutes());
        let Wishes { times, practitioner, finish_by, away, required, .. } = &self.wishes;
        let hours = times.any_day().week();
        let place = |(start, who): (Instant, Option<ResourceId>)| {
            let day = zone().day(start);
            let visit = crate::domain::interval::Interval::new(start, start + minutes).unwrap();
            let in_hours = !times.names_parts() || hours.calendar(zone(), &[visit]).covers(visit);
            let missed = [
                (!times.has_weekday(day.weekday()), WEEKDAY),
                (!in_hours, HOURS),
                (practitioner.is_some() && *practitioner != who, PRACTITIONER),
            ];
            let ruled_out = *required && missed.iter().any(|(missed, _)| *missed)
                || finish_by.is_some_and(|last| day > last)
                || away.iter().any(|(from, to)| *from <= day && day <= *to);
            let cost = missed.iter().filter(|(missed, _)| *missed).map(|(_, cost)| cost).sum();
            (!ruled_out).then_some(Place { start, day, who, cost })
        };
        self.bookable().into_iter().filter_map(place).collect()
    }

    /// Whether one session may follow another, the longest gap aside.
    fn may_follow(&self, before: Instant, after: Instant) -> bool {
        self.may_be_followed(before, after, self)
    }

    /// The same where the other session is of another kind.
    fn may_be_followed(&self, before: Instant, after: Instant, by: &Self) -> bool {
        let (timing, other) = (Timing::new(&self.treatment), Timing::new(&by.treatment));
        let gap = (zone().day(after) - zone().day(before)).num_days();
        let ends = before + TimeDelta::minutes(timing.minutes());
        let collide = timing
            .windows(zone(), before)
            .iter()
            .any(|mine| other.windows(zone(), after).iter().any(|theirs| mine.collides(theirs)));
        gap >= i64::from(self.gap.minimum) && after >= ends && !collide
    }

    /// The session of that number, if it is booked.
    fn booked(&self, number: usize) -> Option<BookedSession> {
        self.booked.filter(|booked| usize::try_from(booked.number).unwrap() == number)
    }

    /// The least cost of any chain of places, from the session of a number on.
    fn least(&self, places: &[Place], before: Option<Place>, number: usize) -> Option<u64> {
        if number > self.sessions {
            return Some(0);
        }
        let open = |number: &usize| self.booked(*number).is_none();
        let first_open = (1..=self.sessions).find(open) == Some(number);
        let last_open = (1..=self.sessions).rfind(open) == Some(number);
        let fixed = self.booked(number);
        let fixed = fixed.map(|b| Place { start: b.start, day: b.day, who: b.practitioner, cost: 0 });
        let candidates = fixed.as_ref().map_or(places, std::slice::from_ref);
        let steps = candidates.iter().filter_map(|place| {
            if first_open && !(self.first.0..=self.first.1).contains(&place.day) {
                return None;
            }
            let step = match before {
                None => 0,
                Some(before) => {
                    let gap = (place.day - before.day).num_days();
                    let lapsed = self
                        .booked(number - 1)
                        .is_some_and(|before| (zone().day(self.facts.now) - before.day).num_days() > self.lapses_after);
                    let fits = lapsed || gap <= i64::from(self.gap.maximum);
                    let fits = fits && self.may_follow(before.start, place.start);
                    let other = before.who != place.who;
                    if !fits || other && self.wishes.same_practitioner {
                        return None;
                    }
                    gap.abs_diff(i64::from(self.gap.target)) * GAP_DAY + if other { CHANGE } else { 0 }
                }
            };
            let end = u64::try_from((place.day - self.first.0).num_days()).unwrap_or_default() * FINISH_DAY;
            let end = if last_open { end } else { 0 };
            Some(step + end + place.cost + self.least(places, Some(*place), number + 1)?)
        });
        steps.min()
    }
}

/// A kind of session: plain, or with something added. Its case has what the visit is then, and the gap that follows it.
struct Kind {
    case: Case,
    bookable: Vec<(Instant, Option<ResourceId>)>,
}

impl Kind {
    fn new(case: Case) -> Self {
        Self { bookable: case.bookable(), case }
    }
}

/// The fewest moves, then the fewest days, of all ways to place the later sessions, each with its kind.
fn fewest(
    longest_gap: i32,
    before: Option<(BookedSession, &Kind)>,
    from: Option<NaiveDate>,
    later: &[(BookedSession, &Kind)],
) -> Option<(u64, u64)> {
    let Some(((session, own), rest)) = later.split_first() else { return Some((0, 0)) };
    let stay = std::iter::once((session.start, false));
    let ways = stay.chain(own.bookable.iter().map(|(start, _)| (*start, true))).filter_map(|(start, moves)| {
        let day = zone().day(start);
        let follows = before.is_none_or(|(before, kind)| {
            let distance = session.number - before.number;
            let close = distance > 1 || (day - before.day).num_days() <= i64::from(longest_gap);
            close && kind.case.may_be_followed(before.start, start, &own.case)
        });
        if !follows || from.is_some_and(|from| day < from) {
            return None;
        }
        let placed = BookedSession { start, day, ..*session };
        let (more, days) = fewest(longest_gap, Some((placed, own)), from, rest)?;
        let moved = if moves { (1, (day - session.day).num_days().unsigned_abs()) } else { (0, 0) };
        Some((more + moved.0, days + moved.1))
    });
    ways.min()
}

#[test]
fn the_best_plan_costs_what_trying_everything_finds_and_can_be_booked() {
    everywhere(CASES, cases, |case| {
        let timing = Timing::new(&case.treatment);
        let board = case.board();
        let starts = find(&board, &case.wanted(&timing));
        let question = case.question(&board, &starts, &timing);
        let least = case.least(&case.places(), None, 1);
        let Ok(plans) = question.plans(MAX_PLANS) else {
            prop_assert_eq!(least, None);
            return Ok(());
        };
        let best = plans.iter().find(|plan| plan.kind == PlanKind::Best).unwrap();
        prop_assert_eq!(Some(best.cost.total()), least);
        for plan in &plans {
            prop_assert!(best.cost.total() <= plan.cost.total());
            let open = plan.sessions.iter().enumerate().filter(|(_, session)| session.booked.is_none());
            let asked: Vec<AskedSession> = open
                .map(|(place, session)| {
                    let practitioner = session.practitioner;
                    let named = practitioner.into_iter().collect();
                    let (start, moved_from) = (session.start, None);
                    let request = SessionRequest { clinic: HERE, start, named, practitioner, moved_from };
                    AskedSession { place, number: session.number, request, combined: None }
                })
                .collect();
            let series = SessionsOf {
                gap: case.gap,
                gap_override: None,
                treatment: &case.treatment,
                area: BodyArea::Face,
                booked: case.booked.into_iter().collect(),
                known: Vec::new(),
            };
            let mut facts = case.facts.clone();
            // What is booked is known of the patient.
            if let Some(booked) = case.booked {
                let windows = timing.windows(zone(), booked.start).into_iter();
                facts.patient.windows.extend(windows.map(|window| (window, Other::Appointment(booked.id))));
            }
            let booked = plan_sessions(facts, &series, &asked);
            prop_assert!(booked.is_ok(), "{plan:?}: {booked:?}");
        }
        // The others differ in what they say, and no two are the same.
        let weekdays = |plan: &Plan| {
            planned(plan).map(|session| session.day.weekday().number_from_monday()).collect::<BTreeSet<_>>()
        };
        for (place, plan) in plans.iter().enumerate() {
            prop_assert!(plans[..place].iter().all(|other| other.sessions != plan.sessions));
            match plan.kind {
                PlanKind::Best => {}
                PlanKind::EarlierFinish => prop_assert!(plan.last_day() < best.last_day()),
                PlanKind::OtherWeekday => prop_assert!(!weekdays(best).is_subset(&weekdays(plan))),
                PlanKind::OtherPractitioner => {
                    let with = |plan: &Plan| planned(plan).map(|session| session.practitioner).collect::<BTreeSet<_>>();
                    prop_assert!(!with(best).is_subset(&with(plan)));
                }
                PlanKind::OtherStart => {
                    prop_assert!((plan.sessions[0].day - best.sessions[0].day).num_days().abs() >= 7);
                }
            }
        }
        Ok(())
    });
}

#[test]
fn what_is_said_to_help_does_help() {
    everywhere(CASES, cases, |case| {
        let timing = Timing::new(&case.treatment);
        let board = case.board();
        let wanted = case.wanted(&timing);
        let starts = find(&board, &wanted);
        let question = case.question(&board, &starts, &timing);
        let Err(placed) = question.plans(1) else { return Ok(()) };
        let no_plan = question.explain(&Sought { wanted: &wanted, fewest: 1 }, placed);
        prop_assert_eq!(no_plan.obstacles.len(), 1);
        let exists = |case: &Case| case.least(&case.places(), None, 1).is_some();
        prop_assert!(!exists(&case));
        for relaxation in &no_plan.relaxations {
            let mut eased = case.clone();
            match relaxation.kind {
                RelaxationKind::AnyWeekday => eased.wishes.times = case.wishes.times.any_day(),
                RelaxationKind::AnyTime => eased.wishes.times = case.wishes.times.any_time(),
                RelaxationKind::AnyPractitioner => eased.wishes.practitioner = None,
                RelaxationKind::ChangeOfPractitioner => eased.wishes.same_practitioner = false,
                RelaxationKind::DaysAway => eased.wishes.away.clear(),
                RelaxationKind::LaterFinish => {
                    let date = relaxation.date.unwrap();
                    eased.wishes.finish_by = date.pred_opt();
                    prop_assert!(!exists(&eased), "possible by an earlier day");
                    eased.wishes.finish_by = Some(date);
                }
                RelaxationKind::OtherFirstSession => {
                    eased.first = (relaxation.date.unwrap(), relaxation.date.unwrap());
                }
                RelaxationKind::LongerGap => {
                    let longest = i32::try_from(relaxation.gap_days.unwrap()).unwrap();
                    prop_assert!(longest > case.gap.maximum);
                    eased.gap.maximum = longest;
                }
                RelaxationKind::FewerSessions => {
                    eased.sessions = usize::try_from(relaxation.count.unwrap()).unwrap();
                    let mut more = case.clone();
                    more.sessions = eased.sessions + 1;
                    prop_assert!(!exists(&more), "possible with more sessions");
                }
                RelaxationKind::NoWishes => eased.wishes = Wishes::default(),
            }
            prop_assert!(exists(&eased), "{relaxation:?}");
        }
        Ok(())
    });
}

#[test]
fn as_few_sessions_as_possible_move_and_those_as_little_as_possible() {
    let additions = || (treatment(), prop_oneof![Just([false; 3]), any::<[bool; 3]>()]);
    everywhere(
        CASES,
        || (cases(), moves(), additions(), any::<bool>(), prop::option::of(0..6_i64)),
        |(case, (moved, later, skip), (add_on, added), is_first, from)| {
            let combined = Combined::new(&case.treatment, &add_on);
            let spacing = i32::try_from(combined.session_spacing(case.gap)).unwrap();
            let with =
                Case { treatment: combined.treatment, gap: GapDays { minimum: spacing, ..case.gap }, ..case.clone() };
            let kinds = [Kind::new(case.clone()), Kind::new(with)];
            let timings = kinds.each_ref().map(|kind| Timing::new(&kind.case.treatment));
            let board = case.board();
            let starts: Vec<Starts> =
                kinds.iter().zip(&timings).map(|(kind, timing)| find(&board, &kind.case.wanted(timing))).collect();
            let somebody = starts[0].by.first().map(|(id, _)| *id);
            let before = (!is_first).then(|| session(1, moved.0 - 1, moved.1, somebody));
            let from = from.map(|days| zone().day(at(0)) + TimeDelta::days(days));
            let mut at_day = 0;
            let step = if skip { 2 } else { 1 };
            let later: Vec<(BookedSession, usize)> = later
                .into_iter()
                .zip(1..)
                .zip(&added[1..])
                .map(|(((gap, time), number), added)| {
                    at_day += gap;
                    (session(1 + number * step, at_day, time, somebody), usize::from(*added))
                })
                .collect();
            let first = usize::from(added[0]);
            let slow: Vec<(BookedSession, &Kind)> =
                later.iter().map(|(session, kind)| (*session, &kinds[*kind])).collect();
            let expected = fewest(case.gap.maximum, before.map(|before| (before, &kinds[first])), from, &slow);
            let moving = |session, kind: usize| Moving {
                session,
                timing: &timings[kind],
                spacing_days: i64::from(kinds[kind].case.gap.minimum),
            };
            let question = MoveQuestion {
                gap: case.gap,
                before: before.map(|before| moving(before, first)),
                from,
                later: later
                    .iter()
                    .map(|(session, kind)| Later {
                        moving: moving(*session, *kind),
                        board: &board,
                        starts: &starts[*kind],
                    })
                    .collect(),
            };
            let found = question.following();
            let counted = found.as_ref().map(|following| {
                let days = following.iter().map(|f| (zone().day(f.start) - f.session.day).num_days().unsigned_abs());
                (following.len() as u64, days.sum())
            });
            prop_assert_eq!(counted, expected);
            for following in found.into_iter().flatten() {
                let (_, kind) = later.iter().find(|(session, _)| session.number == following.session.number).unwrap();
                let place = (following.start, following.practitioner);
                prop_assert!(kinds[*kind].bookable.contains(&place));
            }
            Ok(())
        },
    );
}
