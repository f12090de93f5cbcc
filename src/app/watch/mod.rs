//! Watches: what happens to a practice, told to those who look on.
//!
//! The history is the truth. One hub for each watched practice reads what is new once, and hands it to all its watchers
//! over a bounded channel. Wake-ups after a commit are only a hint that there may be something; the hub also looks by
//! itself, because other servers write too, and because holds end by the clock. A watcher that falls behind, or
//! resumes, reads the history itself until it has caught up.

mod batch;
mod day;
mod history;
mod hub;
mod line;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, SemaphorePermit, broadcast, watch};

use super::lanes::Lanes;
use super::{App, Error};
use crate::domain::access::Caller;
use crate::domain::ids::{PracticeId, TokenId};

pub use batch::{ClinicDay, DayChange};
pub use day::{DayNews, DayWatch};
pub use history::{HistoryNews, HistoryWatch};

use batch::Batch;

/// How often a practice that is watched is looked at without a hint: how late another server's change is told at most.
const POLL: Duration = Duration::from_secs(1);
/// How long changes are gathered after a hint, so that many at once are read together.
const GATHER: Duration = Duration::from_millis(20);
/// After how long without news a watcher is told how far the watch has come.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// How often the tokens of watchers are looked at: how long a watch outlasts its token at most.
const TOKEN_CHECK: Duration = Duration::from_secs(5);
/// The longest time of one watch.
const LONGEST: Duration = Duration::from_hours(1);
/// Watches of one server at once.
const MAX_WATCHES: usize = 2_000;
/// Watches of one practice on one server at once.
const MAX_OF_PRACTICE: usize = 500;
/// How many revisions a watcher of a day may be behind on resuming, before the whole sheet is less work.
const FAR_BEHIND: i64 = 2_000;
/// Batches that a watcher may be behind before it has to read the history itself.
const CHANNEL: usize = 32;
/// Watchers of one practice that read for themselves at once.
const READERS: usize = 2;
/// Of the connections to the database, one in so many may read for watches, of all practices together, hubs included:
/// the others are for requests.
const SHARE_OF_READS: u32 = 4;

/// The times and limits of watches.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How often a watched practice is looked at without a hint.
    pub poll: Duration,
    /// How long changes are gathered after a hint.
    pub gather: Duration,
    /// After how long without news a watcher is told how far the watch has come.
    pub heartbeat: Duration,
    /// How often the tokens of watchers are looked at.
    pub token_check: Duration,
    /// The longest time of one watch.
    pub longest: Duration,
    /// Watches of the server at once.
    pub of_server: usize,
    /// Watches of one practice at once.
    pub of_practice: usize,
    /// How many revisions behind a watcher of a day is given the whole sheet.
    pub far_behind: i64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            poll: POLL,
            gather: GATHER,
            heartbeat: HEARTBEAT,
            token_check: TOKEN_CHECK,
            longest: LONGEST,
            of_server: MAX_WATCHES,
            of_practice: MAX_OF_PRACTICE,
            far_behind: FAR_BEHIND,
        }
    }
}

/// All watches of a server.
#[derive(Debug)]
pub(super) struct Watches {
    pace: Pace,
    places: Arc<Semaphore>,
    hubs: Mutex<HashMap<PracticeId, Arc<Hub>>>,
    readers: Lanes,
    reads: Semaphore,
    over: watch::Sender<bool>,
}

/// What the watchers of one practice share.
#[derive(Debug)]
struct Hub {
    hint: Notify,
    /// The other end is the hub's work itself: where it stops, its watchers hear that.
    news: broadcast::WeakSender<Arc<Batch>>,
    /// The tokens of watchers that are revoked. Unlike news, a state is never missed.
    revoked: watch::Sender<BTreeSet<TokenId>>,
    watched: Mutex<Watched>,
}

/// Who watches what, counted.
#[derive(Debug, Default)]
struct Watched {
    watchers: usize,
    days: BTreeMap<ClinicDay, usize>,
    tokens: BTreeMap<TokenId, usize>,
}

/// A watcher's place at a hub; left when it is dropped.
#[derive(Debug)]
struct Seat {
    hub: Arc<Hub>,
    day: Option<ClinicDay>,
    token: Option<TokenId>,
}

/// What comes from a hub.
#[derive(Debug)]
struct Ears {
    news: broadcast::Receiver<Arc<Batch>>,
    revoked: watch::Receiver<BTreeSet<TokenId>>,
    _seat: Seat,
}

