//! Overrides: where a practitioner decides otherwise than the rules.

use super::commands::{GrantOverride, ListOverrides, RevokeOverride};
use super::page::{Page, fetch};
use super::signature::signer;
use super::write::{Begun, Write};
use super::{App, Command, Error, Scoped, appointment, combination, fitness, series as series_app};
use crate::domain::access::Caller;
use crate::domain::appointment::Appointment;
use crate::domain::booking::Timing;
use crate::domain::catalog::{Activity, Qualification, Restriction, Span};
use crate::domain::clearance::Revocation;
use crate::domain::history::ChangeKind;
use crate::domain::ids::{AppointmentId, OverrideId, PatientId, PracticeId, ProtocolId, ResourceId, TreatmentId};
use crate::domain::interval::{Instant, Interval};
use crate::domain::overrides::{
    Override, Purpose, followers, gap_fits, gap_is_allowed, since, window_fits, window_is_shorter,
};
use crate::domain::refusal::{Other, Refusal, Rule, Violation};
use crate::domain::series::Series;
use crate::domain::text::{Code, Personal, Prose};
use crate::store::{PgConnection, catalog, overrides, patient, series};

/// What a decision changes of what is stored, besides the override itself.
enum Effect {
    /// The spacing windows of sessions of a series, from now on this long, by an override or without.
    Gap { series: Box<Series>, follow: Vec<AppointmentId>, days: i32, by: Option<OverrideId> },
    /// An aftercare window, which is then, by an override or without; none if it stays as it is.
    Window { visit: Box<Appointment>, activity: Activity, during: Option<(Interval, Option<OverrideId>)> },
    /// Nothing.
    None,
}

impl Effect {
    /// The appointments that change.
    fn touched(&self) -> Vec<AppointmentId> {
        match self {
            Self::Gap { follow, .. } => follow.clone(),
            Self::Window { visit, during: Some(_), .. } => vec![visit.id],
            Self::Window { during: None, .. } | Self::None => Vec::new(),
        }
    }

    async fn write(&self, write: &mut Write) -> Result<(), Error> {
        let (practice, revision) = (write.practice, write.revision);
        match self {
            Self::Gap { series, follow, days, by } => {
                overrides::respace(write.db(), practice, follow, series.area, *days, *by, revision).await?;
                series::touch(write.db(), practice, series.id, revision).await?;
            }
            Self::Window { visit, activity, during } => {
                if let Some((during, by)) = during {
                    let of = (visit.id, *activity);
                    overrides::change_window(write.db(), practice, of, *during, *by, revision).await?;
                }
                if let Some(series) = visit.series() {
                    series::touch(write.db(), practice, series, revision).await?;
                }
            }
            Self::None => {}
        }
        Ok(())
    }
}

/// An override that was taken back.
#[derive(Debug, Clone)]
pub struct TakenBack {
    /// The override.
    pub decision: Override,
    /// The minimum gap of the series now, if it was about that.
    pub gap_days: Option<i32>,
    /// What is booked for the patient and for which they are not fit now, by start, if it was about a condition.
    pub at_risk: Vec<Appointment>,
}

impl App {
    /// Decides otherwise than the rules.
    pub async fn grant_override(&self, caller: &Caller, command: &Command<GrantOverride>) -> Result<Override, Error> {
        self.retry(|| self.try_grant_override(caller, command)).await
    }

    async fn try_grant_override(&self, caller: &Caller, command: &Command<GrantOverride>) -> Result<Override, Error> {
        let practice = Self::tenant(caller, command.practice)?;
        let mut write = match self.begin(caller, practice, command).await? {
            Begun::Fresh(write) => write,
            Begun::Repeat(earlier) => return self.override_as_it_is(practice, OverrideId(earlier.subject)).await,
        };
        let (now, revision) = (write.now, write.revision);
        let GrantOverride { patient, purpose, reason } = &command.body;
        if !patient::exists(write.db(), practice, *patient).await? {
            return Err(Error::not_found("patient_id"));
        }
        let who = qualifications(write.db(), practice, *patient, purpose).await?;
        let by = signed(write.db(), practice, caller, &who).await?;
        let id = OverrideId(self.ids.new_id(now));
        let (former, effect) = granting(write.db(), practice, (id, *patient), purpose, now).await?;
        let granted = Override {
            id,
            patient: *patient,
            purpose: purpose.clone(),
            reason: reason.clone(),
            granted_at: now,
            granted_by: by,
            revoked: None,
        };
        write.record(ChangeKind::OverrideGranted, granted.id, Some(*patient), effect.touched()).await?;
        supersede(&mut write, former, by).await?;
        overrides::insert(write.db(), practice, &granted, revision).await?;
        effect.write(&mut write).await?;
        write.finish().await?;
        Ok(granted)
    }

