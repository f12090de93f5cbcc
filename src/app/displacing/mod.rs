//! What closures, time off and shorter hours do to visits that are booked: which of them lose their place, where they
//! go instead, and those that nobody has settled yet.
//!
//! - `lost`: which visits have lost their place
//! - `load`: what a plan for them, or a decision about moves, rests on
//! - `list`: those that are not settled

mod list;
mod load;
mod lost;

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::TimeDelta;

use super::commands::{ChosenMove, Rebooking};
use super::moving::{ids as ids_of, overtaken, replacement};
use super::series_booking::MAX_PLANNINGS;
use super::write::Write;
use super::{App, Command, Error};
use crate::domain::appointment::Appointment;
use crate::domain::booking::PlannedVisit;
use crate::domain::calendar::Calendar;
use crate::domain::catalog::{MAX_VISIT_MINUTES, ResourceKind};
use crate::domain::displacement::{MAX_MOVE_DAYS, Narrowing, PlacedVisit};
use crate::domain::history::ChangeKind;
use crate::domain::ids::{AppointmentId, PatientId, PracticeId, ResourceId, SeriesId};
use crate::domain::interval::{Instant, Interval};
use crate::domain::planning::Destined;
use crate::domain::refusal::{Refusal, Rule, Violation};
use crate::store::history::Earlier;
use crate::store::{PgConnection, appointment, booking, history, series};

use load::load;
use lost::{Lost, judged, left, lost};

/// A visit that has lost its place.
#[derive(Debug, Clone)]
pub struct DisplacedVisit {
    /// The visit, as it is now.
    pub appointment: Appointment,
    /// Why it cannot take place where it was booked.
    pub losses: Vec<Violation>,
    /// The appointment that it has moved to; none if it stays.
    pub moved_to: Option<Appointment>,
}

/// What a change did to visits.
#[derive(Debug, Clone)]
pub struct DisplacedVisits {
    /// The booked visits that have lost their place, by start.
    pub visits: Vec<DisplacedVisit>,
    /// What was only held, and is released.
    pub released: Vec<AppointmentId>,
}

/// The moves that go with a change.
#[derive(Debug)]
pub(super) enum Moves {
    /// None.
    Later,
    /// Those that were planned for these visits.
    Planned(Vec<(AppointmentId, Option<Destined>)>),
    /// Those that were chosen.
    Chosen(Vec<ChosenMove>),
}

impl App {
    /// Carries out a change with the moves that it asks for. Moves are planned without holding the practice, and
    /// decided again with the change itself; anew, if others were faster.
    pub(super) async fn with_moves<T, C, F>(
        &self,
        practice: PracticeId,
        (command, rebooking): (&Command<C>, &Rebooking),
        narrowing: &Narrowing,
        attempt: impl Fn(Arc<Moves>) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let given = match rebooking {
            Rebooking::Later => Some(Moves::Later),
            Rebooking::Chosen(chosen) => Some(Moves::Chosen(chosen.clone())),
            // Whoever repeats a request is answered with what it did.
            Rebooking::All => self.repeated(practice, command).await?.map(|_| Moves::Later),
        };
        if let Some(given) = given {
            let given = Arc::new(given);
            return self.retry(|| attempt(Arc::clone(&given))).await;
        }
        let mut refused = None;
        for _ in 0..MAX_PLANNINGS {
            let plan = self.planned(practice, narrowing).await?;
            match refused {
                // Nobody was faster: it is refused for what it is.
                Some((before, refusal)) if before == plan => return Err(Error::Refused(refusal)),
                Some(_) | None => {}
            }
            let planned = Arc::new(Moves::Planned(plan.clone()));
            match self.retry(|| attempt(Arc::clone(&planned))).await {
                Err(Error::Refused(refusal)) => refused = Some((plan, refusal)),
                done => return done,
            }
        }
        Err(Error::Refused(overtaken()))
    }

