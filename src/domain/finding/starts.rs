//! The starts at which a visit may be booked, and with whom: the same rules as those of [`crate::domain::booking`], on
//! sets of ticks.

use std::ops::Range;

use chrono::{NaiveDate, TimeDelta};

use super::board::Board;
use super::ticks::{Ticks, Window, count, in_at_least};
use crate::domain::booking::{FollowUp, Neighbours, PatientFacts, Timing, WindowRole};
use crate::domain::catalog::{BodyArea, ResourceKind, Restriction, SpacingScope, Span};
use crate::domain::fitness::{Fitness, When};
use crate::domain::ids::ResourceId;
use crate::domain::interval::{Instant, Interval};
use crate::domain::refusal::Rule;

/// Furthest that the clocks of a zone are changed, with room: a stretch in calendar days is that close to as many
/// times 24 hours.
const MOST_CLOCK_CHANGE: TimeDelta = TimeDelta::hours(26);

/// A visit for which starts are looked for.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// What it means in time.
    pub timing: &'a Timing<'a>,
    /// The patient; none to look at the clinic's side only.
    pub patient: Option<&'a PatientFacts>,
    /// The area to treat.
    pub area: Option<BodyArea>,
    /// Calendar days after it in which the area may not be needled again.
    pub spacing_days: Option<i64>,
    /// Its neighbours, if it is a session of a series.
    pub neighbours: Option<Neighbours>,
    /// Where it may lie, if it follows a series.
    pub follow_up: Option<&'a FollowUp>,
    /// When the visit that it replaces begins: a hold does not keep a visit from being put off.
    pub moved_from: Option<Instant>,
    /// The first moment at which it may begin.
    pub earliest: Instant,
    /// The last moment at which it may begin.
    pub latest: Instant,
    /// Minutes of the wall clock that starts are a multiple of.
    pub grid_minutes: i32,
}

/// The starts that were found, as ticks of the board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Starts {
    /// Those at which every need can be served.
    pub all: Ticks,
    /// Of these, those at which each practitioner can treat.
    pub by: Vec<(ResourceId, Ticks)>,
}

impl Starts {
    /// Only those at which one of these practitioners can treat; with an empty list, all.
    #[must_use]
    pub fn with_one_of(mut self, practitioners: &[ResourceId], window: Window) -> Self {
        if !practitioners.is_empty() {
            self.by.retain(|(id, _)| practitioners.contains(id));
            self.all = Ticks::none(window);
            self.by.iter().for_each(|(_, starts)| self.all.or(starts));
        }
        self
    }

    /// For each practitioner the starts with them; where the treatment needs none, all of them with nobody.
    pub fn by_whom(&self) -> impl Iterator<Item = (Option<ResourceId>, &Ticks)> {
        let nobody = self.by.is_empty().then_some((None, &self.all));
        self.by.iter().map(|(id, starts)| (Some(*id), starts)).chain(nobody)
    }

    /// Only those in a set of ticks.
    pub fn keep(&mut self, ticks: &Ticks) {
        self.all.and(ticks);
        self.by.iter_mut().for_each(|(_, starts)| starts.and(ticks));
    }
}

/// Finds the starts on a board.
pub fn find(board: &Board, wanted: &Wanted<'_>) -> Starts {
    let able = Able::new(board, wanted.timing);
    let mut all = able.every_need_is_served(board.window);
    all.and(&allowed(board, wanted));
    let by = able.practitioners(board, wanted.timing).map(|(id, mut starts)| {
        starts.and(&all);
        (id, starts)
    });
    let by = by.collect();
    Starts { all, by }
}

/// The starts that the rules about time and patient allow, whoever may be free.
pub fn allowed(board: &Board, wanted: &Wanted<'_>) -> Ticks {
    let window = board.window;
    let mut starts = board.open.eroded(0, count(wanted.timing.minutes()));
    starts.keep(window.clip(window.tick_from(wanted.earliest), window.tick_at(wanted.latest) + 1));
    starts.and(&board.days.on_grid(wanted.grid_minutes));
    if let Some(neighbours) = &wanted.neighbours {
        keep_between(board, neighbours, &mut starts);
    }
    match wanted.follow_up {
        Some(FollowUp::Assessment { from, until }) => {
            let (from, until) = (from.unwrap_or(NaiveDate::MIN), until.unwrap_or(NaiveDate::MAX));
            starts.keep(board.days.ticks_between(from, until));
        }
        Some(FollowUp::Maintenance { minimum_days, others }) => {
            let reach = TimeDelta::days(minimum_days - 1);
            for (day, _) in others {
                starts.remove(board.days.ticks_between(*day - reach, *day + reach));
            }
        }
        None => {}
    }
    if let Some(patient) = wanted.patient {
        clear_patient(board, wanted, patient, &mut starts);
    }
    starts
}

