//! Keeping PostgreSQL running: a plain thread, so that it depends on no runtime (in a
//! test process many come and go) and no waiting blocks one.

use super::server::{Lifeline, Server};
use super::{Durability, EmbeddedError};
use std::collections::VecDeque;
use std::fs::File;
use std::process::Child;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// PostgreSQL is started again at most so often in [`RESTART_WINDOW`]; who dies oftener
/// has a cause that restarting does not cure.
const RESTARTS_MAX: usize = 5;
const RESTART_WINDOW: Duration = Duration::from_mins(10);

/// The pause before the second restart in a window; it grows with each further one.
const RESTART_PAUSE: Duration = Duration::from_millis(500);

/// How often the size of the log is looked at.
const LOG_CHECK: Duration = Duration::from_mins(1);

/// What became of PostgreSQL.
#[derive(Clone, Debug)]
pub(super) enum State {
    /// It runs, or is being started again.
    Running,
    /// It was told to stop and has.
    Stopped,
    /// It ended and will not be started again.
    Failed(String),
}

/// Starts the supervising thread, which takes over the running `child` and the lock: the
/// data folder is free only when PostgreSQL has ended.
pub(super) fn spawn(
    server: Server,
    lifeline: Arc<Lifeline>,
    lock: File,
    child: Child,
) -> Result<watch::Receiver<State>, EmbeddedError> {
    let (sender, receiver) = watch::channel(State::Running);
    std::thread::Builder::new()
        .name("stipple-postgres".to_owned())
        .spawn(move || {
            let end = keep(&server, &lifeline, child);
            if server.layout.socket_is_outside() {
                // Ours alone, and empty now. One that stays is used again.
                let _ = std::fs::remove_dir(&server.layout.socket_dir);
            }
            drop(lock);
            sender.send_replace(end);
        })
        .map_err(|error| EmbeddedError::Runtime(error.to_string()))?;
    Ok(receiver)
}

/// Waits for PostgreSQL's end and starts it again, until it is told to stop or fails for
/// good.
fn keep(server: &Server, lifeline: &Lifeline, child: Child) -> State {
    let mut restarts: VecDeque<Instant> = VecDeque::new();
    let mut running = child;
    loop {
        let mark = server.log.end();
        let ended = wait(server, &mut running);
        if lifeline.is_cut() {
            return State::Stopped;
        }
        let mut why =
            format!("PostgreSQL ended by itself ({ended}); last in its log: {}", server.log.last_line_since(mark));
        tracing::error!("{why}");
        if server.durability == Durability::Throwaway {
            return State::Failed(why);
        }
        running = loop {
            #[expect(clippy::disallowed_methods, reason = "elapsed time between restarts; no decision rests on it")]
            let now = Instant::now();
            restarts.retain(|restart| now.duration_since(*restart) < RESTART_WINDOW);
            if restarts.len() >= RESTARTS_MAX {
                let minutes = RESTART_WINDOW.as_secs() / 60;
                return State::Failed(format!(
                    "{why} (restarted {RESTARTS_MAX} times in {minutes} minutes, the limit)"
                ));
            }
            let before = u32::try_from(restarts.len()).unwrap_or(u32::MAX);
            std::thread::sleep(RESTART_PAUSE * before);
            restarts.push_back(now);
            match server.start(lifeline) {
                Ok(child) => {
                    tracing::warn!(restarts = restarts.len(), limit = RESTARTS_MAX, "PostgreSQL runs again");
                    break child;
                }
                Err(_) if lifeline.is_cut() => return State::Stopped,
                Err(error) => {
                    tracing::error!(%error, "PostgreSQL does not start again");
                    why = error.to_string();
                }
            }
        };
    }
}

/// Waits for the end of PostgreSQL, with an eye on its log meanwhile.
fn wait(server: &Server, child: &mut Child) -> String {
    std::thread::scope(|scope| {
        // Dropping the sender wakes the watcher, so that the scope ends with the wait.
        let (running, ended) = mpsc::channel::<()>();
        let watcher = std::thread::Builder::new().name("stipple-pg-log".to_owned()).spawn_scoped(scope, move || {
            while ended.recv_timeout(LOG_CHECK) == Err(mpsc::RecvTimeoutError::Timeout) {
                server.log.trim();
            }
        });
        if let Err(error) = watcher {
            tracing::warn!(%error, "the size of the PostgreSQL log is not watched");
        }
        let ended = child.wait();
        drop(running);
        ended.map_or_else(|error| error.to_string(), |status| status.to_string())
    })
}
