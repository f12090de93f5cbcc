//! A watcher of a practice's history, which goes on from where it was whatever happens to its connection.

use std::time::Duration;

use stipple::rpc::pb;
use stipple::rpc::pb::watch_changes_response::News;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tonic::Status;

use super::told::Told;
use crate::harness::World;
use crate::running::program::LIMIT;

/// How long before it connects again.
const PAUSE: Duration = Duration::from_millis(50);

/// What a watcher saw.
pub struct Watched {
    /// The changes, as they came.
    pub changes: Vec<pb::Change>,
    /// How often it connected.
    pub connections: usize,
    seen: i64,
}

impl Watched {
    /// Watches a practice after a revision until it has seen what is the last one by then.
    pub async fn all(world: &World, after: i64, mut last: watch::Receiver<i64>, told: &Told) -> Self {
        let mut watched = Self { changes: Vec::new(), connections: 0, seen: after };
        while watched.seen < *last.borrow() {
            watched.connections += 1;
            if let Err(status) = watched.listen(world, &mut last, told).await {
                told.hear(&status, "a watch");
            }
            sleep(PAUSE).await;
        }
        watched
    }

    /// Listens on one connection to its end.
    async fn listen(&mut self, world: &World, last: &mut watch::Receiver<i64>, told: &Told) -> Result<(), Status> {
        let request = pb::WatchChangesRequest { after_revision: self.seen, ..Default::default() };
        let opened = timeout(LIMIT, world.manager.history().watch_changes(request)).await;
        let mut line = opened.expect("a watch begins or fails")?.into_inner();
        while self.seen < *last.borrow_and_update() {
            let message = tokio::select! {
                message = timeout(LIMIT, line.message()) => message.expect("a watch is never silent for long")?,
                _ = last.changed() => continue,
            };
            let Some(pb::WatchChangesResponse { revision, news }) = message else { return Ok(()) };
            match news.expect("news") {
                News::Change(change) => {
                    if revision != change.revision || revision != self.seen + 1 {
                        told.complain(format!("a watch told of {revision} after {}", self.seen));
                    }
                    self.seen = revision;
                    self.changes.push(change);
                }
                News::Heartbeat(_) if revision == self.seen => {}
                News::Heartbeat(_) => told.complain(format!("a watch skipped to {revision} from {}", self.seen)),
            }
        }
        Ok(())
    }
}
