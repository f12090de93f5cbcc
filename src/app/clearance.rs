//! Clearances: what practitioners decide after consultations.

use chrono::{Days, NaiveDate};

use super::commands::{ClearedPatient, ListClearances, RecordClearance, Revoke};
use super::overrides::must_be_clearable;
use super::page::{Page, fetch};
use super::series::{SeriesNow, seen};
use super::signature::signer;
use super::write::Begun;
use super::{App, Command, Error, Scoped, fitness as fitness_app};
use crate::domain::access::Caller;
use crate::domain::appointment::Appointment;
use crate::domain::catalog::{Protocol, SessionCounts};
use crate::domain::clearance::{Clearance, ClearanceRules, Decision, MAX_CLEARANCE_DAYS, Revocation};
use crate::domain::fitness::{Fitness, FitnessFacts};
use crate::domain::history::ChangeKind;
use crate::domain::ids::{ClearanceId, PracticeId, ProtocolId, ResourceId};
use crate::domain::interval::Instant;
use crate::domain::refusal::{Other, Rule, Violation};
use crate::domain::screening::ScreeningRule;
use crate::domain::text::Personal;
use crate::domain::zone::Zone;
use crate::store::{PgConnection, appointment, catalog, clearance, fitness, patient, series};

/// Most series of a patient that are looked at when a clearance is revoked.
const MAX_SERIES: i64 = 100;

/// A decision, with what its protocol makes of the patient under it.
#[derive(Debug, Clone)]
pub struct Signed {
    /// The decision.
    pub clearance: Clearance,
    /// The rules of the version that was asked, and those that only running series are still under.
    pub rules: Vec<ScreeningRule>,
    /// What is known of the patient, this decision included.
    pub facts: FitnessFacts,
    /// What still has to be settled, by the version that was asked.
    pub missing: Vec<Violation>,
    /// What is booked for the patient and for which they are not fit now, by start.
    pub at_risk: Vec<Appointment>,
}

/// A clearance that was revoked, and what is at risk without it.
#[derive(Debug, Clone)]
pub struct Revoked {
    /// The clearance.
    pub clearance: Clearance,
    /// The series that it is about, as far as sessions of them are at risk.
    pub series: Vec<SeriesNow>,
    /// What is booked for the patient and for which they are not fit now, by start.
    pub at_risk: Vec<Appointment>,
}

impl App {
    /// Signs what a consultation ended in.
    pub async fn record_clearance(&self, caller: &Caller, command: &Command<RecordClearance>) -> Result<Signed, Error> {
        self.retry(|| self.try_record_clearance(caller, command)).await
    }

    async fn try_record_clearance(&self, caller: &Caller, command: &Command<RecordClearance>) -> Result<Signed, Error> {
        let practice = Self::tenant(caller, command.practice)?;
        let mut write = match self.begin(caller, practice, command).await? {
            Begun::Fresh(write) => write,
            Begun::Repeat(earlier) => {
                let mut db = self.read().await?;
                let decided = found(&mut db, practice, ClearanceId(earlier.subject)).await?;
                let version = Some(decided.protocol_version);
                let protocol = catalog::protocol(&mut db, practice, decided.protocol, version).await?;
                let protocol = protocol.ok_or_else(|| Error::not_found("request_id"))?;
                return signed(&mut db, practice, decided, protocol, self.clock.now()).await;
            }
        };
        let (now, revision) = (write.now, write.revision);
        let ask = &command.body;
        let (protocol, rules) = asking(write.db(), practice, ask.protocol).await?;
        let decided_by = signer(write.db(), practice, caller, &rules.qualification).await?;
        let held = appointment::get(write.db(), practice, ask.consultation).await?;
        let held = held.ok_or_else(|| Error::not_found("consultation_appointment_id"))?;
        must_be_consultation(&held, &rules, decided_by, now)?;
        let decision = match &ask.cleared {
            None => Decision::Declined,
            Some(cleared) => {
                let field = |place| format!("cleared.cleared_conditions[{place}]");
                must_be_clearable(write.db(), practice, protocol.id, cleared.conditions.expose(), field).await?;
                decide(cleared, protocol.content.sessions, &rules, now, held.zone)?
            }
        };
        let decided = Clearance {
            id: ClearanceId(self.ids.new_id(now)),
            patient: held.patient,
            protocol: protocol.id,
            protocol_version: protocol.version,
            area: ask.area,
            consultation: held.id,
            decision,
            notes: ask.notes.clone(),
            decided_at: now,
            decided_by,
            revoked: None,
        };
        write.record(ChangeKind::ClearanceRecorded, decided.id, Some(decided.patient), Vec::new()).await?;
        clearance::insert(write.db(), practice, &decided, revision).await?;
        let signed = signed(write.db(), practice, decided, protocol, now).await?;
        write.finish().await?;
        Ok(signed)
    }