/// The starts at which a resource, free at these ticks, could serve a need.
pub fn serving(free: &Ticks, timing: &Timing<'_>, need: usize) -> Ticks {
    let mut stretches = timing.needed_minutes(need).map(|(from, to)| free.eroded(count(from), count(to)));
    // A need is needed at least once.
    let mut starts = stretches.next().unwrap_or_else(|| free.clone());
    stretches.for_each(|stretch| starts.and(&stretch));
    starts
}

/// For each need, the resources that may serve it, each with the starts at which it could.
struct Able {
    needs: Vec<Vec<(usize, Ticks)>>,
}

impl Able {
    fn new(board: &Board, timing: &Timing<'_>) -> Self {
        let free: Vec<Ticks> = board.resources.iter().map(super::board::Row::free).collect();
        let needs = timing.needs.iter().enumerate().map(|(place, need)| {
            let rows = board.resources.iter().zip(&free).enumerate().filter(|(_, (row, _))| row.is_qualified(need));
            let able = rows.map(|(row, (_, free))| (row, serving(free, timing, place)));
            able.collect()
        });
        Self { needs: needs.collect() }
    }

    /// The starts at which there is a resource of its own for every need. By Hall's theorem that is so exactly when
    /// any so many needs can together be served by at least as many resources.
    fn every_need_is_served(&self, window: Window) -> Ticks {
        let mut served = Ticks::all(window);
        for subset in 1..1_u32 << self.needs.len() {
            let needs: Vec<&Vec<(usize, Ticks)>> = members(subset).map(|need| &self.needs[need]).collect();
            if !hang_together(&needs) {
                continue;
            }
            let mut unions: Vec<(usize, Ticks)> = Vec::new();
            for (row, starts) in needs.iter().copied().flatten() {
                match unions.iter_mut().find(|(known, _)| known == row) {
                    Some((_, union)) => union.or(starts),
                    None => unions.push((*row, starts.clone())),
                }
            }
            served.and(&in_at_least(needs.len(), window, unions.iter().map(|(_, union)| union)));
        }
        served
    }

    /// For each practitioner, the starts at which they could serve a need. Where every need is served as well, there is
    /// a choice that does both at once: of two matchings, one that covers a side's part and one that covers the other's,
    /// there is always one that covers both (Mendelsohn and Dulmage).
    fn practitioners<'a>(
        &'a self,
        board: &'a Board,
        timing: &'a Timing<'_>,
    ) -> impl Iterator<Item = (ResourceId, Ticks)> + 'a {
        let rows = board.resources.iter().enumerate().filter(|(_, row)| row.kind == ResourceKind::Practitioner);
        rows.filter(|(_, row)| timing.needs.iter().any(|need| row.is_qualified(need))).map(|(place, row)| {
            let mut starts = Ticks::none(board.window);
            let able = self.needs.iter().flatten().filter(|(able, _)| *able == place);
            able.for_each(|(_, able)| starts.or(able));
            (row.id, starts)
        })
    }
}

/// The numbers of the bits that are set.
fn members(subset: u32) -> impl Iterator<Item = usize> {
    (0..u32::BITS as usize).filter(move |bit| subset >> bit & 1 == 1)
}

/// Whether needs compete for resources, directly or through each other; sets that fall apart say nothing new.
fn hang_together(needs: &[&Vec<(usize, Ticks)>]) -> bool {
    let mut reached = vec![false; needs.len()];
    let mut next = vec![0];
    while let Some(need) = next.pop() {
        if std::mem::replace(&mut reached[need], true) {
            continue;
        }
        let share =
            |other: &&Vec<(usize, Ticks)>| other.iter().any(|(row, _)| needs[need].iter().any(|(mine, _)| mine == row));
        next.extend((0..needs.len()).filter(|other| !reached[*other] && share(&needs[*other])));
    }
    reached.into_iter().all(|reached| reached)
}

/// Keeps the days between the neighbours in the series, and no further from them than the longest gap.
fn keep_between(board: &Board, neighbours: &Neighbours, starts: &mut Ticks) {
    let gap = TimeDelta::days(neighbours.maximum_gap);
    let one = TimeDelta::days(1);
    if let Some(previous) = neighbours.previous {
        let last = if previous.binds() { previous.day + gap } else { NaiveDate::MAX };
        starts.keep(board.days.ticks_between(previous.day + one, last));
    }
    if let Some(next) = neighbours.next {
        let first = if next.binds() { next.day - gap } else { NaiveDate::MIN };
        starts.keep(board.days.ticks_between(first, next.day - one));
    }
}

