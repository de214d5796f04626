//! What the field kit costs: a sealed link between hosts beside plain VXLAN, the gate at senders' links beside none,
//! links that delay beside bare ones, an agent that has nothing to do and one with a million cells in its memory, and
//! how long a new host takes to join.

use anyhow::{Context, anyhow, ensure};
use ashiato::netns::guard::{Guard, Limits};
use ashiato::netns::layout::Layout;
use ashiato::netns::{Stage, within};
use ashiato::plan::Plan;
use ashiato::safety::Caps;
use ashiato::scenario::spec::Datapath;
use ashiato::scenario::{self, Overrides};
use ashiato::{resolve, traffic};
use ashiato_agent::config::Datapath as Path_;
use ashiato_agent::datapath::socket::{BATCH, Opening, PacketSocket};
use ashiato_benches::held::Held;
use ashiato_benches::host::{own_time, pin};
use ashiato_benches::joining::{self, Joined};
use ashiato_benches::tunnels::{Pair, Round};
use ashiato_benches::{report, stage};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use traceback::marks::Marks;

const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_millis(1000);
/// Runs over links that delay, and hosts that join: they take seconds.
const STAGES: u64 = 3;
const JOINS: usize = 3;
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
    let (gate, bare_ns) = gate(&mut raw)?;
    all.extend(gate);
    all.extend(stage(&mut raw, bare_ns)?);
    all.extend(memory(&mut raw)?);
    all.extend(join(&mut raw)?);
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

/// What a sender's packet costs with the gate at its link, and without; the latter, in nanoseconds, for others.
fn gate(raw: &mut String) -> anyhow::Result<(Figures, f64)> {
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
    let figures = vec![(
        "field-gate".into(),
        json!({
            "median": report::rounded(with - without, 1), "unit": "ns for each packet of a sender",
            "peer": "the same link without the gate", "ratio": report::rounded(with / without, 3),
            "with": report::rounded(with, 1), "without": report::rounded(without, 1), "goal": null, "met": null,
        }),
    )];
    Ok((figures, without))
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
            sent += socket.send_batch(&frames).context("send past the gate")? as u64;
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

/// An agent with two ports: what it costs while nothing comes, and what it holds with a million cells.
fn memory(raw: &mut String) -> anyhow::Result<Figures> {
    let mut figures = vec![];
    for (word, datapath) in [("tc", Path_::Tc), ("afpacket", Path_::Afpacket)] {
        let agent = Held::start(datapath)?;
        let (before, empty) = (agent.spent()?, agent.resident()?);
        std::thread::sleep(IDLE);
        let busy = agent.spent()? - before;
        agent.fill(CELLS)?;
        let full = agent.resident()?;
        // Eight bytes of a key and some more, here or in the kernel.
        let grown = full.own + full.kernel - empty.own - empty.kernel;
        ensure!(
            grown > 8.0 * f64::from(CELLS) / 1e6,
            "a million packets made entries of {grown:.1} MB"
        );
        let share = busy.as_secs_f64() / IDLE.as_secs_f64() * 100.0;
        writeln!(raw, "idle {word},0,{:.6}", busy.as_secs_f64())?;
        figures.push((
            format!("field-idle-{word}"),
            json!({
                "median": report::rounded(share, 3), "unit": "% of a core, nothing to forward",
                "peer": null, "ratio": null, "goal": "< 1 %", "met": share < 1.0,
            }),
        ));
        let mb = |of: f64| report::rounded(of, 1);
        figures.push((
            format!("field-memory-{word}"),
            json!({
                "median": mb(full.all), "unit": "MB resident, with a million cells and all rings",
                "peer": null, "ratio": null, "own": mb(full.own), "program": mb(full.program),
                "rings": mb(full.rings), "kernel": mb(full.kernel), "empty": mb(empty.all),
                "goal": "< 31.5 MB (30 MiB)", "met": full.all < MOST,
            }),
        ));
    }
    Ok(figures)
}

/// Frames that the link stage sends in a second of its processor, beside a bare link.
fn stage(raw: &mut String, bare_ns: f64) -> anyhow::Result<Figures> {
    let mut rates = vec![];
    for seed in 0..STAGES {
        let (frames, spent) = stage::round(seed)?;
        writeln!(raw, "stage,{frames},{:.6}", spent.as_secs_f64())?;
        rates.push(frames as f64 / spent.as_secs_f64());
    }
    let (rate, bare) = (report::median(rates), 1e9 / bare_ns);
    Ok(vec![(
        "field-stage".into(),
        json!({
            "median": rate.round(), "unit": "frame/s of the thread that holds them back",
            "peer": "a bare veth pair, by its sender", "ratio": report::rounded(rate / bare, 3),
            "veth": bare.round(), "goal": ">= 50000 packet/s, the most that a run may send",
            "met": rate >= 50_000.0,
        }),
    )])
}

/// A new host, from copied programs to the end of its first run.
fn join(raw: &mut String) -> anyhow::Result<Figures> {
    let (mut calls, mut ends) = (vec![], vec![]);
    for _ in 0..JOINS {
        let Joined { called, scored } = joining::once()?;
        calls.push(called.as_secs_f64());
        ends.push(scored.as_secs_f64());
        writeln!(
            raw,
            "join called,1,{:.3}\njoin scored,1,{:.3}",
            called.as_secs_f64(),
            scored.as_secs_f64()
        )?;
    }
    let (called, scored) = (report::median(calls), report::median(ends));
    Ok(vec![(
        "field-join".into(),
        json!({
            "median": report::rounded(scored, 2), "unit": "s from copied programs to the scored run, whose reports came before",
            "peer": null, "ratio": null, "called": report::rounded(called, 2),
            "goal": "< 60 s to the first report", "met": scored < 60.0,
        }),
    )])
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
