//! `kill -9` at every line of a run's journal, and in the midst of what each line announces: what then
//! stands is removed by `gc`, and nothing else is.
#![allow(clippy::unwrap_used, reason = "a test ends at its first surprise")]

#[path = "support/killer.rs"]
mod killer;
mod support;

use killer::killer;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use support::{root, run_id, snapshot, state, unchanged};

/// Kills that the test insists on.
const POINTS: usize = 50;
/// Microseconds after a line is safe, in the midst of what it announces; 0: before it is safe.
const AFTER: [u64; 6] = [0, 100, 500, 2_500, 12_000, 50_000];

/// Somebody else's namespace, whose name looks like ours, with a process inside.
struct Foreign(Child);

impl Foreign {
    const NAME: &str = "ash-kills-foreign";

    fn make() -> Self {
        let ip = |line: &str| {
            let done = Command::new("ip").args(line.split(' ')).status().unwrap();
            assert!(done.success(), "{line}");
        };
        ip(&format!("netns add {}", Self::NAME));
        ip(&format!("-n {} link add ash0 type bridge", Self::NAME));
        let net = format!("--net=/run/netns/{}", Self::NAME);
        Self(Command::new("nsenter").arg(net).args(["sleep", "600"]).spawn().unwrap())
    }

    fn stands(&mut self) -> bool {
        let links = Command::new("ip").args(["-n", Self::NAME, "link", "show", "ash0"]).output();
        self.0.try_wait().unwrap().is_none() && links.unwrap().status.success()
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        let _ = Command::new("ip").args(["netns", "del", Self::NAME]).status();
    }
}

/// A short run, killed at a line of its journal.
struct Killed<'a> {
    dir: &'a Path,
    library: &'a Path,
}

impl Killed<'_> {
    /// `after` microseconds after the line is safe, or before it is where that is 0.
    fn at(&self, line: usize, after: u64) -> ExitStatus {
        let _ = fs::remove_dir_all(self.dir.join("out"));
        let mut run = Command::new(env!("CARGO_BIN_EXE_ashiato"));
        run.args(["run", "--world", "netns", "--out"]).arg(self.dir.join("out"));
        run.arg(self.dir.join("short.toml")).env("ASHIATO_STATE", self.dir.join("state"));
        run.env("LD_PRELOAD", self.library).env("KILL_PARENT", std::process::id().to_string());
        run.env("KILL_AT", line.to_string()).env("KILL_AFTER_US", after.to_string());
        run.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap()
    }

    fn gc(&self) -> String {
        let mut gc = Command::new(env!("CARGO_BIN_EXE_ashiato"));
        let out = gc.arg("gc").env("ASHIATO_STATE", self.dir.join("state")).output().unwrap();
        let said = String::from_utf8_lossy(&out.stdout).into_owned();
        assert_eq!(out.status.code(), Some(0), "{said}");
        said
    }
}

#[test]
fn a_run_killed_at_any_line_of_its_journal_leaves_nothing() {
    if !root() {
        return;
    }
    let (mut foreign, dir) = (Foreign::make(), state(&run_id()));
    let text = include_str!("../../scenarios/first.toml");
    let text = text.split("[[effect]]").next().unwrap().replace("packets = 4000", "packets = 100");
    fs::write(dir.join("short.toml"), text).unwrap();
    let library = killer(&dir);
    let killed = Killed { dir: &dir, library: &library };
    let before = snapshot();
    let (mut points, mut line) = (0, 0);
    loop {
        line += 1;
        let ends: Vec<ExitStatus> = AFTER
            .into_iter()
            .map(|after| {
                let end = killed.at(line, after);
                let said = killed.gc();
                assert!(said.contains("left 0"), "line {line}, {after} us later: {said}");
                unchanged(&before);
                assert!(foreign.stands(), "line {line}: what is not ours was touched");
                end
            })
            .collect();
        points += ends.iter().filter(|end| end.signal() == Some(9)).count();
        // A run that is not killed had fewer lines.
        if ends[0].signal().is_none() {
            assert_eq!(ends[0].code(), Some(0));
            break;
        }
    }
    println!("{points} kills at {} writes", line - 1);
    assert!(points >= POINTS, "only {points} points");
    fs::remove_dir_all(dir).unwrap();
}
