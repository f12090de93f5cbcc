//! Plans for a whole series: the best one, and others that really differ from it.

use chrono::{Datelike, NaiveDate, Weekday};

use super::cost::{CHANGE, Cost};
use super::optimum::cheapest;
use super::search::Search;
use crate::domain::booking::Timing;
use crate::domain::catalog::GapDays;
use crate::domain::finding::{Board, Starts, Times};
use crate::domain::ids::{AppointmentId, ResourceId};
use crate::domain::interval::Instant;
use crate::domain::named_enum;
use crate::domain::series::BookedSession;

/// Most plans of one answer.
pub const MAX_PLANS: usize = 5;
/// Most stretches of days away of one wish.
pub const MAX_AWAY: usize = 20;
/// What the patient would like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Weekdays and times of the day.
    pub times: Times,
    /// Who treats; none where the treatment needs no practitioner.
    pub practitioner: Option<ResourceId>,
    /// Whether the same practitioner must treat throughout.
    pub same_practitioner: bool,
    /// The last day on which a session may be.
    pub finish_by: Option<NaiveDate>,
    /// Days on which no session may be, as first and last days.
    pub away: Vec<(NaiveDate, NaiveDate)>,
    /// Whether times and practitioner must be met; else missing them costs.
    pub required: bool,
}

/// A session of a series that is planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionPlace {
    /// Which session, from 1.
    pub number: i32,
    /// Where it is booked; none for one that is to be planned.
    pub booked: Option<BookedSession>,
}

/// A series to plan.
#[derive(Debug, Clone)]
pub struct SeriesQuestion<'a> {
    /// The board of the clinic, as far as a session may be.
    pub board: &'a Board,
    /// The starts at which a session may be, wishes and gaps aside.
    pub starts: &'a Starts,
    /// What a session means in time.
    pub timing: &'a Timing<'a>,
    /// The gaps of the protocol.
    pub gap: GapDays,
    /// The sessions in order: those that are booked, and those that are to be planned.
    pub sessions: Vec<SessionPlace>,
    /// The current time.
    pub now: Instant,
    /// The days on which the first session that is to be planned may be.
    pub first: (NaiveDate, NaiveDate),
    /// What the patient would like.
    pub wishes: Wishes,
}

named_enum! {
    /// In what a plan differs from the best one.
    pub enum PlanKind {
        /// It is the best one.
        Best = "best",
        /// It ends earlier than the best; of those that end earliest, it costs least.
        EarlierFinish = "earlier_finish",
        /// It leaves out the weekday of most sessions of the best.
        OtherWeekday = "other_weekday",
        /// It leaves out the practitioner of most sessions of the best.
        OtherPractitioner = "other_practitioner",
        /// It begins a week or more before or after the best.
        OtherStart = "other_start",
    }
}

/// A plan for all sessions of a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// How it came about.
    pub kind: PlanKind,
    /// Its sessions, in order.
    pub sessions: Vec<PlannedSession>,
    /// What it costs.
    pub cost: Cost,
}

/// One session of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedSession {
    /// Which session, from 1.
    pub number: i32,
    /// When it begins.
    pub start: Instant,
    /// Its day at the clinic.
    pub day: NaiveDate,
    /// Who treats; none where the treatment needs no practitioner.
    pub practitioner: Option<ResourceId>,
    /// The appointment, if it is booked already.
    pub booked: Option<AppointmentId>,
}

/// The conditions of one search: those of the question, or some of them changed.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    pub wishes: Wishes,
    pub first: (NaiveDate, NaiveDate),
    /// How many of the sessions.
    pub sessions: usize,
    /// Whether gaps may be longer than the longest, for as little as possible.
    pub longer_gaps: bool,
    /// Whether an early end matters more than all else.
    pub finish_first: bool,
    /// Whether it matters more than all else that the first session is near the days asked for.
    pub near_first: bool,
    pub not_on: Option<Weekday>,
    pub not_with: Option<ResourceId>,
    pub not_near: Option<NaiveDate>,
}

