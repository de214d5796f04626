//! What the field kit costs: a sealed link between hosts beside plain VXLAN, the gate at senders' links beside none,
//! an agent that has nothing to do, and a million cells in its memory.

use anyhow::{Context, anyhow, ensure};
use ashiato::netns::guard::{Guard, Limits};
use ashiato::netns::layout::Layout;
use ashiato::netns::{Stage, within};
use ashiato::plan::Plan;
use ashiato::safety::Caps;
use ashiato::scenario::spec::Datapath;
use ashiato::scenario::{self, Overrides};
use ashiato::{resolve, traffic};
use ashiato_agent::config::{Collector, Config, Datapath as Path_, Interval};
use ashiato_agent::datapath::socket::{BATCH, Opening, PacketSocket};
use ashiato_benches::host::{self, ip, netns_file, own_time, pin};
use ashiato_benches::tunnels::{Pair, Round};
use ashiato_benches::{agents, report};
use ashiato_collector::authority::Authority;
use ashiato_collector::identity::Identity;
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use traceback::Nanos;
use traceback::ledger::Ledger;
use traceback::marks::Marks;
use traceback::table::Table;

const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_millis(1000);
/// How long an idle agent is watched.
const IDLE: Duration = Duration::from_secs(10);
const CELLS: u32 = 1_000_000;
/// 30 MiB, in MB.
const MOST: f64 = 31.457;
const FIRST: &str = include_str!("../../../scenarios/first.toml");

fn main() -> anyhow::Result<()> {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: needs root");
        std::process::exit(77);
    }
    let out = std::env::args().nth(1).map(PathBuf::from);
    let mut raw = String::from("what,packets,processor_s\n");
    let mut all = tunnel(&mut raw)?;
    all.extend(gate(&mut raw)?);
    all.extend(memory(&mut raw)?);
    all.push(cells(&mut raw)?);
    let summary = Value::Object(all.into_iter().collect());
    if let Some(out) = out {
        report::keep(&out, &[("raw.csv", raw)], &summary)?;
    }
    println!("{summary}");
    Ok(())
}

type Figures = Vec<(String, Value)>;

/// Packets a second of one processor that does all of the work, both ends and making included.
fn tunnel(raw: &mut String) -> anyhow::Result<Figures> {
    let (mut whole, mut ends) = ([vec![], vec![]], vec![]);
    for _ in 0..ROUNDS {
        for (rates, sealed) in whole.iter_mut().zip([true, false]) {
            let Round { arrived, sent, maker, ends: [busier, other] } =
                Pair::make(sealed)?.round(ROUND)?;
            ensure!(arrived * 10 > sent * 9, "of {sent} frames {arrived} arrived");
            let all = (maker + busier + other).as_secs_f64();
            rates.push(arrived as f64 / all);
            writeln!(raw, "tunnel sealed={sealed},{arrived},{all:.6}")?;
            if sealed {
                ends.push(arrived as f64 / busier.as_secs_f64());
            }
        }
    }
    let ([sealed, bare], end) = (whole.map(report::median), report::median(ends));
    Ok(vec![
        (
            "field-tunnel".into(),
            json!({
                "median": sealed.round(), "unit": "packet/s per core, both ends and making included",
                "peer": "plain VXLAN over the same cable", "ratio": report::rounded(sealed / bare, 3),
                "vxlan": bare.round(), "goal": null, "met": null,
            }),
        ),
        (
            "field-tunnel-end".into(),
            json!({
                "median": end.round(), "unit": "packet/s of the busier host's thread",
                "peer": null, "ratio": null, "goal": ">= 10000 packet/s, the ceiling between hosts",
                "met": end >= 10_000.0,
            }),
        ),
    ])
}

/// What a sender's packet costs with the gate at its link, and without.
fn gate(raw: &mut String) -> anyhow::Result<Figures> {
    let scenario = scenario::parse("first.toml", FIRST, &Overrides::default());
    let plan = scenario.and_then(|s| resolve::plan(&s)).map_err(|r| anyhow!("{r}"))?;
    let mut costs = [vec![], vec![]];
    for _ in 0..ROUNDS {
        for (costs, gated) in costs.iter_mut().zip([true, false]) {
            let (packets, busy) = sender(&plan, gated)?;
            costs.push(busy.as_nanos() as f64 / packets as f64);
            writeln!(raw, "gate={gated},{packets},{:.6}", busy.as_secs_f64())?;
        }
    }
    let [with, without] = costs.map(report::median);
    Ok(vec![(
        "field-gate".into(),
        json!({
            "median": report::rounded(with - without, 1), "unit": "ns for each packet of a sender",
            "peer": "the same link without the gate", "ratio": report::rounded(with / without, 3),
            "with": report::rounded(with, 1), "without": report::rounded(without, 1), "goal": null, "met": null,
        }),
    )])
}