    /// The visits that a change would displace, and where each of them would go.
    async fn planned(
        &self,
        practice: PracticeId,
        narrowing: &Narrowing,
    ) -> Result<Vec<(AppointmentId, Option<Destined>)>, Error> {
        let mut db = self.read_current(practice).await?;
        let now = self.clock.now();
        let (booked, held) = lost(&mut db, practice, narrowing, now).await?;
        let held = ids_of(&released(&mut db, practice, &held).await?);
        let ids: Vec<AppointmentId> = booked.iter().map(|lost| lost.visit.id).collect();
        let visits = appointment::several(&mut db, practice, &ids).await?;
        let starts = || visits.iter().map(|visit| visit.visit.start());
        let (Some(first), Some(last)) = (starts().min(), starts().max()) else { return Ok(Vec::new()) };
        let reach = TimeDelta::days(MAX_MOVE_DAYS + 1);
        let span = Interval::new(now.max(first - reach), last + reach + TimeDelta::minutes(MAX_VISIT_MINUTES.into()));
        let span = span.unwrap_or_else(|| unreachable!("displaced visits lie ahead"));
        let mut displacement = load(&mut db, practice, visits, &[], vec![span], now).await?;
        drop(db);
        displacement.forget(&held);
        narrowing.narrow(&mut displacement.facts.clinics, &mut displacement.facts.resources);
        let ids: Vec<AppointmentId> = displacement.visits.iter().map(|visit| visit.appointment.id).collect();
        let plan = self.planners.think(practice, move || displacement.plan()).await?;
        Ok(ids.into_iter().zip(plan).collect())
    }

    /// What a change does to visits, decided under the lock: which have lost their place, and the moves of those that
    /// go elsewhere; or every rule that a move would break.
    pub(super) async fn displacing(
        &self,
        write: &mut Write,
        narrowing: &Narrowing,
        moves: &Moves,
    ) -> Result<Displacing, Error> {
        let (practice, now, revision) = (write.practice, write.now, write.revision);
        let (booked, held) = lost(write.db(), practice, narrowing, now).await?;
        let lost_holds: Vec<AppointmentId> = held.iter().map(|lost| lost.visit.id).collect();
        let held = released(write.db(), practice, &held).await?;
        if let Moves::Chosen(chosen) = moves {
            known(write.db(), practice, chosen).await?;
        }
        let to = destinations(&booked, moves).map_err(Error::Refused)?;
        let ids: Vec<AppointmentId> = to.iter().map(|(id, _)| *id).collect();
        let mut old = appointment::several(write.db(), practice, &ids).await?;
        old.sort_by_key(|visit| ids.iter().position(|id| *id == visit.id));
        let to: Vec<Destined> = to.into_iter().map(|(_, to)| to).collect();
        let gone = ids_of(&held);
        let freed = gone.iter().filter(|id| !lost_holds.contains(id)).copied().collect();
        let plans = decide(write.db(), practice, (narrowing, &old, &gone), &to, now).await?;
        let pairs = old.into_iter().zip(plans).map(|(old, plan)| {
            let new = replacement(&old, AppointmentId(self.ids.new_id(now)), plan, revision);
            (old, new)
        });
        Ok(Displacing { booked, held, freed, moved: pairs.collect() })
    }

    /// What an earlier request did to visits, as they are now.
    pub(super) async fn displaced_by(
        &self,
        practice: PracticeId,
        earlier: Earlier,
        narrowing: &Narrowing,
    ) -> Result<DisplacedVisits, Error> {
        let mut db = self.read_current(practice).await?;
        let booked = left(&mut db, practice, narrowing, self.clock.now()).await?;
        let change = history::list(&mut db, practice, earlier.revision - 1, 1).await?;
        let named = change.into_iter().flat_map(|change| change.appointments).collect();
        answer(&mut db, practice, booked, named).await
    }
}

/// What a change does to visits.
pub(super) struct Displacing {
    booked: Vec<Lost>,
    held: Vec<Appointment>,
    /// Of what is held those that do not lie in the time that is taken away: theirs alone comes free.
    freed: Vec<AppointmentId>,
    moved: Vec<(Appointment, (Appointment, PlannedVisit))>,
}

impl Displacing {
    /// Records the change, with the visits that it moves or releases.
    pub(super) async fn record(
        &self,
        write: &mut Write,
        kind: ChangeKind,
        subject: impl Into<uuid::Uuid>,
    ) -> Result<(), Error> {
        write.record_freeing(kind, subject, self.patient(), (self.named(), &self.freed)).await
    }

    fn ended(&self) -> impl Iterator<Item = &Appointment> {
        self.moved.iter().map(|(old, _)| old).chain(&self.held)
    }