impl SeriesQuestion<'_> {
    /// Whether the longest gap after a session has passed, so that nobody can keep it any more.
    pub(super) fn has_lapsed(&self, place: &SessionPlace) -> bool {
        place.booked.is_some_and(|booked| booked.has_lapsed(i64::from(self.gap.maximum), self.now))
    }

    /// The best plan and up to so many in all; or, if there is none, how many sessions can be placed at most.
    pub fn plans(&self, wanted: usize) -> Result<Vec<Plan>, usize> {
        let terms = self.terms();
        let best = self.solve(&terms, PlanKind::Best)?;
        let mut plans = vec![best.clone()];
        let others = PlanKind::ALL.iter().filter_map(|kind| Some((*kind, unlike(&best, *kind, &terms)?)));
        for (kind, terms) in others {
            if plans.len() >= wanted {
                break;
            }
            let Ok(plan) = self.solve(&terms, kind) else { continue };
            let known = plans.iter().any(|other| other.sessions == plan.sessions);
            let earlier = kind != PlanKind::EarlierFinish || plan.last_day() < best.last_day();
            if earlier && !known {
                plans.push(plan);
            }
        }
        plans.sort_by_key(|plan| plan.cost.total());
        Ok(plans)
    }

    /// The conditions as they are.
    pub(super) fn terms(&self) -> Terms {
        Terms {
            wishes: self.wishes.clone(),
            first: self.first,
            sessions: self.sessions.len(),
            longer_gaps: false,
            finish_first: false,
            near_first: false,
            not_on: None,
            not_with: None,
            not_near: None,
        }
    }

    /// The cheapest plan under some conditions; or how many sessions can be placed at most.
    pub(super) fn solve(&self, terms: &Terms, kind: PlanKind) -> Result<Plan, usize> {
        let search = Search::new(self, terms);
        let stages = search.stages();
        let change = (!terms.wishes.same_practitioner).then_some(CHANGE);
        let chain = cheapest(&stages, change, search.practitioners.len())?;
        Ok(search.plan(&chain, kind))
    }
}

impl Plan {
    /// The day of its last session that is not booked already.
    pub fn last_day(&self) -> Option<NaiveDate> {
        self.sessions.iter().rfind(|session| session.booked.is_none()).map(|session| session.day)
    }
}

/// The conditions of a plan that differs from the best in one way.
fn unlike(best: &Plan, kind: PlanKind, terms: &Terms) -> Option<Terms> {
    let terms = terms.clone();
    let planned = || best.sessions.iter().filter(|session| session.booked.is_none());
    match kind {
        PlanKind::Best => None,
        PlanKind::EarlierFinish => Some(Terms { finish_first: true, ..terms }),
        PlanKind::OtherWeekday => {
            let not_on = most(planned().map(|session| session.day.weekday().number_from_monday()))?;
            let not_on = Weekday::try_from(u8::try_from(not_on - 1).ok()?).ok()?;
            Some(Terms { not_on: Some(not_on), ..terms })
        }
        PlanKind::OtherPractitioner => {
            let not_with = most(planned().filter_map(|session| session.practitioner))?;
            Some(Terms { not_with: Some(not_with), ..terms })
        }
        PlanKind::OtherStart => Some(Terms { not_near: Some(planned().next()?.day), ..terms }),
    }
}

/// The value that comes most often; the lowest of several.
fn most<T: Ord + Copy>(values: impl Iterator<Item = T>) -> Option<T> {
    let mut sorted: Vec<T> = values.collect();
    sorted.sort_unstable();
    let runs = sorted.chunk_by(|a, b| a == b);
    let longest = runs.fold(None, |best: Option<&[T]>, run| match best {
        Some(best) if best.len() >= run.len() => Some(best),
        Some(_) | None => Some(run),
    });
    longest.and_then(|run| run.first().copied())
}
