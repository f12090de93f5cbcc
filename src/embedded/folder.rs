//! Making the data folder, its lock and its log, and the cluster itself.

use super::account::{Account, check_reach, hand_over};
use super::binaries::{Binaries, leading_number};
use super::guard::{Guarded, Remove, shell};
use super::log::Log;
use super::paths::Layout;
use super::{Durability, EmbeddedError, SUPERUSER};
use std::ffi::OsString;
use std::fs::{DirBuilder, File, Permissions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

/// A new cluster takes about a second; this is for very slow disks.
const INITDB_LIMIT_SECONDS: u64 = 120;
const INITDB_POLL: Duration = Duration::from_millis(10);

/// What an unfinished cluster's folder is called, with our process id behind it.
const UNFINISHED: &str = "postgres.new.";

/// Makes the data folder and those above it. As root they are open to be passed through,
/// whatever the umask, because the cluster runs as another user.
pub(super) fn create_data_dir(dir: &Path, durability: Durability) -> Result<(), EmbeddedError> {
    if durability == Durability::Throwaway && dir.symlink_metadata().is_ok() {
        return Err(EmbeddedError::NotNew { dir: dir.to_path_buf() });
    }
    let is_root = rustix::process::geteuid().is_root();
    let mut missing: Vec<&Path> =
        dir.ancestors().take_while(|ancestor| !ancestor.as_os_str().is_empty() && !ancestor.exists()).collect();
    missing.reverse();
    for folder in missing {
        let mode = if is_root { 0o755 } else { 0o700 };
        match DirBuilder::new().mode(mode).create(folder) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(EmbeddedError::io("create", folder)(error));
            }
            _ if is_root => set_mode(folder, mode)?,
            _ => {}
        }
    }
    Ok(())
}

/// How often the lock is tried for before another server is taken to run on the data folder.
const LOCK_TRIES: u32 = 20;
/// How long between two tries.
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// Takes the lock that says a server runs on this data folder. It is held as long as the
/// file is open, by us only: std opens it close-on-exec.
pub(super) fn lock(layout: &Layout) -> Result<File, EmbeddedError> {
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&layout.lock)
        .map_err(EmbeddedError::io("write", &layout.lock))?;
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            // A server that was killed a moment ago may not be quite gone yet.
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(source)) => return Err(EmbeddedError::io("lock", &layout.lock)(source)),
        }
    }
    Err(EmbeddedError::Locked { data_dir: layout.data_dir.clone() })
}

/// Makes the socket's folder, or checks the one that is there: whoever can write to it
/// could put a socket of their own in the place of ours.
pub(super) fn prepare_socket_dir(layout: &Layout, account: Option<&Account>) -> Result<(), EmbeddedError> {
    let dir = layout.socket_dir.as_path();
    let refuse = |why| EmbeddedError::SocketDir { dir: dir.to_path_buf(), why };
    if let Err(error) = DirBuilder::new().mode(0o700).create(dir)
        && error.kind() != std::io::ErrorKind::AlreadyExists
    {
        return Err(EmbeddedError::io("create", dir)(error));
    }
    let found = dir.symlink_metadata().map_err(EmbeddedError::io("open", dir))?;
    let ours = rustix::process::geteuid().as_raw();
    let owner = account.map_or(ours, |account| account.uid);
    if !found.is_dir() {
        return Err(refuse("is not a folder"));
    }
    if found.uid() != owner && found.uid() != ours {
        return Err(refuse("belongs to another user"));
    }
    set_mode(dir, 0o700)?;
    hand_over(dir, account)?;
    check_reach(dir, account)
}

fn set_mode(dir: &Path, mode: u32) -> Result<(), EmbeddedError> {
    std::fs::set_permissions(dir, Permissions::from_mode(mode))
        .map_err(EmbeddedError::io("change the permissions of", dir))
}

