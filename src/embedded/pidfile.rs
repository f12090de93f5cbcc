//! What PostgreSQL says of itself in `postmaster.pid`, and ending one left running.

use super::EmbeddedError;
use super::paths::{Layout, socket_in};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a left-over server may take to shut down cleanly, then at once.
const FAST_LIMIT_SECONDS: u32 = 30;
const IMMEDIATE_LIMIT_SECONDS: u32 = 10;
const POLL: Duration = Duration::from_millis(20);
const POLLS_PER_SECOND: u32 = 50;

/// The parts of `postmaster.pid` we need.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PidFile {
    pub(super) pid: i32,
    pub(super) socket_dir: PathBuf,
    pub(super) ready: bool,
}

impl PidFile {
    pub(super) fn read(cluster: &Path) -> Option<Self> {
        Self::parse(&std::fs::read_to_string(cluster.join("postmaster.pid")).ok()?)
    }

    /// One item a line: 1 the process, 5 the socket's folder, 8 the state. A single-user
    /// process writes its id negative.
    fn parse(text: &str) -> Option<Self> {
        let line = |number: usize| text.lines().nth(number - 1).unwrap_or("").trim();
        Some(Self {
            pid: line(1).parse().ok().filter(|pid| *pid > 0)?,
            socket_dir: PathBuf::from(line(5)),
            ready: line(8) == "ready",
        })
    }
}

/// The socket folder of a server that runs on this cluster and takes connections. The
/// socket is tried, too: the file outlives a killed server, a listener does not.
pub(super) fn ready_socket_dir(cluster: &Path) -> Option<PathBuf> {
    let first = PidFile::read(cluster).filter(|found| found.ready)?;
    UnixStream::connect(socket_in(&first.socket_dir)).ok()?;
    // Read again: the file may have been a dead server's, and the listener a new one's
    // that still replays its log.
    PidFile::read(cluster).filter(|found| found.ready).map(|found| found.socket_dir)
}

/// Ends a server that an earlier process has left running (its guard does so as well, but
/// the guard may have been killed), so that the next one can start. Only with the lock.
pub(super) fn settle_leftover(layout: &Layout) -> Result<(), EmbeddedError> {
    let Some((pid, process)) = leftover(layout) else {
        return Ok(());
    };
    tracing::info!(pid, "stopping the PostgreSQL an earlier stipple left running");
    for (signal, seconds) in [(Signal::INT, FAST_LIMIT_SECONDS), (Signal::QUIT, IMMEDIATE_LIMIT_SECONDS)] {
        // It may have ended in between.
        let _ = kill_process(process, signal);
        for _ in 0..seconds * POLLS_PER_SECOND {
            if leftover(layout).is_none() {
                return Ok(());
            }
            std::thread::sleep(POLL);
        }
    }
    Err(EmbeddedError::Leftover { pid })
}

/// The process of `postmaster.pid` if it is alive and works on this cluster. A file that
/// names some other process (ids are used again, soon so in a container) is removed:
/// PostgreSQL would not dare to.
fn leftover(layout: &Layout) -> Option<(i32, Pid)> {
    let found = PidFile::read(&layout.cluster)?;
    let process = Pid::from_raw(found.pid)?;
    if test_kill_process(process) == Err(Errno::SRCH) {
        return None;
    }
    match works_on(found.pid, &layout.cluster) {
        Some(true) => Some((found.pid, process)),
        Some(false) => {
            let file = layout.cluster.join("postmaster.pid");
            if let Err(error) = std::fs::remove_file(&file) {
                tracing::warn!(?file, %error, "cannot remove a stale file");
            }
            None
        }
        None => UnixStream::connect(socket_in(&found.socket_dir)).is_ok().then_some((found.pid, process)),
    }
}

/// Whether the process works on this cluster, by its working folder: a postmaster's is
/// its data directory. `None` where the system does not tell (macOS). A process without
/// a working folder has ended and waits to be reaped.
fn works_on(pid: i32, cluster: &Path) -> Option<bool> {
    if !Path::new("/proc/self/cwd").exists() {
        return None;
    }
    match std::fs::read_link(format!("/proc/{pid}/cwd")) {
        Ok(folder) => Some(folder == cluster),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Some(false),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "4711\n/d/postgres\n1700000000\n5432\n/d/run\n\n  5432001    65536\n";

    #[test]
    fn a_pid_file_is_read() {
        let ready = PidFile::parse(&format!("{TEXT}ready   \n"));
        assert_eq!(ready, Some(PidFile { pid: 4711, socket_dir: PathBuf::from("/d/run"), ready: true }));
        let starting = PidFile::parse(&format!("{TEXT}starting\n"));
        assert_eq!(starting.map(|found| found.ready), Some(false));
    }

    #[test]
    fn half_a_pid_file_is_not_ready() {
        assert_eq!(PidFile::parse("12\n/d").map(|found| found.ready), Some(false));
        assert_eq!(PidFile::parse(""), None);
        assert_eq!(PidFile::parse("-12\n"), None);
    }
}
