//! As whom the cluster runs: PostgreSQL refuses to run as root.

use super::EmbeddedError;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Users to run the cluster as, the best first (`_postgres` is macOS).
const NAMES: [&str; 3] = ["postgres", "_postgres", "nobody"];

/// Environment the PostgreSQL programs get from ours. Nothing else: `PG*` and `LC_*`
/// would change what they do, and secrets of the server are none of their business.
const ENVIRONMENT: [&str; 6] =
    ["PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH"];

/// An unprivileged user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// As whom to run the cluster: `None` for ourselves. For root it is the owner of an
/// existing cluster (it may have been made by an ordinary user), else `postgres`.
pub(super) fn choose(cluster: &Path) -> Result<Option<Account>, EmbeddedError> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    if let Ok(found) = cluster.symlink_metadata()
        && found.uid() != 0
    {
        return Ok(Some(Account { name: format!("number {}", found.uid()), uid: found.uid(), gid: found.gid() }));
    }
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    NAMES.iter().find_map(|name| in_passwd(&passwd, name)).map(Some).ok_or(EmbeddedError::NoAccount)
}

/// The user of this name. Ids are read as signed, too: macOS writes nobody's as -2.
fn in_passwd(passwd: &str, name: &str) -> Option<Account> {
    let id = |text: &str| text.parse::<u32>().ok().or_else(|| text.parse::<i32>().ok().map(i32::cast_unsigned));
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next() != Some(name) {
            return None;
        }
        let uid = id(fields.nth(1)?)?;
        let gid = id(fields.next()?)?;
        (uid != 0).then(|| Account { name: name.to_owned(), uid, gid })
    })
}

/// Gives one file or folder to the cluster's user; nothing to do for ourselves.
pub(super) fn hand_over(path: &Path, account: Option<&Account>) -> Result<(), EmbeddedError> {
    let Some(account) = account else {
        return Ok(());
    };
    std::os::unix::fs::lchown(path, Some(account.uid), Some(account.gid))
        .map_err(EmbeddedError::io("change the owner of", path))
}

/// A command that runs as the cluster's user, in a folder every user may enter, with a
/// small environment: UTC and the C locale, so that messages can be read and `initdb`
/// need not search for the local time zone.
pub(super) fn command(program: &Path, account: Option<&Account>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().current_dir("/").stdin(Stdio::null());
    for name in ENVIRONMENT {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.env("LC_ALL", "C").env("TZ", "UTC");
    if let Some(account) = account {
        command.uid(account.uid).gid(account.gid);
    }
    command
}

/// What a command prints, if it can be run and ends well.
pub(super) fn output_of(program: &Path, args: &[&str], account: Option<&Account>) -> Option<String> {
    let output = command(program, account).args(args).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Checks that the cluster's user can reach `dir`. The kernel is asked (permission bits
/// are not all there is to it); the bits are read only to name the culprit.
pub(super) fn check_reach(dir: &Path, account: Option<&Account>) -> Result<(), EmbeddedError> {
    let Some(account) = account else {
        return Ok(());
    };
    let shell = Path::new("/bin/sh");
    let entered = command(shell, Some(account))
        .args(["-c", "cd -- \"$1\"", "sh"])
        .arg(dir)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map_err(|source| EmbeddedError::Run { program: shell.to_path_buf(), source })?;
    if entered.success() {
        return Ok(());
    }
    let mut ancestors: Vec<&Path> = dir.ancestors().collect();
    ancestors.reverse();
    let closed = ancestors.into_iter().find(|ancestor| !enters(ancestor, account)).unwrap_or(dir);
    Err(EmbeddedError::NotTraversable { user: account.name.clone(), dir: closed.to_path_buf() })
}

fn enters(dir: &Path, account: &Account) -> bool {
    let Ok(found) = dir.metadata() else {
        return false;
    };
    let bit = if found.uid() == account.uid {
        0o100
    } else if found.gid() == account.gid {
        0o010
    } else {
        0o001
    };
    found.mode() & bit != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\n\
        # a comment\n\
        postgresql:x:7:7::/:/bin/sh\n\
        postgres:x:101:104:PostgreSQL administrator,,,:/var/lib/postgresql:/bin/bash\n\
        broken:x:\n\
        nobody:*:-2:-2:Unprivileged User:/var/empty:/usr/bin/false\n";

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let found = in_passwd(PASSWD, "postgres");
        assert_eq!(found.as_ref().map(|user| (user.uid, user.gid)), Some((101, 104)));
    }

    #[test]
    fn a_negative_id_is_a_large_one() {
        let found = in_passwd(PASSWD, "nobody");
        assert_eq!(found.map(|user| user.uid), Some(4_294_967_294));
    }

    #[test]
    fn root_unknown_and_broken_users_are_not_found() {
        assert_eq!(in_passwd(PASSWD, "root"), None);
        assert_eq!(in_passwd(PASSWD, "absent"), None);
        assert_eq!(in_passwd(PASSWD, "broken"), None);
    }
}
