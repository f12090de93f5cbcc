//! The log of PostgreSQL, kept small.

use super::EmbeddedError;
use super::paths::Layout;
use std::fs::File;
use std::os::unix::fs::{FileExt, OpenOptionsExt};

/// The log is emptied when it grows beyond this. PostgreSQL logs no request here, so a
/// log that large says the same thing over and over.
const LARGEST: u64 = 16 * 1024 * 1024;

/// As much of the log's end as is searched for a reason.
const SEARCHED: u64 = 64 * 1024;

/// Messages PostgreSQL gives when it is only too early to start: processes of a
/// postmaster that was killed are about to end.
const TRANSIENT: [&str; 2] = ["pre-existing shared memory block", "lock file \"postmaster.pid\" already exists"];

/// The open log. It is read through the open file, because the folder of a throw-away
/// cluster may be gone by then.
pub(super) struct Log {
    file: File,
}

impl Log {
    /// An empty log; the one before is kept, one generation.
    pub(super) fn create(layout: &Layout) -> Result<Self, EmbeddedError> {
        match std::fs::rename(&layout.log, &layout.old_log) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(EmbeddedError::io("replace", &layout.log)(error));
            }
            _ => {}
        }
        let file = File::options()
            .read(true)
            // Appending is what makes emptying the file under the writer's feet safe.
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&layout.log)
            .map_err(EmbeddedError::io("write", &layout.log))?;
        Ok(Self { file })
    }

    /// For the programs that write to it.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Where the next message goes.
    pub(super) fn end(&self) -> u64 {
        self.file.metadata().map_or(0, |found| found.len())
    }

    /// Empties the log when it is too large.
    pub(super) fn trim(&self) {
        if self.end() <= LARGEST {
            return;
        }
        match self.file.set_len(0) {
            Ok(()) => tracing::warn!(LARGEST, "the PostgreSQL log was too large and is emptied"),
            Err(error) => tracing::warn!(%error, "cannot empty the PostgreSQL log"),
        }
    }

    /// Why a program that logged since `mark` has ended, as far as it said.
    pub(super) fn reason_since(&self, mark: u64) -> String {
        reason(&self.since(mark))
    }

    /// The last line logged since `mark`. Of a server that ran for long: its last error may
    /// be an old one, and have nothing to do with its end.
    pub(super) fn last_line_since(&self, mark: u64) -> String {
        last_line(&self.since(mark)).to_owned()
    }

    /// Whether what was logged since `mark` only means "too early".
    pub(super) fn is_transient_since(&self, mark: u64) -> bool {
        let text = self.since(mark);
        TRANSIENT.iter().any(|message| text.contains(message))
    }

    fn since(&self, mark: u64) -> String {
        let end = self.end();
        let from = mark.max(end.saturating_sub(SEARCHED)).min(end);
        let mut bytes = vec![0; usize::try_from(end - from).unwrap_or(0)];
        let read = self.file.read_at(&mut bytes, from).unwrap_or(0);
        bytes.truncate(read);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// The last line that speaks of an error, else the last line.
fn reason(text: &str) -> String {
    text.lines()
        .map(str::trim)
        .rfind(|line| ["FATAL:", "PANIC:", "error:"].iter().any(|word| line.contains(word)))
        .unwrap_or_else(|| last_line(text))
        .to_owned()
}

fn last_line(text: &str) -> &str {
    text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("it said nothing")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_emptied_once_it_is_too_large() {
        let folder = std::env::temp_dir().join(format!("stipple-log-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let log = Log::create(&Layout::of(&folder).unwrap()).unwrap();
        // Without a byte on the disk.
        for (size, left) in [(LARGEST, LARGEST), (LARGEST + 1, 0)] {
            log.file().set_len(size).unwrap();
            log.trim();
            assert_eq!(log.end(), left);
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn the_last_error_is_the_reason() {
        let text = "LOG:  starting\nFATAL:  no space left\nLOG:  database system is shut down\n\n";
        assert_eq!(reason(text), "FATAL:  no space left");
        assert_eq!(reason("one\ntwo\n"), "two");
        assert_eq!(reason(""), "it said nothing");
    }
}