/// Takes away the starts for which the patient is not fit by one protocol.
fn clear_unfit(board: &Board, wanted: &Wanted<'_>, fitness: &Fitness, starts: &mut Ticks) {
    let window = board.window;
    for concern in fitness.concerns(wanted.neighbours.map(|neighbours| neighbours.number)) {
        let before = |instant| window.clip(0, window.tick_from(instant));
        let stands = match concern.when {
            When::Always => 0..window.ticks(),
            When::Before(instant) => before(instant),
            When::Days(from, until) => board.days.ticks_between(from, until.pred_opt().unwrap_or(from)),
        };
        let put_off = wanted.moved_from.filter(|_| concern.rule == Rule::SeriesOnHold);
        let end = put_off.map_or(stands.end, |old| before(old).end.min(stands.end));
        starts.remove(stands.start.min(end)..end);
    }
}

/// Takes away what the patient's other visits, gaps and aftercare forbid.
fn clear_patient(board: &Board, wanted: &Wanted<'_>, patient: &PatientFacts, starts: &mut Ticks) {
    let timing = wanted.timing;
    let window = board.window;
    let mut fit = Ticks::none(window);
    for way in patient.fitness.ways() {
        let mut by_that = starts.clone();
        clear_unfit(board, wanted, way, &mut by_that);
        fit.or(&by_that);
    }
    *starts = fit;
    for visit in &patient.visits {
        starts.remove(meeting(window, visit.during, (0, timing.present_minutes())));
    }
    if let (Some(area), Some(days)) = (wanted.area, wanted.spacing_days) {
        for other in &patient.spacing {
            let own = match other.scope {
                SpacingScope::Area(theirs) => (theirs == area).then_some(days),
                SpacingScope::AnyArea => timing.across_areas_days(),
            };
            if let Some(days) = own {
                let first = other.day - TimeDelta::days(days - 1);
                starts.remove(board.days.ticks_between(first, other.until - TimeDelta::days(1)));
            }
        }
    }
    let Some(exposing) = timing.exposing_minutes() else { return };
    let content = &timing.treatment().content;
    for (theirs, _) in &patient.windows {
        match theirs.role {
            WindowRole::Restricts => {
                if content.exposures.contains(&theirs.activity) {
                    starts.remove(meeting(window, theirs.during, exposing));
                }
            }
            WindowRole::Exposes => {
                let forbidden = |own: &&Restriction| !own.advice_only && own.activity == theirs.activity;
                for restriction in content.restrictions.iter().filter(forbidden) {
                    clear_restricted(board, timing, restriction, exposing, theirs.during, starts);
                }
            }
            WindowRole::Advises | WindowRole::Asks => {}
        }
    }
}

/// The starts whose stretch from one minute to another shares an instant with an interval.
fn meeting(window: Window, other: Interval, (from, to): (i64, i64)) -> Range<usize> {
    let after = other.start() - TimeDelta::minutes(to);
    let before = other.end() - TimeDelta::minutes(from);
    window.clip(window.tick_at(after) + 1, window.tick_from(before))
}

/// Takes away the starts whose own restriction would cover an exposure. Calendar days are counted with the same function
/// as in a booking where the clocks could make a difference.
fn clear_restricted(
    board: &Board,
    timing: &Timing<'_>,
    restriction: &Restriction,
    exposing: (i64, i64),
    other: Interval,
    starts: &mut Ticks,
) {
    let length = |span: Option<Span>| match span {
        None => (TimeDelta::zero(), TimeDelta::zero()),
        Some(Span::Hours(hours)) => (TimeDelta::hours(i64::from(hours)), TimeDelta::zero()),
        Some(Span::Days(days)) => (TimeDelta::days(i64::from(days)), MOST_CLOCK_CHANGE),
    };
    let (before, before_doubt) = length(restriction.before);
    let (after, after_doubt) = length(restriction.after);
    let reach = |doubt: i32| {
        let start = other.start() - after - after_doubt * doubt;
        let end = other.end() + before + before_doubt * doubt;
        Interval::new(start, end).map_or(0..0, |reach| meeting(board.window, reach, exposing))
    };
    let (certain, possible) = (reach(-1), reach(1));
    let hit = |tick: &usize| {
        let own = timing.restricts(board.zone, board.window.instant(*tick), restriction);
        own.is_some_and(|own| own.overlaps(other))
    };
    let doubtful: Vec<usize> = if certain.is_empty() {
        starts.within(possible).filter(hit).collect()
    } else {
        let sides = [possible.start..certain.start, certain.end..possible.end];
        sides.into_iter().flat_map(|side| starts.within(side)).filter(hit).collect()
    };
    starts.remove(certain);
    for tick in doubtful {
        starts.remove(tick..tick + 1);
    }
}
