//! A watcher's line: every revision once, in order, from the hub or, where it is behind, from the history.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Interval, MissedTickBehavior, Sleep};

use super::Ears;
use super::batch::{Batch, ClinicDay};
use crate::app::{App, Error};
use crate::domain::access::Caller;
use crate::domain::ids::{PracticeId, TokenId};

/// What a line brings.
#[derive(Debug)]
pub(super) enum Heard {
    /// What happened. What the watcher has seen before may be in it once more, up to that revision.
    Batch(i64, Arc<Batch>),
    /// Nothing, for a while.
    Quiet,
}

/// A watcher's line.
pub(super) struct Line {
    app: App,
    caller: Caller,
    practice: PracticeId,
    day: Option<ClinicDay>,
    /// The revision up to which the watcher has been told everything.
    seen: i64,
    behind: bool,
    ears: Ears,
    over: watch::Receiver<bool>,
    ends: Pin<Box<Sleep>>,
    heartbeat: Interval,
    _place: OwnedSemaphorePermit,
}

impl Line {
    /// Joins the hub of a practice. What is read from now on is followed by what the line brings, without a gap.
    pub(super) fn open(
        app: &App,
        caller: &Caller,
        practice: PracticeId,
        day: Option<ClinicDay>,
    ) -> Result<Self, Error> {
        let permit = app.watch_place()?;
        let ears = app.join(practice, caller, day)?;
        let pace = app.watches.pace;
        let mut heartbeat = tokio::time::interval(pace.heartbeat);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        heartbeat.reset();
        Ok(Self {
            app: app.clone(),
            caller: *caller,
            practice,
            day,
            seen: 0,
            behind: false,
            ears,
            over: app.watches.over.subscribe(),
            ends: Box::pin(tokio::time::sleep(pace.longest)),
            heartbeat,
            _place: permit,
        })
    }

    /// The use cases that it goes by.
    pub(super) const fn app(&self) -> &App {
        &self.app
    }

    /// The revision up to which the watcher has been told everything.
    pub(super) const fn seen(&self) -> i64 {
        self.seen
    }

    /// Goes on after a revision, up to which the watcher knows everything: one that has just been read, or an earlier
    /// one.
    pub(super) fn go_on_after(&mut self, revision: i64, is_current: bool) {
        self.seen = revision;
        self.behind = !is_current;
    }

    /// Reads something for the watcher by itself; nothing if the watch ends meanwhile.
    pub(super) async fn read<T>(&mut self, read: impl Future<Output = Result<T, Error>>) -> Result<Option<T>, Error> {
        let (app, practice) = (self.app.clone(), self.practice);
        let work = async {
            // What has been told but not sent is sent as soon as a watch has to wait, and the watch is then left alone
            // until its reader takes it, however long that is. So it waits once while it holds nothing.
            tokio::task::yield_now().await;
            let _lane = app.watches.readers.enter(practice).await?;
            let _place = app.watches.reading().await;
            read.await
        };
        tokio::select! {
            biased;
            ended = ended(&mut self.over, &mut self.ends, &mut self.ears.revoked, &self.caller) => ended.map(|()| None),
            done = work => done.map(Some),
        }
    }

    /// What comes next; nothing once the watch is over.
    pub(super) async fn next(&mut self) -> Result<Option<Heard>, Error> {
        loop {
            if self.behind {
                let (app, practice, day, seen) = (self.app.clone(), self.practice, self.day, self.seen);
                let batch = app.batch(practice, seen, || day.into_iter().collect());
                let Some(batch) = self.read(batch).await? else { return Ok(None) };
                self.behind = batch.is_full();
                if batch.until > seen {
                    return Ok(Some(self.heard(Arc::new(batch))));
                }
                continue;
            }
            tokio::select! {
                biased;
                ended = ended(&mut self.over, &mut self.ends, &mut self.ears.revoked, &self.caller) => {
                    ended?;
                    return Ok(None);
                }
                news = self.ears.news.recv() => match news {
                    Ok(batch) if batch.until <= self.seen => {}
                    Ok(batch) if batch.after <= self.seen && self.is_told_by(&batch) => {
                        return Ok(Some(self.heard(batch)));
                    }
                    Ok(_) | Err(RecvError::Lagged(_)) => self.behind = true,
                    Err(RecvError::Closed) => {
                        // Another hub may fare better; else reading says what is the matter.
                        self.ears = self.app.join(self.practice, &self.caller, self.day)?;
                        self.behind = true;
                    }
                },
                _ = self.heartbeat.tick() => return Ok(Some(Heard::Quiet)),
            }
        }
    }

    /// Whether a batch says what happened to the day that is watched.
    fn is_told_by(&self, batch: &Batch) -> bool {
        self.day.is_none_or(|day| batch.days.contains_key(&day))
    }

    fn heard(&mut self, batch: Arc<Batch>) -> Heard {
        let before = std::mem::replace(&mut self.seen, batch.until);
        Heard::Batch(before, batch)
    }

    /// Puts the next heartbeat off: something was told.
    pub(super) fn is_alive(&mut self) {
        self.heartbeat.reset();
    }
}

/// Waits until a watch is over: the server stops, or its time is up; or, as an error, its token is revoked.
async fn ended(
    over: &mut watch::Receiver<bool>,
    ends: &mut Pin<Box<Sleep>>,
    revoked: &mut watch::Receiver<BTreeSet<TokenId>>,
    caller: &Caller,
) -> Result<(), Error> {
    tokio::select! {
        biased;
        // An error means that there is no server any more.
        _ = over.wait_for(|over| *over) => Ok(()),
        () = ends.as_mut() => Ok(()),
        // The seat keeps the hub, so that there is something to wait for.
        _ = revoked.wait_for(|revoked| caller.token.is_some_and(|token| revoked.contains(&token))) => {
            Err(Error::Unauthenticated)
        }
    }
}