    /// Takes an override back. What is revoked already stays as it is.
    pub async fn revoke_override(
        &self,
        caller: &Caller,
        command: &Command<RevokeOverride>,
    ) -> Result<TakenBack, Error> {
        self.retry(|| self.try_revoke_override(caller, command)).await
    }

    async fn try_revoke_override(
        &self,
        caller: &Caller,
        command: &Command<RevokeOverride>,
    ) -> Result<TakenBack, Error> {
        let practice = Self::tenant(caller, command.practice)?;
        let mut write = match self.begin(caller, practice, command).await? {
            Begun::Fresh(write) => write,
            Begun::Repeat(earlier) => {
                let mut db = self.read_current(practice).await?;
                return taken_back(&mut db, practice, OverrideId(earlier.subject), self.clock.now()).await;
            }
        };
        let (now, revision) = (write.now, write.revision);
        let RevokeOverride { id, reason } = &command.body;
        let before = found(write.db(), practice, *id).await?;
        let who = qualifications(write.db(), practice, before.patient, &before.purpose).await?;
        let by = signed(write.db(), practice, caller, &who).await?;
        if before.revoked.is_some() {
            // Nothing changes, so nothing is recorded.
            return taken_back(write.db(), practice, *id, now).await;
        }
        let effect = revoking(write.db(), practice, &before, now).await?;
        let revocation = Revocation { at: now, by, reason: reason.clone() };
        write.record(ChangeKind::OverrideRevoked, *id, Some(before.patient), effect.touched()).await?;
        overrides::revoke(write.db(), practice, *id, &revocation, revision).await?;
        effect.write(&mut write).await?;
        let revoked = taken_back(write.db(), practice, *id, now).await?;
        write.finish().await?;
        Ok(revoked)
    }

    /// The overrides of a patient, oldest first.
    pub async fn list_overrides(
        &self,
        caller: &Caller,
        scoped: Scoped<ListOverrides>,
    ) -> Result<Page<Override, OverrideId>, Error> {
        let practice = Self::tenant(caller, scoped.practice)?;
        let ListOverrides { patient, include_revoked, page } = scoped.query;
        let mut db = self.read().await?;
        if !patient::exists(&mut db, practice, patient).await? {
            return Err(Error::not_found("patient_id"));
        }
        let found = overrides::list(&mut db, practice, patient, include_revoked, page.after, fetch(page.size)).await?;
        Ok(Page::new(found, page.size, |last| last.id))
    }

    async fn override_as_it_is(&self, practice: PracticeId, id: OverrideId) -> Result<Override, Error> {
        found(&mut *self.read().await?, practice, id).await
    }
}

/// An override that counts no more, and what follows from that.
async fn taken_back(
    db: &mut PgConnection,
    practice: PracticeId,
    id: OverrideId,
    now: Instant,
) -> Result<TakenBack, Error> {
    let decision = found(db, practice, id).await?;
    let (mut gap_days, mut at_risk) = (None, Vec::new());
    match decision.purpose {
        Purpose::Gap { series, .. } => {
            gap_days = Some(series_app::found(db, practice, series).await?.gap.days().minimum);
        }
        Purpose::Condition { .. } => at_risk = fitness::at_risk(db, practice, decision.patient, now).await?,
        // Refused while anything rests on them.
        Purpose::Combination { .. } | Purpose::Aftercare { .. } => {}
    }
    Ok(TakenBack { decision, gap_days, at_risk })
}

async fn found(db: &mut PgConnection, practice: PracticeId, id: OverrideId) -> Result<Override, Error> {
    overrides::get(db, practice, id).await?.ok_or_else(|| Error::not_found("override_id"))
}

