//! Hosts in namespaces: each with folders of its own, its daemon, and a bridge that joins them.
#![allow(dead_code, reason = "every test file uses a part of this")]

use crate::support::{run_id, state};
use ashiato::journal::{self, Record};
use ashiato::process::Process;
use nix::sys::signal::Signal;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The smallest scenario, and who stands for what of it.
pub(crate) const FIRST: &str = include_str!("../../../scenarios/first.toml");
pub(crate) const TWO: [(&str, &str); 2] = [("lab-a", "a b victim"), ("lab-b", "c d e attacker")];
/// Namespaces without a way out, over the default caps between hosts.
pub(crate) const INTERNAL: &str = "manifest = \"internal-networks-need-none\"\ncaps = { \
     packets_per_second = 20000, bits_per_second = 100000000 }\n";

/// How placements begin.
const HEAD: &str = "listen = \"10.254.0.1:7401\"\nenrolled = \"keys/enrolled\"\n[tls]\nca = \
     \"keys/ca.pem\"\ncert = \"keys/director.pem\"\nkey = \"keys/director.key\"\n";

/// Hosts, their daemons, and the network between them.
pub(crate) struct Lab {
    pub dir: PathBuf,
    pub spaces: Vec<String>,
    pub daemons: Vec<Child>,
    policy: String,
}

pub(crate) fn program(name: &str) -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_ashiato")).with_file_name(name)
}

pub(crate) fn sh(line: &str) {
    let words: Vec<&str> = line.split(' ').collect();
    let out = Command::new(words[0]).args(&words[1..]).output().unwrap();
    assert!(out.status.success(), "{line}: {}", String::from_utf8_lossy(&out.stderr));
}

/// What a command says that must end well.
pub(crate) fn done(command: &mut Command) -> Vec<u8> {
    let out = command.output().unwrap();
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
    out.stdout
}

impl Lab {
    /// Namespaces, cables, keys, configurations and daemons; host 0 is the director's. All hosts have the
    /// same site policy.
    pub(crate) fn open(placed: &[(&str, &str)], policy: &str) -> Self {
        let run = run_id();
        let (dir, id) = (state(&run), run[run.len() - 6..].to_lowercase());
        let policy = policy.to_owned();
        let mut lab = Self { dir, spaces: vec![], daemons: vec![], policy };
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
            let daemon = lab.start(i, name);
            lab.daemons.push(daemon);
        }
        lab
    }

    pub(crate) fn space(&mut self, name: &str) -> String {
        sh(&format!("ip netns add {name}"));
        self.spaces.push(name.into());
        name.into()
    }

    /// A command of `ashiato` in a host's namespace, with a state folder of its own.
    pub(crate) fn inside(&self, space: usize, state: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.spaces[space]));
        command.arg(env!("CARGO_BIN_EXE_ashiato")).env("ASHIATO_STATE", self.dir.join(state));
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    /// Starts the daemon of a host, by its position.
    pub(crate) fn start(&self, at: usize, name: &str) -> Child {
        self.daemon(at, name).spawn().unwrap()
    }

    /// The command that does.
    pub(crate) fn daemon(&self, at: usize, name: &str) -> Command {
        let mut daemon = self.inside(at + 2, &format!("{name}-state"));
        let mut log = fs::File::options();
        let log = log.create(true).append(true).open(self.dir.join(format!("{name}.log"))).unwrap();
        let own = self.dir.join(name);
        daemon.arg("host").arg("--config").arg(own.join("host.toml"));
        daemon.arg("--site").arg(own.join("site.toml")).stderr(log);
        daemon
    }

    /// The authority and the placement; each host enrols itself by a token, from its own namespace.
    pub(crate) fn enrol(&self, placed: &[(&str, &str)]) {
        let keys = self.dir.join("keys");
        let mut init = Command::new(program("ashiato-collector"));
        done(init.args(["authority", "init", "--director", "10.254.0.1"]).arg(&keys));
        let mut placement = HEAD.to_owned();
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
            let records = format!("records = \"{}/safety\"\n", own.display());
            let site = records + &self.policy;
            fs::write(own.join("site.toml"), site).unwrap();
        }
        kill(&mut desk);
        fs::write(self.dir.join("placement.toml"), placement).unwrap();
    }

    pub(crate) fn enrolment(&self, space: usize, own: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.spaces[space]));
        command.arg(program("ashiato-agent")).arg("enrol").arg("--dir").arg(own);
        command.arg("--token").arg(own.join("token"));
        command
    }

    /// Starts a run of a scenario's text from the director's namespace.
    pub(crate) fn run(&self, text: &str, more: &[&str]) -> Child {
        let file = self.dir.join("scenario.toml");
        fs::write(&file, text).unwrap();
        let log = fs::File::create(self.dir.join("director.log")).unwrap();
        let mut command = self.inside(1, "director-state");
        command.args(["run", "--world", "hosts", "--hosts"]).arg(self.dir.join("placement.toml"));
        command.arg("--out").arg(self.out()).args(more).arg(file).stderr(log).spawn().unwrap()
    }

    pub(crate) fn out(&self) -> PathBuf {
        self.dir.join("out")
    }

    pub(crate) fn record(&self, host: &str) -> Option<Record> {
        journal::records(&self.dir.join(format!("{host}-state"))).0.pop()
    }

    /// Living processes of a host whose role begins so.
    pub(crate) fn roles(&self, host: &str, role: &str) -> Vec<Process> {
        let processes = self.record(host).map(|r| r.processes).unwrap_or_default();
        let wanted = |(p, r): &(Process, String)| r.starts_with(role) && p.is_alive();
        processes.into_iter().filter(wanted).map(|(p, _)| p).collect()
    }

    pub(crate) fn until(&self, what: &str, limit: u64, done: impl Fn(&Self) -> bool) -> Duration {
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

    pub(crate) fn logs(&self) -> String {
        let logs = fs::read_dir(&self.dir).unwrap().map(|e| e.unwrap().path());
        let logs = logs.filter(|p| p.extension().is_some_and(|e| e == "log"));
        logs.map(|p| format!("{}:\n{}", p.display(), fs::read_to_string(&p).unwrap())).collect()
    }

    /// Starts a slow flood and returns when its packets leave.
    pub(crate) fn flood(&self) -> Child {
        let run = self.run(&FIRST.replace("packets = 4000", "packets = 60000"), &[]);
        self.flows();
        run
    }

    /// Returns when packets leave the attacker.
    pub(crate) fn flows(&self) {
        self.until("an actor starts", 60, |l| !l.roles("lab-b", "actor").is_empty());
        self.until("packets leave", 30, |l| l.left() > Some(100));
    }

    /// Packets that the attacker's interface has sent, by the kernel's count, seen through the actor that
    /// sends them; `None` where that is gone.
    pub(crate) fn left(&self) -> Option<u64> {
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

pub(crate) fn kill(child: &mut Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}
