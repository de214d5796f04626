//! Network namespaces by name: made, entered, removed, in the way `ip netns` does it.
//!
//! A thread that made or entered a namespace stays there; so all of it happens on threads of its own.

use super::names::{NETNS_DIR, path_of};
use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::stat::stat;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

/// The calling thread's namespace. Not `/proc/self`: that is the first thread's.
const MINE: &str = "/proc/thread-self/ns/net";

/// Makes a namespace and moves the calling thread into it.
///
/// # Errors
/// When the name is taken, or the kernel or the caller's privileges do not allow it.
pub(crate) fn create(name: &str) -> Result<()> {
    let path = path_of(name);
    OpenOptions::new().write(true).create_new(true).open(&path).with_context(|| {
        format!("cannot create {} for a namespace; `ashiato gc` may help", path.display())
    })?;
    unshare(CloneFlags::CLONE_NEWNET)
        .context("cannot make a network namespace (needs CAP_SYS_ADMIN; run as root)")?;
    mount(Some(MINE), &path, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .with_context(|| format!("cannot mount a namespace at {}", path.display()))
}

/// Moves the calling thread into a namespace. One that it is in already costs no privilege.
///
/// # Errors
/// When it does not exist or may not be entered.
pub(crate) fn enter(path: &Path) -> Result<()> {
    let there = inode_at(path);
    if there.is_some() && there == inode_of_process("thread-self").ok() {
        return Ok(());
    }
    let file = File::open(path)
        .with_context(|| format!("cannot open network namespace {}", path.display()))?;
    setns(file, CloneFlags::CLONE_NEWNET)
        .with_context(|| format!("cannot enter network namespace {}", path.display()))
}

/// Does `work` in a namespace, on a thread of its own.
///
/// # Errors
/// When the namespace cannot be entered, or what `work` says.
pub fn within<T: Send>(path: &Path, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let inside = scope.spawn(|| {
            enter(path)?;
            work()
        });
        match inside.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Removes a namespace's name. The kernel ends the namespace and its links when nobody is inside.
/// Returns whether there was one.
///
/// # Errors
/// When the name stays.
pub(crate) fn remove(name: &str) -> Result<bool> {
    let path = path_of(name);
    match umount2(&path, MntFlags::MNT_DETACH) {
        // EINVAL: the file is there, but nothing is mounted, as when the maker died in between.
        Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => {}
        Err(e) => return Err(e).with_context(|| format!("cannot unmount {}", path.display())),
    }
    match fs::remove_file(&path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e).with_context(|| format!("cannot remove {}", path.display())),
    }
}

/// The number by which the kernel knows the namespace mounted under a name; `None` where there is no
/// such file.
pub(crate) fn inode(name: &str) -> Option<u64> {
    inode_at(&path_of(name))
}

/// The same of the namespace that a file names.
pub(crate) fn inode_at(path: &Path) -> Option<u64> {
    stat(path).ok().map(|s| s.st_ino)
}

/// The number of the namespace that a process's thread is in (`"thread-self"`, `"1"`).
pub(crate) fn inode_of_process(who: &str) -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(format!("/proc/{who}/ns/net")).map(|m| m.ino())
}

/// Makes sure that the folder of named namespaces exists and is a shared mount, so that other mount
/// namespaces see what is added. Returns whether the mount is new.
///
/// # Errors
/// When folder or mount cannot be made.
pub(crate) fn prepare_dir() -> Result<bool> {
    fs::create_dir_all(NETNS_DIR).with_context(|| format!("cannot create {NETNS_DIR}"))?;
    if is_mounted()? {
        return Ok(false);
    }
    let dir = Path::new(NETNS_DIR);
    let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
    mount(Some(dir), dir, None::<&str>, flags, None::<&str>)
        .with_context(|| format!("cannot mount {NETNS_DIR} (needs CAP_SYS_ADMIN; run as root)"))?;
    let flags = MsFlags::MS_SHARED | MsFlags::MS_REC;
    mount(None::<&str>, dir, None::<&str>, flags, None::<&str>)
        .with_context(|| format!("cannot share {NETNS_DIR} with other mount namespaces"))?;
    Ok(true)
}

/// Takes the folder away again if it is empty. Somebody else's namespace in it is no error.
///
/// # Errors
/// When it cannot be unmounted for another reason than being in use.
pub(crate) fn drop_dir() -> Result<bool> {
    if fs::read_dir(NETNS_DIR).is_ok_and(|mut d| d.next().is_some()) {
        return Ok(false);
    }
    match umount2(NETNS_DIR, MntFlags::empty()) {
        Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => {}
        Err(Errno::EBUSY) => return Ok(false),
        Err(e) => return Err(e).with_context(|| format!("cannot unmount {NETNS_DIR}")),
    }
    Ok(fs::remove_dir(NETNS_DIR).is_ok())
}

/// Names of all namespaces in the folder, ours or not.
pub(crate) fn names() -> Vec<String> {
    let Ok(dir) = fs::read_dir(NETNS_DIR) else { return vec![] };
    let mut names: Vec<String> =
        dir.filter_map(|e| e.ok()?.file_name().into_string().ok()).collect();
    names.sort_unstable();
    names
}

fn is_mounted() -> Result<bool> {
    let table = fs::read_to_string("/proc/self/mountinfo").context("cannot read mountinfo")?;
    Ok(table.lines().any(|l| l.split(' ').nth(4) == Some(NETNS_DIR)))
}
