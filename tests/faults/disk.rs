//! A small disk of its own, which can be filled.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// How large it is: a cluster, its log and what a run writes, several times over.
const MEBIBYTES: u32 = 512;
/// What it is filled with at a time, and at last.
const PIECES: [usize; 2] = [1 << 20, 1 << 12];
/// How often unmounting is tried: processes that were killed keep it for a moment.
const MAX_TRIES: u32 = 500;
const PAUSE: Duration = Duration::from_millis(10);

/// A disk in memory, mounted on a folder until it is dropped.
pub struct Disk {
    path: PathBuf,
}

impl Disk {
    /// Mounts one; nothing where that is not allowed, which mostly only root is.
    pub fn mount(path: &Path) -> Option<Self> {
        std::fs::create_dir(path).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={MEBIBYTES}m,mode=0755"), "stipple-faults"]).arg(path);
        let mounted = mount.stderr(Stdio::null()).status().is_ok_and(|status| status.success());
        mounted.then(|| Self { path: path.to_owned() })
    }

    /// Fills it to the last block.
    pub fn fill(&self) {
        let mut filler = File::create(self.filler()).unwrap();
        for piece in PIECES {
            let zeros = vec![0; piece];
            let full = loop {
                if let Err(error) = filler.write_all(&zeros) {
                    break error;
                }
            };
            assert_eq!(full.kind(), ErrorKind::StorageFull, "{full}");
        }
    }

    /// Frees what was filled.
    pub fn free(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.path.join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        for _ in 0..MAX_TRIES {
            let unmounted = Command::new("umount").arg(&self.path).stderr(Stdio::null()).status();
            if unmounted.is_ok_and(|status| status.success()) {
                return;
            }
            std::thread::sleep(PAUSE);
        }
        eprintln!("{} stays mounted", self.path.display());
    }
}
