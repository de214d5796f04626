//! The world `hosts`: several hosts that share nothing but an underlay and TLS score like the simulator,
//! and whatever is killed, traffic ends and nothing is left.
//!
//! A host is a network namespace with folders of its own, in which `ashiato host` runs; a bridge in one
//! more namespace joins them.
#![allow(clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod support;

use ashiato::hosts::placement::Placement;
use ashiato::journal::{self, Record};
use ashiato::netns::layout::Layout;
use ashiato::process::Process;
use ashiato::reap::left_behind;
use ashiato::scenario::spec::Datapath;
use ashiato::summary::{Ending, Summary};
use nix::sys::signal::Signal;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use support::{line, over, root, run_id, simulate, snapshot, state, unchanged, whole_folder};

const NATIONS: &str = include_str!("../../scenarios/three-nations.toml");
const FIRST: &str = include_str!("../../scenarios/first.toml");

/// Who stands for what of the two scenarios.
const THREE: [(&str, &str); 3] = [
    ("lab-xa", "xa-gw xa-core1 xa-core2 xa-br1 xa-br2 victim server"),
    ("lab-xb", "xb-br xb-tr1 xb-tr2 xb-acc1 xb-acc2 xb-acc3 bot-b1 bot-b2 client-b"),
    ("lab-xc", "xc-br xc-tr1 xc-tr2 xc-acc1 xc-acc2 bot-c client-c"),
];
const TWO: [(&str, &str); 2] = [("lab-a", "a b victim"), ("lab-b", "c d e attacker")];

/// Hosts, their daemons, and the network between them.
struct Lab {
    dir: PathBuf,
    spaces: Vec<String>,
    daemons: Vec<Child>,
}

fn program(name: &str) -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_ashiato")).with_file_name(name)
}

fn sh(line: &str) {
    let words: Vec<&str> = line.split(' ').collect();
    let out = Command::new(words[0]).args(&words[1..]).output().unwrap();
    assert!(out.status.success(), "{line}: {}", String::from_utf8_lossy(&out.stderr));
}

/// What a command says that must end well.
fn done(command: &mut Command) -> Vec<u8> {
    let out = command.output().unwrap();
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
    out.stdout
}

impl Lab {
    /// Namespaces, cables, keys, configurations and daemons; host 0 is the director's.
    fn open(placed: &[(&str, &str)]) -> Self {
        let run = run_id();
        let (dir, id) = (state(&run), run[run.len() - 6..].to_lowercase());
        let mut lab = Self { dir, spaces: vec![], daemons: vec![] };
        let switch = lab.space(&format!("t{id}-switch"));
        sh(&format!("ip -n {switch} link add br0 type bridge"));
        sh(&format!("ip -n {switch} link set br0 up"));
        let names = ["director"].into_iter().chain(placed.iter().map(|(name, _)| *name));
        for (i, name) in names.enumerate() {
            let space = lab.space(&format!("t{id}-{name}"));
            sh(&format!("ip -n {space} link add eth0 type veth peer name c{i} netns {switch}"));
            sh(&format!("ip -n {switch} link set c{i} master br0 up"));
            sh(&format!("ip -n {space} addr add 10.254.0.{}/24 dev eth0", i + 1));
            sh(&format!("ip -n {space} link set eth0 up"));
            sh(&format!("ip -n {space} link set lo up"));
        }
        lab.enrol(placed);
        for (i, (name, _)) in placed.iter().enumerate() {
            let daemon = lab.inside(i + 2, &format!("{name}-state"));
            lab.daemons.push(lab.host(daemon, name));
        }
        lab
    }

    fn space(&mut self, name: &str) -> String {
        sh(&format!("ip netns add {name}"));
        self.spaces.push(name.into());
        name.into()
    }