/// The major version that made the existing cluster, if there is one.
pub(super) fn made_by(layout: &Layout) -> Result<Option<u32>, EmbeddedError> {
    let file = layout.cluster.join("PG_VERSION");
    match std::fs::read_to_string(&file) {
        Ok(text) => Ok(leading_number(text.trim())),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(EmbeddedError::io("read", &file)(error)),
        Err(_) if layout.cluster.symlink_metadata().is_ok() => {
            Err(EmbeddedError::NotACluster { dir: layout.cluster.clone() })
        }
        Err(_) => Ok(None),
    }
}

/// Makes a new cluster in a folder beside its place and moves it there when complete:
/// a death in the middle leaves nothing that looks like a cluster. The folder's name has
/// our process id, because the `initdb` of a server killed just now may still be
/// emptying its own.
pub(super) fn create_cluster(
    layout: &Layout,
    binaries: &Binaries,
    account: Option<&Account>,
    durability: Durability,
    log: &Log,
) -> Result<(), EmbeddedError> {
    let fresh = layout.data_dir.join(format!("{UNFINISHED}{}", std::process::id()));
    DirBuilder::new().mode(0o700).create(&fresh).map_err(EmbeddedError::io("create", &fresh))?;
    hand_over(&fresh, account)?;
    check_reach(&fresh, account)?;

    let mut args: Vec<OsString> = vec!["--pgdata".into(), fresh.clone().into()];
    args.extend(["--username", SUPERUSER, "--auth=trust"].map(OsString::from));
    args.extend(["--encoding=UTF8", "--locale=C", "--no-instructions"].map(OsString::from));
    let remove = match durability {
        Durability::Durable => {
            // A disk that returns other bytes than were written is found out.
            args.push("--data-checksums".into());
            Remove::Never
        }
        Durability::Throwaway => {
            args.push("--no-sync".into());
            Remove::Failed
        }
    };
    let mark = log.end();
    let (mut child, pipe) = Guarded {
        account,
        program: &binaries.initdb,
        args,
        signal: "TERM",
        remove,
        data_dir: &layout.data_dir,
        socket_dir: &layout.socket_dir,
        log: log.file(),
    }
    .spawn()
    .map_err(|source| EmbeddedError::Run { program: shell(), source })?;
    let mut left = INITDB_LIMIT_SECONDS * 1000 / 10;
    let status = loop {
        let ended = child.try_wait().map_err(EmbeddedError::io("wait for initdb in", &fresh))?;
        match ended {
            Some(status) => break status,
            None if left == 0 => {
                return Err(EmbeddedError::TooSlow {
                    what: "initdb",
                    seconds: INITDB_LIMIT_SECONDS,
                    log: layout.log.clone(),
                });
            }
            None => std::thread::sleep(INITDB_POLL),
        }
        left -= 1;
    };
    drop(pipe);
    if !status.success() {
        return Err(EmbeddedError::Initdb { why: log.reason_since(mark) });
    }
    std::fs::rename(&fresh, &layout.cluster).map_err(EmbeddedError::io("create", &layout.cluster))?;
    if durability == Durability::Durable {
        // The rename itself must outlive a power cut.
        File::open(&layout.data_dir)
            .and_then(|folder| folder.sync_all())
            .map_err(EmbeddedError::io("sync", &layout.data_dir))?;
    }
    // Again: the `initdb` of a server killed just before this start has ended by now.
    remove_unfinished(layout);
    Ok(())
}

/// Removes what earlier deaths in the middle have left; only with the lock. Failing is no
/// matter: it is tried again at the next start, and nothing else looks at these folders.
pub(super) fn remove_unfinished(layout: &Layout) {
    let Ok(entries) = std::fs::read_dir(&layout.data_dir) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if name.to_string_lossy().starts_with(UNFINISHED)
            && let Err(error) = std::fs::remove_dir_all(entry.path())
        {
            tracing::debug!(folder = ?entry.path(), %error, "cannot remove an unfinished cluster");
        }
    }
}
