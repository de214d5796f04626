//! How much later a packet arrives because a router on its way marks it: a paired difference for each
//! scheme and datapath.
//!
//! ```text
//!       e0 -- p0 one p1 -- e0        One of the two routers runs the scheme, the other runs `none`
//!  src                        dst    with the same datapath; they change places with every round.
//!       e1 -- p0 two p1 -- e1
//! ```
//! Probes carry the time of their sending and take both paths in turn; the two of a pair are half a
//! millisecond apart or so, and what the machine does otherwise hits both alike. The kernel stamps
//! arrivals, so that waking the receiver does not count. Two routers of one kind differ a little, each
//! time they start, by where their memory came to lie: so the interval of the median difference is a
//! bootstrap over rounds, each with fresh routers, and not over pairs. `none` against itself shows what
//! the method cannot tell apart. `recorder` is left out: it needs room that only its own senders make.
//!
//! Packets wait for their block of the ring on `afpacket`, which hides what marking adds; its row is there
//! for that wait, and the row of `pnet`, the same router without the ring, for the rest.

use anyhow::{Context, ensure};
use ashiato_agent::config::Datapath;
use ashiato_agent::datapath::ethtool;
use ashiato_agent::station::Station;
use ashiato_benches::host::{ip, netns_file, within};
use ashiato_benches::{agents, report};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::fs;
use std::io::IoSliceMut;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};
use traceback::invariant::mix2;

/// Rounds, each with fresh routers.
const ROUNDS: usize = 10;
/// Pairs that count in each round, and pairs before them that find neighbours and caches.
const PAIRS: usize = 300;
const WARM: usize = 30;
/// Between two probes, some 2,000 a second: at least, and up to so many microseconds more, so that
/// nothing periodic is met always at the same point.
const APART: Duration = Duration::from_micros(250);
const MORE: u64 = 500;
/// Resamplings of the rounds.
const BOOTSTRAPS: u64 = 1000;
/// When nothing arrived for so long, the rest is lost.
const QUIET: Duration = Duration::from_millis(500);
/// Most that marking may add at the median, in nanoseconds.
const GOAL: i64 = 1_000;
const TOO_WIDE: &str = "the interval is wider than the goal";
const PORT: u16 = 7401;
const SPACES: [&str; 4] = ["one", "two", "src", "dst"];
const SCHEMES: [&str; 4] = ["none", "fms", "spie", "pint"];
const DATAPATHS: [(&str, Datapath); 5] = [
    ("tc", Datapath::Tc),
    ("xdp", Datapath::Xdp),
    ("xdp-pass", Datapath::XdpPass),
    ("pnet", Datapath::Pnet),
    ("afpacket", Datapath::Afpacket),
];

fn main() -> anyhow::Result<()> {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: needs root");
        std::process::exit(77);
    }
    let out = std::env::args().nth(1).map(PathBuf::from);
    let rig = Rig::make()?;
    let mut cells = vec![];
    for (name, datapath) in DATAPATHS {
        for scheme in SCHEMES {
            let rounds = (0..ROUNDS).map(|round| rig.round(scheme, datapath, round % 2));
            let rounds = rounds.collect::<anyhow::Result<_>>();
            let rounds = rounds.with_context(|| format!("{scheme} on {name}"))?;
            cells.push(Cell { datapath: name, scheme, rounds });
        }
    }
    let summary: Map<_, _> = cells.iter().map(Cell::summarise).collect();
    let summary = Value::Object(summary);
    if let Some(out) = out {
        report::keep(&out, &[("raw.csv", csv(&cells)?)], &summary)?;
    }
    println!("{summary}");
    Ok(())
}

/// Nanoseconds on the way of a pair's probes, past the marking router and past the other.
type Pair = (i64, i64);

/// One scheme on one datapath.
struct Cell {
    datapath: &'static str,
    scheme: &'static str,
    rounds: Vec<Vec<Pair>>,
}

impl Cell {
    /// Times in order: marked, plain, and the differences within pairs.
    fn sorted(&self) -> [Vec<i64>; 3] {
        let all: [fn(&Pair) -> i64; 3] = [|p| p.0, |p| p.1, |p| p.0 - p.1];
        all.map(|of| {
            let mut times: Vec<i64> = self.rounds.iter().flatten().map(of).collect();
            times.sort_unstable();
            times
        })
    }

