//! Finding an installed PostgreSQL server that will do.

use super::EmbeddedError;
use super::account::{Account, output_of};
use std::path::{Path, PathBuf};

/// The oldest major version that is supported.
const OLDEST_MAJOR: u32 = 14;

/// Where systems install servers, as parent folder, begin of the version's folder and
/// what follows below it: Debian, Fedora's own packages, Alpine, Homebrew (twice).
const PLACES: [(&str, &str, &str); 5] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/usr/libexec", "postgresql", ""),
    ("/opt/homebrew/opt", "postgresql", "bin"),
    ("/usr/local/opt", "postgresql", "bin"),
];

/// A server that will do.
#[derive(Clone, Debug)]
pub(super) struct Binaries {
    pub(super) initdb: PathBuf,
    pub(super) postgres: PathBuf,
    pub(super) major: u32,
}

/// The first usable server: in `only` when given, else wherever they are installed.
/// With `made_by`, the major version that made an existing cluster, no other will do.
pub(super) fn find(
    only: Option<&Path>,
    made_by: Option<u32>,
    account: Option<&Account>,
) -> Result<Binaries, EmbeddedError> {
    let candidates = match only {
        Some(dir) => vec![dir.to_path_buf()],
        None => candidates(account),
    };
    // The first refusal is about the best candidate, so it is the one worth telling.
    let mut refusal = None;
    for bin_dir in candidates {
        match examine(&bin_dir, made_by, account) {
            Some(Ok(found)) => return Ok(found),
            Some(Err(error)) => {
                refusal.get_or_insert(error);
            }
            None => {}
        }
    }
    Err(refusal.unwrap_or_else(|| EmbeddedError::NotInstalled { looked: only.map(Path::to_path_buf) }))
}

/// `None`: no server here at all.
fn examine(bin_dir: &Path, made_by: Option<u32>, account: Option<&Account>) -> Option<Result<Binaries, EmbeddedError>> {
    let initdb = bin_dir.join("initdb");
    let postgres = bin_dir.join("postgres");
    if !initdb.is_file() || !postgres.is_file() {
        return None;
    }
    // As the cluster's user: who cannot run `--version` cannot run the server.
    let major = major_version(&output_of(&postgres, &["--version"], account)?)?;
    if let Some(needed) = made_by
        && needed != major
    {
        return Some(Err(EmbeddedError::WrongMajor { needed }));
    }
    if major < OLDEST_MAJOR {
        return Some(Err(EmbeddedError::TooOld { found: major, needed: OLDEST_MAJOR, bin_dir: bin_dir.to_path_buf() }));
    }
    // Without a share folder to look into, CREATE EXTENSION will tell.
    let has_btree_gist =
        share_dir(bin_dir, major, account).is_none_or(|share| share.join("extension/btree_gist.control").is_file());
    if !has_btree_gist {
        return Some(Err(EmbeddedError::NoBtreeGist { found: major, bin_dir: bin_dir.to_path_buf() }));
    }
    Some(Ok(Binaries { initdb, postgres, major }))
}

fn share_dir(bin_dir: &Path, major: u32, account: Option<&Account>) -> Option<PathBuf> {
    let told = output_of(&bin_dir.join("pg_config"), &["--sharedir"], account).map(PathBuf::from);
    let guesses = [
        format!("/usr/share/postgresql/{major}"),
        format!("/usr/pgsql-{major}/share"),
        format!("/usr/share/postgresql{major}"),
    ];
    told.into_iter().chain(guesses.into_iter().map(PathBuf::from)).find(|dir| dir.join("extension").is_dir())
}

fn candidates(account: Option<&Account>) -> Vec<PathBuf> {
    let mut found = Vec::new();
    if let Some(dir) = output_of(Path::new("pg_config"), &["--bindir"], account) {
        found.push(PathBuf::from(dir));
    }
    for (parent, prefix, below) in PLACES {
        let names = std::fs::read_dir(parent)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok());
        for name in newest_first(names, prefix) {
            found.push(Path::new(parent).join(name).join(below));
        }
    }
    if let Some(path) = std::env::var_os("PATH") {
        found.extend(std::env::split_paths(&path).filter(|dir| dir.is_absolute()));
    }
    found
}

/// The version folders among `names`, newest first; Homebrew's plain `postgresql`, a
/// link to some version, comes last.
fn newest_first(names: impl Iterator<Item = String>, prefix: &str) -> Vec<String> {
    let mut versions: Vec<(u32, String)> = names
        .filter_map(|name| {
            let version = name.strip_prefix(prefix)?.trim_start_matches('@');
            let number = if version.is_empty() { 0 } else { leading_number(version)? };
            Some((number, name))
        })
        .collect();
    versions.sort_by(|left, right| right.cmp(left));
    versions.into_iter().map(|(_, name)| name).collect()
}

/// `postgres (PostgreSQL) 15.6 (Debian 15.6-0)` is 15, `... 18beta1` is 18.
fn major_version(text: &str) -> Option<u32> {
    leading_number(text.split_once("(PostgreSQL)")?.1.trim_start())
}

/// The number a text begins with; also what `PG_VERSION` of a cluster holds.
pub(super) fn leading_number(text: &str) -> Option<u32> {
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    text.get(..end)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read() {
        let debian = "postgres (PostgreSQL) 15.6 (Debian 15.6-0+deb12u1)";
        assert_eq!(major_version(debian), Some(15));
        assert_eq!(major_version("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(major_version("postgres (PostgreSQL) 9.6.24"), Some(9));
        assert_eq!(major_version("postgres (PostgreSQL) devel"), None);
        assert_eq!(major_version("something else 17"), None);
    }

    #[test]
    fn the_newest_version_comes_first_by_number() {
        let debian = ["9.6", "14", "17", "common"].map(String::from);
        assert_eq!(newest_first(debian.into_iter(), ""), ["17", "14", "9.6"]);
        let brew = ["postgresql", "postgresql@9.6", "postgresql@17", "redis"].map(String::from);
        assert_eq!(newest_first(brew.into_iter(), "postgresql"), ["postgresql@17", "postgresql@9.6", "postgresql"]);
    }
}
