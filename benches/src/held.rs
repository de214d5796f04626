//! The agent's own program as a router between two ports, in a namespace of its own: what it holds in memory, at rest and
//! with a million cells, and what it costs while nothing comes.
//!
//! ```text
//! [namespace: s0 -- p0 agent p1 -- d0]      no collector: reports wait
//! ```

use crate::agents;
use crate::host::{self, ip, netns_file, time_of};
use anyhow::{Context, ensure};
use ashiato_agent::config::{Collector, Config, Datapath, Interval, Vantage};
use ashiato_agent::datapath::socket::{BATCH, Opening, PacketSocket};
use ashiato_collector::authority::Authority;
use ashiato_collector::identity::Identity;
use nix::unistd::Pid;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use traceback::{RouterId, checksum};

/// Packets between two breaths, so that no ring runs over.
const GULP: u32 = 4096;
const BREATH: Duration = Duration::from_millis(12);
/// How long packets may take to come out.
const PATIENCE: Duration = Duration::from_secs(30);

/// Megabytes of a process, by whose they are.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Resident {
    /// Everything that the kernel counts as resident.
    pub all: f64,
    /// Stack and heap.
    pub own: f64,
    /// The program and what it reads of files.
    pub program: f64,
    /// Rings that the kernel shares and pins, as long as the ports are open.
    pub rings: f64,
    /// Maps of the program's in the kernel, which are no part of the process.
    pub kernel: f64,
}

/// An agent at work. Dropped, it goes with its namespace.
#[derive(Debug)]
pub struct Held {
    agent: Option<Child>,
    space: String,
    dir: PathBuf,
}

impl Held {
    /// Starts one that runs RIHT, whose every packet with a full mark makes an entry, and waits until it is calm.
    ///
    /// # Errors
    /// Needs root, and `ashiato-agent` beside this program.
    pub fn start(datapath: Datapath) -> anyhow::Result<Self> {
        let space = format!("ashi-bench-{}-held", std::process::id());
        let dir = std::env::temp_dir().join(&space);
        let mut held = Self { agent: None, space, dir };
        held.furnish(datapath == Datapath::Tc)?;
        held.agent = Some(held.spawn(datapath)?);
        sleep(Duration::from_secs(3));
        Ok(held)
    }

    fn furnish(&self, kernel_forwards: bool) -> anyhow::Result<()> {
        let space = &self.space;
        ip(&format!("netns add {space}"))?;
        for (port, far, net) in [("p0", "s0", 1), ("p1", "d0", 2)] {
            ip(&format!("-n {space} link add {port} type veth peer name {far}"))?;
            ip(&format!("-n {space} link set {port} address 02:00:00:00:00:0{net}"))?;
            ip(&format!("-n {space} addr add 198.18.{net}.1/24 dev {port}"))?;
            ip(&format!("-n {space} link set {far} up"))?;
            ip(&format!("-n {space} link set {port} up"))?;
        }
        let there = "198.18.2.2 lladdr 02:00:00:00:00:22 dev p1";
        ip(&format!("-n {space} neigh replace {there} nud permanent"))?;
        host::within(&netns_file(space), || {
            let forwards = if kernel_forwards { "1" } else { "0" };
            for (key, value) in
                [("ip_forward", forwards), ("conf/all/rp_filter", "0"), ("conf/p0/rp_filter", "0")]
            {
                fs::write(format!("/proc/sys/net/ipv4/{key}"), value).context(key)?;
            }
            Ok(())
        })
    }

    fn spawn(&self, datapath: Datapath) -> anyhow::Result<Child> {
        let mut router = agents::router(netns_file(&self.space), 0, "riht", datapath);
        // A packet from where no router is known has its mark wiped.
        for (port, link) in router.ports.iter_mut().zip(0..) {
            port.neighbour = Some(RouterId(router.router.0 + 1 + u32::from(link)));
            port.link = Some(link);
        }
        let authority = Authority::new(Duration::from_secs(3600))?;
        let tls = authority.write(&self.dir, &Identity::Router(router.router), &[])?;
        let report_every = Interval(Duration::from_millis(500));
        let (cert, key_file) = (tls.cert, tls.key);
        let vantage = Vantage { cert, key_file, report_every, netns: None, ..router };
        let address = "127.0.0.1:9".parse()?;
        let collector = Collector { address, server_name: "collector".into(), ca: tls.ca };
        let file = self.dir.join("agent.toml");
        fs::write(&file, Config { collector, vantages: vec![vantage] }.to_toml())?;
        let program = std::env::current_exe()?.with_file_name("ashiato-agent");
        host::within(&netns_file(&self.space), || {
            let mut run = Command::new(&program);
            run.arg("run").arg("--config").arg(&file);
            run.env("ASHIATO_AGENT_STATE", self.dir.join("state"));
            run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            run.spawn().with_context(|| format!("cannot start {}", program.display()))
        })
    }

    fn pid(&self) -> anyhow::Result<u32> {
        Ok(self.agent.as_ref().context("no agent")?.id())
    }

