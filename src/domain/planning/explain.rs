//! Why there is no plan, and which smallest change of the conditions would make one possible.

use chrono::NaiveDate;

use super::series::{Plan, PlanKind, SeriesQuestion, Terms, Wishes};
use crate::domain::booking::{PatientFacts, SpacingWindow};
use crate::domain::catalog::SpacingScope;
use crate::domain::finding::{Board, Starts, Ticks, Times, Wanted, allowed, find, serving};
use crate::domain::named_enum;
use crate::domain::refusal::{Other, Rule, Violation};

named_enum! {
    /// Which condition would have to give way.
    pub enum RelaxationKind {
        /// Any weekday.
        AnyWeekday = "any_weekday",
        /// Any time of the day.
        AnyTime = "any_time",
        /// Any practitioner.
        AnyPractitioner = "any_practitioner",
        /// A change of practitioner between sessions.
        ChangeOfPractitioner = "change_of_practitioner",
        /// The days away.
        DaysAway = "days_away",
        /// A later end.
        LaterFinish = "later_finish",
        /// A first session on another day than those asked for.
        OtherFirstSession = "other_first_session",
        /// A gap longer than the protocol's longest: a clinical decision.
        LongerGap = "longer_gap",
        /// Fewer sessions.
        FewerSessions = "fewer_sessions",
        /// All that the patient wished.
        NoWishes = "no_wishes",
    }
}

/// One change that alone would make a plan possible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relaxation {
    /// Which condition gives way.
    pub kind: RelaxationKind,
    /// The day to which: of the last session for a later finish, of the first session for another one.
    pub date: Option<NaiveDate>,
    /// The session before which a gap is too long.
    pub session: Option<i32>,
    /// That gap in days.
    pub gap_days: Option<i64>,
    /// How many sessions are possible.
    pub count: Option<i32>,
    /// The same in a sentence.
    pub description: String,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoPlan {
    /// What is in the way; at least one.
    pub obstacles: Vec<Violation>,
    /// What would help, each alone.
    pub relaxations: Vec<Relaxation>,
}

/// What else is known of the search for starts.
#[derive(Debug, Clone, Copy)]
pub struct Sought<'a> {
    /// The search.
    pub wanted: &'a Wanted<'a>,
    /// Fewest sessions that the protocol allows.
    pub fewest: i32,
}

