//! Where each visit is while a plan is made: where it was booked, where it is planned to go, or for a moment nowhere.
//! What it occupies, keeps away and forbids is always that of the place where it is, so that each next visit is judged
//! by the rules of booking on facts that are true of the plan so far.

use std::collections::BTreeMap;

use chrono::{NaiveDate, TimeDelta};

use super::{Destined, Displaced, Displacement, Followed};
use crate::domain::appointment::Appointment;
use crate::domain::booking::{
    Busy, Facts, FollowUp, Neighbours, PatientFacts, PlannedVisit, Timing, VisitRequest, plan_visit,
};
use crate::domain::catalog::GRID_MINUTES;
use crate::domain::displacement::{MAX_MOVE_DAYS, earliest_move};
use crate::domain::finding::{Board, Starts, Wanted, count, find};
use crate::domain::ids::{AppointmentId, ClinicId, PatientId, ResourceId, SeriesId};
use crate::domain::interval::{Instant, Interval};
use crate::domain::refusal::{Other, Refusal};
use crate::domain::series::Series;

/// What a move costs: days, then time of the day in ticks, then whether somebody else treats.
pub(super) type Cost = (u64, u64, bool);

/// Days around a visit in which a place is looked for: further away only where there is none nearer.
const REACHES: [i64; 5] = [0, 3, 12, 40, MAX_MOVE_DAYS];

/// A visit at a place, with what it means there.
#[derive(Debug, Clone)]
pub(super) struct Spot {
    appointment: Appointment,
    occupied: Vec<(ResourceId, Interval)>,
    patient: PatientFacts,
}

/// Where each visit is.
pub(super) struct State {
    facts: Facts,
    boards: BTreeMap<ClinicId, Board>,
    patients: BTreeMap<PatientId, PatientFacts>,
    series: BTreeMap<SeriesId, Series>,
    visits: Vec<Displaced>,
    spots: Vec<Spot>,
}

impl State {
    /// All of them where they are booked; without boards, for decisions only.
    pub(super) fn new(displacement: Displacement) -> Self {
        let Displacement { facts, patients, series, visits } = displacement;
        let spots = visits.iter().map(|visit| {
            let appointment = visit.appointment.clone();
            let occupied = appointment.occupied().collect();
            let patient = patients.get(&appointment.patient).map(|known| known.part(appointment.id));
            Spot { occupied, patient: patient.unwrap_or_default(), appointment }
        });
        let spots = spots.collect();
        Self { facts, boards: BTreeMap::new(), patients, series, visits, spots }
    }

    /// The same with the boards of their clinics, to look for places on.
    pub(super) fn with_boards(displacement: Displacement) -> Self {
        let mut state = Self::new(displacement);
        let clinics: Vec<ClinicId> = state.visits.iter().map(|visit| visit.appointment.clinic).collect();
        for clinic in clinics {
            if let (Some(facts), Some(span)) = (state.facts.clinics.get(&clinic), state.facts.spans.first()) {
                let board = || Board::new(clinic, facts, &state.facts.resources, *span);
                state.boards.entry(clinic).or_insert_with(board);
            }
        }
        state
    }

    /// How many visits there are.
    pub(super) fn len(&self) -> usize {
        self.visits.len()
    }

    /// When it is its turn: what follows a series comes after all sessions, from which it counts. Among others it does
    /// not matter, but is always the same.
    pub(super) fn turn(&self, visit: usize) -> (bool, Instant, AppointmentId) {
        let Displaced { appointment, follows, .. } = &self.visits[visit];
        (follows.is_some(), appointment.visit.start(), appointment.id)
    }

    /// Whether a visit is an assessment, which counts from the sessions of its series, and another is one of those.
    /// Maintenance counts from sessions that have taken place.
    pub(super) fn counts_from(&self, visit: usize, other: usize) -> bool {
        let (visit, other) = (&self.visits[visit], &self.visits[other].appointment);
        match visit.follows {
            Some(Followed::Assessment(..)) => {
                other.session.is_some_and(|of| visit.appointment.series() == Some(of.series))
            }
            Some(Followed::Maintenance(_)) | None => false,
        }
    }