impl Watches {
    pub(super) fn new(pace: Pace, connections: u32) -> Self {
        let reads = (connections / SHARE_OF_READS).max(1);
        Self {
            pace,
            places: Arc::new(Semaphore::new(pace.of_server)),
            hubs: Mutex::default(),
            // Each of them is a watch, of which there are only so many.
            readers: Lanes::new(READERS, pace.of_practice),
            reads: Semaphore::new(usize::try_from(reads).unwrap_or(Semaphore::MAX_PERMITS)),
            over: watch::Sender::new(false),
        }
    }

    fn hubs(&self) -> MutexGuard<'_, HashMap<PracticeId, Arc<Hub>>> {
        self.hubs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a place among those that read for watches; left when it is dropped.
    async fn reading(&self) -> Option<SemaphorePermit<'_>> {
        // It is never closed.
        self.reads.acquire().await.ok()
    }

    /// Tells that something was committed.
    pub(super) fn hint(&self, practice: PracticeId) {
        if let Some(hub) = self.hubs().get(&practice) {
            hub.hint.notify_one();
        }
    }

    /// Takes a hub that nobody watches any more, or that has failed, from those that watchers join. Whether it is gone.
    fn retire(&self, practice: PracticeId, hub: &Arc<Hub>, failed: bool) -> bool {
        let mut hubs = self.hubs();
        let gone = failed || hub.watched().watchers == 0;
        if gone && hubs.get(&practice).is_some_and(|known| Arc::ptr_eq(known, hub)) {
            hubs.remove(&practice);
        }
        gone
    }
}

impl Hub {
    fn new(news: &broadcast::Sender<Arc<Batch>>) -> Self {
        Self {
            hint: Notify::new(),
            news: news.downgrade(),
            revoked: watch::Sender::default(),
            watched: Mutex::default(),
        }
    }

    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut watched = self.hub.watched();
        watched.watchers -= 1;
        if let Some(day) = self.day {
            leave(&mut watched.days, &day);
        }
        if let Some(token) = self.token {
            leave(&mut watched.tokens, &token);
        }
        if watched.watchers == 0 {
            self.hub.hint.notify_one();
        }
    }
}

fn leave<T: Ord>(counted: &mut BTreeMap<T, usize>, one: &T) {
    let left = counted.get_mut(one).map(|count| {
        *count -= 1;
        *count
    });
    if left == Some(0) {
        counted.remove(one);
    }
}

impl App {
    /// The same use cases with other times and limits for watches.
    #[must_use]
    pub fn with_pace(self, pace: Pace) -> Self {
        let size = self.connections.pool().options().get_max_connections();
        Self { watches: Arc::new(Watches::new(pace, size)), ..self }
    }

    /// Ends every watch, and each that begins from now on: the server is about to stop.
    pub fn end_watches(&self) {
        self.watches.over.send_replace(true);
    }

    /// A place among the watches of the server, if one is free.
    fn watch_place(&self) -> Result<OwnedSemaphorePermit, Error> {
        Arc::clone(&self.watches.places).try_acquire_owned().map_err(|_| Error::TooManyWatches)
    }

    /// Joins the hub of a practice, which begins its work with its first watcher.
    fn join(&self, practice: PracticeId, caller: &Caller, day: Option<ClinicDay>) -> Result<Ears, Error> {
        let mut hubs = self.watches.hubs();
        let at_work = hubs.get(&practice).and_then(|hub| Some((Arc::clone(hub), hub.news.upgrade()?.subscribe())));
        let (hub, news) = at_work.unwrap_or_else(|| {
            let (sender, news) = broadcast::channel(CHANNEL);
            let hub = Arc::new(Hub::new(&sender));
            hubs.insert(practice, Arc::clone(&hub));
            tokio::spawn(hub::run(self.clone(), practice, Arc::clone(&hub), sender));
            (hub, news)
        });
        let mut watched = hub.watched();
        if watched.watchers >= self.watches.pace.of_practice {
            return Err(Error::TooManyWatches);
        }
        watched.watchers += 1;
        if let Some(day) = day {
            *watched.days.entry(day).or_default() += 1;
        }
        if let Some(token) = caller.token {
            *watched.tokens.entry(token).or_default() += 1;
        }
        drop(watched);
        let revoked = hub.revoked.subscribe();
        Ok(Ears { news, revoked, _seat: Seat { hub, day, token: caller.token } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watches_read_over_a_quarter_of_the_connections_and_always_over_one() {
        for (connections, places) in [(2, 1), (16, 4), (200, 50)] {
            assert_eq!(Watches::new(Pace::default(), connections).reads.available_permits(), places);
        }
    }
}
