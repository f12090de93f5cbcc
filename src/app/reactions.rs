//! Reactions to a session: what they hold, and how it goes on after them.

use std::sync::Arc;

use chrono::NaiveDate;

use super::commands::{ClearReaction, ListReactions, ReportReaction};
use super::moving::{Cause, Restart, Shift, overtaken, pairs, rebook};
use super::overrides::{of_series, signed, supersede};
use super::page::{Page, fetch};
use super::series::SeriesNow;
use super::series_booking::MAX_PLANNINGS;
use super::visit::names_any_of;
use super::write::Begun;
use super::{App, Command, Error, Scoped, appointment as appointment_app, fitness, series as series_app};
use crate::domain::access::{Author, Caller};
use crate::domain::appointment::{Appointment, AppointmentState};
use crate::domain::history::ChangeKind;
use crate::domain::ids::{AppointmentId, OverrideId, PracticeId, ReactionId, ResourceId};
use crate::domain::interval::Instant;
use crate::domain::overrides::{Override, Purpose, followers, gap_fits, gap_is_no_shorter};
use crate::domain::reaction::{Cleared, Reaction};
use crate::domain::refusal::{Refusal, Rule, Violation};
use crate::domain::series::Series;
use crate::domain::text::{Personal, Prose};
use crate::store::history::Earlier;
use crate::store::{PgConnection, appointment, catalog, overrides, patient, reaction, series};

/// A reaction, and what it holds.
#[derive(Debug, Clone)]
pub struct Reported {
    /// The reaction.
    pub reaction: Reaction,
    /// The series that it holds.
    pub held: Vec<Series>,
    /// What needles the patient, is booked and to come, and is kept from being done, by start.
    pub at_risk: Vec<Appointment>,
}

/// A reaction that was cleared, its series, and the sessions that moved: each as it was and as it is.
#[derive(Debug, Clone)]
pub struct ReactionCleared {
    /// The reaction.
    pub reaction: Reaction,
    /// Its series.
    pub series: SeriesNow,
    /// What moved, by start.
    pub moves: Vec<(Appointment, Appointment)>,
}

/// What clearing a reaction rests on.
struct Setting {
    reaction: Reaction,
    series: Series,
    by: ResourceId,
    /// The first day on which the patient may be treated again.
    from: NaiveDate,
    /// The series whose sessions may have to move, the reaction's own first.
    restarts: Vec<Restart>,
}

impl App {
    /// Reports a reaction to a session.
    pub async fn report_reaction(&self, caller: &Caller, command: &Command<ReportReaction>) -> Result<Reported, Error> {
        self.retry(|| self.try_report_reaction(caller, command)).await
    }

    async fn try_report_reaction(&self, caller: &Caller, command: &Command<ReportReaction>) -> Result<Reported, Error> {
        let practice = Self::tenant(caller, command.practice)?;
        let mut write = match self.begin(caller, practice, command).await? {
            Begun::Fresh(write) => write,
            Begun::Repeat(earlier) => {
                let mut db = self.read_current(practice).await?;
                let reaction = found(&mut db, practice, ReactionId(earlier.subject)).await?;
                return reported(&mut db, practice, reaction, self.clock.now()).await;
            }
        };
        let (now, revision) = (write.now, write.revision);
        let id = ReactionId(self.ids.new_id(now));
        let reaction = observed(write.db(), practice, &command.body, (id, caller.author()), now).await?;
        let patient = reaction.patient;
        write.record(ChangeKind::ReactionReported, id, Some(patient), Vec::new()).await?;
        reaction::insert(write.db(), practice, &reaction, revision).await?;
        if reaction.holds() {
            series::touch_active(write.db(), practice, patient, revision).await?;
        }
        let reported = reported(write.db(), practice, reaction, now).await?;
        write.finish().await?;
        Ok(reported)
    }

    /// Clears a reaction, and moves the sessions that are booked too early.
    pub async fn clear_reaction(
        &self,
        caller: &Caller,
        command: &Command<ClearReaction>,
    ) -> Result<ReactionCleared, Error> {
        let practice = Self::tenant(caller, command.practice)?;
        if let Some(earlier) = self.repeated(practice, command).await? {
            return self.cleared(practice, earlier).await;
        }
        let mut plannings = 1;
        loop {
            let shifts = match self.shifts_after(practice, caller, &command.body).await {
                Ok(shifts) => shifts,
                // The same request may have been carried out meanwhile.
                Err(error) => match self.repeated(practice, command).await? {
                    Some(earlier) => return self.cleared(practice, earlier).await,
                    None => return Err(error),
                },
            };
            match self.retry(|| self.try_clear_reaction(caller, command, &shifts)).await? {
                Ok(cleared) => return Ok(cleared),
                // Somebody took a place that a session was to move to: what is left now?
                Err(_) if plannings < MAX_PLANNINGS => plannings += 1,
                Err(refusal) => return Err(Error::Refused(refusal)),
            }
        }
    }