    /// Revokes a clearance.
    pub async fn revoke_clearance(
        &self,
        caller: &Caller,
        command: &Command<Revoke<ClearanceId>>,
    ) -> Result<Revoked, Error> {
        self.retry(|| self.try_revoke_clearance(caller, command)).await
    }

    async fn try_revoke_clearance(
        &self,
        caller: &Caller,
        command: &Command<Revoke<ClearanceId>>,
    ) -> Result<Revoked, Error> {
        let practice = Self::tenant(caller, command.practice)?;
        let mut write = match self.begin(caller, practice, command).await? {
            Begun::Fresh(write) => write,
            Begun::Repeat(earlier) => {
                let mut db = self.read_current(practice).await?;
                let revoked = found(&mut db, practice, ClearanceId(earlier.subject)).await?;
                return without(&mut db, practice, revoked, self.clock.now()).await;
            }
        };
        let (now, revision) = (write.now, write.revision);
        let Revoke { id, reason } = &command.body;
        let before = found(write.db(), practice, *id).await?;
        let (_, rules) = asking(write.db(), practice, before.protocol).await?;
        let by = signer(write.db(), practice, caller, &rules.qualification).await?;
        if before.revoked.is_some() {
            // Nothing changes, so nothing is recorded.
            return without(write.db(), practice, before, now).await;
        }
        let revocation = Revocation { at: now.max(before.decided_at), by, reason: reason.clone() };
        write.record(ChangeKind::ClearanceRevoked, *id, Some(before.patient), Vec::new()).await?;
        clearance::revoke(write.db(), practice, *id, &revocation, revision).await?;
        let after = Clearance { revoked: Some(revocation), ..before };
        let revoked = without(write.db(), practice, after, now).await?;
        write.finish().await?;
        Ok(revoked)
    }

    /// Decisions about a patient, latest first.
    pub async fn list_clearances(
        &self,
        caller: &Caller,
        scoped: Scoped<ListClearances>,
    ) -> Result<Page<Clearance, ClearanceId>, Error> {
        let practice = Self::tenant(caller, scoped.practice)?;
        let ListClearances { patient: id, page } = scoped.query;
        let mut db = self.read().await?;
        if !patient::exists(&mut db, practice, id).await? {
            return Err(Error::not_found("patient_id"));
        }
        let found = clearance::list(&mut db, practice, id, page.after, fetch(page.size)).await?;
        Ok(Page::new(found, page.size, |last| last.id))
    }
}

async fn found(db: &mut PgConnection, practice: PracticeId, id: ClearanceId) -> Result<Clearance, Error> {
    clearance::get(db, practice, id).await?.ok_or_else(|| Error::not_found("clearance_id"))
}

/// The highest version of a protocol that asks for a clearance, and what it asks. A later one may ask for none any more:
/// series that run under earlier ones still need theirs.
async fn asking(
    db: &mut PgConnection,
    practice: PracticeId,
    id: ProtocolId,
) -> Result<(Protocol, ClearanceRules), Error> {
    if let Some(protocol) = catalog::clearing_protocol(db, practice, id).await?
        && let Some(rules) = protocol.content.clearance.clone()
    {
        return Ok((protocol, rules));
    }
    match catalog::protocol(db, practice, id, None).await? {
        Some(_) => Err(Error::field("protocol_id", "must be a protocol that asks for a clearance")),
        None => Err(Error::not_found("protocol_id")),
    }
}

