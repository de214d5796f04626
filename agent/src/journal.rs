//! What an agent changes on a host's interfaces, written down before it is changed, so that a later
//! start (or `ashiato-agent gc`) can give it back after an agent was killed.
//!
//! ```text
//! STATE/<process>-<thread>-<when>.json    one vantage's changes; locked as long as its agent lives
//! ```
//! STATE is `$ASHIATO_AGENT_STATE`, else `/run/ashiato-agent` for root and
//! `~/.local/state/ashiato-agent` for others. The lock, not the process number, says who lives: it
//! holds across process namespaces, and the kernel takes it off however a process ends.

use crate::datapath::{netns, offload};
use anyhow::Context;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The changes of one vantage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The kernel's number for the network namespace.
    pub namespace: u64,
    /// The file that named the namespace, where the configuration gave one.
    pub netns: Option<PathBuf>,
    /// By interface.
    pub changes: Vec<Change>,
}

/// What an interface was like before.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Change {
    /// Its name.
    pub interface: String,
    /// Its index, so that a later one of the same name is not taken for it.
    pub index: u32,
    /// Whether received frames were merged (GRO); left out where that was not changed.
    pub gro: Option<u32>,
    /// Ethtool's flags, LRO among them; left out where they were not changed.
    pub flags: Option<u32>,
    /// A filter of clsact was added, which outlives its agent (kernels before 6.6).
    #[serde(default)]
    pub filter: bool,
}

/// A record of this process. The file goes when this is dropped: after the changes were taken back.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    _file: Flock<File>,
}

impl Journal {
    /// Writes a record, and waits until it is safe.
    ///
    /// # Errors
    /// When it cannot be written: then nothing may be changed either.
    pub fn write(record: &Record) -> anyhow::Result<Self> {
        let state = state()?;
        let write = || -> anyhow::Result<Self> {
            DirBuilder::new().recursive(true).mode(0o700).create(&state)?;
            let when = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_nanos();
            let name = format!("{}-{}-{when}.json", std::process::id(), nix::unistd::gettid());
            // Moved to its name when it is whole and locked: nobody may take it for a dead agent's.
            let (path, aside) = (state.join(&name), state.join(format!(".{name}")));
            let file = OpenOptions::new().write(true).create_new(true).open(&aside)?;
            let mut file = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, e)| e)?;
            file.write_all(&serde_json::to_vec(record)?)?;
            file.sync_data()?;
            fs::rename(&aside, &path)?;
            Ok(Self { path, _file: file })
        };
        write().with_context(|| {
            format!(
                "cannot write down in {} what is changed on interfaces (set ASHIATO_AGENT_STATE to \
                 a folder that can be written)",
                state.display()
            )
        })
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Gives back what agents changed that live no more; one line for each interface says what.
///
/// # Errors
/// When it is unknown where journals are. A journal that cannot be used stays, and is told.
pub fn recover() -> anyhow::Result<Vec<String>> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(state()?).into_iter().flatten().filter_map(|e| Some(e.ok()?.path())).collect();
    paths.sort_unstable();
    let mut said = vec![];
    for path in &paths {
        let hidden = path.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"."));
        if hidden || path.extension().is_none_or(|e| e != "json") {
            continue;
        }
        match recover_one(path) {
            Ok(lines) => said.extend(lines),
            Err(e) => said.push(format!("{}: {e:#}", path.display())),
        }
    }
    Ok(said)
}

fn recover_one(path: &Path) -> anyhow::Result<Vec<String>> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let Ok(_locked) = Flock::lock(file, FlockArg::LockExclusiveNonblock) else {
        return Ok(vec![]); // its agent lives
    };
    // Another recovery may have been faster.
    let Ok(text) = fs::read(path) else { return Ok(vec![]) };
    let record: Record = serde_json::from_slice(&text)
        .context("no journal of this version; look at it and remove it")?;
    let said = match find(&record) {
        Some(namespace) => inside(&namespace, || undo(&record.changes))?,
        // Its interfaces went with it.
        None => vec![],
    };
    fs::remove_file(path)?;
    Ok(said)
}

fn undo(changes: &[Change]) -> Vec<String> {
    let done = changes.iter().filter(|change| offload::undo(change));
    done.map(|c| format!("{}: gave back what a killed agent had changed", c.interface)).collect()
}

/// A file that names the record's namespace, as long as something does.
fn find(record: &Record) -> Option<PathBuf> {
    let list = |dir: &str| fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    let own = Path::new("/proc/thread-self/ns/net").to_path_buf();
    let named = list("/run/netns").map(|e| e.path());
    let processes = list("/proc").map(|e| e.path().join("ns/net"));
    let known = record.netns.clone().into_iter().chain([own]);
    known.chain(named).chain(processes).find(|p| inode(p) == Some(record.namespace))
}

fn inside<T: Send>(namespace: &Path, what: impl FnOnce() -> T + Send) -> anyhow::Result<T> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| netns::enter(namespace).map(|()| what()));
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// The kernel's number for the namespace that a file names.
pub fn inode(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().map(|m| m.ino())
}

fn state() -> anyhow::Result<PathBuf> {
    let given = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(dir) = given("ASHIATO_AGENT_STATE") {
        return Ok(dir.into());
    }
    if nix::unistd::geteuid().is_root() {
        return Ok("/run/ashiato-agent".into());
    }
    let home = given("HOME").context("neither ASHIATO_AGENT_STATE nor HOME is set; set one")?;
    Ok(PathBuf::from(home).join(".local/state/ashiato-agent"))
}