fn sender(plan: &Plan, gated: bool) -> anyhow::Result<(u64, Duration)> {
    let run = ulid::Ulid::new().to_string();
    let folder = std::env::temp_dir();
    let mut stage = Stage::raise(Layout::of(plan, &run, Datapath::Afpacket)?, &run, &folder)?;
    let caps = Caps {
        packets_per_second: u64::MAX / 8,
        bits_per_second: u64::MAX / 8,
        packets: u64::MAX / 8,
        attack_seconds: 600,
    };
    let limits = Limits { caps, ..Limits::default() };
    let guard = gated.then(|| Guard::stand(stage.layout(), &limits)).transpose()?;
    let flow = &plan.flows[0];
    let space = stage.layout().host(flow.from).path();
    let result = within(&space, || {
        pin(Pid::from_raw(0), 0)?;
        let mut frame = vec![2, 0, 0, 0, 0, 0xff, 2, 0, 0, 0, 0, 1, 8, 0];
        let mut packet = vec![];
        traffic::build(&mut packet, plan, flow, 1);
        frame.extend(packet);
        // Through the host's queue, as senders do: the gate is there.
        let opening = Opening { interface: Some("p0"), ethertype: 0, ..Opening::default() };
        let (socket, frames) = (PacketSocket::open(&opening)?, [frame.as_slice(); BATCH]);
        guard.as_ref().map_or(Ok(()), Guard::renew)?;
        let (start, busy, mut sent) = (Instant::now(), own_time(), 0);
        while start.elapsed() < ROUND {
            sent += socket.send_batch(&frames)? as u64;
        }
        Ok((sent, own_time() - busy))
    })?;
    if let Some(guard) = guard {
        ensure!(
            guard.held()?.passed >= result.0,
            "the gate held packets back: {:?}",
            guard.held()?
        );
    }
    ensure!(stage.strike()?.left.is_empty(), "objects are left");
    Ok(result)
}

/// An agent with two ports that forwards nothing, and what a million cells add to any process.
fn memory(raw: &mut String) -> anyhow::Result<Figures> {
    let marks = grown(|| {
        let mut marks = Marks::default();
        (0..CELLS).for_each(|n| marks.add(n.wrapping_mul(2_654_435_761), CELLS as usize));
        ensure!(marks.lost() == 0, "marks found no room");
        Ok(Box::new(marks) as Box<dyn std::any::Any>)
    })?;
    let table = grown(|| {
        let mut table = Table::default();
        (0..u64::from(CELLS)).for_each(|n| {
            table.cell(n.wrapping_mul(0x9e37_79b9_7f4a_7c15), Nanos(0));
        });
        Ok(Box::new(table) as Box<dyn std::any::Any>)
    })?;
    let mut figures = vec![];
    for (word, datapath) in [("tc", Path_::Tc), ("afpacket", Path_::Afpacket)] {
        let (resident, busy) = idle(datapath)?;
        let share = busy.as_secs_f64() / IDLE.as_secs_f64() * 100.0;
        writeln!(raw, "idle {word},0,{:.6}", busy.as_secs_f64())?;
        figures.push((
            format!("field-idle-{word}"),
            json!({
                "median": report::rounded(share, 3), "unit": "% of a core, nothing to forward",
                "peer": null, "ratio": null, "goal": "< 1 %", "met": share < 1.0,
            }),
        ));
        let most = resident + marks.max(table);
        figures.push((
            format!("field-memory-{word}"),
            json!({
                "median": report::rounded(most, 1), "unit": "MB resident, with a million cells",
                "peer": null, "ratio": null, "idle": report::rounded(resident, 1),
                "marks": report::rounded(marks, 1), "table": report::rounded(table, 1),
                "goal": "< 31.5 MB (30 MiB)", "met": most < MOST,
            }),
        ));
    }
    Ok(figures)
}