/// A decision, and what is known of the patient now.
async fn signed(
    db: &mut PgConnection,
    practice: PracticeId,
    clearance: Clearance,
    protocol: Protocol,
    now: Instant,
) -> Result<Signed, Error> {
    let (patient, area) = (clearance.patient, Some(clearance.area));
    let of = fitness::For { patient, protocol: Some(protocol.id), area, series: None };
    let facts = fitness::facts(db, practice, of, true).await?.ok_or_else(|| Error::not_found("patient_id"))?;
    let missing = Fitness::judge(Some(&protocol.content), &facts).missing(None, now);
    let at_risk = fitness_app::at_risk(db, practice, patient, now).await?;
    let mut rules = protocol.content.screening;
    // A series that runs under another version is still judged by what that asks.
    for series in series::active(db, practice, patient).await? {
        let same = (series.protocol, series.area) == (clearance.protocol, clearance.area);
        if same && series.protocol_version != protocol.version {
            let other = catalog::protocol(db, practice, series.protocol, Some(series.protocol_version)).await?;
            for rule in other.map(|other| other.content.screening).unwrap_or_default() {
                if !rules.iter().any(|known| known.judges_like(&rule)) {
                    rules.push(rule);
                }
            }
        }
    }
    Ok(Signed { clearance, rules, facts, missing, at_risk })
}

/// A clearance that counts no more, and what is at risk without it.
async fn without(
    db: &mut PgConnection,
    practice: PracticeId,
    clearance: Clearance,
    now: Instant,
) -> Result<Revoked, Error> {
    let at_risk = fitness_app::at_risk(db, practice, clearance.patient, now).await?;
    let mut found = Vec::new();
    if !at_risk.is_empty() {
        let listed = series::Listed { patient: Some(clearance.patient), after: None };
        found = series::list(db, practice, listed, MAX_SERIES).await?;
        found.retain(|series| {
            let same = (series.protocol, series.area) == (clearance.protocol, clearance.area);
            same && at_risk.iter().any(|visit| visit.session.is_some_and(|session| session.series == series.id))
        });
    }
    let series = seen(db, practice, found, now).await?;
    Ok(Revoked { clearance, series, at_risk })
}

fn must_be_consultation(
    held: &Appointment,
    rules: &ClearanceRules,
    practitioner: ResourceId,
    now: Instant,
) -> Result<(), Error> {
    let refuse = |text: &str| {
        let other = Some(Other::Appointment(held.id));
        Err(Error::Refused(vec![Violation { other, ..Violation::new(Rule::NotAConsultation, text) }]))
    };
    if held.treatment != rules.consultation {
        return refuse("the appointment is not for the treatment that is the protocol's consultation");
    }
    if !held.is_live() {
        return refuse("the appointment is cancelled, or nobody came");
    }
    if !held.has_begun(now) {
        return refuse("the consultation has not begun");
    }
    let day = held.zone.day(held.begins());
    if rules.last_day(day) < held.zone.day(now) {
        let text = format!("the consultation was on {day}; it carries a decision for {} days", rules.valid_days);
        return refuse(&text);
    }
    if !held.occupied().any(|(resource, _)| resource == practitioner) {
        return refuse("the consultation was with another practitioner, who has to sign");
    }
    Ok(())
}

fn decide(
    cleared: &ClearedPatient,
    sessions: SessionCounts,
    rules: &ClearanceRules,
    now: Instant,
    zone: Zone,
) -> Result<Decision, Error> {
    let ClearedPatient { session_count, valid_until, conditions, patch_tested_at } = cleared;
    let valid_from = zone.day(now);
    let valid_until = valid_until.unwrap_or_else(|| rules.last_day(valid_from));
    let latest = valid_from.checked_add_days(Days::new(MAX_CLEARANCE_DAYS.unsigned_abs().into()));
    if valid_until < valid_from || valid_until > latest.unwrap_or(NaiveDate::MAX) {
        let remedy = "must be today to 1,095 days from now at the clinic";
        return Err(Error::field("cleared.valid_until", remedy));
    }
    match (rules.patch_test_hours > 0, patch_tested_at) {
        (true, None) => {
            return Err(Error::field("cleared.patch_tested_at", "is required: the protocol asks for a patch test"));
        }
        (false, Some(_)) => {
            let remedy = "must be left out: the protocol asks for no patch test";
            return Err(Error::field("cleared.patch_tested_at", remedy));
        }
        (true, Some(at)) if *at > now => {
            return Err(Error::field("cleared.patch_tested_at", "must not be in the future"));
        }
        (true, Some(_)) | (false, None) => {}
    }
    Ok(Decision::Cleared {
        session_count: session_count.unwrap_or(sessions.maximum),
        valid_from,
        valid_until,
        not_before: rules.not_before(now, *patch_tested_at),
        conditions: Personal::new(conditions.expose().clone()),
    })
}
