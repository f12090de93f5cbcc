//! A single visit that a request asks for: what the request refers to, and whether the visit can be.

use super::Error;
use super::advice::LookAhead;
use super::combination::{Added, added};
use super::commands::{BookAppointment, WhichVisit};
use super::crowd;
use super::facts::{self, Asked, Question};
use super::fitness::FitFor;
use super::follow_up::{Following, following, series_field};
use super::waiting::waiting_as_known;
use crate::domain::appointment::{Follows, SessionOf};
use crate::domain::booking::{Facts, FollowUp, Neighbours, PlannedVisit, VisitRequest, plan_visit};
use crate::domain::catalog::{BodyArea, GapDays, Protocol, Treatment};
use crate::domain::combination::AddOn;
use crate::domain::ids::{AppointmentId, OverrideId, PatientId, PracticeId, SeriesId, TreatmentId};
use crate::domain::interval::Instant;
use crate::domain::refusal::{Other, Refusal, Rule, Violation};
use crate::domain::series::Series;
use crate::store::{PgConnection, catalog, series};

/// The visit, with all that its request only refers to.
pub(super) struct Visit {
    pub patient: PatientId,
    /// What it is, with what is added to it.
    treatment: Treatment,
    pub add_on: Option<AddOn>,
    /// What is against adding it.
    misfit: Refusal,
    area: Option<BodyArea>,
    spacing_days: Option<i64>,
    spacing_override: Option<OverrideId>,
    pub session: Option<SessionOf>,
    protocol: Option<Protocol>,
    neighbours: Option<Neighbours>,
    pub follow_up: Option<(Follows, FollowUp)>,
}

impl Visit {
    /// The series that it is a session of, or follows.
    fn series(&self) -> Option<SeriesId> {
        let followed = || self.follow_up.as_ref().map(|(follows, _)| follows.series);
        self.session.map(|session| session.series).or_else(followed)
    }
}

/// What a request asks for, with all that it refers to, and what the decision rests on.
pub(super) async fn load(
    db: &mut PgConnection,
    practice: PracticeId,
    ask: &BookAppointment,
    now: Instant,
    ahead: Option<&LookAhead>,
) -> Result<(Visit, Facts), Error> {
    if let Some(entry) = ask.offered_to {
        waiting_as_known(db, practice, entry).await?;
    }
    let visit = visit(db, practice, ask, now, ahead).await?;
    let facts = facts_of(db, practice, ask, &visit, now, ahead).await?;
    Ok((visit, facts))
}

/// What a request refers to.
async fn visit(
    db: &mut PgConnection,
    practice: PracticeId,
    ask: &BookAppointment,
    now: Instant,
    ahead: Option<&LookAhead>,
) -> Result<Visit, Error> {
    let (visit, gap) = base(db, practice, &ask.which, now, ahead).await?;
    let Some(id) = ask.add_on else { return Ok(visit) };
    let Added { combined, add_on, refusal } = added(db, practice, visit.patient, &visit.treatment, id).await?;
    let spacing_days = match gap {
        Some(gap) => Some(combined.session_spacing(gap)),
        None => combined.treatment.content.spacing_days.map(i64::from),
    };
    Ok(Visit { treatment: combined.treatment, add_on, misfit: refusal, spacing_days, ..visit })
}

/// The visit without what is added to it, and the gaps of its series, if it is a session of one.
async fn base(
    db: &mut PgConnection,
    practice: PracticeId,
    which: &WhichVisit,
    now: Instant,
    ahead: Option<&LookAhead>,
) -> Result<(Visit, Option<GapDays>), Error> {
    let (add_on, misfit) = (None, Vec::new());
    match *which {
        WhichVisit::Treatment { patient, treatment, area } => {
            let treatment = the_treatment(db, practice, (treatment, None), ahead).await?;
            let spacing_days = treatment.content.spacing_days.map(i64::from);
            let (spacing_override, session, protocol, neighbours, follow_up) = (None, None, None, None, None);
            let visit = Visit {
                patient,
                treatment,
                add_on,
                misfit,
                area,
                spacing_days,
                spacing_override,
                session,
                protocol,
                neighbours,
                follow_up,
            };
            Ok((visit, None))
        }
        WhichVisit::Session { series: id, number } => {
            let series = series::get(db, practice, id).await?.ok_or_else(|| Error::not_found("session.series_id"))?;
            the_session_is_open(&series, number, None)?;
            let version = Some(series.protocol_version);
            let protocol = catalog::protocol(db, practice, series.protocol, version).await?;
            let protocol = protocol.ok_or_else(|| Error::not_found("session.series_id"))?;
            let version = Some(protocol.treatment_version);
            let treatment = the_treatment(db, practice, (protocol.content.treatment, version), ahead).await?;
            let gap = series.gap.days();
            let visit = Visit {
                patient: series.patient,
                treatment,
                add_on,
                misfit,
                area: Some(series.area),
                spacing_days: Some(i64::from(gap.minimum)),
                spacing_override: series.gap.override_id(),
                session: Some(SessionOf { series: id, number }),
                neighbours: Some(series.neighbours(number, now)),
                protocol: Some(protocol),
                follow_up: None,
            };
            Ok((visit, Some(gap)))
        }
        WhichVisit::FollowUp(follows) => {
            let Following { patient, treatment: (id, version), area, protocol, follow_up } =
                following(db, practice, follows, None).await?;
            let treatment = catalog::treatment(db, practice, id, Some(version)).await?;
            let treatment = treatment.ok_or_else(|| Error::not_found(series_field(follows)))?;
            let visit = Visit {
                patient,
                // As of the same treatment outside a series.
                spacing_days: treatment.content.spacing_days.map(i64::from),
                spacing_override: None,
                treatment,
                add_on,
                misfit,
                area,
                session: None,
                protocol,
                neighbours: None,
                follow_up: Some((follows, follow_up)),
            };
            Ok((visit, None))
        }
    }
}

