//! `kill -9` of a host's daemon at every line of its journal: the run ends everywhere, `gc` removes what stands on
//! that host, and the next run works.
#![allow(clippy::unwrap_used, reason = "a test ends at its first surprise")]

#[path = "support/killer.rs"]
mod killer;
mod lab;
mod support;

use killer::killer;
use lab::{FIRST, INTERNAL, Lab, TWO, kill};
use nix::sys::signal::Signal;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use support::{root, snapshot, unchanged};

/// Kills that the test insists on.
const POINTS: usize = 12;
/// Microseconds after a line is safe, in the midst of what it announces; 0: before it is safe.
const AFTER: [u64; 2] = [0, 2_000];

#[test]
fn a_daemon_killed_at_any_line_of_its_journal_leaves_nothing() {
    if !root() {
        return;
    }
    let before = snapshot();
    let mut lab = Lab::open(&TWO, INTERNAL);
    let library = killer(&lab.dir);
    let mut own = lab.daemons.pop().unwrap();
    kill(&mut own);
    let (mut points, mut line) = (0, 0);
    loop {
        line += 1;
        let killed = AFTER.map(|after| at(&lab, &library, line, after).signal() == Some(9));
        points += killed.iter().filter(|killed| **killed).count();
        // A daemon that is not killed wrote fewer lines.
        if !killed[0] {
            break;
        }
    }
    println!("{points} kills at {} writes", line - 1);
    assert!(points >= POINTS, "only {points} points");
    drop(lab);
    unchanged(&before);
}

/// A run in which lab-b's daemon dies so, and what it leaves; how it ended.
fn at(lab: &Lab, library: &Path, line: usize, after: u64) -> ExitStatus {
    let mut daemon = lab.daemon(1, "lab-b");
    daemon.arg("--once").env("LD_PRELOAD", library);
    daemon.env("KILL_PARENT", std::process::id().to_string());
    daemon.env("KILL_AT", line.to_string()).env("KILL_AFTER_US", after.to_string());
    let mut daemon = daemon.spawn().unwrap();
    let mut run = lab.run(FIRST, &["--set", "traffic.flood.packets=100"]);
    let end = daemon.wait().unwrap();
    let code = run.wait().unwrap().code();
    // What cannot be set up leaves no summary (1); what breaks off later is partial (9).
    let killed = end.signal() == Some(Signal::SIGKILL as i32);
    let expected = if killed { [1, 9] } else { [0, 7] };
    assert!(code.is_some_and(|c| expected.contains(&c)), "line {line}: {code:?} {}", lab.logs());
    let gc = lab.inside(3, "lab-b-state").arg("gc").stdout(Stdio::piped()).output().unwrap();
    let said = String::from_utf8_lossy(&gc.stdout).into_owned();
    assert!(said.contains("left 0"), "line {line}, {after} us later: {said}");
    assert!(lab.record("lab-b").is_none(), "line {line}");
    lab.until("the other host removes its share", 10, |l| l.record("lab-a").is_none());
    let _ = fs::remove_dir_all(lab.out());
    end
}
