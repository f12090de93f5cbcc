//! Deciding sessions of a series that move, with all that the decision rests on.

use std::sync::Arc;

use super::{ids, replacement};
use crate::app::advice::LookAhead;
use crate::app::facts::{self, Asked, Question};
use crate::app::fitness::FitFor;
use crate::app::write::Write;
use crate::app::{Error, catalog, combination};
use crate::domain::appointment::Appointment;
use crate::domain::booking::{AskedSession, Facts, PlannedVisit, SessionRequest, SessionsOf, plan_sessions};
use crate::domain::catalog::{Protocol, Treatment};
use crate::domain::combination::Combined;
use crate::domain::ids::{AppointmentId, PracticeId, ResourceId};
use crate::domain::interval::Instant;
use crate::domain::planning::Following;
use crate::domain::refusal::{Other, Refusal, Violation};
use crate::domain::series::Series;
use crate::store::{PgConnection, appointment};

/// Sessions that move, with all that they refer to.
pub(super) struct Setting {
    pub series: Series,
    /// The sessions in order, as they are booked.
    pub moving: Vec<Appointment>,
    /// What is added to each of them.
    pub combined: Vec<Option<Arc<Combined>>>,
    pub protocol: Protocol,
    pub treatment: Treatment,
}

impl Setting {
    pub(super) async fn of(
        db: &mut PgConnection,
        practice: PracticeId,
        series: Series,
        moving: Vec<Appointment>,
    ) -> Result<Self, Error> {
        let rules = catalog::rules(db, practice, series.protocol, Some(series.protocol_version)).await?;
        let (protocol, treatment) = rules.ok_or_else(|| Error::not_found("series_id"))?;
        let mut combined = Vec::with_capacity(moving.len());
        for session in &moving {
            combined.push(combination::of_appointment(db, practice, &treatment, session).await?.map(Arc::new));
        }
        Ok(Self { series, moving, combined, protocol, treatment })
    }

    /// The sessions that follow, from a place among those that move on, where they follow to.
    pub(super) fn followed(&self, following: &[Following], first: usize) -> impl Iterator<Item = AskedSession> {
        let moving = self.moving.iter().zip(&self.combined).enumerate().skip(first);
        moving.zip(following).map(|((place, (old, combined)), following)| {
            let Following { session, start, practitioner } = *following;
            let named = practitioner.into_iter().collect();
            let moved_from = Some(old.visit.start());
            let request = SessionRequest { clinic: old.clinic, start, named, practitioner, moved_from };
            AskedSession { place, number: session.number, request, combined: combined.clone() }
        })
    }

    /// What the decision rests on, as if the sessions were gone from where they are.
    pub(super) async fn load(
        &self,
        db: &mut PgConnection,
        practice: PracticeId,
        asked: &[AskedSession],
        now: Instant,
        ahead: Option<&LookAhead>,
    ) -> Result<Facts, Error> {
        let Self { series, protocol, treatment, moving, combined } = self;
        let visits = asked.iter().map(|AskedSession { request, .. }| Asked::of(request, String::new())).collect();
        let combined = combined.iter().flatten().map(|combined| &combined.treatment);
        let treatments = std::iter::once(treatment).chain(combined).collect();
        let fit_for = FitFor::Sessions(protocol, Some(series.id));
        let (patient, area) = (series.patient, Some(series.area));
        let question = Question { patient, treatments, area, visits, fit_for, ahead };
        let mut facts = facts::load(db, practice, &question, now).await?;
        facts.forget(&ids(moving));
        Ok(facts)
    }

    /// A plan for each session, with resources that are known rather than others, or every broken rule of each.
    pub(super) fn decide(
        &self,
        facts: Facts,
        known: Vec<ResourceId>,
        asked: &[AskedSession],
    ) -> Result<Vec<PlannedVisit>, Refusal> {
        let Self { series, moving, treatment, .. } = self;
        let gone = ids(moving);
        let mut booked = series.placed();
        booked.retain(|session| !gone.contains(&session.id));
        let (gap, gap_override) = (series.gap.days(), series.gap.override_id());
        let series = SessionsOf { gap, gap_override, treatment, area: series.area, booked, known };
        plan_sessions(facts, &series, asked)
    }
}

/// Decides where sessions of a series go that are cancelled already in the same write, and books them there under new
/// ids. Whoever they collide with was faster; the inner error tells them by their numbers.
pub(in crate::app) async fn rebook(
    write: &mut Write,
    series: Series,
    moving: Vec<Appointment>,
    following: &[Following],
    new: Vec<AppointmentId>,
) -> Result<Result<(), Refusal>, Error> {
    let (practice, now, revision) = (write.practice, write.now, write.revision);
    let setting = Setting::of(write.db(), practice, series, moving).await?;
    let asked: Vec<AskedSession> = setting.followed(following, 0).collect();
    let facts = setting.load(write.db(), practice, &asked, now, None).await?;
    let plans = match setting.decide(facts, setting.series.known(), &asked) {
        Ok(plans) => plans,
        Err(refusal) => return Ok(Err(told(refusal, |place| of_following(following.get(place))))),
    };
    let booked = setting.moving.iter().zip(new).zip(plans);
    let booked: Vec<_> = booked.map(|((old, id), plan)| replacement(old, id, plan, revision)).collect();
    appointment::insert(write.db(), practice, &booked, now).await?;
    Ok(Ok(()))
}

/// A refusal in which a session that would have to move is told of by its number and appointment. Of a place among the
/// sessions asked for, these are the number, if it is not what the request itself is about, and the appointment.
pub(super) fn told(refusal: Refusal, of: impl Fn(usize) -> (Option<i32>, Option<AppointmentId>)) -> Refusal {
    let told = refusal.into_iter().map(|violation| {
        let description = match violation.session.and_then(|place| of(place).0) {
            Some(number) => format!("session {number}, which would have to move: {}", violation.description),
            None => violation.description,
        };
        let other = violation.other.and_then(|other| match other {
            Other::Session(place) => of(place).1.map(Other::Appointment),
            Other::Appointment(_) => Some(other),
        });
        Violation { session: None, other, description, ..violation }
    });
    told.collect()
}

/// The number and the appointment of a session that follows.
pub(super) fn of_following(following: Option<&Following>) -> (Option<i32>, Option<AppointmentId>) {
    following.map(|following| (following.session.number, following.session.id)).unzip()
}
