//! Where everything of a data folder is.

use super::EmbeddedError;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// `sun_path` without its closing zero: 107 bytes on Linux, 103 on macOS. The smaller
/// one everywhere, so that one data folder has one socket place.
const SOCKET_PATH_MAX: usize = 103;

/// The file name of PostgreSQL's socket; the port is only a name here.
const SOCKET_NAME: &str = ".s.PGSQL.5432";

/// The places of one data folder.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// The data folder itself, absolute and without links.
    pub(super) data_dir: PathBuf,
    /// The cluster, PostgreSQL's own data directory.
    pub(super) cluster: PathBuf,
    /// The folder of the Unix socket.
    pub(super) socket_dir: PathBuf,
    /// The server log.
    pub(super) log: PathBuf,
    /// The log of the start before, for after a crash.
    pub(super) old_log: PathBuf,
    /// The file whose lock says that a server runs.
    pub(super) lock: PathBuf,
}

impl Layout {
    /// The layout of an existing data folder; its path is made canonical, because the
    /// socket's place is derived from it and must not depend on how it was spelled.
    pub(super) fn of(data_dir: &Path) -> Result<Self, EmbeddedError> {
        let data_dir = data_dir.canonicalize().map_err(EmbeddedError::io("open the data folder", data_dir))?;
        Ok(Self {
            cluster: data_dir.join("postgres"),
            socket_dir: socket_dir(&data_dir, &std::env::temp_dir()),
            log: data_dir.join("postgres.log"),
            old_log: data_dir.join("postgres.log.old"),
            lock: data_dir.join("stipple.lock"),
            data_dir,
        })
    }

    /// Whether the socket had to be put outside the data folder.
    pub(super) fn socket_is_outside(&self) -> bool {
        !self.socket_dir.starts_with(&self.data_dir)
    }
}

/// The socket itself.
pub(super) fn socket_in(dir: &Path) -> PathBuf {
    dir.join(SOCKET_NAME)
}

/// The socket's folder: in the data folder when every client can open it there, else a
/// short name in the temp folder.
fn socket_dir(data_dir: &Path, temp_dir: &Path) -> PathBuf {
    let inside = data_dir.join("run");
    if fits(&inside) {
        return inside;
    }
    let name = format!("stipple-{:016x}", fnv1a(data_dir.as_os_str().as_bytes()));
    let in_temp = temp_dir.join(&name);
    if in_temp.is_absolute() && fits(&in_temp) {
        return in_temp;
    }
    Path::new("/tmp").join(name)
}

/// Besides the length: sqlx wants UTF-8, and libpq takes a comma for the end of the path.
fn fits(dir: &Path) -> bool {
    dir.to_str().is_some_and(|text| !text.contains(',')) && socket_in(dir).as_os_str().len() <= SOCKET_PATH_MAX
}

/// FNV-1a: short, and the same in every process and version, unlike std's hashers.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Where data goes when nobody says otherwise: `/var/lib/stipple` for root, else the
/// user's own data folder.
///
/// # Errors
/// [`EmbeddedError::NoHome`] when an ordinary user has no `HOME`.
pub fn default_data_dir() -> Result<PathBuf, EmbeddedError> {
    if rustix::process::geteuid().is_root() {
        return Ok(PathBuf::from("/var/lib/stipple"));
    }
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || absolute("HOME").ok_or(EmbeddedError::NoHome);
    if cfg!(target_os = "macos") {
        return Ok(home()?.join("Library/Application Support/stipple"));
    }
    match absolute("XDG_DATA_HOME") {
        Some(data) => Ok(data.join("stipple")),
        None => Ok(home()?.join(".local/share/stipple")),
    }
}

/// A path as part of a URL's query, for [`super::Cluster::url`].
pub(super) fn percent_encoded(path: &Path) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::new();
    for byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.~".contains(byte) {
            encoded.push(char::from(*byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_data_folder_holds_its_socket() {
        let dir = socket_dir(Path::new("/var/lib/stipple"), Path::new("/tmp"));
        assert_eq!(dir, Path::new("/var/lib/stipple/run"));
    }

    #[test]
    fn a_long_data_folder_has_its_socket_in_the_temp_folder() {
        let long = PathBuf::from(format!("/srv/{}", "x".repeat(120)));
        let dir = socket_dir(&long, Path::new("/tmp"));
        assert!(dir.starts_with("/tmp"));
        assert!(fits(&dir));
        assert_eq!(dir, socket_dir(&long, Path::new("/tmp")));
        assert_ne!(dir, socket_dir(&long.join("y"), Path::new("/tmp")));
    }

    #[test]
    fn so_has_one_that_libpq_would_split() {
        assert!(socket_dir(Path::new("/srv/a,b"), Path::new("/tmp")).starts_with("/tmp"));
    }

    #[test]
    fn the_limit_is_exact() {
        let spare = SOCKET_PATH_MAX - "/".len() - "/run/".len() - SOCKET_NAME.len();
        let fitting = PathBuf::from(format!("/{}", "x".repeat(spare)));
        assert_eq!(socket_dir(&fitting, Path::new("/tmp")), fitting.join("run"));
        let longer = PathBuf::from(format!("/{}", "x".repeat(spare + 1)));
        assert!(socket_dir(&longer, Path::new("/tmp")).starts_with("/tmp"));
    }

    #[test]
    fn a_long_temp_folder_is_not_used() {
        let long = PathBuf::from(format!("/{}", "x".repeat(120)));
        assert!(socket_dir(&long, &long).starts_with("/tmp"));
    }

    #[test]
    fn a_path_in_a_url_is_encoded() {
        assert_eq!(percent_encoded(Path::new("/a b/ü+&")), "/a%20b/%C3%BC%2B%26");
    }
}
