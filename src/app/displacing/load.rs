//! What a plan for displaced visits, or a decision about their moves, rests on: in as many queries for all of them as
//! for one.

use std::collections::BTreeMap;

use crate::app::Error;
use crate::app::facts::patients_question;
use crate::app::fitness::{FitFor, fitnesses};
use crate::domain::appointment::Appointment;
use crate::domain::booking::{Facts, PatientFacts};
use crate::domain::catalog::{BodyArea, Need, Protocol, Treatment};
use crate::domain::combination::{AddOn, Combined};
use crate::domain::fitness::Fitness;
use crate::domain::ids::{ClinicId, PatientId, PracticeId, ProtocolId, ResourceId, SeriesId, TreatmentId};
use crate::domain::interval::{Instant, Interval};
use crate::domain::planning::{Displaced, Displacement, Followed};
use crate::domain::series::Series;
use crate::store::{PgConnection, StoreError, booking, catalog, practice, series};

/// The catalogue and the series, as far as visits refer to them.
struct Known {
    series: BTreeMap<SeriesId, Series>,
    protocols: Vec<Protocol>,
    treatments: Vec<Treatment>,
}

/// Visits with all that they refer to, in these spans; and the resources that are named, whatever they serve.
pub(super) async fn load(
    db: &mut PgConnection,
    practice: PracticeId,
    visits: Vec<Appointment>,
    named: &[ResourceId],
    spans: Vec<Interval>,
    now: Instant,
) -> Result<Displacement, Error> {
    let known = Known::load(db, practice, &visits).await?;
    let mut displaced = Vec::with_capacity(visits.len());
    for visit in visits {
        displaced.push(known.displaced(visit)?);
    }
    let asked: Vec<(PatientId, _, FitFor<'_>)> = displaced.iter().map(|visit| known.fit_for(visit)).collect();
    let fitness = fitnesses(db, practice, &asked).await?;
    for (visit, fitness) in displaced.iter_mut().zip(fitness) {
        visit.fitness = fitness;
    }
    let patients = distinct(displaced.iter().map(|visit| visit.appointment.patient));
    let span = spans.first().zip(spans.last()).and_then(|(first, last)| Interval::new(first.start(), last.end()));
    let span = span.ok_or(StoreError::Corrupt("a question about no time"))?;
    let patients = booking::patients(db, practice, &patients, &patients_question(span)).await?;
    let clinic_ids: Vec<ClinicId> = distinct(displaced.iter().map(|visit| visit.appointment.clinic));
    let clinics = booking::clinics(db, practice, &clinic_ids, &spans).await?;
    let mut needs: Vec<&Need> = Vec::new();
    for need in displaced.iter().flat_map(|visit| visit.treatment.content.needs()) {
        if !needs.contains(&need) {
            needs.push(need);
        }
    }
    let own = displaced.iter().flat_map(|visit| visit.appointment.occupied()).map(|(id, _)| id);
    let named = distinct(own.chain(named.iter().copied()));
    let resources = booking::resources(db, practice, &clinic_ids, Some(&needs), &named, &spans).await?;
    let standing = practice::standing(db, practice).await?.ok_or_else(|| Error::not_found("practice_id"))?;
    let facts = Facts {
        now,
        horizon_end: standing.horizon_end(now),
        spans,
        look_for_earliest: false,
        clinics,
        resources,
        patient: PatientFacts::default(),
    };
    Ok(Displacement { facts, patients, series: known.series, visits: displaced })
}

fn distinct<T: Ord>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut items: Vec<T> = items.collect();
    items.sort_unstable();
    items.dedup();
    items
}

impl Known {
    async fn load(db: &mut PgConnection, practice: PracticeId, visits: &[Appointment]) -> Result<Self, Error> {
        let ids = distinct(visits.iter().filter_map(Appointment::series));
        let series = series::several(db, practice, &ids).await?;
        let versions: Vec<(ProtocolId, i32)> =
            distinct(series.iter().map(|series| (series.protocol, series.protocol_version)));
        let protocols = catalog::protocols(db, practice, &versions).await?;
        let own = visits.iter().map(|visit| (visit.treatment, visit.treatment_version));
        let added = visits.iter().filter_map(|visit| visit.add_on).map(AddOn::added);
        let treatments = catalog::treatments(db, practice, &distinct(own.chain(added))).await?;
        let series = series.into_iter().map(|series| (series.id, series)).collect();
        Ok(Self { series, protocols, treatments })
    }

    fn treatment(&self, (id, version): (TreatmentId, i32)) -> Result<&Treatment, StoreError> {
        let found = self.treatments.iter().find(|known| (known.id, known.version) == (id, version));
        found.ok_or(StoreError::Corrupt("treatment of an appointment"))
    }

    /// The series of a visit with its protocol.
    fn series(&self, visit: &Appointment) -> Result<Option<(&Series, &Protocol)>, StoreError> {
        let Some(id) = visit.series() else { return Ok(None) };
        let series = self.series.get(&id).ok_or(StoreError::Corrupt("series of an appointment"))?;
        let version = (series.protocol, series.protocol_version);
        let protocol = self.protocols.iter().find(|known| (known.id, known.version) == version);
        Ok(Some((series, protocol.ok_or(StoreError::Corrupt("protocol of a series"))?)))
    }

    /// A visit with what it is; how fit its patient is, is not known yet.
    fn displaced(&self, appointment: Appointment) -> Result<Displaced, StoreError> {
        let base = self.treatment((appointment.treatment, appointment.treatment_version))?;
        let combined = match appointment.add_on {
            Some(add_on) => Some(Combined::new(base, self.treatment(add_on.added())?)),
            None => None,
        };
        let series = self.series(&appointment)?;
        let mut known: Vec<ResourceId> = appointment.occupied().map(|(id, _)| id).collect();
        let (mut spacing_days, mut spacing_override, mut follows) = (None, None, None);
        if let (Some(_), Some((series, _))) = (appointment.session, series) {
            let gap = series.gap.days();
            spacing_days =
                Some(combined.as_ref().map_or(i64::from(gap.minimum), |combined| combined.session_spacing(gap)));
            spacing_override = series.gap.override_id();
            known.extend(series.known());
        }
        if let (Some(following), Some((_, protocol))) = (appointment.follows, series) {
            follows = match following.assessment {
                Some(number) => {
                    let assessment = protocol.content.assessment(number);
                    assessment.map(|assessment| Followed::Assessment(number, assessment.due))
                }
                None => protocol.content.maintenance.as_ref().map(|rules| Followed::Maintenance(rules.days)),
            };
        }
        let treatment = combined.map_or_else(|| base.clone(), |combined| combined.treatment);
        if appointment.session.is_none() {
            spacing_days = treatment.content.spacing_days.map(i64::from);
        }
        let fitness = Fitness::default();
        Ok(Displaced { appointment, treatment, spacing_days, spacing_override, follows, fitness, known })
    }

    /// For what the patient of a visit has to be fit: what needles within a series is held to its protocol.
    fn fit_for<'a>(&'a self, visit: &'a Displaced) -> (PatientId, Option<BodyArea>, FitFor<'a>) {
        let Displaced { appointment, treatment, .. } = visit;
        let series = appointment.area.and_then(|_| self.series(appointment).ok().flatten());
        let fit_for = match series {
            Some((series, protocol)) => FitFor::Sessions(protocol, Some(series.id)),
            None => FitFor::Treatment(treatment.id),
        };
        (appointment.patient, appointment.area, fit_for)
    }
}