    /// Whether an assessment is still in time where it is, with the sessions of its series where they are.
    pub(super) fn is_in_time(&self, visit: usize) -> bool {
        let appointment = &self.spots[visit].appointment;
        let day = appointment.zone.day(appointment.visit.start());
        match self.beside(&self.visits[visit]) {
            Ok((_, Some(FollowUp::Assessment { from, until }))) => {
                from.is_none_or(|from| from <= day) && until.is_none_or(|until| day <= until)
            }
            Ok((_, Some(FollowUp::Maintenance { .. }) | None)) => true,
            Err(_) => false,
        }
    }

    /// Takes a visit from where it is.
    pub(super) fn take(&mut self, visit: usize) -> Spot {
        let spot = self.spots[visit].clone();
        let id = spot.appointment.id;
        for (resource, during) in &spot.occupied {
            if let Some(facts) = self.facts.resources.iter_mut().find(|facts| facts.id == *resource) {
                facts.busy.retain(|busy| busy.other != Other::Appointment(id));
            }
            self.boards.values_mut().for_each(|board| board.mark(*resource, *during, false));
        }
        if let Some(patient) = self.patients.get_mut(&spot.appointment.patient) {
            patient.forget(&[id]);
        }
        if let Some(series) = spot.appointment.series().and_then(|id| self.series.get_mut(&id)) {
            series.sessions.retain(|session| session.id != id);
            series.follow_ups.retain(|session| session.id != id);
        }
        spot
    }

    /// Puts a visit, which is nowhere, to a place.
    pub(super) fn put(&mut self, visit: usize, spot: Spot) {
        let other = Other::Appointment(spot.appointment.id);
        for (resource, during) in &spot.occupied {
            if let Some(facts) = self.facts.resources.iter_mut().find(|facts| facts.id == *resource) {
                facts.busy.push(Busy { during: *during, other });
            }
            self.boards.values_mut().for_each(|board| board.mark(*resource, *during, true));
        }
        if let Some(patient) = self.patients.get_mut(&spot.appointment.patient) {
            patient.join(&spot.patient);
        }
        if let Some(series) = spot.appointment.series().and_then(|id| self.series.get_mut(&id)) {
            let list = if spot.appointment.session.is_some() { &mut series.sessions } else { &mut series.follow_ups };
            list.push(spot.appointment.clone());
            list.sort_by_key(|appointment| appointment.visit.start());
        }
        self.spots[visit] = spot;
    }

    /// Puts a visit, which is nowhere, to where it is planned.
    pub(super) fn put_planned(&mut self, visit: usize, plan: &PlannedVisit) {
        let was = &self.visits[visit].appointment;
        let planned = Appointment::book(was.id, was.patient, was.session, was.add_on, plan, was.changed_revision);
        let spot = Spot {
            appointment: Appointment { follows: was.follows, ..planned },
            occupied: plan.occupied.iter().map(|occupied| (occupied.resource, occupied.during)).collect(),
            patient: PatientFacts::planned(plan, Other::Appointment(was.id)),
        };
        self.put(visit, spot);
    }

    /// The plan of a visit, which is nowhere, at a place; or every rule that is broken.
    pub(super) fn decide(&mut self, visit: usize, to: &Destined) -> Result<PlannedVisit, Refusal> {
        let visit = &self.visits[visit];
        let (neighbours, follow_up) = self.beside(visit)?;
        let appointment = &visit.appointment;
        let request = VisitRequest {
            clinic: appointment.clinic,
            start: to.start,
            named: to.resources.clone(),
            area: appointment.area,
            spacing_days: visit.spacing_days,
            spacing_override: visit.spacing_override,
            neighbours,
            follow_up,
            preferred: to.resources.iter().chain(&visit.known).copied().collect(),
            moved_from: Some(appointment.visit.start()),
        };
        // A visit takes at most twelve hours; the hours around it tell who has least to do.
        let around = Interval::new(to.start - TimeDelta::hours(6), to.start + TimeDelta::hours(18));
        self.facts.spans = around.into_iter().collect();
        let known = self.patients.get(&appointment.patient).cloned().unwrap_or_default();
        self.facts.patient = PatientFacts { fitness: visit.fitness.clone(), ..known };
        if !to.resources.is_empty()
            && let Ok(as_planned) = plan_visit(&self.facts, &visit.treatment, &request)
        {
            return Ok(as_planned);
        }
        let named = to.practitioner.into_iter().collect();
        plan_visit(&self.facts, &visit.treatment, &VisitRequest { named, ..request })
    }

