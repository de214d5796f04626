//! A run that is killed in the middle of its faults leaves nothing on the host. The only test of its file: the
//! look at the host before and after must see no other test's work.
#![allow(clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod support;

use ashiato::cli;
use nix::sys::signal::Signal;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::{root, run_id, snapshot, state, unchanged};

/// The shipped scenario with other faults, and long enough to be killed.
fn with(faults: &str) -> String {
    let text = cli::new::SHIPPED.iter().find(|(name, _)| *name == "x-faults").unwrap().1;
    let from = text.find("[[fault]]").unwrap();
    let to = text.find("[[effect]]").unwrap();
    let text = format!("{}{faults}\n{}", &text[..from], &text[to..]);
    text.replace("packets = 6000", "packets = 60000")
}

#[test]
fn a_run_that_is_killed_amid_faults_leaves_nothing() {
    if !root() {
        return;
    }
    let before = snapshot();
    let dir = state(&run_id());
    let file = dir.join("faults.toml");
    let long = "[[fault]]\nid = \"full\"\nat = \"1 s\"\nfor = \"60 s\"\ndisk_full = \"collector\"\n\
                [[fault]]\nid = \"cable\"\nat = \"1 s\"\nlink = [\"b\", \"c\"]\ncut = true\n\
                [[fault]]\nid = \"slow\"\nat = \"1 s\"\nlink = [\"a\", \"b\"]\ndelay = \"2 s\"\n\
                [[fault]]\nid = \"crash\"\nat = \"1 s\"\nkill = \"k\"\n";
    fs::write(&file, with(long)).unwrap();
    let ashiato = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ashiato"));
        command.args(args).env("ASHIATO_STATE", dir.join("state"));
        command
    };
    let out = dir.join("out");
    let mut lab = ashiato(&["run", "--world", "netns", "--scheme", "fms", "--out"])
        .args([&out, &file])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Nobody tells from outside that the disk is full, but the collector's log does.
    let log = out.join("logs/collector.log");
    until("the disk is full", || {
        fs::read_to_string(&log).is_ok_and(|t| t.contains("nothing stored"))
    });
    let pid = nix::unistd::Pid::from_raw(i32::try_from(lab.id()).unwrap());
    nix::sys::signal::kill(pid, Signal::SIGKILL).unwrap();
    lab.wait().unwrap();
    let gone = || String::from_utf8_lossy(&ashiato(&["gc"]).output().unwrap().stdout).into_owned();
    until("nothing is left", || gone().contains("left 0"));
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(&dir.display().to_string()), "{mounts}");
    fs::remove_dir_all(&dir).unwrap();
    unchanged(&before);
}

fn until(what: &str, done: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < end, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
