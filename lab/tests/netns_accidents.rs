//! Whatever happens to a run, nothing of it is left on the host, and nothing else is touched.
#![allow(clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod support;

use ashiato::journal::{self, Record};
use ashiato::netns::names::{owns, path_of};
use ashiato::netns::within;
use ashiato::process::Process;
use ashiato::summary::{Ending, Summary};
use nix::sys::signal::Signal;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use support::{root, run_id, snapshot, state, unchanged, whole_folder};

/// A run of the first scenario, slowed down so that accidents find it at work.
struct Run {
    child: Child,
    state: PathBuf,
    dir: PathBuf,
}

fn ashiato(state: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ashiato"));
    command.args(args).env("ASHIATO_STATE", state).output().unwrap()
}

impl Run {
    /// Starts it and returns when packets flow.
    fn start() -> Self {
        Self::start_with(&[])
    }

    /// With other values for some keys.
    fn start_with(set: &[String]) -> Self {
        let dir = state(&run_id());
        let file = dir.join("slow.toml");
        let first = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/first.toml");
        let text = fs::read_to_string(first).unwrap();
        fs::write(&file, text.replace("packets = 4000", "packets = 60000")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_ashiato"))
            .args(["run", "--world", "netns", "--out"])
            .arg(dir.join("out"))
            .arg(&file)
            .args(set.iter().flat_map(|set| ["--set", set]))
            .env("ASHIATO_STATE", dir.join("state"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let run = Self { child, state: dir.join("state"), dir };
        run.until("an actor starts", |r| !r.roles("actor").is_empty());
        // The actor looks for its gateway and waits for the start.
        std::thread::sleep(Duration::from_millis(1500));
        run
    }

    fn record(&self) -> Option<Record> {
        journal::records(&self.state).0.pop()
    }

    /// Living processes whose role begins so.
    fn roles(&self, role: &str) -> Vec<Process> {
        let processes = self.record().map(|r| r.processes).unwrap_or_default();
        let wanted = |(p, r): &(Process, String)| r.starts_with(role) && p.is_alive();
        processes.into_iter().filter(wanted).map(|(p, _)| p).collect()
    }

    fn until(&self, what: &str, done: impl Fn(&Self) -> bool) {
        let end = Instant::now() + Duration::from_secs(60);
        while !done(self) {
            assert!(Instant::now() < end, "waited in vain until {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn signal(&self, signal: Signal) {
        Process::of(i32::try_from(self.child.id()).unwrap()).unwrap().signal(signal);
    }

    /// What its folder says after its end: whole, checked against its sums, nothing left behind.
    fn summary(&self) -> Summary {
        let summary = whole_folder(&self.dir.join("out"));
        assert_eq!(summary.left_behind, Some(0));
        assert!(summary.effects.iter().all(|e| !e.met && e.got.is_null() && e.why.is_some()));
        summary
    }

    /// Its exit code and what it said.
    fn end(&mut self) -> (Option<i32>, String) {
        let lines = BufReader::new(self.child.stderr.take().unwrap()).lines();
        let said: Vec<String> = lines.map_while(Result::ok).collect();
        (self.child.wait().unwrap().code(), said.join("\n"))
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// One test function, because the look at the host before and after must see no other test's work.
#[test]
fn nothing_is_left_whatever_happens() {
    if !root() {
        return;
    }
    let before = snapshot();
    for accident in [
        interrupted,
        killed,
        outlived,
        a_part_fails,
        conditions_end_a_run,
        stopped,
        starved,
        brought_down,
        beside_others,
    ] {
        accident();
        unchanged(&before);
    }
}

fn interrupted() {
    let mut run = Run::start();
    run.signal(Signal::SIGINT);
    let (code, said) = run.end();
    assert_eq!(code, Some(130), "{said}");
    assert!(run.record().is_none());
    let summary = run.summary();
    assert_eq!((summary.outcome, summary.schemes.len()), (Ending::Stopped, 0));
    assert_eq!(summary.reasons[0], "turn 1 of 1 (fms): traffic: interrupted");
}

fn killed() {
    let mut run = Run::start();
    let parts = run.roles("");
    assert!(parts.len() >= 3, "collector, agent and actor run");
    run.signal(Signal::SIGKILL);
    run.child.wait().unwrap();
    // Its processes end without anybody's help.
    for part in parts {
        assert!(part.gone_within(Duration::from_secs(10)), "{part:?} outlived its run");
    }
    let dry = ashiato(&run.state, &["gc", "--dry-run"]);
    let text = String::from_utf8_lossy(&dry.stdout).into_owned();
    assert!(text.contains("would remove namespace ash-"), "{text}");
    let swept = ashiato(&run.state, &["gc"]);
    let text = String::from_utf8_lossy(&swept.stdout).into_owned();
    assert!(text.contains("of 1 runs; left 0"), "{text}");
    assert_eq!(swept.status.code(), Some(0));
}

/// What `ip` shows of a thing in a namespace.
fn shown(space: &str, words: &[&str]) -> serde_json::Value {
    let out = Command::new("ip").args(["-j", "-s", "-n", space]).args(words).output().unwrap();
    serde_json::from_slice(&out.stdout).unwrap()
}

/// Bytes of somebody's datagrams: so many that what a kernel asks of its neighbours, which the gate lets out, is less.
const DATAGRAM: usize = 1000;

/// Sends from a namespace to an address until it is over, and does not ask.
fn rogue(from: &str, to: &str, over: &AtomicBool) {
    let socket = within(&path_of(from), || Ok(UdpSocket::bind("0.0.0.0:0")?)).unwrap();
    while !over.load(Ordering::Relaxed) {
        // What the gate holds back may be an error.
        let _ = socket.send_to(&[0; DATAGRAM], (to, 9));
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// How many bytes leave a namespace from now on, and when the last datagram does.
fn last_datagram(from: &str) -> (u64, Duration) {
    let sent = || {
        let link = shown(from, &["link", "show", "dev", "p0"]);
        link[0]["stats64"]["tx"]["bytes"].as_u64().unwrap()
    };
    let (start, first) = (Instant::now(), sent());
    let (mut last, mut count) = (Duration::ZERO, first);
    while start.elapsed() < Duration::from_secs(6) {
        let now = sent();
        if now >= count + DATAGRAM as u64 {
            (last, count) = (start.elapsed(), now);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    (count - first, last)
}

/// Everything of a run is killed but somebody who sends from an attacker's namespace, and does not ask: the gate, which
/// no process owns, closes before three seconds have passed.
fn outlived() {
    let mut run = Run::start();
    let id = run.record().unwrap().run;
    let space = |end: &str| {
        let all = fs::read_dir("/run/netns").unwrap().map(|e| e.unwrap().file_name());
        let mut all = all.map(|n| n.into_string().unwrap());
        all.find(|n| owns(&id, n) && n.ends_with(end)).unwrap()
    };
    let (from, to) = (space("-attacker"), space("-victim"));
    let victim = shown(&to, &["-4", "addr", "show", "dev", "p0"]);
    let victim = victim[0]["addr_info"][0]["local"].as_str().unwrap().to_owned();
    let over = AtomicBool::new(false);
    let (bytes, last) = std::thread::scope(|scope| {
        scope.spawn(|| rogue(&from, &victim, &over));
        let parts = run.roles("");
        run.signal(Signal::SIGKILL);
        parts.iter().for_each(|part| part.signal(Signal::SIGKILL));
        let seen = last_datagram(&from);
        over.store(true, Ordering::Relaxed);
        seen
    });
    println!("{bytes} bytes after the kill, the last of them {last:?} after it");
    assert!(bytes > 0, "nothing left even while the lease held");
    assert!(last < Duration::from_secs(3), "packets left for {last:?}");
    run.child.wait().unwrap();
    assert_eq!(ashiato(&run.state, &["gc"]).status.code(), Some(0));
}

fn a_part_fails() {
    let mut run = Run::start();
    let started = Instant::now();
    run.roles("agent")[0].signal(Signal::SIGKILL);
    let (code, said) = run.end();
    // Not only once all packets have been sent in vain.
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    assert_eq!(code, Some(9), "{said}");
    let summary = run.summary();
    assert_eq!(summary.outcome, Ending::Partial);
    assert!(summary.reasons[0].contains("agent-fms-0 ended"), "{:?}", summary.reasons);
}

/// Its authors want it to end when a second agent is lost, or when processors are busy (here: at all).
fn conditions_end_a_run() {
    let kill = |router: &str, at: &str| {
        format!("{{ id = \"{router}-dies\", at = \"{at}\", kill = \"{router}\" }}")
    };
    let faults = format!("fault=[{}, {}]", kill("b", "500 ms"), kill("c", "1 s"));
    for (stop, fault, why) in [
        ("{ measure = \"agents.lost\", above = 1 }", Some(faults), "agents.lost is 2, above 1"),
        ("{ measure = \"cpu.idle\", below = 2 }", None, "cpu.idle is "),
    ] {
        let mut set = vec![format!("safety.stop_if=[{stop}]")];
        set.extend(fault);
        let mut run = Run::start_with(&set);
        let (code, said) = run.end();
        assert_eq!(code, Some(6), "{said}");
        let summary = run.summary();
        assert_eq!(summary.outcome, Ending::Stopped);
        assert!(summary.reasons[0].contains(why), "{:?}", summary.reasons);
    }
}

fn stopped() {
    let mut run = Run::start();
    let started = Instant::now();
    let stop = ashiato(&run.state, &["stop"]);
    let text = String::from_utf8_lossy(&stop.stdout).into_owned();
    assert!(text.contains("1 actors stopped"), "{text}");
    assert!(started.elapsed() < Duration::from_secs(4));
    let (code, said) = run.end();
    assert_eq!(code, Some(6), "{said}");
    let summary = run.summary();
    assert_eq!(summary.outcome, Ending::Stopped);
    assert!(summary.reasons[0].contains("`ashiato stop`"), "{:?}", summary.reasons);
}

/// The lab hangs: its actors stop by themselves when their lease runs out.
fn starved() {
    let mut run = Run::start();
    let actor = run.roles("actor")[0];
    run.signal(Signal::SIGSTOP);
    assert!(actor.gone_within(Duration::from_secs(5)), "the actor goes on without a lease");
    run.signal(Signal::SIGCONT);
    let (code, said) = run.end();
    assert_eq!(code, Some(6), "{said}");
    let summary = run.summary();
    assert_eq!(summary.outcome, Ending::Stopped);
    assert!(summary.reasons[0].contains("lease was not renewed"), "{:?}", summary.reasons);
}

fn brought_down() {
    let mut run = Run::start();
    let id = run.record().unwrap().run;
    // A living run is not garbage.
    let gc = ashiato(&run.state, &["gc"]);
    assert!(String::from_utf8_lossy(&gc.stdout).contains("has a living owner, not touched"));
    let down = ashiato(&run.state, &["down", &id[20..]]);
    let text = String::from_utf8_lossy(&down.stdout).into_owned();
    assert!(text.contains("left 0"), "{text}");
    assert_eq!(run.end().0, Some(130));
}

/// A namespace of somebody else that only looks like ours.
fn beside_others() {
    let ip = |args: &[&str]| assert!(Command::new("ip").args(args).status().unwrap().success());
    let was_there = Path::new("/run/netns").exists();
    ip(&["netns", "add", "ash-foo"]);
    let dir = state(&run_id());
    let swept = ashiato(&dir, &["gc", "--all"]);
    let text = String::from_utf8_lossy(&swept.stdout).into_owned();
    assert!(text.contains("not touched: namespace ash-foo"), "{text}");
    assert!(Path::new("/run/netns/ash-foo").exists());
    ip(&["netns", "del", "ash-foo"]);
    if !was_there {
        // `ip` leaves its mount of the folder.
        nix::mount::umount("/run/netns").unwrap();
        fs::remove_dir("/run/netns").unwrap();
    }
    let _ = fs::remove_dir_all(dir);
}
