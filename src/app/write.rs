//! How every write goes: take the practice's next revision, look whether the request was carried out before, decide,
//! append to the history, write, commit.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::lanes::Lane;
use super::watch::Watches;
use super::{App, Error, waiting};
use crate::domain::access::Caller;
use crate::domain::history::{Change, ChangeKind};
use crate::domain::ids::{AppointmentId, PatientId, PracticeId, RequestId, SeriesId};
use crate::domain::interval::Instant;
use crate::store::history::Earlier;
use crate::store::practice::Standing;
use crate::store::{PgConnection, Postgres, StoreError, Transaction, appointment, history, practice, series};

/// Writers of one practice that may hold a connection: one that writes, and one that comes next without a pause. Others
/// would only wait for the same row, with connections that other practices need.
pub(super) const WRITERS: usize = 2;
/// How often a write that met contention is tried.
const MAX_TRIES: u32 = 5;
/// The longest pause before the second try; doubled for each one after.
const FIRST_PAUSE_MICROS: u64 = 4_000;

/// A request that reads, with the practice that it names.
#[derive(Debug, Clone)]
pub struct Scoped<T> {
    /// The practice, if the request names one.
    pub practice: Option<PracticeId>,
    /// What is asked.
    pub query: T,
}

/// A request that changes something.
#[derive(Debug, Clone)]
pub struct Command<T> {
    /// The practice, if the request names one.
    pub practice: Option<PracticeId>,
    /// The caller's id for it.
    pub request: RequestId,
    /// SHA-256 of its method and payload.
    pub digest: [u8; 32],
    /// Whether to undo everything at the end.
    pub validate_only: bool,
    /// What is asked.
    pub body: T,
}

impl<T> Command<T> {
    /// The same request about something else: what it refers to, worked out.
    pub(super) fn with<U>(&self, body: U) -> Command<U> {
        Command {
            practice: self.practice,
            request: self.request,
            digest: self.digest,
            validate_only: self.validate_only,
            body,
        }
    }
}

/// How a write begins.
pub(super) enum Begun {
    /// The request is new.
    Fresh(Box<Write>),
    /// The request was carried out before; this is what it made or changed.
    Repeat(Earlier),
}

/// A write under way: it holds the practice.
pub(super) struct Write {
    db: Transaction<'static, Postgres>,
    _lane: Lane,
    watches: Arc<Watches>,
    /// The practice.
    pub practice: PracticeId,
    /// The revision that this write will be.
    pub revision: i64,
    /// The time of the write.
    pub now: Instant,
    change: ChangeHead,
    validate_only: bool,
    recorded: bool,
}

/// What is known of a change before it is decided.
struct ChangeHead {
    caller: Caller,
    request: RequestId,
    digest: [u8; 32],
}

impl App {
    /// Begins a write to a practice.
    pub(super) async fn begin<T>(
        &self,
        caller: &Caller,
        practice_id: PracticeId,
        command: &Command<T>,
    ) -> Result<Begun, Error> {
        let lane = self.lanes.enter(practice_id).await?;
        self.begin_in(lane, caller, practice_id, command).await
    }

    /// The same in a lane that the caller is in already.
    pub(super) async fn begin_in<T>(
        &self,
        lane: Lane,
        caller: &Caller,
        practice_id: PracticeId,
        command: &Command<T>,
    ) -> Result<Begun, Error> {
        let mut db = self.connections.begin_write().await?;
        let missing = || Error::not_found("practice_id");
        let mut revision = practice::next_revision(&mut db, practice_id).await?.ok_or_else(missing)?;
        let (standing, earlier) = look_up(&mut db, practice_id, command).await?.ok_or_else(missing)?;
        if let Some(earlier) = earlier {
            return Ok(Begun::Repeat(earlier));
        }
        // Read under the lock, so that the history's times follow its order as far as the clock allows.
        let now = self.clock.now();
        if standing.is_outlasted(now) {
            // What has expired is gone before anything is decided.
            expire(&mut db, practice_id, revision, RequestId(self.ids.new_id(now)), now).await?;
            revision = practice::next_revision(&mut db, practice_id).await?.ok_or_else(missing)?;
        }
        Ok(Begun::Fresh(Box::new(Write {
            db,
            _lane: lane,
            watches: Arc::clone(&self.watches),
            practice: practice_id,
            revision,
            now,
            change: ChangeHead { caller: *caller, request: command.request, digest: command.digest },
            validate_only: command.validate_only,
            recorded: false,
        })))
    }

    /// The same request, if it was carried out before: for what comes before a write begins.
    pub(super) async fn repeated<T>(
        &self,
        practice_id: PracticeId,
        command: &Command<T>,
    ) -> Result<Option<Earlier>, Error> {
        Ok(look_up(&mut *self.read().await?, practice_id, command).await?.and_then(|(_, earlier)| earlier))
    }

    /// Ends the holds that have expired, if nobody has done so meanwhile.
    pub(super) async fn expire_holds(&self, practice_id: PracticeId) -> Result<(), Error> {
        self.retry(|| async {
            let _lane = self.lanes.enter(practice_id).await?;
            // Of many who saw it, one ends it; the others need not wait for the practice.
            let standing = practice::standing(&mut *self.read().await?, practice_id).await?;
            if standing.is_none_or(|standing| !standing.is_outlasted(self.clock.now())) {
                return Ok(());
            }
            let mut db = self.connections.begin_write().await?;
            let revision = practice::next_revision(&mut db, practice_id).await?;
            let revision = revision.ok_or_else(|| Error::not_found("practice_id"))?;
            let now = self.clock.now();
            if expire(&mut db, practice_id, revision, RequestId(self.ids.new_id(now)), now).await? {
                db.commit().await.map_err(StoreError::from)?;
                self.watches.hint(practice_id);
            }
            Ok(())
        })
        .await
    }

