//! Programs that end when we end, whatever ends us.
//!
//! There is no portable, safe call for "kill my child when I die". But a pipe whose only
//! writer is this process closes at its death, even at `kill -9`. So a small shell sits
//! between: it starts the program and reads from that pipe; at its end it signals the
//! program, again and again (a signal that comes before the program listens is lost),
//! and at last with SIGQUIT. When the program ends by itself the shell ends with its
//! exit code, so that waiting for the shell is waiting for the program.

use super::account::{Account, command};
use std::ffi::OsString;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};

/// Seconds the program may take to end before it gets SIGQUIT; after this PostgreSQL
/// ends at once and replays its log at the next start. Written into [`SCRIPT`], too.
pub(super) const END_LIMIT_SECONDS: u64 = 30;

/// Signals to the whole service (a terminal's, systemd's) must not end the shell before
/// the program, so it ignores them; PostgreSQL sets its own handlers.
const SCRIPT: &str = r#"
signal=$1; remove=$2; data_dir=$3; socket_dir=$4; shift 4
trap '' HUP INT TERM
exec 3<&0 </dev/null
"$@" 3<&- &
program=$!
(
    read -r line <&3
    waited=0
    while [ "$waited" -lt 30 ]; do
        kill -s "$signal" "$program" || exit 0
        sleep 1
        waited=$((waited + 1))
    done
    kill -s QUIT "$program"
) 2>/dev/null &
watcher=$!
exec 3<&-
wait "$program"
code=$?
kill -s KILL "$watcher" 2>/dev/null
if [ "$remove" = always ] || { [ "$remove" = failed ] && [ "$code" -ne 0 ]; }; then
    for folder in "$data_dir" "$socket_dir"; do
        rm -rf -- "$folder" 2>/dev/null || { sleep 1; rm -rf -- "$folder"; }
    done
fi
exit "$code"
"#;

/// When the shell removes the data folder after the program has ended. The shell does
/// this because it outlives us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remove {
    /// Data that is kept.
    Never,
    /// A throw-away folder that another program is to use after this one.
    Failed,
    /// A throw-away folder.
    Always,
}

/// A program to run under guard.
pub(super) struct Guarded<'a> {
    pub(super) account: Option<&'a Account>,
    pub(super) program: &'a Path,
    pub(super) args: Vec<OsString>,
    /// The signal that ends it, by its name.
    pub(super) signal: &'static str,
    pub(super) remove: Remove,
    pub(super) data_dir: &'a Path,
    pub(super) socket_dir: &'a Path,
    /// Where its messages go.
    pub(super) log: &'a File,
}

impl Guarded<'_> {
    /// Starts it. The program lives at most as long as the returned pipe end, which std
    /// opens close-on-exec: no other child inherits it.
    pub(super) fn spawn(self) -> std::io::Result<(Child, ChildStdin)> {
        let remove = match self.remove {
            Remove::Never => "never",
            Remove::Failed => "failed",
            Remove::Always => "always",
        };
        let mut child = command(&shell(), self.account)
            .args(["-c", SCRIPT, "stipple-postgres", self.signal, remove])
            .arg(self.data_dir)
            .arg(self.socket_dir)
            .arg(self.program)
            .args(self.args)
            // A process group of its own: Ctrl-C is for us, and we then stop the program
            // after the requests in flight.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(self.log.try_clone()?)
            .stderr(self.log.try_clone()?)
            .spawn()?;
        let pipe = child.stdin.take().ok_or(std::io::ErrorKind::BrokenPipe)?;
        Ok((child, pipe))
    }
}

/// The shell of the guard.
pub(super) fn shell() -> PathBuf {
    PathBuf::from("/bin/sh")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_waits_as_long_as_the_limit_says() {
        assert!(SCRIPT.contains(&format!("-lt {END_LIMIT_SECONDS} ]")));
    }
}