    /// The sessions that have to move.
    async fn shifts_after(
        &self,
        practice: PracticeId,
        caller: &Caller,
        ask: &ClearReaction,
    ) -> Result<Vec<Shift>, Error> {
        let Setting { restarts, from, .. } =
            setting(&mut *self.read_current(practice).await?, practice, caller, ask, None, self.clock.now()).await?;
        let no_plan = "the sessions cannot all follow; cancel sessions first, or choose another day or a longer gap";
        self.shifts(practice, restarts, from, Cause { field: "reaction_id", no_plan }).await
    }

    /// The inner error tells that somebody was faster than the plan.
    async fn try_clear_reaction(
        &self,
        caller: &Caller,
        command: &Command<ClearReaction>,
        shifts: &[Shift],
    ) -> Result<Result<ReactionCleared, Refusal>, Error> {
        let practice = Self::tenant(caller, command.practice)?;
        let mut write = match self.begin(caller, practice, command).await? {
            Begun::Fresh(write) => write,
            Begun::Repeat(earlier) => return self.cleared(practice, earlier).await.map(Ok),
        };
        let (now, revision) = (write.now, write.revision);
        let ask = &command.body;
        let granted = ask.gap_days.map(|_| OverrideId(self.ids.new_id(now)));
        let Setting { reaction, series, by, from, restarts } =
            setting(write.db(), practice, caller, ask, granted, now).await?;
        let Some(moving) = moving(&restarts, shifts, from, now) else { return Ok(Err(overtaken())) };
        let old: Vec<AppointmentId> = moving.iter().flatten().map(|session| session.id).collect();
        let new: Vec<Vec<AppointmentId>> = moving
            .iter()
            .map(|sessions| sessions.iter().map(|_| AppointmentId(self.ids.new_id(now))).collect())
            .collect();
        let mut follow = Vec::new();
        if let Some(days) = ask.gap_days {
            let mut needlings = overrides::needlings(write.db(), practice, series.patient, series.area, now).await?;
            needlings.retain(|needling| !old.contains(&needling.id));
            follow = followers(&needlings, series.id);
            if let Err(refusal) = gap_fits(&needlings, &follow, days) {
                // What lies ahead would have moved by the plan, had nobody changed it since.
                let ahead: Vec<Appointment> = restarts.iter().flat_map(|restart| restart.series.ahead(now)).collect();
                let overtaken = names_any_of(&refusal, &ahead);
                return if overtaken { Ok(Err(refusal)) } else { Err(Error::Refused(refusal)) };
            }
        }

        let touched = old.iter().chain(new.iter().flatten()).chain(&follow).copied().collect();
        write.record(ChangeKind::ReactionCleared, reaction.id, Some(reaction.patient), touched).await?;
        let cleared = Cleared { at: now, by, earliest: ask.earliest, notes: ask.notes.clone() };
        reaction::clear(write.db(), practice, reaction.id, &cleared, revision).await?;
        // The reason is that another appointment replaces it.
        appointment::cancel(write.db(), practice, &old, now, "", revision).await?;
        if let (Some(id), Some(days)) = (granted, ask.gap_days) {
            supersede(&mut write, series.gap.override_id(), by).await?;
            let granted = gap_after(ask, id, &series, days, by, now);
            overrides::insert(write.db(), practice, &granted, revision).await?;
            overrides::respace(write.db(), practice, &follow, series.area, days, Some(id), revision).await?;
        }
        series::touch_active(write.db(), practice, reaction.patient, revision).await?;
        for ((shift, moving), new) in shifts.iter().zip(moving).zip(new) {
            let Some(restart) = restarts.iter().find(|restart| restart.series.id == shift.series) else { continue };
            let rebooked = rebook(&mut write, restart.series.clone(), moving, &shift.following, new).await?;
            if let Err(refusal) = rebooked {
                return Ok(Err(refusal));
            }
        }
        // As it will be read, within the same transaction.
        let done = as_it_is(write.db(), practice, reaction.id, revision, now).await?;
        write.finish().await?;
        Ok(Ok(done))
    }