    fn named(&self) -> Vec<AppointmentId> {
        let new = self.moved.iter().map(|(_, (new, _))| new.id);
        self.ended().map(|visit| visit.id).chain(new).collect()
    }

    /// Who it is about, if it is about one.
    fn patient(&self) -> Option<PatientId> {
        let first = self.ended().next()?.patient;
        self.ended().all(|visit| visit.patient == first).then_some(first)
    }

    /// Moves the visits, and releases what was only held.
    pub(super) async fn carry_out(self, write: &mut Write) -> Result<DisplacedVisits, Error> {
        let (practice, now, revision) = (write.practice, write.now, write.revision);
        let ended: Vec<AppointmentId> = self.ended().map(|visit| visit.id).collect();
        let named = self.named();
        let mut touched: Vec<SeriesId> = self.ended().filter_map(Appointment::series).collect();
        touched.sort_unstable();
        touched.dedup();
        let new: Vec<_> = self.moved.into_iter().map(|(_, new)| new).collect();
        if !ended.is_empty() {
            appointment::cancel(write.db(), practice, &ended, now, "", revision).await?;
        }
        if !new.is_empty() {
            appointment::insert(write.db(), practice, &new, now).await?;
        }
        if !touched.is_empty() {
            series::release(write.db(), practice, &touched, now, revision).await?;
            series::touch_all(write.db(), practice, &touched, revision).await?;
        }
        // As it will be read, within the same transaction.
        answer(write.db(), practice, self.booked, named).await
    }
}

/// The visits that have lost their place, and what became of those that a change names.
async fn answer(
    db: &mut PgConnection,
    practice: PracticeId,
    booked: Vec<Lost>,
    named: Vec<AppointmentId>,
) -> Result<DisplacedVisits, Error> {
    let mut losses: BTreeMap<AppointmentId, Vec<Violation>> =
        booked.into_iter().map(|lost| (lost.visit.id, lost.losses)).collect();
    let mut ids: Vec<AppointmentId> = losses.keys().copied().chain(named).collect();
    ids.sort_unstable();
    ids.dedup();
    let known = appointment::several(db, practice, &ids).await?;
    // Of what an earlier request moved, nothing is lost any more.
    let has_moved = |visit: &&Appointment| known.iter().any(|new| new.replaces == Some(visit.id));
    let moved = known.iter().filter(has_moved).filter(|visit| !losses.contains_key(&visit.id));
    let gone: Vec<PlacedVisit> = moved.map(PlacedVisit::of).collect();
    for Lost { visit, losses: why } in judged(db, practice, gone, None).await? {
        losses.insert(visit.id, why);
    }
    let mut displaced = DisplacedVisits { visits: Vec::new(), released: Vec::new() };
    for appointment in &known {
        let replaced = |new: &&Appointment| new.replaces == Some(appointment.id);
        if let Some(losses) = losses.remove(&appointment.id) {
            let moved_to = known.iter().find(replaced).cloned();
            displaced.visits.push(DisplacedVisit { appointment: appointment.clone(), losses, moved_to });
        } else if appointment.replaces.is_none_or(|old| !ids.contains(&old)) {
            displaced.released.push(appointment.id);
        }
    }
    Ok(displaced)
}

/// What is released because something that is held is in the way: a series that is held as a whole, with all its
/// sessions.
async fn released(db: &mut PgConnection, practice: PracticeId, held: &[Lost]) -> Result<Vec<Appointment>, Error> {
    let ids: Vec<AppointmentId> = held.iter().map(|lost| lost.visit.id).collect();
    let mut held = appointment::several(db, practice, &ids).await?;
    let mut whole: Vec<SeriesId> = held.iter().filter_map(Appointment::series).collect();
    whole.sort_unstable();
    whole.dedup();
    for series in series::several(db, practice, &whole).await?.into_iter().filter(|of| of.held_until().is_some()) {
        held.extend(series.sessions.into_iter().filter(|session| !ids.contains(&session.id)));
    }
    Ok(held)
}