/// A treatment in a version, none for the highest; as it is or as somebody who searched at the same revision has read it.
pub(super) async fn the_treatment(
    db: &mut PgConnection,
    practice: PracticeId,
    wanted: (TreatmentId, Option<i32>),
    ahead: Option<&LookAhead>,
) -> Result<Treatment, Error> {
    let kept = ahead.and_then(|ahead| ahead.crowd.as_ref()).map(|(at, crowd)| (*at, &crowd.treatments));
    crowd::shared(kept, wanted, async |(id, version)| {
        let treatment = catalog::treatment(db, practice, *id, *version).await?;
        treatment.ok_or_else(|| Error::not_found("treatment.treatment_id"))
    })
    .await
}

/// Whether a session of a series may be booked, or is the appointment that is to be moved.
pub(super) fn the_session_is_open(series: &Series, number: i32, moving: Option<AppointmentId>) -> Result<(), Error> {
    if number > series.session_count {
        let remedy = format!("must be 1 to {}, the sessions of the series", series.session_count);
        return Err(Error::field("session.session_number", remedy));
    }
    series.must_be_active().map_err(Error::Refused)?;
    match series.session(number).filter(|booked| Some(booked.id) != moving) {
        Some(booked) => {
            let text = match booked.held_until() {
                Some(_) => "the session is held; convert the hold, or release it with CancelAppointment",
                None => "the session is booked already",
            };
            let other = Some(Other::Appointment(booked.id));
            Err(Error::Refused(vec![Violation { other, ..Violation::new(Rule::SessionAlreadyBooked, text) }]))
        }
        None => Ok(()),
    }
}

/// What the decision rests on.
async fn facts_of(
    db: &mut PgConnection,
    practice: PracticeId,
    ask: &BookAppointment,
    visit: &Visit,
    now: Instant,
    ahead: Option<&LookAhead>,
) -> Result<Facts, Error> {
    let (path, named) = (String::new(), ask.named.as_slice());
    let asked = Asked { path, clinic: ask.clinic, start: ask.start, named, practitioner: None };
    let Visit { patient, treatment, area, .. } = visit;
    let fit_for = match &visit.protocol {
        Some(protocol) => FitFor::Sessions(protocol, visit.series()),
        None => FitFor::Treatment(treatment.id),
    };
    let (patient, area, treatments, visits) = (*patient, *area, vec![treatment], vec![asked]);
    let question = Question { patient, treatments, area, visits, fit_for, ahead };
    facts::load(db, practice, &question, now).await.map_err(|error| match (error, &ask.which) {
        (Error::NotFound(field), WhichVisit::Treatment { .. }) if field == "patient_id" => {
            Error::not_found("treatment.patient_id")
        }
        (error, WhichVisit::Treatment { .. } | WhichVisit::Session { .. } | WhichVisit::FollowUp(_)) => error,
    })
}

/// The plan, or all that is against it: what is against adding a treatment, and what is against the visit with it.
pub(super) fn decide(facts: &Facts, ask: &BookAppointment, visit: &Visit) -> Result<PlannedVisit, Refusal> {
    let planned = plan_visit(facts, &visit.treatment, &asked(ask, visit));
    if visit.misfit.is_empty() {
        return planned;
    }
    Err(visit.misfit.iter().cloned().chain(planned.err().into_iter().flatten()).collect())
}

/// The visit as the decision knows it.
fn asked(ask: &BookAppointment, visit: &Visit) -> VisitRequest {
    VisitRequest {
        clinic: ask.clinic,
        start: ask.start,
        named: ask.named.clone(),
        area: visit.area,
        spacing_days: visit.spacing_days,
        spacing_override: visit.spacing_override,
        neighbours: visit.neighbours,
        follow_up: visit.follow_up.as_ref().map(|(_, follow_up)| follow_up.clone()),
        preferred: Vec::new(),
        moved_from: None,
    }
}