    /// What an earlier request cleared, as it is now.
    async fn cleared(&self, practice: PracticeId, earlier: Earlier) -> Result<ReactionCleared, Error> {
        let now = self.clock.now();
        as_it_is(&mut *self.read_current(practice).await?, practice, ReactionId(earlier.subject), earlier.revision, now)
            .await
    }

    /// The reactions of a patient, oldest first.
    pub async fn list_reactions(
        &self,
        caller: &Caller,
        scoped: Scoped<ListReactions>,
    ) -> Result<Page<Reaction, ReactionId>, Error> {
        let practice = Self::tenant(caller, scoped.practice)?;
        let ListReactions { patient, page } = scoped.query;
        let mut db = self.read().await?;
        if !patient::exists(&mut db, practice, patient).await? {
            return Err(Error::not_found("patient_id"));
        }
        let found = reaction::list(&mut db, practice, patient, page.after, fetch(page.size)).await?;
        Ok(Page::new(found, page.size, |last| last.id))
    }
}

async fn found(db: &mut PgConnection, practice: PracticeId, id: ReactionId) -> Result<Reaction, Error> {
    reaction::get(db, practice, id).await?.ok_or_else(|| Error::not_found("reaction_id"))
}

/// A reaction, and what it holds as of now.
async fn reported(
    db: &mut PgConnection,
    practice: PracticeId,
    reaction: Reaction,
    now: Instant,
) -> Result<Reported, Error> {
    let (mut held, mut at_risk) = (Vec::new(), Vec::new());
    if reaction.holds() {
        held = series::active(db, practice, reaction.patient).await?;
        at_risk = fitness::at_risk(db, practice, reaction.patient, now).await?;
    }
    Ok(Reported { reaction, held, at_risk })
}

/// A reaction as it is, its series, and what moved when it was cleared at that revision.
async fn as_it_is(
    db: &mut PgConnection,
    practice: PracticeId,
    id: ReactionId,
    revision: i64,
    now: Instant,
) -> Result<ReactionCleared, Error> {
    let reaction = found(db, practice, id).await?;
    let series = series_app::found(db, practice, reaction.series).await?;
    let protocol = Arc::new(series_app::protocol_of(db, practice, &series).await?);
    let series = SeriesNow { series, protocol, now };
    let booked = appointment::booked_by(db, practice, revision).await?;
    let mut moves = pairs(db, practice, booked).await?;
    moves.sort_by_key(|(_, new)| (new.visit.start(), new.id));
    Ok(ReactionCleared { reaction, series, moves })
}

/// The reaction that is reported, if the session and its protocol allow it.
async fn observed(
    db: &mut PgConnection,
    practice: PracticeId,
    ask: &ReportReaction,
    (id, reported_by): (ReactionId, Author),
    now: Instant,
) -> Result<Reaction, Error> {
    let session = appointment_app::found(db, practice, ask.appointment).await?;
    // An assessment needles nobody.
    let needled = session.area.and(session.series());
    let remedy = "must be a session of a series, or one that maintains its result";
    let of = needled.ok_or_else(|| Error::field("appointment_id", remedy))?;
    match session.state {
        AppointmentState::Cancelled { .. } => {
            let text = "the session is cancelled; nothing came of it";
            return Err(Error::Refused(vec![Violation::new(Rule::AppointmentNotBooked, text)]));
        }
        AppointmentState::NoShow { .. } => {
            let text = "nobody came to the session; if that was a mistake, take it back with UndoVisit";
            return Err(Error::Refused(vec![Violation::new(Rule::AppointmentNotBooked, text)]));
        }
        AppointmentState::Held { .. }
        | AppointmentState::Booked
        | AppointmentState::Confirmed { .. }
        | AppointmentState::Arrived(_)
        | AppointmentState::InProgress { .. }
        | AppointmentState::Fulfilled { .. } => {}
    }
    if !session.has_begun(now) {
        return Err(Error::field("appointment_id", "must be a session that has begun"));
    }
    let onset = *ask.onset.expose();
    if onset > now || onset < session.begins() {
        let remedy = if onset > now { "must not be in the future" } else { "must not be before the session" };
        return Err(Error::field("onset_time", remedy));
    }
    let series = series_app::found(db, practice, of).await?;
    let protocol = catalog::protocol(db, practice, series.protocol, Some(series.protocol_version)).await?;
    let rules = protocol.map(|protocol| protocol.content.reactions).unwrap_or_default();
    let rule = rules.into_iter().find(|rule| rule.kind == *ask.kind.expose());
    let remedy = "must be a kind of the reaction rules of the protocol, in the version of the series";
    let rule = rule.ok_or_else(|| Error::field("reaction_kind", remedy))?;
    let grade = ask.grade.unwrap_or(rule.grade);
    if grade < rule.grade {
        let remedy = "must be unspecified, or at least as grave as the reaction rule says";
        return Err(Error::field("reaction_grade", remedy));
    }
    Ok(Reaction {
        id,
        patient: session.patient,
        appointment: session.id,
        attended: session.arrived_at().is_some(),
        series: series.id,
        kind: ask.kind.clone(),
        grade,
        onset: ask.onset.clone(),
        description: ask.description.clone(),
        reported_at: now,
        reported_by,
        cleared: None,
    })
}