/// An error for a visit or resource that the practice does not have.
async fn known(db: &mut PgConnection, practice: PracticeId, chosen: &[ChosenMove]) -> Result<(), Error> {
    let missing = |place: usize, field: &str| Error::not_found(format!("rebooking.moves[{place}].{field}"));
    let ids: Vec<AppointmentId> = chosen.iter().map(|chosen| chosen.id).collect();
    let visits = appointment::several(db, practice, &ids).await?;
    if let Some(place) = ids.iter().position(|id| visits.iter().all(|visit| visit.id != *id)) {
        return Err(missing(place, "appointment_id"));
    }
    let named: Vec<ResourceId> =
        chosen.iter().flat_map(|of| of.to.practitioner.iter().chain(&of.to.resources)).copied().collect();
    let resources = booking::resources(db, practice, &[], Some(&[]), &named, &[]).await?;
    let is_practitioner = |id| resources.iter().any(|known| known.id == id && known.kind == ResourceKind::Practitioner);
    for (place, ChosenMove { to, .. }) in chosen.iter().enumerate() {
        if to.practitioner.is_some_and(|id| !is_practitioner(id)) {
            return Err(missing(place, "practitioner_id"));
        }
        if let Some(at) = to.resources.iter().position(|id| resources.iter().all(|known| known.id != *id)) {
            return Err(missing(place, &format!("resource_ids[{at}]")));
        }
    }
    Ok(())
}

/// Where each visit goes that moves; or why that was not meant.
fn destinations(booked: &[Lost], moves: &Moves) -> Result<Vec<(AppointmentId, Destined)>, Refusal> {
    match moves {
        Moves::Later => Ok(Vec::new()),
        Moves::Planned(planned) => {
            // Planned for the very visits that have lost their place.
            let is_same = booked.len() == planned.len()
                && booked.iter().all(|lost| planned.iter().any(|(id, _)| *id == lost.visit.id));
            let moves = planned.iter().filter_map(|(id, to)| Some((*id, to.clone()?)));
            if is_same { Ok(moves.collect()) } else { Err(overtaken()) }
        }
        Moves::Chosen(chosen) => {
            let is_lost = |id| booked.iter().any(|lost| lost.visit.id == id);
            let refused = chosen.iter().filter(|chosen| !is_lost(chosen.id)).map(|chosen| {
                let text = "is no visit that this displaces: it was moved or cancelled meanwhile, has begun, or lies \
                            outside what this takes away; ask with validate_only again";
                told(chosen.id, &Violation::new(Rule::AppointmentNotBooked, text))
            });
            let refused: Refusal = refused.collect();
            let moves = chosen.iter().map(|chosen| (chosen.id, chosen.to.clone()));
            if refused.is_empty() { Ok(moves.collect()) } else { Err(refused) }
        }
    }
}

/// A violation by the move of a visit, which it names.
fn told(id: AppointmentId, violation: &Violation) -> Violation {
    let description = format!("the move of {id}: {}", violation.description);
    Violation { session: None, description, ..violation.clone() }
}

/// The plans of visits that move, as if the change had been made, and they and what it releases were gone from where
/// they are.
async fn decide(
    db: &mut PgConnection,
    practice: PracticeId,
    (narrowing, moving, gone): (&Narrowing, &[Appointment], &[AppointmentId]),
    to: &[Destined],
    now: Instant,
) -> Result<Vec<PlannedVisit>, Error> {
    if moving.is_empty() {
        return Ok(Vec::new());
    }
    // A visit takes at most twelve hours; the hours around it tell who has least to do.
    let around =
        to.iter().filter_map(|to| Interval::new(to.start - TimeDelta::hours(6), to.start + TimeDelta::hours(18)));
    let spans = Calendar::union(around.collect()).intervals().to_vec();
    let named: Vec<ResourceId> =
        to.iter().flat_map(|to| to.practitioner.iter().chain(&to.resources)).copied().collect();
    let mut displacement = load(db, practice, moving.to_vec(), &named, spans, now).await?;
    displacement.forget(gone);
    narrowing.narrow(&mut displacement.facts.clinics, &mut displacement.facts.resources);
    displacement.decide(to).map_err(|refusal| {
        let of = |place: usize| moving.get(place).map(|visit| visit.id);
        let refusal = refusal.into_iter().map(|violation| match violation.session.and_then(of) {
            Some(id) => told(id, &violation),
            None => violation,
        });
        Error::Refused(refusal.collect())
    })
}