    /// Sends as many packets as there are to be cells, each with another full mark, and waits until all came out.
    ///
    /// # Errors
    /// When some do not.
    pub fn fill(&self, cells: u32) -> anyhow::Result<()> {
        host::within(&netns_file(&self.space), || {
            let before = host::sent("p1")?;
            let opening =
                Opening { interface: Some("s0"), bypass_queue: true, ..Opening::default() };
            let socket = PacketSocket::open(&opening)?;
            let mut frames = vec![frame(); BATCH];
            let mut next = 0;
            while next < cells {
                let batch = (cells - next).min(u32::try_from(BATCH)?);
                for (frame, n) in frames.iter_mut().zip(next..next + batch) {
                    mark(frame, 0x8000_0000 | n);
                }
                let all: Vec<&[u8]> = frames[..batch as usize].iter().map(Vec::as_slice).collect();
                let sent = u32::try_from(socket.send_batch(&all).context("send to the agent")?)?;
                if (next + sent) / GULP > next / GULP {
                    sleep(BREATH);
                }
                next += sent;
            }
            let end = Instant::now() + PATIENCE;
            while host::sent("p1")? - before < u64::from(cells) {
                let out = host::sent("p1")? - before;
                ensure!(Instant::now() < end, "of {cells} packets {out} came out");
                sleep(Duration::from_millis(100));
            }
            sleep(Duration::from_secs(2));
            Ok(())
        })
    }

    /// What it holds now.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn resident(&self) -> anyhow::Result<Resident> {
        let process = PathBuf::from(format!("/proc/{}", self.pid()?));
        let status = fs::read_to_string(process.join("status"))?;
        let of = |name: &str| {
            let line = status.lines().find_map(|l| l.strip_prefix(name));
            kib(line.with_context(|| format!("no {name}"))?)
        };
        let maps = fs::read_to_string(process.join("smaps"))?;
        let rings = rings(&maps)?;
        let (all, own) = (of("VmRSS:")?, of("RssAnon:")?);
        let mut kernel = 0.0;
        for entry in fs::read_dir(process.join("fdinfo"))? {
            // Descriptors come and go meanwhile.
            let text = fs::read_to_string(entry?.path()).unwrap_or_default();
            let is_map = text.lines().any(|l| l.starts_with("map_type:"));
            let bytes = text.lines().find_map(|l| l.strip_prefix("memlock:")).filter(|_| is_map);
            kernel += bytes.map_or(Ok(0.0), |n| n.trim().parse::<f64>())? / 1e6;
        }
        Ok(Resident { all, own, program: all - own - rings, rings, kernel })
    }

    /// Processor time of all of its threads.
    ///
    /// # Errors
    /// When it is gone.
    pub fn spent(&self) -> anyhow::Result<Duration> {
        let mut all = Duration::ZERO;
        for thread in fs::read_dir(format!("/proc/{}/task", self.pid()?))? {
            all += time_of(Pid::from_raw(thread?.file_name().to_string_lossy().parse()?))?;
        }
        Ok(all)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(agent) = &mut self.agent {
            // What is left is named after this process, and an error was printed.
            let _ = agent.kill();
            let _ = agent.wait();
        }
        let _ = ip(&format!("netns del {}", self.space));
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// An IPv4 packet of UDP in a frame for the agent's first port.
fn frame() -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0x11, 8, 0];
    frame.extend([0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0, 198, 18, 1, 2, 198, 18, 2, 2]);
    frame.extend([0, 9, 0, 9, 0, 26, 0, 0]);
    frame.resize(60, 0);
    frame
}

/// Writes a mark where RIHT has it: Identification, flags and fragment offset.
fn mark(frame: &mut [u8], mark: u32) {
    frame[18..22].copy_from_slice(&mark.to_be_bytes());
    frame[24..26].fill(0);
    let check = checksum::of(&frame[14..34]);
    frame[24..26].copy_from_slice(&check.to_be_bytes());
}

/// Megabytes of mappings of sockets.
fn rings(maps: &str) -> anyhow::Result<f64> {
    let (mut sum, mut is_ring) = (0.0, false);
    for line in maps.lines() {
        if line.split(' ').next().is_some_and(|range| range.contains('-')) {
            is_ring = line.contains("socket:[");
        }
        if let Some(size) = line.strip_prefix("Rss:").filter(|_| is_ring) {
            sum += kib(size)?;
        }
    }
    Ok(sum)
}

fn kib(text: &str) -> anyhow::Result<f64> {
    let number: f64 = text.trim().trim_end_matches("kB").trim().parse()?;
    Ok(number * 1024.0 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_are_told_from_what_is_the_agents_own() {
        let maps = "7f00-7f80 rw-p 00000000 00:00 0 \nRss:   2048 kB\nPss: 1 kB\n\
                    7f80-7fff rw-s 00000000 00:08 77   socket:[4711]\nRss:   1000 kB\n";
        assert!((rings(maps).unwrap() - 1.024).abs() < 1e-9);
    }
}
