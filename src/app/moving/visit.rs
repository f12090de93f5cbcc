//! Moving a visit that stands alone.

use super::replace;
use crate::app::advice::LookAhead;
use crate::app::commands::{Destination, RescheduleAppointment};
use crate::app::facts::{self, Asked, Question};
use crate::app::fitness::FitFor;
use crate::app::write::Begun;
use crate::app::{App, Command, Error, appointment, combination, follow_up};
use crate::domain::access::Caller;
use crate::domain::appointment::Appointment;
use crate::domain::booking::{Facts, FollowUp, VisitRequest, plan_visit};
use crate::domain::catalog::Treatment;
use crate::domain::history::ChangeKind;
use crate::domain::ids::{AppointmentId, PracticeId};
use crate::domain::interval::Instant;
use crate::domain::refusal::Refusal;
use crate::store::{self, PgConnection, catalog, practice, series};

/// A visit that was moved.
#[derive(Debug, Clone)]
pub struct MovedVisit {
    /// As it is now.
    pub appointment: Appointment,
    /// Whether that was said with less notice than the practice asks for.
    pub late: bool,
}

impl App {
    /// Moves a visit that stands alone.
    pub async fn reschedule_appointment(
        &self,
        caller: &Caller,
        command: &Command<RescheduleAppointment>,
    ) -> Result<MovedVisit, Error> {
        match self.retry(|| self.try_reschedule_appointment(caller, command)).await {
            Err(Error::Refused(refusal)) => Err(Error::Refused(self.advise_visit(caller, command, refusal).await)),
            done => done,
        }
    }

    async fn try_reschedule_appointment(
        &self,
        caller: &Caller,
        command: &Command<RescheduleAppointment>,
    ) -> Result<MovedVisit, Error> {
        let practice = Self::tenant(caller, command.practice)?;
        let mut write = match self.begin(caller, practice, command).await? {
            Begun::Fresh(write) => write,
            Begun::Repeat(earlier) => return self.moved_visit(practice, AppointmentId(earlier.subject)).await,
        };
        let (now, revision) = (write.now, write.revision);
        let ask = &command.body;
        let old = appointment::found(write.db(), practice, ask.id).await?;
        if old.changed_revision != ask.etag {
            return Err(Error::EtagMismatch);
        }
        old.must_lie_ahead(now).map_err(Error::Refused)?;
        let (facts, alone) = alone(write.db(), practice, &old, &ask.to, now, None).await?;
        let plan = plan_visit(&facts, &alone.treatment, &visit(&old, &ask.to, alone.clone()));
        let plan = plan.map_err(Error::Refused)?;
        let old = [old];
        let booked = self.replacements(&old, vec![plan], revision, now);
        let [(new, _)] = booked.as_slice() else { unreachable!("one visit was moved") };
        let (new, subject) = (new.clone(), (ChangeKind::AppointmentRescheduled, new.id.0));
        replace(&mut write, subject, new.patient, &old, &booked).await?;
        let [old] = old;
        let ending = practice::booking_rules(write.db(), practice).await?.on_moving(ask.because);
        store::appointment::ended(write.db(), practice, old.id, ending).await?;
        if let Some(followed) = new.series() {
            series::touch(write.db(), practice, followed, revision).await?;
        }
        write.finish().await?;
        Ok(MovedVisit { late: ending.was_late(now, old.visit.start()), appointment: new })
    }

    /// What an earlier request moved, as it is now.
    async fn moved_visit(&self, practice: PracticeId, id: AppointmentId) -> Result<MovedVisit, Error> {
        let mut db = self.read_current(practice).await?;
        let new = appointment::found(&mut db, practice, id).await?;
        let old = match new.replaces {
            Some(old) => store::appointment::get(&mut db, practice, old).await?,
            None => None,
        };
        Ok(MovedVisit { late: old.is_some_and(|old| old.ended_late()), appointment: new })
    }

    async fn advise_visit(
        &self,
        caller: &Caller,
        command: &Command<RescheduleAppointment>,
        refusal: Refusal,
    ) -> Refusal {
        let Ok(practice) = Self::tenant(caller, command.practice) else { return refusal };
        self.advice(practice, refusal, |mut db, ahead| async move {
            let ask = &command.body;
            let now = self.clock.now();
            let old = appointment::found(&mut db, practice, ask.id).await?;
            old.must_lie_ahead(now).map_err(Error::Refused)?;
            let (facts, alone) = alone(&mut db, practice, &old, &ask.to, now, Some(&ahead)).await?;
            let request = visit(&old, &ask.to, alone.clone());
            Ok(move || plan_visit(&facts, &alone.treatment, &request).err())
        })
        .await
    }
}

/// What a visit that stands alone is.
#[derive(Clone)]
struct Alone {
    treatment: Treatment,
    follow_up: Option<FollowUp>,
}

/// What a decision about a visit that stands alone rests on.
async fn alone(
    db: &mut PgConnection,
    practice: PracticeId,
    old: &Appointment,
    to: &Destination,
    now: Instant,
    ahead: Option<&LookAhead>,
) -> Result<(Facts, Alone), Error> {
    if old.session.is_some() {
        let remedy = "must be no session of a series; move those with SeriesService.RescheduleSession";
        return Err(Error::field("appointment_id", remedy));
    }
    let following = match old.follows {
        Some(follows) => Some(follow_up::following(db, practice, follows, Some(old.id)).await?),
        None => None,
    };
    let (protocol, follow_up) = following.map_or((None, None), |found| (found.protocol, Some(found.follow_up)));
    let treatment = catalog::treatment(db, practice, old.treatment, Some(old.treatment_version)).await?;
    let treatment = treatment.ok_or_else(|| Error::not_found("appointment_id"))?;
    let combined = combination::of_appointment(db, practice, &treatment, old).await?;
    let treatment = combined.map_or(treatment, |combined| combined.treatment);
    let clinic = to.clinic.unwrap_or(old.clinic);
    let visits =
        vec![Asked { path: String::new(), clinic, start: to.start, named: &to.named, practitioner: to.practitioner }];
    let fit_for = match &protocol {
        Some(protocol) => FitFor::Sessions(protocol, old.series()),
        None => FitFor::Treatment(treatment.id),
    };
    let (patient, area, treatments) = (old.patient, old.area, vec![&treatment]);
    let question = Question { patient, treatments, area, visits, fit_for, ahead };
    let mut facts = facts::load(db, practice, &question, now).await?;
    facts.forget(&[old.id]);
    Ok((facts, Alone { treatment, follow_up }))
}

fn visit(old: &Appointment, to: &Destination, Alone { treatment, follow_up }: Alone) -> VisitRequest {
    VisitRequest {
        clinic: to.clinic.unwrap_or(old.clinic),
        start: to.start,
        named: to.named.clone(),
        area: old.area,
        spacing_days: treatment.content.spacing_days.map(i64::from),
        spacing_override: None,
        neighbours: None,
        follow_up,
        preferred: old.occupied().map(|(resource, _)| resource).collect(),
        moved_from: Some(old.visit.start()),
    }
}
