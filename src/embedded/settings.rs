//! Which cluster to run, and how.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// What the data is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// What is committed outlives a power cut.
    Durable,
    /// For tests: nothing is synced, and the whole data folder is removed when the
    /// process ends, however it ends. Not restarted when it dies.
    Throwaway,
}

/// Which cluster to run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The data folder; made when missing. A throw-away one must not exist.
    pub data_dir: PathBuf,
    /// What the data is worth.
    pub durability: Durability,
    /// The folder of PostgreSQL's binaries; `None`: find one.
    pub bin_dir: Option<PathBuf>,
}

impl Settings {
    /// A cluster whose data is kept in `data_dir`.
    #[must_use]
    pub fn durable(data_dir: impl Into<PathBuf>) -> Self {
        Self { data_dir: data_dir.into(), durability: Durability::Durable, bin_dir: None }
    }

    /// A cluster for tests in a new folder of the temp folder, named after this process.
    #[must_use]
    pub fn throwaway() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let temp = std::env::temp_dir();
        let data_dir = loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let dir = temp.join(format!("stipple-test-{}-{number}", std::process::id()));
            // One may be left of a process with our id whose guard was killed, too.
            if dir.symlink_metadata().is_err() {
                break dir;
            }
        };
        Self { data_dir, durability: Durability::Throwaway, bin_dir: None }
    }
}