    /// Tries a write again while it meets contention, a bounded number of times, with jitter.
    pub(super) async fn retry<T, F>(&self, mut attempt: impl FnMut() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut tries = 1;
        loop {
            match attempt().await {
                Err(error) if error.is_contention() && tries < MAX_TRIES => {
                    let random = self.ids.random();
                    let ceiling = FIRST_PAUSE_MICROS << tries;
                    let pause = u64::from(u16::from_le_bytes([random[0], random[1]])) * ceiling / u64::from(u16::MAX);
                    tokio::time::sleep(Duration::from_micros(pause)).await;
                    tries += 1;
                }
                done => return done,
            }
        }
    }
}

impl Write {
    /// The connection that holds the practice.
    pub fn db(&mut self) -> &mut PgConnection {
        &mut self.db
    }

    /// Appends this write to the practice's history. Comes before the rows that it writes, which refer to it.
    pub async fn record(
        &mut self,
        kind: ChangeKind,
        subject: impl Into<Uuid>,
        patient: Option<PatientId>,
        appointments: Vec<AppointmentId>,
    ) -> Result<(), Error> {
        let freed = appointments.clone();
        self.record_freeing(kind, subject, patient, (appointments, &freed)).await
    }

    /// The same, where only some of the appointments give up time that others may have.
    pub async fn record_freeing(
        &mut self,
        kind: ChangeKind,
        subject: impl Into<Uuid>,
        patient: Option<PatientId>,
        (appointments, freed): (Vec<AppointmentId>, &[AppointmentId]),
    ) -> Result<(), Error> {
        let waiting = if kind.frees_time() {
            waiting::wanting(&mut self.db, self.practice, freed, self.now).await?
        } else {
            Vec::new()
        };
        let change = Change { waiting, ..self.entry(self.revision, kind, subject.into(), patient, appointments) };
        history::append(&mut self.db, self.practice, &change, &self.change.digest).await?;
        self.recorded = true;
        Ok(())
    }

    /// Opens the history of a practice that this write has just inserted at that revision.
    pub async fn record_founding(&mut self, founded: PracticeId, revision: i64) -> Result<(), Error> {
        let change = self.entry(revision, ChangeKind::PracticeCreated, founded.0, None, Vec::new());
        Ok(history::append(&mut self.db, founded, &change, &self.change.digest).await?)
    }

    fn entry(
        &self,
        revision: i64,
        kind: ChangeKind,
        subject: Uuid,
        patient: Option<PatientId>,
        appointments: Vec<AppointmentId>,
    ) -> Change {
        Change {
            revision,
            recorded_at: self.now,
            kind,
            subject,
            patient,
            appointments,
            waiting: Vec::new(),
            token: self.change.caller.token,
            role: self.change.caller.role,
            request: self.change.request,
        }
    }

    /// Commits, or undoes everything if the caller only wanted to know.
    pub async fn finish(self) -> Result<(), Error> {
        if !self.recorded {
            return Err(StoreError::Corrupt("a write without an entry in the history").into());
        }
        if self.validate_only {
            return Ok(self.db.rollback().await.map_err(StoreError::from)?);
        }
        self.db.commit().await.map_err(StoreError::from)?;
        self.watches.hint(self.practice);
        Ok(())
    }
}

/// Where a practice stands, and what the same request did when it was carried out before; another request with its id is
/// told so. Nothing if there is no such practice.
pub(super) async fn look_up<T>(
    db: &mut PgConnection,
    practice_id: PracticeId,
    command: &Command<T>,
) -> Result<Option<(Standing, Option<Earlier>)>, Error> {
    match history::find_request(db, practice_id, command.request).await? {
        Some((_, Some(earlier))) if earlier.digest != command.digest => Err(Error::RequestIdReused),
        found => Ok(found),
    }
}

/// Ends the holds that have expired by now, as a change of its own, made by the server. Whether there were any.
async fn expire(
    db: &mut PgConnection,
    practice_id: PracticeId,
    revision: i64,
    request: RequestId,
    now: Instant,
) -> Result<bool, Error> {
    let expired = appointment::holds_ending(db, practice_id, now).await?;
    let Some((first, patient, _)) = expired.first() else { return Ok(false) };
    let ids: Vec<AppointmentId> = expired.iter().map(|(id, ..)| *id).collect();
    let Caller { token, role, .. } = Caller::COMMAND_LINE;
    let change = Change {
        revision,
        recorded_at: now,
        kind: ChangeKind::HoldsExpired,
        subject: first.0,
        // Who it is about, if it is about one.
        patient: expired.iter().all(|(_, other, _)| other == patient).then_some(*patient),
        appointments: ids.clone(),
        waiting: waiting::wanting(db, practice_id, &ids, now).await?,
        token,
        role,
        request,
    };
    // Nobody asked for it, so that no repeat can come.
    history::append(db, practice_id, &change, &[0; 32]).await?;
    appointment::cancel(db, practice_id, &ids, now, "", revision).await?;
    let mut touched: Vec<SeriesId> = expired.iter().filter_map(|(.., series)| *series).collect();
    touched.sort_unstable();
    touched.dedup();
    if !touched.is_empty() {
        // A series that was held as a whole ends with its sessions, whose holds end when its own does.
        series::release(db, practice_id, &touched, now, revision).await?;
        series::touch_all(db, practice_id, &touched, revision).await?;
    }
    Ok(true)
}