    /// What a visit has beside it in its series, where the others are now.
    fn beside(&self, visit: &Displaced) -> Result<(Option<Neighbours>, Option<FollowUp>), Refusal> {
        let appointment = &visit.appointment;
        let Some(series) = appointment.series().and_then(|id| self.series.get(&id)) else { return Ok((None, None)) };
        if let Some(session) = appointment.session {
            series.must_be_active()?;
            return Ok((Some(series.neighbours(session.number, self.facts.now)), None));
        }
        let follow_up = match visit.follows {
            Some(Followed::Assessment(number, due)) => {
                Some(series.assessment_visit(number, due, Some(appointment.id))?)
            }
            Some(Followed::Maintenance(days)) => Some(series.maintenance_visit(days, Some(appointment.id))?),
            None => None,
        };
        Ok((None, follow_up))
    }

    /// The best place for a visit, which is nowhere, while all others are where they are.
    pub(super) fn best(&mut self, visit: usize) -> Option<(Cost, PlannedVisit)> {
        let (cost, to) = self.nearest(visit)?;
        Some((cost, self.decide(visit, &to).ok()?))
    }

    fn nearest(&self, visit: usize) -> Option<(Cost, Destined)> {
        let visit = &self.visits[visit];
        let (neighbours, follow_up) = self.beside(visit).ok()?;
        let known = self.patients.get(&visit.appointment.patient).cloned().unwrap_or_default();
        let timing = Timing::new(&visit.treatment);
        let place = Seeking {
            visit,
            board: self.boards.get(&visit.appointment.clinic)?,
            wanted: Wanted {
                timing: &timing,
                patient: Some(&PatientFacts { fitness: visit.fitness.clone(), ..known }),
                area: visit.appointment.area,
                spacing_days: visit.spacing_days,
                neighbours,
                follow_up: follow_up.as_ref(),
                moved_from: Some(visit.appointment.visit.start()),
                earliest: earliest_move(visit.appointment.visit.start(), self.facts.now),
                latest: self.facts.horizon_end,
                grid_minutes: GRID_MINUTES,
            },
        };
        let mut beyond = -1;
        for reach in REACHES {
            if let Some(found) = place.between(beyond + 1, reach) {
                return Some(found);
            }
            beyond = reach;
        }
        None
    }
}

/// A visit that looks for its place.
struct Seeking<'a> {
    visit: &'a Displaced,
    board: &'a Board,
    wanted: Wanted<'a>,
}

impl Seeking<'_> {
    /// The best place that is at least and at most so many days away.
    fn between(&self, from: i64, to: i64) -> Option<(Cost, Destined)> {
        let (board, own) = (self.board, &self.visit.appointment);
        let day = board.zone.day(own.visit.start());
        let run = board.days.ticks_between(day - TimeDelta::days(to), day + TimeDelta::days(to));
        let end = (run.end + count(self.wanted.timing.minutes())).min(board.window.ticks());
        let part = board.cut(&(run.start..end), &self.wanted.timing.needs);
        let starts = find(&part, &self.wanted);
        (from..=to).find_map(|distance| {
            let days = [day - TimeDelta::days(distance), day + TimeDelta::days(distance)];
            days.iter().filter_map(|day| self.on(&part, &starts, *day)).min_by_key(|(cost, to)| (*cost, to.start))
        })
    }

    /// The best place on a day.
    fn on(&self, part: &Board, starts: &Starts, day: NaiveDate) -> Option<(Cost, Destined)> {
        let own = &self.visit.appointment;
        let own_day = part.zone.day(own.visit.start());
        let time_of = |start: Instant, day| (start - part.zone.midnight(day)).num_minutes() / i64::from(GRID_MINUTES);
        let own_time = time_of(own.visit.start(), own_day);
        let days = (day - own_day).num_days().unsigned_abs();
        let run = part.days.ticks_between(day, day);
        let places = starts.by_whom().flat_map(|(practitioner, starts)| {
            let is_other = practitioner.is_some_and(|id| own.occupied().all(|(resource, _)| resource != id));
            starts.within(run.clone()).map(move |tick| {
                let start = part.window.instant(tick);
                let cost = (days, time_of(start, day).abs_diff(own_time), is_other);
                (cost, Destined { start, practitioner, resources: Vec::new() })
            })
        });
        places.min_by_key(|(cost, to)| (*cost, to.start, to.practitioner))
    }
}