/// What counting a mark costs when a million are known, new and known ones in turns.
fn cells(raw: &mut String) -> anyhow::Result<(String, Value)> {
    let keys = || (0..CELLS).chain(0..CELLS).map(|n| n.wrapping_mul(2_654_435_761));
    let (mut ours, mut trees) = (vec![], vec![]);
    for _ in 0..ROUNDS {
        let (mut marks, start) = (Marks::default(), own_time());
        keys().for_each(|key| marks.add(key, CELLS as usize));
        ours.push((own_time() - start).as_nanos() as f64 / f64::from(2 * CELLS));
        let (mut tree, start) = (BTreeMap::new(), own_time());
        keys().for_each(|key| *tree.entry(key).or_insert(0_u64) += 1);
        trees.push((own_time() - start).as_nanos() as f64 / f64::from(2 * CELLS));
        ensure!(tree.len() == marks.iter().count(), "marks are lost");
    }
    for (ours, tree) in ours.iter().zip(&trees) {
        writeln!(raw, "mark,1,{:.12}\nmark in a tree,1,{:.12}", ours / 1e9, tree / 1e9)?;
    }
    let (ours, tree) = (report::median(ours), report::median(trees));
    let figure = json!({
        "median": report::rounded(ours, 1), "unit": "ns for each mark counted, new and known ones alike",
        "peer": "the standard library's tree", "ratio": report::rounded(ours / tree, 3),
        "tree": report::rounded(tree, 1), "goal": "no slower", "met": ours <= tree,
    });
    Ok(("field-cells".into(), figure))
}

/// MB by which this process grows for what is made.
fn grown(make: impl FnOnce() -> anyhow::Result<Box<dyn std::any::Any>>) -> anyhow::Result<f64> {
    let before = resident(Path::new("/proc/self/status"))?;
    let made = make()?;
    let after = resident(Path::new("/proc/self/status"))?;
    drop(made);
    Ok(after - before)
}

/// MB of a process's memory.
fn resident(status: &Path) -> anyhow::Result<f64> {
    let text = fs::read_to_string(status)?;
    let line = text.lines().find_map(|l| l.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib * 1024.0 / 1e6)
}

/// Memory and processor time of the agent's own program in a namespace of its own, a while after its start.
fn idle(datapath: Path_) -> anyhow::Result<(f64, Duration)> {
    let space = format!("ashi-bench-{}-idle", std::process::id());
    let dir = std::env::temp_dir().join(&space);
    let made = || -> anyhow::Result<(f64, Duration)> {
        ip(&format!("netns add {space}"))?;
        for port in ["p0", "p1"] {
            ip(&format!("-n {space} link add {port} type veth peer name {port}-far"))?;
            ip(&format!("-n {space} link set {port}-far up"))?;
            ip(&format!("-n {space} link set {port} up"))?;
        }
        let mut agent = start(&dir, &space, datapath)?;
        let status = PathBuf::from(format!("/proc/{}/status", agent.id()));
        std::thread::sleep(Duration::from_secs(3));
        let before = spent(agent.id())?;
        std::thread::sleep(IDLE);
        let found = (resident(&status)?, spent(agent.id())? - before);
        agent.kill()?;
        agent.wait()?;
        Ok(found)
    };
    let found = made();
    let _ = ip(&format!("netns del {space}"));
    let _ = fs::remove_dir_all(&dir);
    found
}

/// The agent, whose collector is not there: reports wait.
fn start(dir: &Path, space: &str, datapath: Path_) -> anyhow::Result<Child> {
    let router = agents::router(netns_file(space), 0, "fms", datapath);
    let authority = Authority::new(Duration::from_secs(3600))?;
    let tls = authority.write(dir, &Identity::Router(router.router), &[])?;
    let report_every = Interval(Duration::from_millis(500));
    let vantage = ashiato_agent::config::Vantage {
        cert: tls.cert,
        key_file: tls.key,
        report_every,
        netns: None,
        ..router
    };
    let collector =
        Collector { address: "127.0.0.1:9".parse()?, server_name: "collector".into(), ca: tls.ca };
    let config = Config { collector, vantages: vec![vantage] };
    let file = dir.join("agent.toml");
    fs::write(&file, config.to_toml())?;
    let program = std::env::current_exe()?.with_file_name("ashiato-agent");
    host::within(&netns_file(space), || {
        let mut run = Command::new(&program);
        run.arg("run").arg("--config").arg(&file).env("ASHIATO_STATE", dir.join("state"));
        run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        run.spawn().with_context(|| format!("cannot start {}", program.display()))
    })
}

/// Processor time of all threads of a process.
fn spent(process: u32) -> anyhow::Result<Duration> {
    let mut all = Duration::ZERO;
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        let thread: i32 = thread?.file_name().to_string_lossy().parse()?;
        all += host::time_of(Pid::from_raw(thread))?;
    }
    Ok(all)
}