impl SeriesQuestion<'_> {
    /// Why there is no plan, where at most so many sessions could be placed.
    pub fn explain(&self, sought: &Sought<'_>, placed: usize) -> NoPlan {
        NoPlan { obstacles: vec![self.obstacle(sought, placed)], relaxations: self.relaxations(sought.fewest, placed) }
    }

    /// The first thing that leaves nothing, from the least that can be changed to the most.
    fn obstacle(&self, sought: &Sought<'_>, placed: usize) -> Violation {
        let Self { board, timing, .. } = self;
        for need in &timing.needs {
            let (kind, qualification) = (need.kind.as_str(), need.qualification.as_str());
            if !board.resources.iter().any(|row| row.is_qualified(need)) {
                let text = format!("no {kind} at the clinic is qualified for {qualification}");
                return Violation::new(Rule::NoQualifiedResource, text);
            }
        }
        let wishes = &self.wishes;
        let (earliest, latest) = (board.zone.day(sought.wanted.earliest), board.zone.day(sought.wanted.latest));
        if self.first.0 > latest {
            let text = format!("the practice books until {latest}, which is before the first session may be");
            return Violation::new(Rule::BeyondHorizon, text);
        }
        if self.first.1 < earliest || wishes.finish_by.is_some_and(|last| last < earliest) {
            let text = format!("a session may begin on {earliest} at the earliest, which is after the days asked for");
            return Violation::new(Rule::StartInPast, text);
        }
        if let Some(wished) = wishes.practitioner.filter(|_| wishes.required)
            && !self.starts.by.iter().any(|(id, _)| *id == wished)
        {
            let text = "the practitioner is not qualified for this treatment, not at this clinic, or out of use";
            return Violation { resource: Some(wished), ..Violation::new(Rule::ResourceNotQualified, text) };
        }
        // The days of the first session first: they are the narrowest.
        let last = wishes.finish_by.unwrap_or(NaiveDate::MAX);
        let first = (self.first.0, self.first.1.min(last), "the days on which the first session may be");
        let any = (self.first.0, last, "the days asked for");
        let nothing = [first, any]
            .into_iter()
            .find_map(|(from, to, days)| self.nothing_left(sought.wanted, &self.asked(from, to), days));
        if let Some(violation) = nothing {
            return violation;
        }
        let number = |place: usize| self.sessions.get(place).map_or(0, |session| session.number);
        let (number, before) = (number(placed), number(placed.saturating_sub(1)));
        let by = wishes.finish_by.map_or_else(String::new, |last| format!(", by {last}"));
        let after = placed.checked_sub(1).and_then(|place| self.sessions.get(place));
        let text = if placed == 0 {
            format!("no start is left for the first session that keeps all gaps{by}")
        } else if after.is_some_and(|after| self.has_lapsed(after)) {
            format!("session {number} finds no start {} days or more after session {before}{by}", self.gap.minimum)
        } else {
            format!(
                "session {number} finds no start {} to {} days after session {before}, wherever the sessions before it \
                 are{by}",
                self.gap.minimum, self.gap.maximum
            )
        };
        Violation { session: Some(placed), ..Violation::new(Rule::NoPlan, text) }
    }

    /// What leaves no start among those asked for, by itself or together with what was looked at before it.
    fn nothing_left(&self, wanted: &Wanted<'_>, asked: &Ticks, days: &str) -> Option<Violation> {
        let when = if self.wishes.required { words(&self.wishes.times) } else { String::new() };
        if asked.is_empty() {
            let text = format!("no time that was wished is left of {days}: look at weekdays, hours and dates away");
            return Some(Violation::new(Rule::NoPlan, text));
        }
        let nobody = Wanted { patient: None, ..wanted.clone() };
        self.off_duty(&nobody, asked, &format!("{when} on {days}")).or_else(|| {
            if is_free_of(&self.with_wished(find(self.board, &nobody)), asked) {
                let text = format!("all that the treatment needs is never free at the same time{when} on {days}");
                return Some(Violation::new(Rule::NoResourceFree, text));
            }
            let taken = is_free_of(&self.with_wished(self.starts.clone()), asked);
            taken.then(|| self.patient_in_the_way(wanted, asked, days))
        })
    }

    /// The ticks of these days and the times asked for.
    fn asked(&self, from: NaiveDate, to: NaiveDate) -> Ticks {
        let Self { board, wishes, timing, .. } = self;
        let mut asked = if wishes.required {
            board.days.visits_within(&wishes.times.week(), timing.present_minutes())
        } else {
            Ticks::all(board.window)
        };
        asked.keep(board.days.ticks_between(from, to));
        for (from, to) in &wishes.away {
            asked.remove(board.days.ticks_between(*from, *to));
        }
        asked
    }

    /// The starts, only those with the practitioner who must treat.
    fn with_wished(&self, starts: Starts) -> Ticks {
        let wished = self.wishes.practitioner.filter(|_| self.wishes.required);
        starts.with_one_of(wished.as_slice(), self.board.window).all
    }

    /// A need for which nobody is there at the times asked for, taken or not.
    fn off_duty(&self, nobody: &Wanted<'_>, asked: &Ticks, when: &str) -> Option<Violation> {
        let Self { board, timing, .. } = self;
        let mut idle: Board = (*board).clone();
        for row in &mut idle.resources {
            row.busy = Ticks::none(board.window);
        }
        let mut open = allowed(&idle, nobody);
        open.and(asked);
        if open.is_empty() {
            let text = format!("the clinic is not open long enough for a session{when}");
            return Some(Violation::new(Rule::OutsideOpeningHours, text));
        }
        for (place, need) in timing.needs.iter().enumerate() {
            let mut there = Ticks::none(board.window);
            for row in idle.resources.iter().filter(|row| row.is_qualified(need)) {
                there.or(&serving(&row.on_duty, timing, place));
            }
            there.and(&open);
            if there.is_empty() {
                let text = format!("no {} qualified for this treatment works{when}", need.kind.as_str());
                return Some(Violation::new(Rule::OutsideWorkingHours, text));
            }
        }
        if is_free_of(&self.with_wished(find(&idle, nobody)), asked) {
            let text = format!("those whom the treatment needs never work at the same time{when}");
            return Some(Violation::new(Rule::OutsideWorkingHours, text));
        }
        None
    }

    /// Which of the patient's visits, gaps and aftercare leave nothing.
    fn patient_in_the_way(&self, wanted: &Wanted<'_>, asked: &Ticks, days: &str) -> Violation {
        let alone = |part: PatientFacts| {
            let starts = find(self.board, &Wanted { patient: Some(&part), ..wanted.clone() });
            is_free_of(&self.with_wished(starts), asked)
        };
        let patient = wanted.patient.cloned().unwrap_or_default();
        let PatientFacts { visits, spacing, windows, fitness } = patient;
        let nothing = PatientFacts::default;
        let others: Vec<Other> = windows.iter().map(|(_, other)| *other).collect();
        let window = |other: Other| windows.iter().copied().filter(|(_, of)| *of == other).collect();
        // One visit that alone leaves nothing, if there is one.
        let one = others.into_iter().find(|other| alone(PatientFacts { windows: window(*other), ..nothing() }));
        let (on_area, across): (Vec<_>, Vec<_>) =
            spacing.iter().copied().partition(|window| window.scope != SpacingScope::AnyArea);
        let first = |windows: &[SpacingWindow]| windows.first().map(|window| window.other);
        let (visit, near, far) = (visits.first().map(|visit| visit.other), first(&on_area), first(&across));
        let unfit = fitness.concerns(None).first().map_or(Rule::NoPlan, |concern| concern.rule);
        let (rule, other, text) = if alone(PatientFacts { fitness, ..nothing() }) {
            (unfit, None, "clearance, screening or a reaction leave none of")
        } else if alone(PatientFacts { visits, ..nothing() }) {
            (Rule::PatientBusy, visit, "the patient has other visits at all times that would do on")
        } else if alone(PatientFacts { spacing: on_area, ..nothing() }) {
            (Rule::SessionTooSoon, near, "the gaps to other sessions on the same area leave none of")
        } else if alone(PatientFacts { spacing, ..nothing() }) {
            (Rule::OtherAreaTooSoon, far, "the gaps to other sessions, on other areas too, leave none of")
        } else if alone(PatientFacts { windows: windows.clone(), ..nothing() }) {
            let text = "aftercare windows forbid the treatment, or would forbid booked visits, on all of";
            (Rule::ActivityForbidden, one.or(windows.first().map(|(_, other)| *other)), text)
        } else {
            (Rule::NoPlan, None, "the patient's other visits, gaps and aftercare together leave no start on")
        };
        Violation { other, ..Violation::new(rule, format!("{text} {days}")) }
    }

    /// Each change that alone would make a plan possible.
    fn relaxations(&self, fewest: i32, placed: usize) -> Vec<Relaxation> {
        let terms = self.terms();
        let wishes = || terms.wishes.clone();
        let mut found = Vec::new();
        let mut without = |kind, given: bool, wishes: Wishes, text: &str| {
            if given && self.solve(&Terms { wishes, ..terms.clone() }, PlanKind::Best).is_ok() {
                found.push(plain(kind, text));
            }
        };
        let hard = terms.wishes.required;
        let times = || terms.wishes.times.clone();
        without(
            RelaxationKind::AnyWeekday,
            hard && times().names_weekdays(),
            Wishes { times: times().any_day(), ..wishes() },
            "possible on other weekdays",
        );
        without(
            RelaxationKind::AnyTime,
            hard && times().names_parts(),
            Wishes { times: times().any_time(), ..wishes() },
            "possible at other times of the day",
        );
        without(
            RelaxationKind::AnyPractitioner,
            hard && terms.wishes.practitioner.is_some(),
            Wishes { practitioner: None, ..wishes() },
            "possible with another practitioner",
        );
        without(
            RelaxationKind::ChangeOfPractitioner,
            terms.wishes.same_practitioner,
            Wishes { same_practitioner: false, ..wishes() },
            "possible if the practitioner may change between sessions",
        );
        without(
            RelaxationKind::DaysAway,
            !terms.wishes.away.is_empty(),
            Wishes { away: Vec::new(), ..wishes() },
            "possible if a session may be on the days away",
        );
        found.extend(self.later_finish(&terms));
        found.extend(self.other_first(&terms));
        found.extend(self.longer_gap(&terms));
        found.extend(self.fewer(&terms, fewest, placed));
        let free = Terms { wishes: Wishes::default(), ..terms.clone() };
        if found.is_empty() && terms.wishes != Wishes::default() && self.solve(&free, PlanKind::Best).is_ok() {
            found.push(plain(RelaxationKind::NoWishes, "no single change is enough; possible without all wishes, the number of sessions and the first days aside"));
        }
        found
    }

    fn later_finish(&self, terms: &Terms) -> Option<Relaxation> {
        terms.wishes.finish_by?;
        let wishes = Wishes { finish_by: None, ..terms.wishes.clone() };
        let plan = self.solve(&Terms { wishes, finish_first: true, ..terms.clone() }, PlanKind::Best).ok()?;
        let date = plan.last_day()?;
        let text = format!("possible with the last session on {date}, not earlier");
        Some(Relaxation { date: Some(date), ..plain(RelaxationKind::LaterFinish, &text) })
    }

    fn other_first(&self, terms: &Terms) -> Option<Relaxation> {
        let first = (NaiveDate::MIN, NaiveDate::MAX);
        let plan = self.solve(&Terms { first, near_first: true, ..terms.clone() }, PlanKind::Best).ok()?;
        let date = plan.sessions.iter().find(|session| session.booked.is_none())?.day;
        let text = format!("possible with the first session on {date}");
        Some(Relaxation { date: Some(date), ..plain(RelaxationKind::OtherFirstSession, &text) })
    }

    fn longer_gap(&self, terms: &Terms) -> Option<Relaxation> {
        let plan = self.solve(&Terms { longer_gaps: true, ..terms.clone() }, PlanKind::Best).ok()?;
        let longest = i64::from(self.gap.maximum);
        let (session, gap) = self.longest_gap(&plan).filter(|(_, gap)| *gap > longest)?;
        let text = format!(
            "possible with a gap of {gap} days between session {} and session {session}; the maximum is {longest}",
            session - 1
        );
        let relaxation = plain(RelaxationKind::LongerGap, &text);
        Some(Relaxation { session: Some(session), gap_days: Some(gap), ..relaxation })
    }

    /// The longest gap of a plan, and the session after it; one that has passed is as long as it is.
    fn longest_gap(&self, plan: &Plan) -> Option<(i32, i64)> {
        let pairs = plan.sessions.iter().zip(plan.sessions.iter().skip(1)).zip(&self.sessions);
        let pairs = pairs.filter(|(_, place)| !self.has_lapsed(place)).map(|(pair, _)| pair);
        let gaps = pairs.map(|(before, after)| (after.number, (after.day - before.day).num_days()));
        gaps.max_by_key(|(_, gap)| *gap)
    }

    /// As many as can be placed at most, if the protocol allows so few and all that is booked is among them.
    fn fewer(&self, terms: &Terms, fewest: i32, placed: usize) -> Option<Relaxation> {
        let booked = self.sessions.iter().rposition(|place| place.booked.is_some()).map_or(0, |place| place + 1);
        let count = self.sessions.get(placed.checked_sub(1)?)?.number;
        let enough = fewest.max(1) <= count && booked <= placed;
        let terms = enough.then(|| Terms { sessions: placed, ..terms.clone() })?;
        self.solve(&terms, PlanKind::Best).ok()?;
        let text = format!("possible with {count} sessions");
        let relaxation = plain(RelaxationKind::FewerSessions, &text);
        Some(Relaxation { count: Some(count), ..relaxation })
    }
}

fn plain(kind: RelaxationKind, description: &str) -> Relaxation {
    Relaxation { kind, date: None, session: None, gap_days: None, count: None, description: description.to_owned() }
}

/// Whether none of the ticks asked for is left.
fn is_free_of(ticks: &Ticks, asked: &Ticks) -> bool {
    let mut left = ticks.clone();
    left.and(asked);
    left.is_empty()
}

/// Times in words: ` on Tuesday from 16:00 to 20:00`; empty if any will do.
fn words(times: &Times) -> String {
    let text = times.to_string();
    if text.is_empty() { text } else { format!(" {text}") }
}