    /// Where the median difference lies with 95 %.
    fn interval(&self) -> (i64, i64) {
        let resample = |n: u64| {
            // As many rounds of either place of the marking router as there were.
            let drawn = (0..ROUNDS).flat_map(|seat| {
                let other = mix2(n, seat as u64) % (ROUNDS as u64 / 2);
                &self.rounds[seat % 2 + 2 * usize::try_from(other).unwrap_or_default()]
            });
            let mut added: Vec<i64> = drawn.map(|p| p.0 - p.1).collect();
            added.sort_unstable();
            at(&added, 500)
        };
        let mut medians: Vec<i64> = (0..BOOTSTRAPS).map(resample).collect();
        medians.sort_unstable();
        (at(&medians, 25), at(&medians, 975))
    }

    /// What is wanted, and whether it is so, as far as the interval can tell.
    fn judge(&self, median: i64, low: i64, high: i64) -> (String, Option<bool>) {
        if self.scheme == "none" {
            return ("the interval holds 0".into(), Some(low <= 0 && 0 <= high));
        }
        let tells = high - low <= GOAL;
        (format!("<= {GOAL} ns"), tells.then_some(median <= GOAL))
    }

    fn summarise(&self) -> (String, Value) {
        let [marked, plain, added] = self.sorted();
        let pairs = added.len();
        let [marked, plain, median] = [&marked, &plain, &added].map(|t| at(t, 500));
        let (low, high) = self.interval();
        let (goal, met) = self.judge(median, low, high);
        let row = json!({
            "median": median, "unit": "ns added, paired difference",
            "low": low, "high": high, "method": "bootstrap over rounds, 95 %",
            "peer": "`none` on a parallel path of the same datapath",
            "marked_p50": marked, "plain_p50": plain,
            "ratio": report::rounded(marked as f64 / plain as f64, 3),
            "pairs": pairs, "lost": ROUNDS * PAIRS - pairs,
            "goal": goal, "met": met, "why": met.is_none().then_some(TOO_WIDE),
        });
        (format!("e2e-{}-{}", self.datapath, self.scheme), row)
    }
}

/// A quantile of sorted numbers, in thousandths.
fn at(sorted: &[i64], per_mille: usize) -> i64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get(last * per_mille / 1000).copied().unwrap_or_default()
}

fn csv(cells: &[Cell]) -> anyhow::Result<String> {
    let mut csv = String::from("datapath,scheme,per_mille,marked_ns,plain_ns,difference_ns\n");
    for cell in cells {
        let sorted = cell.sorted();
        for q in [10, 50, 100, 250, 500, 750, 900, 950, 990, 999] {
            let [marked, plain, added] = [0, 1, 2].map(|i| at(&sorted[i], q));
            let (datapath, scheme) = (cell.datapath, cell.scheme);
            writeln!(csv, "{datapath},{scheme},{q},{marked},{plain},{added}")?;
        }
    }
    Ok(csv)
}

/// The four namespaces; removed at the end.
struct Rig {
    tag: String,
}

impl Rig {
    fn make() -> anyhow::Result<Self> {
        let rig = Self { tag: format!("ashi-bench-{}", std::process::id()) };
        for space in SPACES {
            ip(&format!("netns add {}", rig.name(space)))?;
            ip(&format!("-n {} link set lo up", rig.name(space)))?;
        }
        let [one, two, src, dst] = SPACES.map(|s| rig.name(s));
        for (n, router) in [one, two].iter().enumerate() {
            let far = n + 2;
            for (port, leaf, net) in [("p0", &src, n), ("p1", &dst, far)] {
                ip(&format!(
                    "link add {port} netns {router} type veth peer name e{n} netns {leaf}"
                ))?;
                for (space, device, host) in [(router, port, 1), (leaf, &*format!("e{n}"), 2)] {
                    ip(&format!("-n {space} addr add 198.18.{net}.{host}/24 dev {device}"))?;
                    ip(&format!("-n {space} link set {device} up"))?;
                    rig.prepare(space, device)?;
                }
            }
            ip(&format!("-n {src} route add 198.18.{far}.0/24 via 198.18.{n}.1"))?;
            ip(&format!("-n {dst} route add 198.18.{n}.0/24 via 198.18.{far}.1"))?;
        }
        Ok(rig)
    }

    fn name(&self, space: &str) -> String {
        format!("{}-{space}", self.tag)
    }

    /// Frames travel as they are, and ends poll, without which XDP cannot send to them.
    fn prepare(&self, name: &str, device: &str) -> anyhow::Result<()> {
        within(&netns_file(name), || {
            ethtool::offloads_off(device)?;
            if device.starts_with('e') {
                ethtool::merging_on(device)?;
            }
            Ok(())
        })
    }

