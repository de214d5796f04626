//! Sentinels as filters of clsact, which kernels before 6.6 need and newer ones also take: they see leaks, end with
//! their process or, after `kill -9`, by the reaper, and nothing of anybody else's goes with them.
//!
//! The process that posts them is this very test, started again in a namespace.
#![allow(clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod support;

use ashiato::exit::Exit;
use ashiato::safety::sentinel::{Kind, Sentinels};
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;
use support::{root, run_id, state};

/// Says to the second process what it is.
const POSTED: &str = "SENTINELS_POSTED_AS";

/// A namespace with an interface that somebody else filters, and one that nobody does.
struct Net {
    name: String,
    dir: PathBuf,
}

impl Net {
    fn make() -> Self {
        let run = run_id();
        let net = Self { name: format!("sent-{}", &run[run.len() - 6..]), dir: state(&run) };
        say("ip", &format!("netns add {}", net.name));
        for link in ["theirs", "free"] {
            net.ip(&format!("link add {link} type veth peer name {link}-far"));
            for end in [link.to_owned(), format!("{link}-far")] {
                net.ip(&format!("link set {end} up"));
            }
        }
        net.tc("qdisc add dev theirs clsact");
        // A program of another kind and number, which matches nothing.
        let add = format!(
            "-n {} filter add dev theirs egress prio 7 protocol all bpf bytecode",
            net.name
        );
        let added = Command::new("tc").args(add.split(' ')).arg("1,6 0 0 0,").status();
        assert!(added.unwrap().success());
        net
    }

    fn ip(&self, words: &str) {
        say("ip", &format!("-n {} {words}", self.name));
    }

    fn tc(&self, words: &str) -> String {
        say("tc", &format!("-n {} {words}", self.name))
    }

    /// Filters and queueing disciplines of both interfaces and both sides.
    fn filters(&self) -> String {
        let mut all = self.tc("qdisc show");
        for link in ["theirs", "free"] {
            for side in ["ingress", "egress"] {
                all += &shown("tc", &format!("-n {} filter show dev {link} {side}", self.name));
            }
        }
        all
    }

    /// Sentinels on two sides of two interfaces.
    fn posted(&self) -> usize {
        self.filters().lines().filter(|line| line.contains("sentinel")).count()
    }

    fn inside(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.name)).arg(program);
        command.env("ASHIATO_STATE", self.dir.join("state")).stdin(Stdio::piped());
        command
    }

    /// Has them posted, and returns when they are.
    fn post(&self) -> (Child, BufReader<ChildStdout>) {
        let mut posted = self.inside(&std::env::current_exe().unwrap());
        posted.args(["--exact", "the_process_that_posts_them", "--nocapture"]);
        posted.env(POSTED, run_id()).stdout(Stdio::piped());
        let mut child = posted.spawn().unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("posted") {
            line.clear();
            assert!(said.read_line(&mut line).unwrap() > 0, "it ended without a word");
        }
        (child, said)
    }

    fn gc(&self) -> String {
        let out = self.inside(Path::new(env!("CARGO_BIN_EXE_ashiato"))).arg("gc").output().unwrap();
        String::from_utf8(out.stdout).unwrap()
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// What a command says, which may fail: an interface without filters has nothing to show.
fn shown(program: &str, words: &str) -> String {
    let out = Command::new(program).args(words.split(' ')).output().unwrap();
    String::from_utf8_lossy(&out.stdout).into_owned()
}

fn say(program: &str, words: &str) -> String {
    let out = Command::new(program).args(words.split(' ')).output().unwrap();
    assert!(out.status.success(), "{words}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// Not a test of its own: what the others start.
#[test]
fn the_process_that_posts_them() {
    let Ok(run) = std::env::var(POSTED) else { return };
    let folder = std::env::temp_dir();
    let mut sentinels = Sentinels::post(Kind::Filters, &run, &folder, BTreeSet::new()).unwrap();
    println!("posted");
    let mut input = std::io::stdin();
    nix::fcntl::fcntl(&input, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK))
        .unwrap();
    loop {
        if let Err(error) = sentinels.check() {
            println!("ended {} {error:#}", Exit::of(&error).code());
            return;
        }
        if input.read(&mut [0]).is_ok() {
            println!("ended 0 left {}", sentinels.withdraw().unwrap().len());
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What the process says at its end.
fn end(mut child: Child, mut said: BufReader<ChildStdout>) -> String {
    let mut all = String::new();
    said.read_to_string(&mut all).unwrap();
    child.wait().unwrap();
    all
}

#[test]
fn filters_see_leaks_and_leave_nothing() {
    if !root() {
        return;
    }
    let net = Net::make();
    let before = net.filters();
    // An end that was planned.
    let (mut child, said) = net.post();
    assert_eq!(net.posted(), 4, "{}", net.filters());
    drop(child.stdin.take());
    let said = end(child, said);
    assert!(said.contains("ended 0 left 0"), "{said}");
    assert_eq!(net.filters(), before);
    // kill -9: the filters stay, and still drop what leaks, until somebody sweeps.
    let (mut child, _) = net.post();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(net.posted(), 4, "{}", net.filters());
    let gc = net.gc();
    assert!(gc.contains("left 0") && gc.contains("sentinel at free"), "{gc}");
    assert_eq!(net.filters(), before);
    // A leak.
    let (child, said) = net.post();
    net.ip("addr add 198.18.9.1/24 dev free");
    net.ip("neigh add 198.18.9.2 lladdr 02:00:00:00:00:01 dev free");
    let mut leak = net.inside(Path::new("bash"));
    leak.args(["-c", "echo leak > /dev/udp/198.18.9.2/9 || true"]).status().unwrap();
    let said = end(child, said);
    assert!(said.contains("ended 8 leak: 1 packets"), "{said}");
    assert_eq!(net.filters(), before);
    // Somebody removes one.
    let (child, said) = net.post();
    net.tc("filter del dev free egress");
    let said = end(child, said);
    assert!(said.contains("ended 4 the sentinel at free is gone"), "{said}");
    assert_eq!(net.filters(), before);
}
