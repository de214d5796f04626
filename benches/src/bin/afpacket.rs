//! How many packets a second the userspace router forwards and marks, beside the kernel's own
//! forwarding over the same links in the same run.
//!
//! ```text
//! src eth0 -- p0 rtr p1 -- eth0 dst      64-byte frames, as many as one core can make
//! ```
//! The generator and the router's thread sit on different cores. What counts for the router is packets
//! forwarded in a second of its thread's processor time, so that a busy machine does not falsify it; the
//! kernel forwards inside the generator's own system calls, so its figure includes making the packets.
//!
//! Over veth, whoever sends also does what the receiving host does with a packet. So that the far
//! host's work counts for nobody, it drops frames at the first look: they are addressed to another. The
//! row `send` is the limit of all: the router's core only sends, by the same ring, and routes nothing.

use anyhow::{Context, ensure};
use ashiato_agent::config::{Datapath, Vantage};
use ashiato_agent::datapath::desk::{Event, Request};
use ashiato_agent::datapath::ring::send::SendRing;
use ashiato_agent::datapath::socket::BATCH;
use ashiato_agent::{latency, station::Station};
use ashiato_benches::host::{self, ip};
use ashiato_benches::{agents, report};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};
use traceback::checksum;

const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_millis(1500);
const GOAL: f64 = 600_000.0;
const SPACES: [&str; 3] = ["src", "rtr", "dst"];
/// Nobody's Ethernet address: the far host drops what is sent there before it looks at the packet.
const NOBODY: &str = "02:00:00:00:00:ff";

/// Routers to measure: name of the row, scheme, datapath.
const ROUTERS: [(&str, &str, Datapath); 5] = [
    ("ring-none", "none", Datapath::Afpacket),
    ("ring-fms", "fms", Datapath::Afpacket),
    ("ring-spie", "spie", Datapath::Afpacket),
    ("pnet-none", "none", Datapath::Pnet),
    ("pnet-fms", "fms", Datapath::Pnet),
];

fn main() -> anyhow::Result<()> {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: needs root");
        std::process::exit(77);
    }
    let out = std::env::args().nth(1).map(PathBuf::from);
    let links = Links::make()?;
    let mut rows = vec![];
    for _ in 0..ROUNDS {
        rows.push(("kernel", links.kernel()?));
        rows.push(("send", links.send()?));
        for (name, scheme, datapath) in ROUTERS {
            rows.push((name, links.router(scheme, datapath)?));
        }
    }
    let summary = summarise(&rows);
    if let Some(out) = out {
        report::keep(&out, &[("raw.csv", csv(&rows))], &summary)?;
    }
    println!("{summary}");
    Ok(())
}

/// One round's figures.
#[derive(Debug, Clone, Copy)]
struct Row {
    /// Packets sent, and those that came out at the other side.
    sent: u64,
    arrived: u64,
    /// Processor time of what did the forwarding.
    busy: Busy,
}

/// A thread's processor time.
#[derive(Debug, Clone, Copy)]
struct Busy {
    all: Duration,
    /// Ticks that found it in the program, and in the kernel.
    user: u64,
    system: u64,
}

impl Row {
    fn rate(&self) -> f64 {
        self.arrived as f64 / self.busy.all.as_secs_f64()
    }

    /// Share of the time that the kernel took.
    fn system(&self) -> f64 {
        self.busy.system as f64 / (self.busy.user + self.busy.system).max(1) as f64
    }
}

fn summarise(rows: &[(&str, Row)]) -> Value {
    let median = |what: &str, of: fn(&Row) -> f64| {
        let rows = rows.iter().filter(|(name, _)| *name == what);
        report::median(rows.map(|(_, row)| of(row)).collect())
    };
    let round = |value: f64| report::rounded(value, 3);
    let (kernel, send) = (median("kernel", Row::rate), median("send", Row::rate));
    let bench = |row: &str| {
        let rate = median(row, Row::rate);
        json!({
            "median": rate.round(), "unit": "packet/s per core",
            "peer": "kernel forwarding over the same veth pairs, packet making included",
            "ratio": round(rate / kernel), "kernel": kernel.round(),
            "limit": send.round(), "of_limit": round(rate / send),
            "in_kernel": round(median(row, Row::system)),
            "goal": ">= 600000 packet/s per core", "met": rate >= GOAL,
        })
    };
    json!({
        "afpacket-forward": bench("ring-none"),
        "afpacket-mark-fms": bench("ring-fms"),
        "afpacket-log-spie": bench("ring-spie"),
        "afpacket-pnet-forward": bench("pnet-none"),
        "afpacket-pnet-mark-fms": bench("pnet-fms"),
    })
}

