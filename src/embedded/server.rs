//! The PostgreSQL process: starting it, and waiting until it takes connections.

use super::account::Account;
use super::binaries::Binaries;
use super::guard::{Guarded, Remove, shell};
use super::log::Log;
use super::paths::Layout;
use super::pidfile::{ready_socket_dir, settle_leftover};
use super::{Durability, EmbeddedError};
use std::ffi::OsString;
use std::process::{Child, ChildStdin};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long PostgreSQL may take until it is ready; replaying the log after a power cut
/// is in it.
const READY_LIMIT_SECONDS: u64 = 120;
const READY_POLL: Duration = Duration::from_millis(10);

/// How often a start is tried that only came too early, and the pause between.
const EARLY_STARTS_MAX: u32 = 40;
const EARLY_START_PAUSE: Duration = Duration::from_millis(250);

/// Settings PostgreSQL gets on its command line, where they override every file. The
/// durable ones are its defaults, said here so that no file can turn them off.
const ALWAYS: [&str; 11] = [
    // The socket's folder is the only way in.
    "listen_addresses=",
    "port=5432",
    "unix_socket_permissions=0700",
    // More than a server may be given, so that commands find some beside it.
    "max_connections=220",
    "shared_buffers=64MB",
    "timezone=UTC",
    "log_timezone=UTC",
    // To our log file; no collector, which would outlive the guard and fill the folder.
    "logging_collector=off",
    "log_destination=stderr",
    // A failed request is the client's to report: its row values are about patients and
    // stay out of the log, which would grow with every one, too.
    "log_min_messages=log",
    "log_checkpoints=off",
];
const DURABLE: [&str; 3] = ["fsync=on", "synchronous_commit=on", "full_page_writes=on"];
const THROWAWAY: [&str; 5] =
    ["fsync=off", "synchronous_commit=off", "full_page_writes=off", "wal_level=minimal", "max_wal_senders=0"];

/// The write end of the guard's pipe: as long as it is open, PostgreSQL lives.
#[derive(Default)]
pub(super) struct Lifeline {
    state: Mutex<LifelineState>,
}

#[derive(Default)]
struct LifelineState {
    pipe: Option<ChildStdin>,
    cut: bool,
}

impl Lifeline {
    /// Stops PostgreSQL, and for good: a restart under way ends as well.
    pub(super) fn cut(&self) {
        let mut state = self.state();
        state.cut = true;
        state.pipe = None;
    }

    pub(super) fn is_cut(&self) -> bool {
        self.state().cut
    }

    fn attach(&self, pipe: ChildStdin) {
        let mut state = self.state();
        if !state.cut {
            state.pipe = Some(pipe);
        }
    }

    fn release(&self) {
        self.state().pipe = None;
    }

    fn state(&self) -> MutexGuard<'_, LifelineState> {
        // Nothing can panic while it is held, so poison means nothing.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All that is needed to start PostgreSQL, again and again.
pub(super) struct Server {
    pub(super) layout: Layout,
    pub(super) binaries: Binaries,
    pub(super) account: Option<Account>,
    pub(super) durability: Durability,
    pub(super) log: Log,
}

impl Server {
    /// Starts PostgreSQL and waits until it takes connections. A start that comes too
    /// early, while processes of a killed postmaster still end, is tried again.
    pub(super) fn start(&self, lifeline: &Lifeline) -> Result<Child, EmbeddedError> {
        let mut early = 0;
        loop {
            settle_leftover(&self.layout)?;
            let mark = self.log.end();
            let (mut child, pipe) = self.spawn()?;
            lifeline.attach(pipe);
            if self.wait_until_ready(&mut child, lifeline)? {
                return Ok(child);
            }
            lifeline.release();
            if lifeline.is_cut() {
                return Err(EmbeddedError::Stopped);
            }
            early += 1;
            let again =
                self.durability == Durability::Durable && self.log.is_transient_since(mark) && early < EARLY_STARTS_MAX;
            if !again {
                return Err(EmbeddedError::Start { why: self.log.reason_since(mark), log: self.layout.log.clone() });
            }
            tracing::debug!(early, "an earlier PostgreSQL still ends: starting again");
            std::thread::sleep(EARLY_START_PAUSE);
        }
    }

    /// `false` when it ended instead.
    fn wait_until_ready(&self, child: &mut Child, lifeline: &Lifeline) -> Result<bool, EmbeddedError> {
        for _ in 0..READY_LIMIT_SECONDS * 100 {
            let ended = child.try_wait().map_err(EmbeddedError::io("wait for", &self.binaries.postgres))?;
            if ended.is_some() {
                return Ok(false);
            }
            if ready_socket_dir(&self.layout.cluster).is_some() {
                return Ok(true);
            }
            std::thread::sleep(READY_POLL);
        }
        lifeline.release();
        // The guard makes it end within its own limit.
        let _ = child.wait();
        Err(EmbeddedError::TooSlow {
            what: "starting PostgreSQL",
            seconds: READY_LIMIT_SECONDS,
            log: self.layout.log.clone(),
        })
    }

    fn spawn(&self) -> Result<(Child, ChildStdin), EmbeddedError> {
        let (signal, remove, more) = match self.durability {
            Durability::Durable => ("INT", Remove::Never, DURABLE.as_slice()),
            // At once: there is nothing to save.
            Durability::Throwaway => ("QUIT", Remove::Always, THROWAWAY.as_slice()),
        };
        let mut args: Vec<OsString> = vec!["-D".into(), self.layout.cluster.clone().into()];
        for setting in ALWAYS.iter().chain(more) {
            args.extend(["-c".into(), setting.into()]);
        }
        args.extend(["-c".into(), self.socket_setting()]);
        Guarded {
            account: self.account.as_ref(),
            program: &self.binaries.postgres,
            args,
            signal,
            remove,
            data_dir: &self.layout.data_dir,
            socket_dir: &self.layout.socket_dir,
            log: self.log.file(),
        }
        .spawn()
        .map_err(|source| EmbeddedError::Run { program: shell(), source })
    }

    /// The setting is a list of names, so ours is quoted: it may hold a comma.
    fn socket_setting(&self) -> OsString {
        let dir = self.layout.socket_dir.to_string_lossy().replace('"', "\"\"");
        format!("unix_socket_directories=\"{dir}\"").into()
    }
}
