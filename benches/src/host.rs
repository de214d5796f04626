//! This machine: commands, processors, processor time.

use anyhow::{Context, anyhow, ensure};
use ashiato_agent::datapath::netns;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Runs a command, whose words are separated by blanks.
///
/// # Errors
/// When it cannot be started or fails.
pub fn run(line: &str) -> anyhow::Result<()> {
    let mut words = line.split_whitespace();
    let program = words.next().context("an empty command")?;
    let status = Command::new(program).args(words).status();
    let status = status.with_context(|| format!("cannot start {program}"))?;
    ensure!(status.success(), "{line}: {status}");
    Ok(())
}

/// Runs `ip` with these arguments.
///
/// # Errors
/// As [`run`].
pub fn ip(args: &str) -> anyhow::Result<()> {
    run(&format!("ip {args}"))
}

/// The file that names a network namespace.
pub fn netns_file(name: &str) -> PathBuf {
    Path::new("/run/netns").join(name)
}

/// Does something on a fresh thread in a namespace; sockets stay in the namespace they were made in.
///
/// # Errors
/// No such namespace, and whatever goes wrong there.
pub fn within<T: Send>(
    space: &Path,
    what: impl FnOnce() -> anyhow::Result<T> + Send,
) -> anyhow::Result<T> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            netns::enter(space)?;
            what()
        });
        thread.join().map_err(|_| anyhow!("a thread panicked"))?
    })
}

/// Packets that came in at an interface of the calling thread's network namespace, by the kernel's count.
///
/// # Errors
/// When there is no such interface.
pub fn received(interface: &str) -> anyhow::Result<u64> {
    packets(interface, 1)
}

/// Packets that went out at one.
///
/// # Errors
/// As [`received`].
pub fn sent(interface: &str) -> anyhow::Result<u64> {
    packets(interface, 9)
}

fn packets(interface: &str, column: usize) -> anyhow::Result<u64> {
    let table = fs::read_to_string("/proc/thread-self/net/dev")?;
    let mut rows = table.lines().filter_map(|line| line.trim().split_once(':'));
    let row = rows.find(|(name, _)| *name == interface);
    let packets = row.and_then(|(_, counts)| counts.split_whitespace().nth(column));
    Ok(packets.with_context(|| format!("no {interface}"))?.parse()?)
}

/// Lets a thread run on this core only; thread 0 is the caller.
///
/// # Errors
/// No such core or thread.
pub fn pin(thread: Pid, core: usize) -> anyhow::Result<()> {
    let mut set = CpuSet::new();
    set.set(core)?;
    sched_setaffinity(thread, &set).context("pin a thread to a core")
}

/// Processor time of the calling thread, with what the kernel did on its account.
pub fn own_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).unwrap_or_default()
}

/// Processor time of a thread of any process.
///
/// # Errors
/// When it is gone.
pub fn time_of(thread: Pid) -> anyhow::Result<Duration> {
    let text = fs::read_to_string(format!("/proc/{thread}/schedstat"))?;
    let nanos = text.split_whitespace().next().context("an empty schedstat")?.parse()?;
    Ok(Duration::from_nanos(nanos))
}

/// Threads of this process whose names begin so.
///
/// # Errors
/// When `/proc` does not show them.
pub fn threads_named(prefix: &str) -> anyhow::Result<BTreeSet<Pid>> {
    named("/proc/self/task", prefix)
}

/// The kernel's thread that takes over network work when there is much of it on a core.
///
/// # Errors
/// When `/proc` does not show it.
pub fn ksoftirqd(core: usize) -> anyhow::Result<Pid> {
    let name = format!("ksoftirqd/{core}");
    named("/proc", &name)?.pop_first().with_context(|| format!("no thread {name}"))
}

fn named(dir: &str, prefix: &str) -> anyhow::Result<BTreeSet<Pid>> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        // Others come and go meanwhile.
        let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        if name.starts_with(prefix) {
            found.insert(Pid::from_raw(entry.file_name().to_string_lossy().parse()?));
        }
    }
    Ok(found)
}
