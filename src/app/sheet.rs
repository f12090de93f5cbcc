//! What a day sheet shows of visits beside the visits themselves: for a whole page of them in a fixed number of
//! statements, whatever their number.

use std::collections::HashMap;

use super::Error;
use crate::domain::alert::{Alert, VisitFacts, alerts};
use crate::domain::appointment::Appointment;
use crate::domain::catalog::Protocol;
use crate::domain::fitness::FitnessFacts;
use crate::domain::ids::{PatientId, PracticeId, TreatmentId};
use crate::domain::patient::Patient;
use crate::domain::series::Series;
use crate::store::fitness::{For, facts_of};
use crate::store::{PgConnection, catalog, patient, series};

/// A visit as a day sheet shows it.
#[derive(Debug, Clone)]
pub struct SheetEntry {
    /// The visit.
    pub appointment: Appointment,
    /// Who comes.
    pub patient: Patient,
    /// What staff should know of it.
    pub alerts: Vec<Alert>,
}

/// Visits as a day sheet shows them, in their order.
pub(super) async fn entries(
    db: &mut PgConnection,
    practice: PracticeId,
    visits: Vec<Appointment>,
) -> Result<Vec<SheetEntry>, Error> {
    if visits.is_empty() {
        return Ok(Vec::new());
    }
    let known = Known::of(db, practice, &visits).await?;
    let entries = visits.into_iter().map(|appointment| {
        let patient = known.patients.get(&appointment.patient).cloned();
        let patient = patient.ok_or_else(|| Error::not_found("patient_id"))?;
        let alerts = alerts(&appointment, &known.facts(&appointment));
        Ok(SheetEntry { appointment, patient, alerts })
    });
    entries.collect()
}

/// All that alerts rest on.
struct Known {
    patients: HashMap<PatientId, Patient>,
    series: Vec<Series>,
    /// Of the series that visits needle for, each in the version that its series runs on under.
    of_series: Vec<Protocol>,
    /// In the highest version, of treatments that needle outside any series.
    of_treatments: Vec<(TreatmentId, Protocol)>,
    /// What is known of whom, by the protocols that ask.
    fitness: HashMap<For, FitnessFacts>,
}

impl Known {
    async fn of(db: &mut PgConnection, practice: PracticeId, visits: &[Appointment]) -> Result<Self, Error> {
        let patients = distinct(visits.iter().map(|visit| visit.patient));
        let own = distinct(visits.iter().filter_map(Appointment::series));
        let series = series::of_visitors(db, practice, &patients, &own).await?;
        let patients = patient::several(db, practice, &patients).await?;
        let needling = || visits.iter().filter(|visit| visit.area.is_some());
        let courses = series.iter().filter(|series| needling().any(|visit| visit.series() == Some(series.id)));
        let versions = distinct(courses.map(|series| (series.protocol, series.protocol_version)));
        let alone = distinct(needling().filter(|visit| visit.series().is_none()).map(|visit| visit.treatment));
        let mut known = Self {
            patients: patients.into_iter().map(|patient| (patient.id, patient)).collect(),
            series,
            of_series: catalog::protocols(db, practice, &versions).await?,
            of_treatments: catalog::protocols_of(db, practice, &alone).await?,
            fitness: HashMap::new(),
        };
        let asked = visits.iter().flat_map(|visit| known.asking(visit));
        let asked: HashMap<For, bool> = asked
            .map(|(protocol, of)| (of, protocol.is_some_and(|protocol| protocol.content.clearance.is_some())))
            .collect();
        let asked: Vec<(For, bool)> = asked.into_iter().collect();
        let found = facts_of(db, practice, &asked).await?;
        known.fitness = asked.iter().zip(found).filter_map(|((of, _), facts)| Some((*of, facts?))).collect();
        Ok(known)
    }

    /// The protocols by one of which the patient of a visit has to be fit: that of its series, or those of its
    /// treatment; none where only reactions matter.
    fn asking(&self, visit: &Appointment) -> Vec<(Option<&Protocol>, For)> {
        let of = |protocol: Option<&Protocol>, series| For {
            patient: visit.patient,
            protocol: protocol.map(|protocol| protocol.id),
            area: visit.area,
            series,
        };
        match (visit.area, visit.series()) {
            (None, _) => Vec::new(),
            (Some(_), Some(id)) => {
                let series = self.series.iter().find(|series| series.id == id);
                let version = series.map(|series| (series.protocol, series.protocol_version));
                let protocol = self.of_series.iter().find(|known| Some((known.id, known.version)) == version);
                vec![(protocol, of(protocol, Some(id)))]
            }
            (Some(_), None) => {
                let using = self.of_treatments.iter().filter(|(treatment, _)| *treatment == visit.treatment);
                let using: Vec<_> = using.map(|(_, protocol)| (Some(protocol), of(Some(protocol), None))).collect();
                if using.is_empty() { vec![(None, of(None, None))] } else { using }
            }
        }
    }

    fn facts(&self, visit: &Appointment) -> VisitFacts<'_> {
        let concerned = |series: &&Series| series.patient == visit.patient;
        let asking = self.asking(visit).into_iter();
        VisitFacts {
            series: self.series.iter().filter(concerned).collect(),
            asking: asking
                .filter_map(|(protocol, of)| Some((protocol.map(|protocol| &protocol.content), self.fitness.get(&of)?)))
                .collect(),
        }
    }
}

fn distinct<T: Ord>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut all: Vec<T> = all.collect();
    all.sort_unstable();
    all.dedup();
    all
}
