//! Whether a patient is fit for what is asked (promise P5): decided on what is known under the practice's lock, like
//! every other rule of a booking.

use super::visit::treatments;
use super::{Error, series};
use crate::domain::appointment::Appointment;
use crate::domain::catalog::{BodyArea, Protocol, ProtocolContent, Treatment};
use crate::domain::fitness::Fitness;
use crate::domain::ids::{PatientId, PracticeId, SeriesId, TreatmentId};
use crate::domain::interval::Instant;
use crate::domain::refusal::Refusal;
use crate::store::fitness::{For, facts_of};
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
    Ok(fitnesses(db, practice, &[(patient, area, what)]).await?.pop().unwrap_or_default())
}

/// How fit each of several patients is, in their order.
pub(super) async fn fitnesses(
    db: &mut PgConnection,
    practice: PracticeId,
    asked: &[(PatientId, Option<BodyArea>, FitFor<'_>)],
) -> Result<Vec<Fitness>, Error> {
    // A visit needles exactly if it names an area.
    let alone = |(_, area, what): &(_, Option<BodyArea>, FitFor<'_>)| match what {
        FitFor::Treatment(treatment) if area.is_some() => Some(treatment.id),
        FitFor::Treatment(_) | FitFor::Sessions(..) => None,
    };
    let alone = asked_alone(db, practice, asked.iter().filter_map(alone).collect()).await?;
    // What each of them is held to, by its place.
    let mut held_to: Vec<(usize, For, &ProtocolContent)> = Vec::new();
    for (place, (patient, area, what)) in asked.iter().enumerate() {
        let of = |protocol: &Protocol, series| For { patient: *patient, protocol: protocol.id, area: *area, series };
        match what {
            FitFor::Sessions(protocol, series) => held_to.push((place, of(protocol, *series), &protocol.content)),
            FitFor::Treatment(treatment) if area.is_some() => {
                let theirs = alone.iter().filter(|protocol| protocol.content.treatment == treatment.id);
                held_to.extend(theirs.map(|protocol| (place, of(protocol, None), &protocol.content)));
            }
            FitFor::Treatment(_) => {}
        }
    }
    let questions: Vec<(For, bool)> = held_to.iter().map(|(_, of, rules)| (*of, rules.clearance.is_some())).collect();
    let known = if questions.is_empty() { Vec::new() } else { facts_of(db, practice, &questions).await? };
    let mut ways: Vec<Vec<Fitness>> = asked.iter().map(|_| Vec::new()).collect();
    for ((place, _, rules), known) in held_to.iter().zip(known) {
        ways[*place].push(known.map(|known| Fitness::judge(rules, &known)).unwrap_or_default());
    }
    Ok(ways.into_iter().map(Fitness::by_one_of).collect())
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
        FitFor::Treatment(treatment) => {
            let needles = visit.area.map(|_| treatment.id);
            (asked_alone(db, practice, needles.into_iter().collect()).await?, None)
        }
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

/// The protocols of which one has to be content where treatments are booked alone that needle: what they ask before
/// sessions is asked all the same. For what is added to a visit, the practitioner's approval stands.
async fn asked_alone(
    db: &mut PgConnection,
    practice: PracticeId,
    treatments: Vec<TreatmentId>,
) -> Result<Vec<Protocol>, Error> {
    if treatments.is_empty() {
        return Ok(Vec::new());
    }
    Ok(catalog::protocols_of(db, practice, &treatments).await?)
}
