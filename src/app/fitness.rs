//! Whether a patient is fit for what is asked (promise P5): decided on what is known under the practice's lock, like
//! every other rule of a booking.

use super::{Error, series};
use crate::domain::appointment::Appointment;
use crate::domain::catalog::{BodyArea, Protocol, ProtocolContent};
use crate::domain::fitness::Fitness;
use crate::domain::ids::{PatientId, PracticeId, SeriesId, TreatmentId};
use crate::domain::interval::Instant;
use crate::domain::refusal::Refusal;
use crate::store::fitness::{For, facts_of};
use crate::store::{PgConnection, appointment, catalog};

/// For what a patient has to be fit.
#[derive(Debug, Clone, Copy)]
pub(super) enum FitFor<'a> {
    /// Sessions of a protocol, of a series if there is one already.
    Sessions(&'a Protocol, Option<SeriesId>),
    /// A treatment outside any series.
    Treatment(TreatmentId),
}

/// The same of a visit that there is, with what it refers to.
pub(super) enum Asked {
    /// A session, or one that maintains a series.
    Sessions(Box<Protocol>, SeriesId),
    /// Any other; an assessment needles nobody.
    Treatment(TreatmentId),
}

impl Asked {
    pub(super) async fn of(db: &mut PgConnection, practice: PracticeId, visit: &Appointment) -> Result<Self, Error> {
        if let Some(series) = visit.area.and(visit.series()) {
            let series = series::found(db, practice, series).await?;
            return Ok(Self::Sessions(Box::new(series::protocol_of(db, practice, &series).await?), series.id));
        }
        Ok(Self::Treatment(visit.treatment))
    }

    pub(super) const fn fit_for(&self) -> FitFor<'_> {
        match self {
            Self::Sessions(protocol, series) => FitFor::Sessions(protocol, Some(*series)),
            Self::Treatment(treatment) => FitFor::Treatment(*treatment),
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
    let alone = |(_, area, what): &(_, Option<BodyArea>, FitFor<'_>)| needled_alone(*area, *what);
    let alone = asked_alone(db, practice, asked.iter().filter_map(alone).collect()).await?;
    // What each of them is held to, by its place.
    let mut held_to: Vec<(usize, For, Option<&ProtocolContent>)> = Vec::new();
    for (place, (patient, area, what)) in asked.iter().enumerate() {
        let ways = ways((*patient, *area), *what, &alone);
        held_to.extend(ways.into_iter().map(|(of, rules)| (place, of, rules)));
    }
    let questions: Vec<(For, bool)> = held_to.iter().map(|(_, of, rules)| (*of, asks_for_clearance(*rules))).collect();
    let known = if questions.is_empty() { Vec::new() } else { facts_of(db, practice, &questions).await? };
    let mut ways: Vec<Vec<Fitness>> = asked.iter().map(|_| Vec::new()).collect();
    for ((place, _, rules), known) in held_to.iter().zip(known) {
        ways[*place].push(known.map(|known| Fitness::judge(*rules, &known)).unwrap_or_default());
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
    let alone = asked_alone(db, practice, needled_alone(visit.area, what).into_iter().collect()).await?;
    let ways = ways((visit.patient, visit.area), what, &alone);
    let asked: Vec<(For, bool)> = ways.iter().map(|(of, rules)| (*of, asks_for_clearance(*rules))).collect();
    let known = facts_of(db, practice, &asked).await?;
    let ways = ways.iter().zip(&known).filter_map(|((_, rules), known)| Some((*rules, known.as_ref()?)));
    Ok(Fitness::at_check_in_by_one_of(&ways.collect::<Vec<_>>(), number, now, visit.zone))
}

/// What needles a patient, is booked and to come, and for which they are not fit as things stand, by start.
pub(super) async fn at_risk(
    db: &mut PgConnection,
    practice: PracticeId,
    patient: PatientId,
    now: Instant,
) -> Result<Vec<Appointment>, Error> {
    let mut visits = appointment::needlings_ahead(db, practice, patient, now).await?;
    // Visits of one series ask for the same.
    let mut asked: Vec<(Option<SeriesId>, Asked)> = Vec::new();
    let mut places = Vec::with_capacity(visits.len());
    for visit in &visits {
        let series = visit.series();
        let known = asked.iter().position(|(known, _)| series.is_some() && *known == series);
        places.push(known.unwrap_or(asked.len()));
        if known.is_none() {
            asked.push((series, Asked::of(db, practice, visit).await?));
        }
    }
    let questions = visits.iter().zip(&places);
    let questions: Vec<_> = questions.map(|(visit, place)| (patient, visit.area, asked[*place].1.fit_for())).collect();
    let mut fitness = fitnesses(db, practice, &questions).await?.into_iter();
    visits.retain(|visit| {
        let number = visit.session.map(|session| session.number);
        let at = visit.visit.start().max(now);
        fitness.next().is_none_or(|fitness| fitness.way(number, at, visit.zone.day(at), None).is_none())
    });
    Ok(visits)
}

/// The treatment of a visit outside any series, if it needles: it does exactly if it names an area.
fn needled_alone(area: Option<BodyArea>, what: FitFor<'_>) -> Option<TreatmentId> {
    match what {
        FitFor::Treatment(treatment) => area.map(|_| treatment),
        FitFor::Sessions(..) => None,
    }
}

/// By what a patient has to be fit, one way being enough; of these protocols those of the treatment, where it is booked
/// alone. Where none asks, or none is there, reactions matter all the same.
fn ways<'a>(
    (patient, area): (PatientId, Option<BodyArea>),
    what: FitFor<'a>,
    alone: &'a [(TreatmentId, Protocol)],
) -> Vec<(For, Option<&'a ProtocolContent>)> {
    let of = |protocol, series| For { patient, protocol, area, series };
    let by = |protocol: &'a Protocol, series| (of(Some(protocol.id), series), Some(&protocol.content));
    match what {
        FitFor::Sessions(protocol, series) => vec![by(protocol, series)],
        FitFor::Treatment(treatment) if area.is_some() => {
            let theirs = alone.iter().filter(|(of, _)| *of == treatment);
            let theirs: Vec<_> = theirs.map(|(_, protocol)| by(protocol, None)).collect();
            if theirs.is_empty() { vec![(of(None, None), None)] } else { theirs }
        }
        FitFor::Treatment(_) => Vec::new(),
    }
}

fn asks_for_clearance(rules: Option<&ProtocolContent>) -> bool {
    rules.is_some_and(|rules| rules.clearance.is_some())
}

/// The protocols of which one has to be content where treatments are booked alone that needle: what they ask before
/// sessions is asked all the same. For what is added to a visit, the practitioner's approval stands.
async fn asked_alone(
    db: &mut PgConnection,
    practice: PracticeId,
    treatments: Vec<TreatmentId>,
) -> Result<Vec<(TreatmentId, Protocol)>, Error> {
    if treatments.is_empty() {
        return Ok(Vec::new());
    }
    Ok(catalog::protocols_of(db, practice, &treatments).await?)
}
