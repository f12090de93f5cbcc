//! Plans for whole series.

use std::sync::Arc;

use chrono::{Days, NaiveDate, TimeDelta};

use super::boards::{Course, CourseId, Look, Sought};
use super::commands::{
    DEFAULT_FIRST_DAYS, DEFAULT_GRID_MINUTES, FindSlots, PageOf, ProposeSeries, SeriesOf, SeriesWishes, SlotsOf,
    StartRules,
};
use super::series::found;
use super::slots::FoundSlots;
use super::{App, Error, Scoped};
use crate::domain::access::Caller;
use crate::domain::booking::{PatientFacts, Timing, body_area_misfit};
use crate::domain::catalog::{BodyArea, GapDays, ResourceKind};
use crate::domain::clearance::ClearanceRules;
use crate::domain::finding::{Slot, Times, Wanted, find};
use crate::domain::fitness::FitnessFacts;
use crate::domain::ids::{ClinicId, PatientId, PracticeId, SeriesId};
use crate::domain::interval::Instant;
use crate::domain::planning::{self, NoPlan, Plan, SeriesQuestion, SessionPlace};
use crate::domain::refusal::{Other, Rule, Violation};
use crate::domain::series::Series;
use crate::domain::zone::Zone;
use crate::store::fitness::{self, For};

/// Plans for a series, or why there are none.
#[derive(Debug)]
pub struct Proposal {
    /// The patient.
    pub patient: PatientId,
    /// The area.
    pub area: BodyArea,
    /// The protocol and the treatment of its sessions.
    pub course: Arc<Course>,
    /// Where.
    pub clinic: ClinicId,
    /// The clinic's zone.
    pub zone: Zone,
    /// The time at which it was planned.
    pub now: Instant,
    /// The series that is continued.
    pub series: Option<SeriesId>,
    /// The plans, cheapest first.
    pub plans: Result<Vec<Plan>, NoPlan>,
    /// What has to be settled before any of them can be booked.
    pub missing: Vec<Violation>,
    /// What is known of the patient's fitness, where the protocol asks.
    pub facts: Option<FitnessFacts>,
    /// If a clearance is missing or covers too little, slots for the consultation.
    pub consultations: Vec<Slot>,
}

/// Slots for a consultation that are offered at most.
const MAX_CONSULTATIONS: i32 = 10;
/// Days in which a consultation is looked for.
const CONSULTATION_DAYS: u64 = 30;

impl App {
    /// Plans a series.
    pub async fn propose_series(&self, caller: &Caller, scoped: Scoped<ProposeSeries>) -> Result<Proposal, Error> {
        let practice = Self::tenant(caller, scoped.practice)?;
        let ask = scoped.query;
        let mut proposal = self.propose(practice, ask.clone()).await?;
        let course = Arc::clone(&proposal.course);
        let Some(protocol) = &course.protocol else { return Ok(proposal) };
        let Some(rules) = &protocol.content.clearance else { return Ok(proposal) };
        let of = For {
            patient: proposal.patient,
            protocol: Some(protocol.id),
            area: Some(proposal.area),
            series: proposal.series,
        };
        let facts = fitness::facts(&mut *self.read().await?, practice, of, true).await?;
        let mut consultations = Vec::new();
        let in_the_way = proposal.plans.as_ref().err().map(|none| none.obstacles.as_slice()).unwrap_or_default();
        if lacks_clearance(&proposal.missing) || lacks_clearance(in_the_way) {
            consultations = self.consultations(practice, &proposal, rules).await?;
        }
        // Nobody is treated before the consultation, nor on the day of it.
        let consulted = consultations.first().filter(|_| lacks_clearance(&proposal.missing));
        let first = consulted.and_then(|slot| slot.zone.day(rules.not_before(slot.visit.end(), None)).succ_opt());
        if let Some(first) = first.filter(|first| ask.wishes.would_begin_before(*first)) {
            let wishes = SeriesWishes { first_from: Some(first), ..ask.wishes };
            proposal.plans = self.propose(practice, ProposeSeries { wishes, ..ask }).await?.plans;
        }
        (proposal.facts, proposal.consultations) = (facts, consultations);
        Ok(proposal)
    }

