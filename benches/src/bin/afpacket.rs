//! How many packets a second the userspace router forwards and marks, beside the kernel's own
//! forwarding over the same links in the same run.
//!
//! ```text
//! src eth0 -- p0 rtr p1 -- eth0 dst      64-byte frames, as many as one core can make
//! ```
//! The generator and the router's thread sit on different cores. What counts for the router is packets
//! forwarded in a second of its thread's processor time, so that a busy machine does not falsify it; the
//! kernel forwards inside the generator's own system calls, so its figure includes making the packets.

use anyhow::{Context, ensure};
use ashiato_agent::config::{Datapath, DrawKind, Interval, Port, RunKey, Vantage};
use ashiato_agent::datapath::desk::{Event, Request};
use ashiato_agent::datapath::netns;
use ashiato_agent::datapath::socket::{BATCH, Opening, PacketSocket};
use ashiato_agent::{latency, station::Station};
use ashiato_benches::host::{ip, own_time, pin, threads_named, time_of};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use traceback::invariant::Key;
use traceback::report::Role;
use traceback::{RouterId, checksum};

const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_millis(1500);
const GOAL: f64 = 200_000.0;
const SPACES: [&str; 3] = ["src", "rtr", "dst"];

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
        for scheme in ["none", "fms", "spie"] {
            rows.push((scheme, links.router(scheme)?));
        }
    }
    let summary = summarise(&rows);
    if let Some(out) = out {
        write(&out, &rows, &summary)?;
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
    busy: Duration,
}

impl Row {
    fn rate(&self) -> f64 {
        self.arrived as f64 / self.busy.as_secs_f64()
    }
}

fn summarise(rows: &[(&str, Row)]) -> Value {
    let median = |what: &str| {
        let mut rates: Vec<f64> =
            rows.iter().filter(|(name, _)| *name == what).map(|(_, row)| row.rate()).collect();
        rates.sort_by(f64::total_cmp);
        rates.get(rates.len() / 2).copied().unwrap_or_default()
    };
    let kernel = median("kernel");
    let bench = |scheme: &str| {
        let rate = median(scheme);
        json!({
            "median": rate.round(), "unit": "packet/s per core",
            "peer": "kernel forwarding over the same veth pairs, packet making included",
            "ratio": (rate / kernel * 1000.0).round() / 1000.0,
            "goal": ">= 200000 packet/s per core", "met": rate >= GOAL,
        })
    };
    json!({
        "afpacket-forward": bench("none"),
        "afpacket-mark-fms": bench("fms"),
        "afpacket-log-spie": bench("spie"),
    })
}

fn write(out: &Path, rows: &[(&str, Row)], summary: &Value) -> anyhow::Result<()> {
    fs::create_dir_all(out).with_context(|| format!("make {}", out.display()))?;
    let mut csv = String::from("datapath,sent,arrived,busy_s,packets_per_s\n");
    for (name, row) in rows {
        let Row { sent, arrived, busy } = row;
        let busy = busy.as_secs_f64();
        csv += &format!("{name},{sent},{arrived},{busy:.6},{:.0}\n", row.rate());
    }
    fs::write(out.join("raw.csv"), csv)?;
    fs::write(out.join("summary.json"), format!("{summary}\n"))?;
    Ok(())
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
        // The far end has a neighbour's entry but no address: its stack drops what comes at once.
        let mac = links.mac("dst", "eth0")?;
        let router = links.name("rtr");
        ip(&format!("-n {router} neigh add 198.18.1.2 lladdr {mac} dev p1 nud permanent"))?;
        Ok(links)
    }

    fn name(&self, space: &str) -> String {
        format!("{}-{space}", self.tag)
    }

    fn path(&self, space: &str) -> PathBuf {
        Path::new("/run/netns").join(self.name(space))
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
        let path = self.path(space);
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                netns::enter(&path)?;
                pin(Pid::from_raw(0), core)?;
                what()
            });
            thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))?
        })
    }

    fn forwarding(&self, on: bool) -> anyhow::Result<()> {
        let value = if on { "1" } else { "0" };
        self.within("rtr", 0, || Ok(fs::write("/proc/sys/net/ipv4/ip_forward", value)?))
    }

    /// Packets that came in at the far end.
    fn arrived(&self) -> anyhow::Result<u64> {
        let read = || {
            let table = fs::read_to_string("/proc/thread-self/net/dev")?;
            let line = table.lines().find_map(|l| l.trim().strip_prefix("eth0:"));
            let packets = line.and_then(|l| l.split_whitespace().nth(1)).context("no eth0")?;
            Ok(packets.parse()?)
        };
        self.within("dst", 0, read)
    }

    /// Sends for a round; returns the packets sent and the processor time it took.
    fn generate(&self) -> anyhow::Result<(u64, Duration)> {
        let frame = frame(&self.mac("rtr", "p0")?)?;
        self.within("src", 0, || {
            let opening = Opening {
                interface: Some("eth0"),
                ethertype: 0,
                bypass_queue: true,
                ..Opening::default()
            };
            let socket = PacketSocket::open(&opening)?;
            let frames = [frame.as_slice(); BATCH];
            let (start, before) = (Instant::now(), own_time());
            let mut sent = 0;
            while start.elapsed() < ROUND {
                sent += socket.send_batch(&frames)? as u64;
            }
            Ok((sent, own_time() - before))
        })
    }

    fn kernel(&self) -> anyhow::Result<Row> {
        self.forwarding(true)?;
        let before = self.arrived()?;
        let (sent, busy) = self.generate()?;
        let arrived = self.arrived()? - before;
        self.forwarding(false)?;
        Ok(Row { sent, arrived, busy })
    }

    fn router(&self, scheme: &str) -> anyhow::Result<Row> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let config = self.config(scheme);
        let mut station = runtime.block_on(Station::start(&config))?;
        let mut threads = threads_named("router/")?;
        let thread = threads.pop_first().context("the router has no thread")?;
        pin(thread, 1)?;
        let (came, before) = (self.arrived()?, time_of(thread)?);
        let (sent, _) = self.generate()?;
        let cut = Request::Cut { id: 0, fresh: latency::empty() };
        ensure!(station.bell.ask(cut), "the router is gone");
        let event = runtime.block_on(station.events.recv());
        let Some(Event::Cut { share, .. }) = event else { anyhow::bail!("no cut") };
        ensure!(share.counters.malformed == 0, "{:?}", share.counters);
        Ok(Row { sent, arrived: self.arrived()? - came, busy: time_of(thread)? - before })
    }

    fn config(&self, scheme: &str) -> Vantage {
        let port = |name: &str| Port { ifname: name.into(), neighbour: None };
        Vantage {
            role: Role::Router,
            router: RouterId(0xc613_0001),
            index: 0,
            degree: 2,
            netns: Some(self.path("rtr")),
            cert: PathBuf::new(),
            key_file: PathBuf::new(),
            scheme: scheme.into(),
            params: json!({}),
            key: RunKey(Key(1, 2)),
            draws: DrawKind::Keyed,
            report_every: Interval(Duration::from_secs(1)),
            sample_1_in: 64,
            datapath: Datapath::Afpacket,
            filter: None,
            ports: vec![port("p0"), port("p1")],
            hlog: None,
            zero_unix_ns: 0,
        }
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