/// Revokes the override of the same purpose that is in force.
pub(super) async fn supersede(write: &mut Write, former: Option<OverrideId>, by: ResourceId) -> Result<(), Error> {
    let Some(former) = former else { return Ok(()) };
    let (practice, revision) = (write.practice, write.revision);
    let reason = Prose::new("superseded").unwrap_or_default();
    let revocation = Revocation { at: write.now, by, reason: Personal::new(reason) };
    Ok(overrides::revoke(write.db(), practice, former, &revocation, revision).await?)
}

/// The practitioner who signs: qualified for one of these.
pub(super) async fn signed(
    db: &mut PgConnection,
    practice: PracticeId,
    caller: &Caller,
    qualifications: &[Qualification],
) -> Result<ResourceId, Error> {
    let mut refused = None;
    for qualification in qualifications {
        match signer(db, practice, caller, qualification).await {
            Err(error @ Error::Refused(_)) => refused = Some(error),
            done => return done,
        }
    }
    Err(refused.unwrap_or_else(nobody_decides))
}

/// No protocol says who may decide.
fn nobody_decides() -> Error {
    let text = "the protocol has no rules of clearance, which say who may decide otherwise";
    Error::Refused(vec![Violation::new(Rule::OverrideNotAllowed, text)])
}

/// What a practitioner has to be qualified for, one of them. What the purpose names has to be there, and the patient's.
async fn qualifications(
    db: &mut PgConnection,
    practice: PracticeId,
    patient: PatientId,
    purpose: &Purpose,
) -> Result<Vec<Qualification>, Error> {
    match purpose {
        Purpose::Gap { series, .. } => {
            let series = series::get(db, practice, *series).await?.filter(|series| series.patient == patient);
            let series = series.ok_or_else(|| Error::not_found("gap.series_id"))?;
            of_series(db, practice, &series).await
        }
        Purpose::Condition { protocol, .. } => {
            if catalog::protocol(db, practice, *protocol, None).await?.is_none() {
                return Err(Error::not_found("condition.protocol_id"));
            }
            let asks = catalog::clearing_protocol(db, practice, *protocol).await?;
            Ok(asks
                .and_then(|protocol| protocol.content.clearance)
                .map(|rules| rules.qualification)
                .into_iter()
                .collect())
        }
        Purpose::Combination { treatment, add_on } => {
            for (id, field) in [(treatment, "combination.treatment_id"), (add_on, "combination.add_on_treatment_id")] {
                if catalog::treatment(db, practice, *id, None).await?.is_none() {
                    return Err(Error::not_found(field));
                }
            }
            of_treatment(db, practice, *treatment, "combination.treatment_id").await
        }
        Purpose::Aftercare { appointment, .. } => {
            let visit = crate::store::appointment::get(db, practice, *appointment).await?;
            let visit = visit.filter(|visit| visit.patient == patient);
            let visit = visit.ok_or_else(|| Error::not_found("aftercare.appointment_id"))?;
            match visit.series() {
                Some(series) => {
                    let series = series_app::found(db, practice, series).await?;
                    of_series(db, practice, &series).await
                }
                None => of_treatment(db, practice, visit.treatment, "aftercare.appointment_id").await,
            }
        }
    }
}

/// What the version of the protocol says that a series runs under.
pub(super) async fn of_series(
    db: &mut PgConnection,
    practice: PracticeId,
    series: &Series,
) -> Result<Vec<Qualification>, Error> {
    let protocol = catalog::protocol(db, practice, series.protocol, Some(series.protocol_version)).await?;
    let rules = protocol.and_then(|protocol| protocol.content.clearance);
    Ok(rules.into_iter().map(|rules| rules.qualification).collect())
}

/// What the protocols of a treatment say.
async fn of_treatment(
    db: &mut PgConnection,
    practice: PracticeId,
    treatment: TreatmentId,
    field: &str,
) -> Result<Vec<Qualification>, Error> {
    let known = overrides::qualifications(db, practice, treatment).await?;
    if known.is_empty() {
        let remedy = "must be of a treatment that some protocol with rules of clearance uses: they say who may decide";
        return Err(Error::field(field, remedy));
    }
    Ok(known)
}