    /// The first slots for a consultation of the patient.
    async fn consultations(
        &self,
        practice: PracticeId,
        proposal: &Proposal,
        rules: &ClearanceRules,
    ) -> Result<Vec<Slot>, Error> {
        let first = proposal.zone.day(self.clock.now());
        let (patient, treatment) = (Some(proposal.patient), rules.consultation);
        let ask = FindSlots {
            of: SlotsOf::Treatment { patient, treatment, area: None },
            clinics: vec![proposal.clinic],
            practitioners: Vec::new(),
            first,
            last: first.checked_add_days(Days::new(CONSULTATION_DAYS)).unwrap_or(first),
            times: Times::default(),
            starts: StartRules { grid_minutes: DEFAULT_GRID_MINUTES, notice_minutes: 0 },
            moving: None,
            add_on: None,
            by_day: false,
            page: PageOf { size: MAX_CONSULTATIONS, after: None },
        };
        match self.slots(practice, ask).await?.page {
            FoundSlots::Slots(page) => Ok(page.items.into_iter().map(|(slot, _)| slot).collect()),
            FoundSlots::Days(_) => Ok(Vec::new()),
        }
    }

    pub(super) async fn propose(&self, practice: PracticeId, ask: ProposeSeries) -> Result<Proposal, Error> {
        let (series, patient, area, course, course_field) = match ask.of {
            SeriesOf::New { patient, protocol, area } => {
                (None, (patient, "patient_id"), area, CourseId::Protocol(protocol, None), "protocol_id")
            }
            SeriesOf::Continued(id) => {
                let series = found(&mut *self.read_current(practice).await?, practice, id).await?;
                series.must_be_active().map_err(Error::Refused)?;
                let course = CourseId::Protocol(series.protocol, Some(series.protocol_version));
                let (patient, area) = (series.patient, series.area);
                (Some(series), (patient, "series_id"), area, course, "series_id")
            }
        };
        let clinics = [(ask.clinic, "clinic_id".to_owned())];
        let sought = Sought {
            clinics: &clinics,
            course,
            course_field,
            add_ons: &[],
            patient: Some(patient),
            area: Some(area),
            series: series.as_ref().map(|series| series.id),
        };
        let look = self.look(practice, &sought).await?;
        let course = Arc::clone(&look.course);
        if let Some(violation) = body_area_misfit(&course.treatment, Some(area)) {
            return Err(Error::Refused(vec![violation]));
        }
        let Some(protocol) = &course.protocol else { return Err(Error::not_found(course_field)) };
        let counts = protocol.content.sessions;
        let count = ask.wishes.session_count.unwrap_or(series.as_ref().map_or(counts.default, |s| s.session_count));
        let now = look.now;
        let sessions = places(series.as_ref(), count, now)?;
        if let Some(violation) = counts.violation(usize::try_from(count).unwrap_or_default()) {
            return Err(Error::Refused(vec![violation]));
        }
        if let Some(wished) = ask.wishes.wishes.practitioner {
            self.is_practitioner(practice, &look, wished, "wishes.practitioner_id").await?;
            if !course.treatment.content.needs().iter().any(|need| need.kind == ResourceKind::Practitioner) {
                let remedy = "must be empty: the treatment needs no practitioner";
                return Err(Error::field("wishes.practitioner_id", remedy));
            }
        }
        let zone = look.boards.first().map(|board| board.zone);
        let zone = zone.unwrap_or_else(|| unreachable!("one clinic was asked for"));
        let missing =
            look.patient.as_ref().map(|patient| patient.fitness.missing(Some(count), now)).unwrap_or_default();
        let limits = look.patient.as_ref().map(|patient| patient.fitness.limits(now)).unwrap_or_default();
        let gap = series.as_ref().map_or(protocol.content.gap, |series| series.gap.days());
        let (fewest, series_id) = (counts.minimum, series.map(|series| series.id));
        let ProposeSeries { clinic, wishes, plans: wanted, .. } = ask;
        let plans =
            self.planners.think(practice, move || plan(&look, area, gap, sessions, &wishes, (wanted, fewest))).await?;
        // What keeps sessions from some days is said where they find none.
        let plans = plans.map_err(|mut none| {
            none.obstacles.extend(limits);
            none
        });
        Ok(Proposal {
            patient: patient.0,
            area,
            course,
            clinic,
            zone,
            now,
            series: series_id,
            plans,
            missing,
            facts: None,
            consultations: Vec::new(),
        })
    }
}