    /// A command of `ashiato` in a host's namespace, with a state folder of its own.
    fn inside(&self, space: usize, state: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.spaces[space]));
        command.arg(env!("CARGO_BIN_EXE_ashiato")).env("ASHIATO_STATE", self.dir.join(state));
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    fn host(&self, mut daemon: Command, name: &str) -> Child {
        let log = fs::File::create(self.dir.join(format!("{name}.log"))).unwrap();
        let own = self.dir.join(name);
        daemon.arg("host").arg("--config").arg(own.join("host.toml"));
        daemon.arg("--site").arg(own.join("site.toml"));
        daemon.stderr(log).spawn().unwrap()
    }

    /// The authority and the placement; each host enrols itself by a token, from its own namespace.
    fn enrol(&self, placed: &[(&str, &str)]) {
        let keys = self.dir.join("keys");
        let mut init = Command::new(program("ashiato-collector"));
        done(init.args(["authority", "init", "--director", "10.254.0.1"]).arg(&keys));
        let mut placement =
            "listen = \"10.254.0.1:7401\"\nenrolled = \"keys/enrolled\"\n[tls]\nca \
                             = \"keys/ca.pem\"\ncert = \"keys/director.pem\"\nkey = \
                             \"keys/director.key\"\n"
                .to_owned();
        let mut desk = Command::new("nsenter");
        desk.arg(format!("--net=/run/netns/{}", self.spaces[1])).arg(program("ashiato-collector"));
        desk.args(["authority", "serve", "--listen", "10.254.0.1:7402"]).arg(&keys);
        let mut desk = desk.stdout(Stdio::piped()).spawn().unwrap();
        let mut ready = String::new();
        BufReader::new(desk.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        assert!(ready.contains("ready"), "{ready}");
        for (i, (name, nodes)) in placed.iter().enumerate() {
            let underlay = format!("10.254.0.{}", i + 2);
            let nodes: Vec<&str> = nodes.split(' ').collect();
            placement += &format!(
                "[[host]]\nname = \"{name}\"\nunderlay = \"{underlay}\"\nnodes = {nodes:?}\n"
            );
            let own = self.dir.join(name);
            fs::create_dir(&own).unwrap();
            let mut token = Command::new(program("ashiato-collector"));
            token.arg("token").arg(&keys).arg(format!("host/{name}"));
            let token = done(token.args(["--address", "10.254.0.1:7402"]));
            fs::write(own.join("token"), token).unwrap();
            done(&mut self.enrolment(i + 2, &own));
            let again = self.enrolment(i + 2, &own).output().unwrap();
            assert_eq!(again.status.code(), Some(3), "a token opens once");
            let config = format!(
                "director = \"10.254.0.1:7401\"\nunderlay = \"{underlay}\"\nfolder = \
                 \"{}/runs\"\ntls = {{ ca = \"ca.pem\", cert = \"own.pem\", key = \"own.key\" }}\n",
                own.display()
            );
            fs::write(own.join("host.toml"), config).unwrap();
            // Namespaces without a way out, over the default caps between hosts.
            let site = format!(
                "manifest = \"internal-networks-need-none\"\nrecords = \"{}/safety\"\ncaps = {{ \
                 packets_per_second = 20000, bits_per_second = 100000000 }}\n",
                own.display()
            );
            fs::write(own.join("site.toml"), site).unwrap();
        }
        kill(&mut desk);
        fs::write(self.dir.join("placement.toml"), placement).unwrap();
    }

    fn enrolment(&self, space: usize, own: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.spaces[space]));
        command.arg(program("ashiato-agent")).arg("enrol").arg("--dir").arg(own);
        command.arg("--token").arg(own.join("token"));
        command
    }

    /// Starts a run of a scenario's text from the director's namespace.
    fn run(&self, text: &str, more: &[&str]) -> Child {
        let file = self.dir.join("scenario.toml");
        fs::write(&file, text).unwrap();
        let log = fs::File::create(self.dir.join("director.log")).unwrap();
        let mut command = self.inside(1, "director-state");
        command.args(["run", "--world", "hosts", "--hosts"]).arg(self.dir.join("placement.toml"));
        command.arg("--out").arg(self.out()).args(more).arg(file).stderr(log).spawn().unwrap()
    }

    fn out(&self) -> PathBuf {
        self.dir.join("out")
    }

    fn record(&self, host: &str) -> Option<Record> {
        journal::records(&self.dir.join(format!("{host}-state"))).0.pop()
    }

    /// Living processes of a host whose role begins so.
    fn roles(&self, host: &str, role: &str) -> Vec<Process> {
        let processes = self.record(host).map(|r| r.processes).unwrap_or_default();
        let wanted = |(p, r): &(Process, String)| r.starts_with(role) && p.is_alive();
        processes.into_iter().filter(wanted).map(|(p, _)| p).collect()
    }

    fn until(&self, what: &str, limit: u64, done: impl Fn(&Self) -> bool) -> Duration {
        let start = Instant::now();
        while !done(self) {
            let waited = start.elapsed();
            assert!(
                waited < Duration::from_secs(limit),
                "waited in vain until {what}\n{}",
                self.logs()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        start.elapsed()
    }

    fn logs(&self) -> String {
        let logs = fs::read_dir(&self.dir).unwrap().map(|e| e.unwrap().path());
        let logs = logs.filter(|p| p.extension().is_some_and(|e| e == "log"));
        logs.map(|p| format!("{}:\n{}", p.display(), fs::read_to_string(&p).unwrap())).collect()
    }

    /// Starts a slow flood and returns when its packets leave.
    fn flood(&self) -> Child {
        let run = self.run(&FIRST.replace("packets = 4000", "packets = 60000"), &[]);
        self.until("an actor starts", 60, |l| !l.roles("lab-b", "actor").is_empty());
        self.until("packets leave", 30, |l| l.left() > Some(100));
        run
    }

    /// Packets that the attacker's interface has sent, by the kernel's count, seen through the actor that
    /// sends them; `None` where that is gone.
    fn left(&self) -> Option<u64> {
        let actor = self.roles("lab-b", "actor").pop()?;
        let devices = fs::read_to_string(format!("/proc/{}/net/dev", actor.pid)).ok()?;
        let line = devices.lines().find(|l| l.trim_start().starts_with("p0:"))?;
        line.split_whitespace().nth(10)?.parse().ok()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for daemon in &mut self.daemons {
            let process = Process::of(i32::try_from(daemon.id()).unwrap());
            process.inspect(|p| p.signal(Signal::SIGTERM));
            let _ = daemon.wait();
        }
        for space in &self.spaces {
            let _ = Command::new("ip").args(["netns", "del", space]).status();
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn kill(child: &mut Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Levels, paths and packets of each scheme: what may not depend on the world. (Packets to a path do, since
/// senders are not in step.)
fn scores(summary: &Summary) -> Vec<serde_json::Value> {
    let row = |row: &ashiato::summary::SchemeRow| {
        let json = serde_json::to_value(row).unwrap();
        let keys = ["scheme", "params", "levels", "paths", "packets"];
        keys.iter().map(|k| (*k, json[k].clone())).collect::<serde_json::Value>()
    };
    summary.schemes.iter().map(row).collect()
}

/// One test function, because the look at the host before and after must see no other test's work.
#[test]
fn hosts_score_like_the_simulator_and_leave_nothing() {
    if !root() {
        return;
    }
    let before = snapshot();
    three_nations_score_like_the_simulator();
    unchanged(&before);
    a_killed_director_ends_traffic_at_once();
    unchanged(&before);
    a_killed_host_ends_the_run_and_can_be_swept();
    unchanged(&before);
}

fn three_nations_score_like_the_simulator() {
    let lab = Lab::open(&THREE);
    let schemes = ["none", "recorder", "fms", "spie", "pint"];
    let mut run = lab.run(NATIONS, &["--scheme", &schemes.join(",")]);
    let code = run.wait().unwrap().code();
    assert_eq!(code, Some(0), "{}", lab.logs());
    let summary = whole_folder(&lab.out());
    assert_eq!((summary.world.as_str(), summary.left_behind), ("hosts", Some(0)));
    let simulated = simulate(NATIONS, &over(&[], &schemes, 20081), &lab.dir.join("sim"));
    assert_eq!(scores(&summary), scores(&simulated));
    for scheme in schemes {
        let graph = |dir: &str| {
            let path = lab.dir.join(dir).join(format!("graph/{scheme}.json"));
            fs::read_to_string(path).unwrap()
        };
        assert_eq!(graph("out"), graph("sim"), "{scheme}");
    }
    // A second run finds the same daemons ready again.
    fs::rename(lab.out(), lab.dir.join("first")).unwrap();
    let mut again = lab.run(NATIONS, &["--scheme", "fms", "--set", "datapath=tc"]);
    assert_eq!(again.wait().unwrap().code(), Some(0), "{}", lab.logs());
    a_revoked_host_is_refused(&lab);
}

fn a_revoked_host_is_refused(lab: &Lab) {
    let mut revoke = Command::new(program("ashiato-collector"));
    done(revoke.args(["authority", "revoke"]).arg(lab.dir.join("keys")).arg("host/lab-xc"));
    fs::rename(lab.out(), lab.dir.join("second")).unwrap();
    let mut run = lab.run(NATIONS, &[]);
    lab.until("the director refuses it", 20, |l| l.logs().contains("was revoked"));
    Process::of(i32::try_from(run.id()).unwrap()).unwrap().signal(Signal::SIGINT);
    assert_eq!(run.wait().unwrap().code(), Some(130), "{}", lab.logs());
}

fn a_killed_director_ends_traffic_at_once() {
    let lab = Lab::open(&TWO);
    let mut run = lab.flood();
    kill(&mut run);
    let start = Instant::now();
    let (mut last, mut count) = (Duration::ZERO, lab.left());
    // Nobody else sends there: where the actor is gone, no more packets leave.
    while let Some(now) = lab.left() {
        if Some(now) > count {
            (last, count) = (start.elapsed(), Some(now));
        }
        assert!(start.elapsed() < Duration::from_secs(10), "the actor lives on");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(last < Duration::from_secs(3), "packets left for {last:?}");
    assert!(count < Some(60_000), "the flood was over before");
    let gone = |l: &Lab| TWO.iter().all(|(host, _)| l.record(host).is_none());
    let removed = lab.until("hosts remove everything", 20, gone);
    println!("last packet {last:?} after the kill; all removed {removed:?} after the watch");
    let gc = lab.inside(1, "director-state").arg("gc").output().unwrap();
    assert!(gc.status.success());
}

fn a_killed_host_ends_the_run_and_can_be_swept() {
    let mut lab = Lab::open(&TWO);
    let mut run = lab.flood();
    kill(&mut lab.daemons[1]);
    assert_eq!(run.wait().unwrap().code(), Some(9), "{}", lab.logs());
    let text = fs::read_to_string(lab.out().join("summary.json")).unwrap();
    let summary: Summary = serde_json::from_str(&text).unwrap();
    assert_eq!(summary.outcome, Ending::Partial);
    assert!(summary.reasons.iter().any(|r| r.contains("lab-b")), "{:?}", summary.reasons);
    let record = lab.record("lab-b").expect("its journal stays");
    assert!(!left_behind(&record).is_empty());
    let out = lab.inside(3, "lab-b-state").arg("gc").stdout(Stdio::piped()).output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(said.contains("left 0"), "{said}");
    assert!(lab.record("lab-b").is_none());
    lab.until("the other host removes its share", 20, |l| l.record("lab-a").is_none());
}

const HEAD: &str = "listen = \"192.0.2.1:7401\"\ntls = { ca = \"a\", cert = \"b\", key = \"c\" }\n";

fn placement(hosts: &[(&str, &str)]) -> Placement {
    let host = |(i, (name, nodes)): (usize, &(&str, &str))| {
        let nodes: Vec<&str> = nodes.split(' ').collect();
        let underlay = format!("192.0.2.{}", 11 + i);
        format!("[[host]]\nname = \"{name}\"\nunderlay = \"{underlay}\"\nnodes = {nodes:?}\n")
    };
    let hosts: String = hosts.iter().enumerate().map(host).collect();
    toml::from_str(&format!("{HEAD}{hosts}")).unwrap()
}

#[test]
fn every_node_has_one_host() {
    let plan = line(3, false, true);
    let fault =
        |hosts: &[(&str, &str)]| placement(hosts).shares(&plan, "RUN").unwrap_err().to_string();
    let said = fault(&[("a", "r0 attacker r1"), ("b_", "r1 victim r9")]);
    for what in ["r1 is placed twice", "no node r9", "r2 has no host", "\"b_\": use letters"] {
        assert!(said.contains(what), "{said}");
    }
    assert!(fault(&[("a", "r0 r1 r2"), ("a", "attacker victim")]).contains("is taken"));
}

#[test]
fn shares_are_parts_of_the_whole_joined_by_tunnels() {
    let plan = line(3, false, true);
    let placed = placement(&[("a", "r0 attacker r1"), ("b", "r2 victim")]);
    let shares = placed.shares(&plan, "RUN").unwrap();
    let whole = Layout::of(&plan, "RUN", Datapath::Afpacket).unwrap();
    let part =
        |at: usize| Layout::part(&plan, "RUN", Datapath::Afpacket, &shares[at], false).unwrap();
    let parts = [part(0), part(1)];
    // One link of four leads from host to host; its ends mirror each other.
    assert_eq!(parts.each_ref().map(|p| (p.wires.len(), p.tunnels.len())), [(2, 1), (1, 1)]);
    let [a, b] = parts.each_ref().map(|p| p.tunnels[0].1);
    assert_eq!((a.vni, a.near, a.far), (b.vni, b.far, b.near));
    // Addresses, link-layer ones too, are those of one host for all.
    for (router, part) in [(0, 0), (1, 0), (2, 1)] {
        assert_eq!(parts[part].router(router).ports, whole.router(router).ports);
    }
    assert_eq!(parts[1].host(1).ports, whole.host(1).ports);
    // In place there is room for one node.
    assert!(Layout::part(&plan, "RUN", Datapath::Tc, &shares[1], true).is_err());
    assert!(Layout::part(&plan, "RUN", Datapath::Xdp, &shares[1], false).is_err());
}