/// Whether it may be granted, the override that it supersedes, and what it changes.
async fn granting(
    db: &mut PgConnection,
    practice: PracticeId,
    (granted, patient): (OverrideId, PatientId),
    purpose: &Purpose,
    now: Instant,
) -> Result<(Option<OverrideId>, Effect), Error> {
    match purpose {
        Purpose::Gap { series, days } => {
            let series = series_app::found(db, practice, *series).await?;
            let follow = gap_followers(db, practice, &series, *days, now).await?;
            let former = series.gap.override_id();
            Ok((former, Effect::Gap { series: Box::new(series), follow, days: *days, by: Some(granted) }))
        }
        Purpose::Condition { protocol, condition } => {
            let conditions = std::slice::from_ref(condition.expose());
            must_be_clearable(db, practice, *protocol, conditions, |_| "condition.condition".to_owned()).await?;
            let former = overrides::of_condition(db, practice, patient, *protocol, condition.expose()).await?;
            Ok((former, Effect::None))
        }
        Purpose::Combination { treatment, add_on } => {
            // Visits rest on the one that is there.
            if overrides::combination(db, practice, patient, *treatment, *add_on).await?.is_some() {
                let text = "the combination is approved for the patient already";
                return Err(Error::Refused(vec![Violation::new(Rule::OverrideNotAllowed, text)]));
            }
            Ok((None, Effect::None))
        }
        Purpose::Aftercare { appointment: id, activity, after } => {
            let visit = appointment::found(db, practice, *id).await?;
            if !visit.is_live() {
                let text = "the appointment is cancelled, or nobody came; it forbids nothing";
                return Err(Error::Refused(vec![Violation::new(Rule::AppointmentNotBooked, text)]));
            }
            let remedy = "must be an activity that the visit forbids";
            let nothing = || Error::field("aftercare.activity", remedy);
            if !overrides::forbids(db, practice, *id, *activity).await? {
                return Err(nothing());
            }
            let (usual, proposed) =
                windows(db, practice, &visit, *activity, Some(*after)).await?.ok_or_else(nothing)?;
            window_is_shorter(proposed, usual).map_err(Error::Refused)?;
            let former = overrides::of_window(db, practice, *id, *activity).await?;
            // It may be longer than another override had it.
            let of = (visit.patient, *activity);
            let Some(rest) = window_since(db, practice, of, *id, proposed).await? else {
                let text =
                    "something took place since that the window would have forbidden; let it end later than that";
                return Err(Error::Refused(vec![Violation::new(Rule::OverrideNotAllowed, text)]));
            };
            let during = Some((rest, Some(granted)));
            Ok((former, Effect::Window { visit: Box::new(visit), activity: *activity, during }))
        }
    }
}

/// The sessions whose windows get another length, if the protocol leaves it to a practitioner and all that is booked fits.
async fn gap_followers(
    db: &mut PgConnection,
    practice: PracticeId,
    series: &Series,
    days: i32,
    now: Instant,
) -> Result<Vec<AppointmentId>, Error> {
    series.must_be_active().map_err(Error::Refused)?;
    gap_is_allowed(series.gap.protocol, days).map_err(Error::Refused)?;
    let needlings = overrides::needlings(db, practice, series.patient, series.area, now).await?;
    let follow = followers(&needlings, series.id);
    gap_fits(&needlings, &follow, days).map_err(Error::Refused)?;
    Ok(follow)
}

/// A refusal unless a protocol leaves conditions to a practitioner. A version that asks for one no more leaves patients to
/// series that run under earlier ones, which still do: the highest that asks is the one that says.
pub(super) async fn must_be_clearable(
    db: &mut PgConnection,
    practice: PracticeId,
    protocol: ProtocolId,
    conditions: &[Code],
    field: impl Fn(usize) -> String,
) -> Result<(), Error> {
    let known = catalog::may_be_cleared(db, practice, protocol, conditions).await?;
    for (place, condition) in conditions.iter().enumerate() {
        match known.iter().find(|(code, _)| code == condition) {
            Some((_, true)) => {}
            // Which condition it is, is not said here: refusals carry no personal data.
            Some((_, false)) => {
                let text = "the protocol does not leave a condition that is named to a practitioner";
                return Err(Error::Refused(vec![Violation::new(Rule::OverrideNotAllowed, text)]));
            }
            None => {
                let remedy = "must be a condition of the protocol's screening rules, in some version";
                return Err(Error::field(field(place), remedy));
            }
        }
    }
    Ok(())
}