fn csv(rows: &[(&str, Row)]) -> String {
    let mut csv = String::from("datapath,sent,arrived,busy_s,in_kernel,packets_per_s\n");
    for (name, row) in rows {
        let Row { sent, arrived, busy } = row;
        let (busy, kernel) = (busy.all.as_secs_f64(), row.system());
        csv += &format!("{name},{sent},{arrived},{busy:.6},{kernel:.3},{:.0}\n", row.rate());
    }
    csv
}

/// The three namespaces; removed at the end.
struct Links {
    tag: String,
}

impl Links {
    fn make() -> anyhow::Result<Self> {
        let links = Self { tag: format!("ashi-bench-{}", std::process::id()) };
        for space in SPACES {
            ip(&format!("netns add {}", links.name(space)))?;
            ip(&format!("-n {} link set lo up", links.name(space)))?;
        }
        for (n, leaf) in [(0, "src"), (1, "dst")] {
            let (router, leaf) = (links.name("rtr"), links.name(leaf));
            ip(&format!("link add p{n} netns {router} type veth peer name eth0 netns {leaf}"))?;
            ip(&format!("-n {router} addr add 198.18.{n}.1/24 dev p{n}"))?;
            ip(&format!("-n {router} link set p{n} up"))?;
            ip(&format!("-n {leaf} link set eth0 up"))?;
        }
        let router = links.name("rtr");
        ip(&format!("-n {router} neigh add 198.18.1.2 lladdr {NOBODY} dev p1 nud permanent"))?;
        Ok(links)
    }

    fn name(&self, space: &str) -> String {
        format!("{}-{space}", self.tag)
    }

    fn mac(&self, space: &str, device: &str) -> anyhow::Result<String> {
        let args = format!("-n {} -br link show dev {device}", self.name(space));
        let out = Command::new("ip").args(args.split_whitespace()).output()?;
        let text = String::from_utf8(out.stdout)?;
        text.split_whitespace().nth(2).map(str::to_owned).context("ip shows no address")
    }

    /// Runs something on a fresh thread in a namespace, on one core.
    fn within<T: Send>(
        &self,
        space: &str,
        core: usize,
        what: impl FnOnce() -> anyhow::Result<T> + Send,
    ) -> anyhow::Result<T> {
        host::within(&host::netns_file(&self.name(space)), || {
            host::pin(Pid::from_raw(0), core)?;
            what()
        })
    }

    fn forwarding(&self, on: bool) -> anyhow::Result<()> {
        let value = if on { "1" } else { "0" };
        self.within("rtr", 0, || Ok(fs::write("/proc/sys/net/ipv4/ip_forward", value)?))
    }

    /// Packets that came in at the far end.
    fn arrived(&self) -> anyhow::Result<u64> {
        self.within("dst", 0, || host::received("eth0"))
    }

    /// Sends for a round from a core; returns the packets sent and the processor time it took.
    fn generate(
        &self,
        (space, device): (&str, &str),
        core: usize,
        mac: &str,
    ) -> anyhow::Result<(u64, Busy)> {
        let frame = frame(mac)?;
        self.within(space, core, || {
            let mut ring = SendRing::open(device)?;
            let frames = [frame.as_slice(); BATCH];
            let (start, before) = (Instant::now(), busy(nix::unistd::gettid())?);
            let mut sent = 0;
            while start.elapsed() < ROUND {
                sent += ring.send_batch(&frames)? as u64;
            }
            Ok((sent, busy(nix::unistd::gettid())? - before))
        })
    }

