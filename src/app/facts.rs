//! Loading what a booking decision rests on, as little of it as the decision can look at.

use chrono::{Days, NaiveDate, TimeDelta};

use super::Error;
use super::advice::LookAhead;
use super::crowd::{self, Places, PlacesOf};
use super::fitness::{FitFor, fitness};
use crate::domain::booking::{Facts, SessionRequest};
use crate::domain::calendar::Calendar;
use crate::domain::catalog::{Activity, BodyArea, MAX_GAP_DAYS, MAX_SPAN, Need, ResourceKind, Treatment};
use crate::domain::ids::{ClinicId, PatientId, PracticeId, ResourceId};
use crate::domain::interval::{Instant, Interval};
use crate::store::{PgConnection, booking};

/// One visit in question.
#[derive(Debug, Clone)]
pub(super) struct Asked<'a> {
    /// By its path in the request, for an error about one of its ids: `sessions[1].`, or nothing.
    pub path: String,
    /// Where.
    pub clinic: ClinicId,
    /// When it begins.
    pub start: Instant,
    /// Resources that must be used.
    pub named: &'a [ResourceId],
    /// Which of them has to be a practitioner.
    pub practitioner: Option<ResourceId>,
}

impl<'a> Asked<'a> {
    /// A session that a request asks for at that path.
    pub(super) fn of(request: &'a SessionRequest, path: String) -> Self {
        let SessionRequest { clinic, start, named, practitioner, moved_from: _ } = request;
        Self { path, clinic: *clinic, start: *start, named, practitioner: *practitioner }
    }
}

/// The visits of one request: all of one patient, on one area.
#[derive(Debug, Clone)]
pub(super) struct Question<'a> {
    /// The patient.
    pub patient: PatientId,
    /// What they are: one treatment, or several where something is added to some of them.
    pub treatments: Vec<&'a Treatment>,
    /// The area.
    pub area: Option<BodyArea>,
    /// The visits.
    pub visits: Vec<Asked<'a>>,
    /// For what the patient has to be fit.
    pub fit_for: FitFor<'a>,
    /// How far to look for when it would do, if a refusal is to say so.
    pub ahead: Option<&'a LookAhead>,
}

/// Loads the facts. What the request names and the practice does not have is an error that names the field.
pub(super) async fn load(
    db: &mut PgConnection,
    practice_id: PracticeId,
    question: &Question<'_>,
    now: Instant,
) -> Result<Facts, Error> {
    let spans = spans(question);
    let mut clinic_ids: Vec<ClinicId> = question.visits.iter().map(|visit| visit.clinic).collect();
    clinic_ids.sort_unstable();
    clinic_ids.dedup();
    let named: Vec<ResourceId> = question.visits.iter().flat_map(|visit| visit.named).copied().collect();

    let asked = patient_question(question.patient, &question.treatments, question.area, spans.clone());
    let patient = booking::patient(db, practice_id, &asked).await?;
    let (standing, mut patient) = patient.ok_or_else(|| Error::not_found("patient_id"))?;
    patient.fitness = fitness(db, practice_id, question.patient, question.area, question.fit_for).await?;
    let needs = question.treatments.iter().flat_map(|treatment| treatment.content.needs()).cloned().collect();
    let wanted = PlacesOf { clinics: clinic_ids, needs, named, spans: spans.clone() };
    let Places { clinics, resources } = places(db, practice_id, wanted, question.ahead).await?;

    for visit in &question.visits {
        if !clinics.contains_key(&visit.clinic) {
            return Err(Error::not_found(format!("{}clinic_id", visit.path)));
        }
        let is_practitioner =
            |id| resources.iter().any(|resource| resource.id == id && resource.kind == ResourceKind::Practitioner);
        if visit.practitioner.is_some_and(|id| !is_practitioner(id)) {
            return Err(Error::not_found(format!("{}practitioner_id", visit.path)));
        }
        for (place, id) in visit.named.iter().enumerate() {
            if !resources.iter().any(|resource| resource.id == *id) {
                return Err(Error::not_found(format!("{}resource_ids[{place}]", visit.path)));
            }
        }
    }
    Ok(Facts {
        now,
        horizon_end: standing.horizon_end(now),
        spans,
        look_for_earliest: question.ahead.is_some(),
        clinics,
        resources,
        patient,
    })
}

/// Clinics and resources, as they are or as somebody who searched at the same revision has read them.
async fn places(
    db: &mut PgConnection,
    practice_id: PracticeId,
    wanted: PlacesOf,
    ahead: Option<&LookAhead>,
) -> Result<Places, Error> {
    let kept = ahead.and_then(|ahead| ahead.crowd.as_ref()).map(|(at, crowd)| (*at, &crowd.places));
    crowd::shared(kept, wanted, async |PlacesOf { clinics: ids, needs, named, spans }| {
        let needs: Vec<&Need> = needs.iter().collect();
        let clinics = booking::clinics(db, practice_id, ids, spans).await?;
        let resources = booking::resources(db, practice_id, ids, Some(&needs), named, spans).await?;
        Ok(Places { clinics, resources })
    })
    .await
}

/// The day around each visit, or as far as the search for an earliest start reaches. Spans that touch are one.
fn spans(question: &Question<'_>) -> Vec<Interval> {
    let days_ahead = question.ahead.map_or(0, |ahead| ahead.days);
    // A visit takes at most twelve hours; the hours around it tell who has least to do.
    let (before, after) = (TimeDelta::hours(6), TimeDelta::hours(18) + TimeDelta::days(days_ahead));
    let around = question.visits.iter().filter_map(|visit| Interval::new(visit.start - before, visit.start + after));
    Calendar::union(around.collect()).intervals().to_vec()
}

/// What matters of a patient for visits of treatments in these stretches of time.
pub(super) fn patient_question(
    patient: PatientId,
    treatments: &[&Treatment],
    area: Option<BodyArea>,
    spans: Vec<Interval>,
) -> booking::PatientQuestion {
    let first = spans.first().map_or(Instant::UNIX_EPOCH, |span| span.start());
    let last = spans.last().map_or(Instant::UNIX_EPOCH, |span| span.end());
    let (days, windows) = reach(first, last);
    let contents = || treatments.iter().map(|treatment| &treatment.content);
    let restricted =
        contents().flat_map(|content| content.restrictions.iter().filter(|r| !r.advice_only).map(|r| r.activity));
    let mut activities: Vec<Activity> =
        contents().flat_map(|content| content.exposures.iter().copied()).chain(restricted).collect();
    activities.sort_unstable();
    activities.dedup();
    booking::PatientQuestion { patient, spans, spacing: area.map(|area| (area, days.0, days.1)), activities, windows }
}

/// What matters of patients for visits of any treatment in a stretch of time.
pub(super) fn patients_question(span: Interval) -> booking::PatientsQuestion {
    let (days, windows) = reach(span.start(), span.end());
    booking::PatientsQuestion { span, days, windows }
}

/// The days of spacing windows, and the time of other windows, that can matter to visits from one instant to another.
fn reach(first: Instant, last: Instant) -> ((NaiveDate, NaiveDate), Interval) {
    // No window reaches further than the longest restriction, and no gap is longer than the longest one.
    let reach = TimeDelta::days(i64::from(MAX_SPAN) + 1);
    let gap = Days::new(u64::from(MAX_GAP_DAYS.unsigned_abs()));
    let windows = Interval::new(first - reach, last + reach);
    let windows = windows.unwrap_or_else(|| unreachable!("a question is about at least one visit"));
    ((first.date_naive() - Days::new(1), last.date_naive() + gap), windows)
}