/// What a request to clear refers to, if it may be cleared like that. The gap that is to count is known by the id of the
/// override that sets it; a plan does not need it.
async fn setting(
    db: &mut PgConnection,
    practice: PracticeId,
    caller: &Caller,
    ask: &ClearReaction,
    granted: Option<OverrideId>,
    now: Instant,
) -> Result<Setting, Error> {
    let reaction = found(db, practice, ask.id).await?;
    let series = series_app::found(db, practice, reaction.series).await?;
    let who = of_series(db, practice, &series).await?;
    let by = signed(db, practice, caller, &who).await?;
    reaction.must_hold().map_err(Error::Refused)?;
    let session = appointment_app::found(db, practice, reaction.appointment).await?;
    if ask.earliest < session.zone.day(now) {
        return Err(Error::field("earliest_date", "must not be before today at the clinic"));
    }
    if let Some(days) = ask.gap_days {
        series.must_be_active().map_err(Error::Refused)?;
        gap_is_no_shorter(series.gap.days().minimum, days).map_err(Error::Refused)?;
    }
    let standing = reaction::standing(db, practice, reaction.patient).await?;
    let from = ask.earliest.max(standing.earliest().unwrap_or(ask.earliest));
    let is_held = standing.holding.iter().any(|(id, _)| *id != reaction.id);
    let active = series::active(db, practice, reaction.patient).await?;
    let (own, others): (Vec<_>, Vec<_>) = active.into_iter().partition(|active| active.id == series.id);
    let own = own.into_iter().map(|mut series| {
        if let Some(days) = ask.gap_days {
            let id = granted.unwrap_or(OverrideId(uuid::Uuid::nil()));
            series.gap.overridden = Some((id, days));
        }
        Restart { series, is_respaced: ask.gap_days.is_some() }
    });
    let others = others.into_iter().filter(|_| !is_held).map(|series| Restart { series, is_respaced: false });
    let restarts = own.chain(others).collect();
    Ok(Setting { reaction, series, by, from, restarts })
}

/// The sessions that move, shift by shift. Nothing if one of them is not there any more, or if there is another that lies
/// too early.
fn moving(restarts: &[Restart], shifts: &[Shift], from: NaiveDate, now: Instant) -> Option<Vec<Vec<Appointment>>> {
    let mut moving = Vec::with_capacity(shifts.len());
    for Shift { series, following } in shifts {
        let series = &restarts.iter().find(|restart| restart.series.id == *series)?.series;
        let ahead = series.ahead(now);
        let of = |id| ahead.iter().find(|session| session.id == id).cloned();
        moving.push(following.iter().map(|following| of(following.session.id)).collect::<Option<Vec<_>>>()?);
    }
    let stays = |session: &Appointment| !moving.iter().flatten().any(|other: &Appointment| other.id == session.id);
    let mut ahead = restarts.iter().flat_map(|restart| restart.series.ahead(now));
    let left = ahead.any(|session| session.zone.day(session.visit.start()) < from && stays(&session));
    (!left).then_some(moving)
}

/// The gap that counts from now on.
fn gap_after(
    ask: &ClearReaction,
    id: OverrideId,
    series: &Series,
    days: i32,
    by: ResourceId,
    now: Instant,
) -> Override {
    let said = !ask.notes.expose().as_str().is_empty();
    let reason =
        if said { ask.notes.clone() } else { Personal::new(Prose::new("after a reaction").unwrap_or_default()) };
    Override {
        id,
        patient: series.patient,
        purpose: Purpose::Gap { series: series.id, days },
        reason,
        granted_at: now,
        granted_by: by,
        revoked: None,
    }
}
