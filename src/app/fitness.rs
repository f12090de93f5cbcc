//! Whether a patient is fit for what is asked (promise P5): decided on what is known under the practice's lock, like every
//! other rule of a booking.

use super::visit::treatments;
use super::{Error, series};
use crate::domain::appointment::Appointment;
use crate::domain::catalog::{BodyArea, Protocol, ProtocolContent, Treatment};
use crate::domain::fitness::Fitness;
use crate::domain::ids::{PatientId, PracticeId, SeriesId};
use crate::domain::interval::Instant;
use crate::domain::refusal::Refusal;
use crate::store::fitness::{For, facts, facts_of};
use crate::store::{PgConnection, catalog};

/// For what a patient has to be fit.
#[derive(Debug, Clone, Copy)]
pub(super) enum FitFor<'a> {
    /// Sessions of a protocol, of a series if there is one already.
    Sessions(&'a Protocol, Option<SeriesId>),
    /// A treatment outside any series.
    Treatment(&'a Treatment),
}

/// The same of a visit that there is, with what it refers to.
pub(super) enum Asked {
    /// A session, or one that maintains a series.
    Sessions(Protocol, SeriesId),
    /// Any other; an assessment needles nobody.
    Treatment(Treatment),
}

impl Asked {
    pub(super) async fn of(db: &mut PgConnection, practice: PracticeId, visit: &Appointment) -> Result<Self, Error> {
        if let Some(series) = visit.area.and(visit.series()) {
            let series = series::found(db, practice, series).await?;
            return Ok(Self::Sessions(series::protocol_of(db, practice, &series).await?, series.id));
        }
        let (treatment, _) = treatments(db, practice, visit).await?;
        Ok(Self::Treatment(treatment))
    }

    pub(super) const fn fit_for(&self) -> FitFor<'_> {
        match self {
            Self::Sessions(protocol, series) => FitFor::Sessions(protocol, Some(*series)),
            Self::Treatment(treatment) => FitFor::Treatment(treatment),
        }
    }
}

/// How fit a patient is; one whom the practice does not have is told of elsewhere.
pub(super) async fn fitness(
    db: &mut PgConnection,
    practice: PracticeId,
    patient: PatientId,
    area: Option<BodyArea>,
    what: FitFor<'_>,
) -> Result<Fitness, Error> {
    match what {
        FitFor::Sessions(protocol, series) => {
            judged(db, practice, For { patient, protocol: protocol.id, area, series }, &protocol.content).await
        }
        FitFor::Treatment(treatment) => {
            let mut ways = Vec::new();
            for protocol in asked_alone(db, practice, treatment, area).await? {
                let of = For { patient, protocol: protocol.id, area, series: None };
                ways.push(judged(db, practice, of, &protocol.content).await?);
            }
            Ok(Fitness::by_one_of(ways))
        }
    }
}

async fn judged(
    db: &mut PgConnection,
    practice: PracticeId,
    of: For,
    rules: &ProtocolContent,
) -> Result<Fitness, Error> {
    let known = facts(db, practice, of, rules.clearance.is_some()).await?;
    Ok(known.map(|known| Fitness::judge(rules, &known)).unwrap_or_default())
}

/// Why the patient of a visit may not be treated now; a screening that is too old counts too.
pub(super) async fn at_check_in(
    db: &mut PgConnection,
    practice: PracticeId,
    visit: &Appointment,
    what: FitFor<'_>,
    number: Option<i32>,
    now: Instant,
) -> Result<Refusal, Error> {
    let (asking, series) = match what {
        FitFor::Sessions(protocol, series) => (vec![protocol.clone()], series),
        FitFor::Treatment(treatment) => (asked_alone(db, practice, treatment, visit.area).await?, None),
    };
    let asked: Vec<(For, bool)> = asking
        .iter()
        .map(|protocol| {
            let of = For { patient: visit.patient, protocol: protocol.id, area: visit.area, series };
            (of, protocol.content.clearance.is_some())
        })
        .collect();
    let known = facts_of(db, practice, &asked).await?;
    let ways = asking.iter().zip(&known).filter_map(|(protocol, known)| Some((&protocol.content, known.as_ref()?)));
    Ok(Fitness::at_check_in_by_one_of(&ways.collect::<Vec<_>>(), number, now, visit.zone))
}

/// The protocols of which one has to be content where a treatment is booked alone: what they ask before sessions that
/// needle is asked all the same. A visit needles exactly if it names an area, by what it is or by what is added to it; for
/// what is added, the practitioner's approval stands.
async fn asked_alone(
    db: &mut PgConnection,
    practice: PracticeId,
    treatment: &Treatment,
    area: Option<BodyArea>,
) -> Result<Vec<Protocol>, Error> {
    if area.is_none() {
        return Ok(Vec::new());
    }
    Ok(catalog::protocols_of(db, practice, &[treatment.id]).await?)
}
