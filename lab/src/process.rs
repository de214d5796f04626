//! Processes by pid and start time: a pid alone may already belong to somebody else.

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, SysconfVar, sysconf};
use serde::{Deserialize, Serialize};
use std::fs;
use std::time::{Duration, Instant};

/// Environment variable that every process started for a run carries, with the run's id.
pub const CHILD_OF: &str = "ASHIATO_CHILD_OF";

/// One process, now and for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// When it started, in clock ticks since the host did.
    pub start: u64,
}

impl Process {
    /// The calling process.
    pub fn me() -> Self {
        let pid = Pid::this().as_raw();
        Self { pid, start: start_of(pid).unwrap_or(0) }
    }

    /// The process that has this number now, unless it is dead and only waits to be reaped.
    pub fn of(pid: i32) -> Option<Self> {
        Some(Self { pid, start: start_of(pid)? })
    }

    /// Whether it still runs.
    pub fn is_alive(&self) -> bool {
        start_of(self.pid) == Some(self.start)
    }

    /// Sends it a signal if it still runs.
    pub fn signal(&self, signal: Signal) {
        if self.pid > 1 && self.is_alive() {
            // It may end at this very moment, which is what was wanted.
            let _ = kill(Pid::from_raw(self.pid), signal);
        }
    }

    /// Processor time of all its threads so far, to a hundredth of a second; `None` once it is gone.
    pub fn busy(&self) -> Option<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).ok()?;
        // The name before may hold blanks and brackets.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks: u64 =
            fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
        let second = sysconf(SysconfVar::CLK_TCK).ok()??;
        let busy = Duration::from_secs_f64(ticks as f64 / second as f64);
        Some(busy).filter(|_| self.is_alive())
    }

    /// Waits until it is gone and returns whether it is.
    pub fn gone_within(&self, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        while self.is_alive() {
            if Instant::now() > end {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        true
    }
}

/// Processes that carry a run's id in their environment: started for it, even where its owner died
/// before it could write their number down.
pub fn children_of(run: &str) -> Vec<Process> {
    let mark = format!("{CHILD_OF}={run}");
    let carries = |pid: &i32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|b| *b == 0).any(|v| v == mark.as_bytes())
    };
    all().filter(carries).filter_map(Process::of).collect()
}

/// Processes whose network namespace has one of these numbers.
pub fn inside(namespaces: &[u64]) -> Vec<(Process, u64)> {
    let of = |pid: i32| {
        let inode = crate::netns::inode_of_process(&pid.to_string()).ok()?;
        Some((Process::of(pid).filter(|_| namespaces.contains(&inode))?, inode))
    };
    all().filter_map(of).collect()
}

fn all() -> impl Iterator<Item = i32> {
    let me = Pid::this().as_raw();
    let entries = fs::read_dir("/proc").into_iter().flatten();
    entries.filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok()).filter(move |p| *p != me)
}

/// Field 22 of `/proc/PID/stat`; `None` for a process that is gone or a zombie.
fn start_of(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in field 2 may hold spaces and parentheses; the last one ends it.
    let mut fields = stat.get(stat.rfind(')')? + 2..)?.split(' ');
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_number_with_another_start_is_another_process() {
        let me = Process::me();
        assert!(me.is_alive());
        assert!(!Process { start: me.start + 1, ..me }.is_alive());
        // Tests of several builds may run at once on one host.
        let run = format!("run-of-test-{}", me.pid);
        let mut child = Command::new("sleep").arg("60").env(CHILD_OF, &run).spawn().unwrap();
        // The kernel lets `spawn` return before it has laid out the new program's environment.
        let end = Instant::now() + Duration::from_secs(10);
        let mut found = children_of(&run);
        while found.is_empty() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(1));
            found = children_of(&run);
        }
        assert_eq!(found.len(), 1);
        found[0].signal(Signal::SIGKILL);
        assert!(found[0].gone_within(Duration::from_secs(5)));
        child.wait().unwrap();
    }
}