    fn traffic(&self) -> anyhow::Result<(u64, Busy)> {
        self.generate(("src", "eth0"), 0, &self.mac("rtr", "p0")?)
    }

    fn kernel(&self) -> anyhow::Result<Row> {
        self.forwarding(true)?;
        let before = self.arrived()?;
        let (sent, busy) = self.traffic()?;
        let arrived = self.arrived()? - before;
        self.forwarding(false)?;
        Ok(Row { sent, arrived, busy })
    }

    /// What the router's core can send at most.
    fn send(&self) -> anyhow::Result<Row> {
        let before = self.arrived()?;
        let (sent, busy) = self.generate(("rtr", "p1"), 1, NOBODY)?;
        Ok(Row { sent, arrived: self.arrived()? - before, busy })
    }

    fn router(&self, scheme: &str, datapath: Datapath) -> anyhow::Result<Row> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let router = agents::router(host::netns_file(&self.name("rtr")), 0, scheme, datapath);
        let config = Vantage { sample_1_in: 64, ..router };
        let mut station = runtime.block_on(Station::start(&config))?;
        // The kernel keeps 15 bytes of a thread's name.
        let thread = host::threads_named(&config.name()[..15])?.pop_first();
        let thread = thread.context("the router has no thread")?;
        host::pin(thread, 1)?;
        let (came, before) = (self.arrived()?, busy(thread)?);
        let (sent, _) = self.traffic()?;
        let cut = Request::Cut { id: 0, fresh: latency::empty() };
        ensure!(station.bell.ask(cut), "the router is gone");
        let event = runtime.block_on(station.events.recv());
        let Some(Event::Cut { share, .. }) = event else { anyhow::bail!("no cut") };
        let counters = share.counters;
        let complete = counters.received >= sent && counters.malformed == 0;
        ensure!(complete, "{sent} were sent, but the router counts {counters:?}");
        Ok(Row { sent, arrived: self.arrived()? - came, busy: busy(thread)? - before })
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        for space in SPACES {
            // What is left is named after this process, and the error has been printed.
            let _ = ip(&format!("netns del {}", self.name(space)));
        }
    }
}

/// A frame of 64 bytes on the wire, 60 without its check sequence.
fn frame(mac: &str) -> anyhow::Result<Vec<u8>> {
    let byte = |text| u8::from_str_radix(text, 16).context("an Ethernet address");
    let mut frame = mac.split(':').map(byte).collect::<anyhow::Result<Vec<u8>>>()?;
    frame.extend([2, 0, 0, 0, 0, 1, 8, 0]);
    let mut header = *b"\x45\0\0\x2e\x1f\0\x40\0\x40\x11\0\0\xc6\x12\0\x02\xc6\x12\x01\x02";
    let check = checksum::of(&header);
    header[10..12].copy_from_slice(&check.to_be_bytes());
    frame.extend(header);
    frame.extend([0x30, 0x39, 0, 9, 0, 26, 0, 0]);
    frame.resize(60, 7);
    Ok(frame)
}

/// Processor time of a thread of this process.
fn busy(thread: Pid) -> anyhow::Result<Busy> {
    let task = PathBuf::from(format!("/proc/self/task/{thread}"));
    let text = fs::read_to_string(task.join("schedstat"))?;
    let nanos = text.split_whitespace().next().context("an empty schedstat")?.parse()?;
    let stat = fs::read_to_string(task.join("stat"))?;
    // The name before the parenthesis may hold spaces. Fields 14 and 15, counted from 1.
    let (_, fields) = stat.rsplit_once(')').context("a strange stat")?;
    let mut ticks = fields.split_whitespace().skip(11).map(str::parse);
    let mut tick = || anyhow::Ok(ticks.next().context("a short stat")??);
    Ok(Busy { all: Duration::from_nanos(nanos), user: tick()?, system: tick()? })
}

impl std::ops::Sub for Busy {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            all: self.all - before.all,
            user: self.user - before.user,
            system: self.system - before.system,
        }
    }
}
