//! How long a new host takes from its copied programs to its first scored run, by the commands that its owner types: enrol,
//! then `ashiato host`. The director's machine and another host are there already.

use crate::host::{ip, netns_file, run};
use anyhow::{Context, bail, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const FIRST: &str = include_str!("../../scenarios/first.toml");
const PROGRAMS: [&str; 3] = ["ashiato", "ashiato-agent", "ashiato-collector"];
const MACHINES: [&str; 3] = ["director", "lab-a", "lab-b"];
/// Far above the goal.
const PATIENCE: Duration = Duration::from_secs(120);

/// What one host's joining took, from the moment when its programs are copied.
#[derive(Debug, Clone, Copy)]
pub struct Joined {
    /// To the director's word that it has called.
    pub called: Duration,
    /// To the end of the run, scored; its agents' first reports came before.
    pub scored: Duration,
}

/// Machines as namespaces, joined by a bridge; removed at the end.
struct Machines {
    tag: String,
    dir: PathBuf,
    running: Vec<Child>,
}

impl Machines {
    fn open() -> anyhow::Result<Self> {
        let tag = format!("ashi-bench-{}", std::process::id());
        let dir = std::env::temp_dir().join(&tag);
        let open = Self { tag, dir, running: vec![] };
        fs::create_dir_all(&open.dir)?;
        let switch = open.space("switch");
        ip(&format!("netns add {switch}"))?;
        ip(&format!("-n {switch} link add br0 type bridge"))?;
        ip(&format!("-n {switch} link set br0 up"))?;
        for (at, machine) in (1..).zip(MACHINES) {
            let space = open.space(machine);
            fs::create_dir_all(open.dir.join(machine))?;
            ip(&format!("netns add {space}"))?;
            ip(&format!("-n {space} link add eth0 type veth peer name c{at} netns {switch}"))?;
            ip(&format!("-n {switch} link set c{at} master br0 up"))?;
            ip(&format!("-n {space} addr add 10.254.0.{at}/24 dev eth0"))?;
            ip(&format!("-n {space} link set eth0 up"))?;
            ip(&format!("-n {space} link set lo up"))?;
        }
        Ok(open)
    }

    fn space(&self, machine: &str) -> String {
        format!("{}-{machine}", self.tag)
    }

    /// A program on a machine, in its folder, with a state of its own.
    fn on(&self, machine: &str, program: &Path) -> anyhow::Result<Command> {
        let home = self.dir.join(machine);
        let log = fs::File::options().create(true).append(true).open(home.join("log"))?;
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", netns_file(&self.space(machine)).display()));
        command.arg(program).current_dir(&home).env("ASHIATO_STATE", home.join("state"));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(command)
    }

    fn log(&self, machine: &str) -> String {
        fs::read_to_string(self.dir.join(machine).join("log")).unwrap_or_default()
    }

    fn done(&self, machine: &str, command: &mut Command) -> anyhow::Result<()> {
        ensure!(command.status()?.success(), "{command:?}: {}", self.log(machine));
        Ok(())
    }

    fn until(&self, machine: &str, word: &str) -> anyhow::Result<()> {
        let end = Instant::now() + PATIENCE;
        while !self.log(machine).contains(word) {
            if Instant::now() > end {
                let logs = ["director", machine].map(|machine| self.log(machine)).join("\n");
                bail!("{machine} never says {word:?}: {logs}");
            }
            sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Authority, desk and tokens; the desk stays open.
    fn prepare(&mut self) -> anyhow::Result<()> {
        let collector = here("ashiato-collector")?;
        let mut init = self.on("director", &collector)?;
        self.done(
            "director",
            init.args(["authority", "init", "keys", "--director", "10.254.0.1"]),
        )?;
        let mut desk = self.on("director", &collector)?;
        desk.args(["authority", "serve", "keys", "--listen", "10.254.0.1:7402"]);
        self.running.push(desk.spawn()?);
        self.until("director", "ready")?;
        for machine in &MACHINES[1..] {
            let mut token = self.on("director", &collector)?;
            token
                .args(["token", "keys", "--address", "10.254.0.1:7402"])
                .arg(format!("host/{machine}"));
            let home = self.dir.join(machine);
            let out = token.stdout(Stdio::piped()).output()?;
            ensure!(out.status.success(), "no token: {}", self.log("director"));
            fs::write(home.join("token"), out.stdout)?;
            let records = home.join("records");
            let site = format!(
                "manifest = \"internal-networks-need-none\"\nrecords = {records:?}\n\
                 caps = {{ packets_per_second = 20000, bits_per_second = 100000000 }}\n"
            );
            fs::write(home.join("site.toml"), site)?;
        }
        let home = self.dir.join("director");
        fs::write(home.join("placement.toml"), placement())?;
        fs::write(home.join("first.toml"), FIRST)?;
        Ok(())
    }

    /// What a host's owner types, with programs from a folder.
    fn join(&mut self, machine: &str, at: usize, programs: &Path) -> anyhow::Result<()> {
        let mut enrol = self.on(machine, &programs.join("ashiato-agent"))?;
        self.done(machine, enrol.args(["enrol", "--token", "token", "--dir", "keys"]))?;
        let home = self.dir.join(machine);
        let config = format!(
            "director = \"10.254.0.1:7401\"\nunderlay = \"10.254.0.{at}\"\nfolder = {:?}\n\
             tls = {{ ca = \"keys/ca.pem\", cert = \"keys/own.pem\", key = \"keys/own.key\" }}\n",
            home.join("runs")
        );
        fs::write(home.join("host.toml"), config)?;
        let mut host = self.on(machine, &programs.join("ashiato"))?;
        host.args(["host", "--config", "host.toml", "--site", "site.toml"]);
        self.running.push(host.spawn()?);
        Ok(())
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        for child in self.running.iter_mut().rev() {
            // Hosts remove what they made when they are asked to end.
            let _ = run(&format!("kill -TERM {}", child.id()));
            let _ = child.wait();
        }
        for machine in MACHINES.into_iter().chain(["switch"]) {
            let _ = ip(&format!("netns del {}", self.space(machine)));
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn placement() -> String {
    // The desk has the port that a collector would take.
    let head = "listen = \"10.254.0.1:7401\"\ncollector = \"10.254.0.1:7403\"\nenrolled = \"keys/enrolled\"\n\
                tls = { ca = \"keys/ca.pem\", cert = \"keys/director.pem\", key = \"keys/director.key\" }\n";
    let host = |name: &str, at: usize, nodes: &str| {
        format!("[[host]]\nname = \"{name}\"\nunderlay = \"10.254.0.{at}\"\nnodes = [{nodes}]\n")
    };
    let a = host("lab-a", 2, "\"a\", \"b\", \"victim\"");
    head.to_owned() + &a + &host("lab-b", 3, "\"c\", \"d\", \"e\", \"attacker\"")
}

fn here(program: &str) -> anyhow::Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name(program))
}

/// One host joins a run for which the others wait.
///
/// # Errors
/// Needs root and the project's programs beside this one; when the run fails.
pub fn once() -> anyhow::Result<Joined> {
    let mut machines = Machines::open()?;
    machines.prepare()?;
    let programs = here("ashiato")?.parent().context("no folder of programs")?.to_path_buf();
    machines.join("lab-a", 2, &programs)?;
    let mut lead = machines.on("director", &here("ashiato")?)?;
    lead.args(["run", "first.toml", "--world", "hosts", "--hosts", "placement.toml"]);
    let mut lead = lead.args(["--scheme", "fms", "--out", "out"]).spawn()?;
    machines.until("lab-a", "on the line")?;
    let start = Instant::now();
    let copied = machines.dir.join("lab-b/bin");
    fs::create_dir(&copied)?;
    for program in PROGRAMS {
        fs::copy(here(program)?, copied.join(program))?;
    }
    machines.join("lab-b", 3, &copied)?;
    machines.until("lab-b", "on the line")?;
    let called = start.elapsed();
    let code = lead.wait()?;
    ensure!(code.success(), "the run ended with {code}: {}", machines.log("director"));
    Ok(Joined { called, scored: start.elapsed() })
}
