//! A collector whose disk a fault will fill: its store lies on a small file system of its own.
//!
//! The collector is started in a mount namespace of its own, where a small tmpfs lies over the store's
//! folder. Nobody else sees it, and it goes with the process, however that ends.

use super::workers::Worker;
use crate::programs;
use anyhow::{Context, Result, anyhow};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The store's folder, in the run's own.
pub(super) const FOLDER: &str = "store";
/// Size of its file system: some thousand reports.
const SIZE: &str = "size=64m,mode=700";
/// What is written at once to fill it.
const BLOCK: usize = 1 << 16;

/// The command that starts a program behind a file system of its own over a folder.
pub(super) fn behind(folder: &Path, program: &Path) -> Result<Command> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut command = Command::new(programs::find("ashiato")?);
    command.arg("behind-disk").arg(folder).arg("--").arg(program);
    Ok(command)
}

/// Makes the file system and becomes the program.
///
/// # Errors
/// When the kernel does not allow it; otherwise this does not return.
pub fn become_program(folder: &Path, program: &[String]) -> Result<()> {
    let none = None::<&str>;
    unshare(CloneFlags::CLONE_NEWNS).context("cannot make a mount namespace (run as root)")?;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .context("cannot keep mounts to ourselves")?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("ashiato"), folder, Some("tmpfs"), flags, Some(SIZE))
        .with_context(|| format!("cannot mount a tmpfs at {}", folder.display()))?;
    let (name, arguments) = program.split_first().context("no program")?;
    Err(anyhow!(Command::new(name).args(arguments).exec()).context(format!("cannot start {name}")))
}

/// The file system, as the lab reaches it: through the collector's process.
#[derive(Debug)]
pub(super) struct Disk {
    filler: PathBuf,
}

impl Disk {
    /// That of a collector that is ready.
    pub(super) fn of(collector: &Worker, folder: &Path) -> Self {
        let root = PathBuf::from(format!("/proc/{}/root", collector.pid()));
        let inside = folder.strip_prefix("/").unwrap_or(folder);
        Self { filler: root.join(inside).join("filler") }
    }

    /// Writes until nothing more fits.
    ///
    /// # Errors
    /// When it ends otherwise than by a full disk.
    pub(super) fn fill(&self) -> Result<()> {
        let what = || format!("cannot fill the collector's disk by {}", self.filler.display());
        let mut file = File::create(&self.filler).with_context(what)?;
        let mut block = &[0; BLOCK][..];
        loop {
            match file.write(block) {
                Ok(_) => {}
                Err(e) if e.kind() == ErrorKind::StorageFull && block.len() > 1 => {
                    block = &block[..1]
                }
                Err(e) if e.kind() == ErrorKind::StorageFull => return Ok(()),
                Err(e) => return Err(e).with_context(what),
            }
        }
    }

    /// Makes room again.
    ///
    /// # Errors
    /// When the file does not go.
    pub(super) fn free(&self) -> Result<()> {
        fs::remove_file(&self.filler).context("cannot make room on the collector's disk")
    }
}