/// The aftercare window of a visit as its treatment has it, with what is added to it, and with another length after the
/// treatment proper. Nothing if the treatment does not forbid the activity.
async fn windows(
    db: &mut PgConnection,
    practice: PracticeId,
    visit: &Appointment,
    activity: Activity,
    after: Option<Span>,
) -> Result<Option<(Interval, Interval)>, Error> {
    let treatment = catalog::treatment(db, practice, visit.treatment, Some(visit.treatment_version)).await?;
    let Some(treatment) = treatment else { return Ok(None) };
    let combined = combination::of_appointment(db, practice, &treatment, visit).await?;
    let treatment = combined.as_ref().map_or(&treatment, |combined| &combined.treatment);
    let timing = Timing::new(treatment);
    let forbids = |restriction: &&Restriction| !restriction.advice_only && restriction.activity == activity;
    let restriction = treatment.content.restrictions.iter().find(forbids);
    let Some(restriction) = restriction.cloned() else { return Ok(None) };
    let of = |restriction: &Restriction| timing.restricts(visit.zone, visit.begins(), restriction);
    Ok(of(&restriction).zip(of(&Restriction { after, ..restriction.clone() })))
}

/// An aftercare window of a visit as it is to be, without what took place in it; nothing if that is at its end. Refused if
/// it would forbid what is booked.
async fn window_since(
    db: &mut PgConnection,
    practice: PracticeId,
    of: (PatientId, Activity),
    visit: AppointmentId,
    window: Interval,
) -> Result<Option<Interval>, Error> {
    let exposures = overrides::exposures(db, practice, of, visit, window).await?;
    let (happened, ahead): (Vec<_>, Vec<_>) = exposures.into_iter().partition(|exposure| exposure.took_place);
    let rest = since(window, happened.into_iter().map(|exposure| exposure.during));
    if let Some(rest) = rest {
        window_fits(rest, &ahead).map_err(Error::Refused)?;
    }
    Ok(rest)
}

/// Whether it may be revoked, and what becomes of what is stored.
async fn revoking(
    db: &mut PgConnection,
    practice: PracticeId,
    before: &Override,
    now: Instant,
) -> Result<Effect, Error> {
    match &before.purpose {
        Purpose::Gap { series, .. } => {
            let series = series_app::found(db, practice, *series).await?;
            let needlings = overrides::needlings(db, practice, series.patient, series.area, now).await?;
            let days = series.gap.protocol.minimum;
            let follow = followers(&needlings, series.id);
            gap_fits(&needlings, &follow, days).map_err(Error::Refused)?;
            Ok(Effect::Gap { series: Box::new(series), follow, days, by: None })
        }
        Purpose::Condition { .. } => Ok(Effect::None),
        Purpose::Combination { .. } => {
            let booked = overrides::combined_ahead(db, practice, before.id).await?;
            let refusal: Refusal = booked
                .into_iter()
                .map(|id| Violation {
                    other: Some(Other::Appointment(id)),
                    ..Violation::new(
                        Rule::OverrideInUse,
                        "a visit to which the patient has not come yet rests on the override",
                    )
                })
                .collect();
            if refusal.is_empty() { Ok(Effect::None) } else { Err(Error::Refused(refusal)) }
        }
        Purpose::Aftercare { appointment: id, activity, .. } => {
            let visit = appointment::found(db, practice, *id).await?;
            let unchanged = |visit| Effect::Window { visit: Box::new(visit), activity: *activity, during: None };
            if !overrides::forbids(db, practice, *id, *activity).await? {
                // It was cancelled or moved since, and its window with it.
                return Ok(unchanged(visit));
            }
            let Some((usual, _)) = windows(db, practice, &visit, *activity, None).await? else {
                return Ok(unchanged(visit));
            };
            // What took place under the override is history: the window counts again from then on.
            let rest = window_since(db, practice, (visit.patient, *activity), *id, usual).await?;
            let during = rest.map(|rest| (rest, (rest != usual).then_some(before.id)));
            Ok(Effect::Window { visit: Box::new(visit), activity: *activity, during })
        }
    }
}