    /// Pairs past two fresh routers, of which one (0 or 1) marks.
    fn round(&self, scheme: &str, datapath: Datapath, marked: usize) -> anyhow::Result<Vec<Pair>> {
        let by_kernel = !matches!(datapath, Datapath::Afpacket | Datapath::Pnet);
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let mut stations = vec![];
        for (n, space) in SPACES[..2].iter().enumerate() {
            let space = netns_file(&self.name(space));
            let forward = if by_kernel { "1" } else { "0" };
            within(&space, || Ok(fs::write("/proc/sys/net/ipv4/ip_forward", forward)?))?;
            let scheme = if n == marked { scheme } else { "none" };
            // No step is timed: reading the clock would count as marking.
            let config = agents::router(space, n, scheme, datapath);
            stations.push(runtime.block_on(Station::start(&config))?);
        }
        let sink =
            within(&netns_file(&self.name("dst")), || Ok(UdpSocket::bind(("0.0.0.0", PORT))?))?;
        sink.set_read_timeout(Some(QUIET))?;
        setsockopt(&sink, sockopt::ReceiveTimestampns, &true)?;
        let senders = [0, 1].map(|n| {
            within(&netns_file(&self.name("src")), || {
                let socket = UdpSocket::bind("0.0.0.0:0")?;
                socket.connect((format!("198.18.{}.2", n + 2), PORT))?;
                Ok(socket)
            })
        });
        let [one, two] = senders;
        let times = probe(&[one?, two?], &sink)?;
        drop(stations);
        let counted = times[WARM..].iter();
        let pairs: Vec<Pair> =
            counted.filter_map(|pair| Some((pair[marked]?, pair[1 - marked]?))).collect();
        ensure!(pairs.len() * 10 >= PAIRS * 9, "only {} of {PAIRS} pairs arrived", pairs.len());
        Ok(pairs)
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        for space in SPACES {
            // What is left is named after this process, and the error has been printed.
            let _ = ip(&format!("netns del {}", self.name(space)));
        }
    }
}

/// Times on both paths, by pair; `None` for what got lost.
type Times = Vec<[Option<i64>; 2]>;

/// Sends pairs of probes and hears what arrives.
fn probe(senders: &[UdpSocket; 2], sink: &UdpSocket) -> anyhow::Result<Times> {
    std::thread::scope(|scope| {
        let hears = scope.spawn(|| hear(sink));
        for pair in 0..WARM + PAIRS {
            for turn in 0..2 {
                // Who goes first changes with every pair: it may find colder caches.
                let path = (pair + turn) % 2;
                let mut probe = [0; 24];
                probe[..8].copy_from_slice(&(pair as u64).to_be_bytes());
                probe[8..16].copy_from_slice(&(path as u64).to_be_bytes());
                probe[16..].copy_from_slice(&now()?.to_be_bytes());
                senders[path].send(&probe)?;
                let more = mix2(pair as u64, turn as u64) % MORE;
                std::thread::sleep(APART + Duration::from_micros(more));
            }
        }
        hears.join().map_err(|_| anyhow::anyhow!("the receiver panicked"))?
    })
}

/// Receives until all is here, or nothing comes any more.
fn hear(sink: &UdpSocket) -> anyhow::Result<Times> {
    let mut times: Times = vec![[None; 2]; WARM + PAIRS];
    let mut missing = 2 * times.len();
    while missing > 0 {
        let mut probe = [0; 24];
        let mut parts = [IoSliceMut::new(&mut probe)];
        let mut room = nix::cmsg_space!(TimeSpec);
        let came = recvmsg::<()>(sink.as_raw_fd(), &mut parts, Some(&mut room), MsgFlags::empty());
        let came = match came {
            Ok(came) => came,
            Err(nix::errno::Errno::EAGAIN) => break,
            Err(e) => return Err(e).context("receive a probe"),
        };
        let stamp = came.cmsgs()?.find_map(|message| match message {
            ControlMessageOwned::ScmTimestampns(at) => Some(at),
            _ => None,
        });
        let stamp = stamp.context("the kernel stamped nothing")?;
        let arrived = stamp.tv_sec() * 1_000_000_000 + stamp.tv_nsec();
        let word = |at: usize| probe[at..at + 8].try_into().map(i64::from_be_bytes);
        let [pair, path, sent] = [word(0)?, word(8)?, word(16)?];
        let seat = times.get_mut(usize::try_from(pair)?).context("a stranger's packet")?;
        seat[usize::try_from(path)? & 1] = Some(arrived - sent);
        missing -= 1;
    }
    Ok(times)
}

/// The clock that stamps of the kernel count by.
fn now() -> anyhow::Result<i64> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    Ok(i64::try_from(since.as_nanos())?)
}
