//! What can go wrong with the private cluster, one line each, saying what to do.

use std::path::PathBuf;

/// Why the private PostgreSQL cluster could not be found, started, kept or stopped.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// No folder with both `initdb` and `postgres` was found.
    #[error(
        "no PostgreSQL server is installed{}: install one with `apt-get install postgresql postgresql-contrib` (Debian, Ubuntu) or `brew install postgresql@17` (macOS)",
        .looked.as_ref().map(|dir| format!(" in {}", dir.display())).unwrap_or_default()
    )]
    NotInstalled {
        /// The only folder that was looked at, when the caller named one.
        looked: Option<PathBuf>,
    },
    /// The newest server found is older than the oldest that is supported.
    #[error("PostgreSQL {found} in {} is too old: install version {needed} or newer", .bin_dir.display())]
    TooOld {
        /// Major version found.
        found: u32,
        /// Oldest major version that works.
        needed: u32,
        /// Where it was found.
        bin_dir: PathBuf,
    },
    /// The contributed extensions are a package of their own on some systems.
    #[error("PostgreSQL {found} in {} lacks the extension btree_gist: install it with `apt-get install postgresql-contrib` (Debian, Ubuntu) or `dnf install postgresql-contrib` (Fedora)", .bin_dir.display())]
    NoBtreeGist {
        /// Major version found.
        found: u32,
        /// Where it was found.
        bin_dir: PathBuf,
    },
    /// A cluster can be opened only by the major version that made it.
    #[error(
        "the data folder was made by PostgreSQL {needed}, which is not installed: install PostgreSQL {needed} (`apt-get install postgresql-{needed}`, `brew install postgresql@{needed}`), or move the data with pg_upgrade"
    )]
    WrongMajor {
        /// The major version that made the data folder.
        needed: u32,
    },
    /// Another process holds the lock of the data folder.
    #[error("another stipple is running on this data folder ({}): stop it, or choose another data folder", .data_dir.display())]
    Locked {
        /// The data folder.
        data_dir: PathBuf,
    },
    /// A file or folder could not be read or written.
    #[error("cannot {action} {}: {source}; check that the data folder belongs to the user who runs stipple, or choose another", .path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A program could not be started.
    #[error("cannot run {}: {source}", .program.display())]
    Run {
        /// The program.
        program: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Neither `postgres` nor `nobody` is a user here.
    #[error(
        "PostgreSQL refuses to run as root and there is no user `postgres` or `nobody` to run it as: create one with `useradd --system postgres`, or start stipple as an ordinary user"
    )]
    NoAccount,
    /// As root, the cluster runs as another user, who has to reach it.
    #[error("the user {user}, as whom PostgreSQL runs, may not enter {}: allow it with `chmod o+x {}`, or choose a data folder elsewhere", .dir.display(), .dir.display())]
    NotTraversable {
        /// The user.
        user: String,
        /// The folder that user may not enter.
        dir: PathBuf,
    },
    /// The folder of the Unix socket is not ours alone.
    #[error("the socket folder {} {why}: remove it and start again", .dir.display())]
    SocketDir {
        /// The folder.
        dir: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// `<data_dir>/postgres` exists but holds no cluster.
    #[error("{} exists but is no PostgreSQL cluster: move it away, or choose another data folder", .dir.display())]
    NotACluster {
        /// The folder.
        dir: PathBuf,
    },
    /// A throw-away folder is deleted at the end, so it must be new.
    #[error("{} exists: a throw-away cluster is deleted at its end and needs a folder that does not exist yet", .dir.display())]
    NotNew {
        /// The folder.
        dir: PathBuf,
    },
    /// `initdb` failed.
    #[error("initdb failed: {why}")]
    Initdb {
        /// Its last message.
        why: String,
    },
    /// `postgres` ended before it was ready.
    #[error("PostgreSQL did not start: {why} (log: {})", .log.display())]
    Start {
        /// Its last message.
        why: String,
        /// The server log.
        log: PathBuf,
    },
    /// A limit in time was passed.
    #[error("{what} took longer than {seconds} s (log: {})", .log.display())]
    TooSlow {
        /// What took too long.
        what: &'static str,
        /// The limit.
        seconds: u64,
        /// The server log.
        log: PathBuf,
    },
    /// The PostgreSQL of a killed stipple would not end.
    #[error(
        "the PostgreSQL left by an earlier stipple (process {pid}) does not end: end it with `kill -QUIT {pid}` and start again"
    )]
    Leftover {
        /// Its process.
        pid: i32,
    },
    /// PostgreSQL ended and was not, or not again, restarted.
    #[error("PostgreSQL failed for good: {why}")]
    Failed {
        /// What happened last.
        why: String,
    },
    /// The cluster runs, but a connection fails.
    #[error("PostgreSQL runs but does not accept a connection: {0}")]
    Connect(#[source] Box<sqlx::Error>),
    /// The cluster was told to stop while it was starting.
    #[error("PostgreSQL was stopped while it was starting")]
    Stopped,
    /// Neither `XDG_DATA_HOME` nor `HOME` says where data goes.
    #[error("no folder for data is known because HOME is not set: name one with --data-dir")]
    NoHome,
    /// The runtime could not run a helper (it is shutting down, or out of threads).
    #[error("cannot run the PostgreSQL supervisor: {0}")]
    Runtime(String),
}

impl EmbeddedError {
    /// An [`EmbeddedError::Io`], for `map_err`.
    pub(super) fn io(action: &'static str, path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { action, path, source }
    }
}