/// Whether a decision of a practitioner is missing, or covers too little.
fn lacks_clearance(violations: &[Violation]) -> bool {
    let rules = [Rule::ClearanceMissing, Rule::ClearanceExceeded];
    violations.iter().any(|violation| rules.contains(&violation.rule))
}

/// The sessions of a series that is to have so many: those that are booked, and those that are to be planned.
fn places(series: Option<&Series>, count: i32, now: Instant) -> Result<Vec<SessionPlace>, Error> {
    let Some(series) = series else {
        return Ok((1..=count).map(|number| SessionPlace { number, booked: None }).collect());
    };
    if count < series.session_count {
        let remedy = format!("must be 0, or at least {}, the sessions of the series", series.session_count);
        return Err(Error::field("wishes.session_count", remedy));
    }
    let booked = series.placed().into_iter().map(|booked| SessionPlace { number: booked.number, booked: Some(booked) });
    let open = series.open(count, now).into_iter().map(|number| SessionPlace { number, booked: None });
    let mut places: Vec<SessionPlace> = booked.chain(open).collect();
    places.sort_by_key(|place| place.number);
    if places.iter().all(|place| place.booked.is_some()) {
        return Err(Error::Refused(vec![Violation {
            other: places.last().and_then(|place| place.booked).map(|booked| Other::Appointment(booked.id)),
            ..Violation::new(Rule::SessionAlreadyBooked, "every session of the series is booked already")
        }]));
    }
    Ok(places)
}

/// The plans, or why there are none; at most so many plans, and fewest sessions that the protocol allows.
fn plan(
    look: &Look,
    area: BodyArea,
    gap: GapDays,
    sessions: Vec<SessionPlace>,
    ask: &SeriesWishes,
    (wanted, fewest): (usize, i32),
) -> Result<Vec<Plan>, NoPlan> {
    let timing = Timing::new(&look.course.treatment);
    let board = look.boards.first().unwrap_or_else(|| unreachable!("one clinic was asked for"));
    let board = board.cut(&(0..board.window.ticks()), &timing.needs);
    // As if what is missing were settled: the answer says what that is.
    let patient =
        look.patient.clone().map(|patient| PatientFacts { fitness: patient.fitness.once_settled(look.now), ..patient });
    let visit = Wanted {
        timing: &timing,
        patient: patient.as_ref(),
        area: Some(area),
        spacing_days: Some(i64::from(gap.minimum)),
        neighbours: None,
        follow_up: None,
        moved_from: None,
        earliest: look.now + TimeDelta::minutes(i64::from(ask.starts.notice_minutes)),
        latest: look.horizon_end,
        grid_minutes: ask.starts.grid_minutes,
    };
    let starts = find(&board, &visit);
    let from = ask.first_from.unwrap_or_else(|| board.zone.day(look.now));
    let until = ask.first_until.unwrap_or_else(|| {
        // A series that is continued begins where its gaps allow.
        let continued = sessions.iter().any(|place| place.booked.is_some());
        if continued { NaiveDate::MAX } else { from + TimeDelta::days(DEFAULT_FIRST_DAYS) }
    });
    let question = SeriesQuestion {
        board: &board,
        starts: &starts,
        timing: &timing,
        gap,
        sessions,
        now: look.now,
        first: (from, until),
        wishes: ask.wishes.clone(),
    };
    question.plans(wanted).map_err(|placed| question.explain(&planning::Sought { wanted: &visit, fewest }, placed))
}
