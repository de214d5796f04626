//! How long it takes to set up and to take down a testbed of 100 routers in network namespaces,
//! beside as many bare namespaces and links made by one `ip -batch` in the same run.
//!
//! What the peer makes has no addresses, no routes, no settings and no journal, and nobody looks
//! whether it is gone: it is what the kernel and one process ask for at least.

use anyhow::{Context, anyhow, ensure};
use ashiato::netns::{NetnsWorld, RunPaths};
use ashiato::plan::Plan;
use ashiato::resolve;
use ashiato::scenario::spec::Datapath;
use ashiato::scenario::{self, Overrides};
use ashiato_benches::report;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

const ROUTERS: usize = 100;
const ROUNDS: usize = 7;
const GOAL: f64 = 5.0;

fn main() -> anyhow::Result<()> {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: needs root");
        std::process::exit(77);
    }
    let out = std::env::args().nth(1).map(PathBuf::from);
    let plan = plan()?;
    let mut rows = vec![];
    for _ in 0..ROUNDS {
        rows.push(("ip -batch", bare(&plan)?));
        rows.push(("ashiato", ours(&plan)?));
    }
    let summary = summarise(&rows);
    if let Some(out) = out {
        report::keep(&out, &[("raw.csv", csv(&rows)?)], &summary)?;
    }
    println!("{summary}");
    Ok(())
}

/// One round's times.
#[derive(Debug, Clone, Copy)]
struct Row {
    up: Duration,
    down: Duration,
}

impl Row {
    /// Runs the two halves of a round.
    fn of<T>(
        up: impl FnOnce() -> anyhow::Result<T>,
        down: impl FnOnce(T) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let start = Instant::now();
        let made = up()?;
        let up = start.elapsed();
        down(made)?;
        Ok(Self { up, down: start.elapsed() - up })
    }

    fn seconds(&self) -> f64 {
        (self.up + self.down).as_secs_f64()
    }
}

/// A tree of two branches at every router, the victim at its root, the attacker at its last leaf.
fn plan() -> anyhow::Result<Plan> {
    let list = |items: Vec<String>| items.join(", ");
    let routers = list((0..ROUTERS).map(|i| format!(r#"{{ id = "r{i}" }}"#)).collect());
    let link = |i: usize| format!(r#"{{ a = "r{}", b = "r{i}" }}"#, (i - 1) / 2);
    let links = list((1..ROUTERS).map(link).collect());
    let text = format!(
        r#"
schema = "ashiato.scenario/1"
name = "setup"
title = "A tree of {ROUTERS} routers"
[[domain]]
id = "xa"
nation = "XA"
asns = [64512]
[topology]
routers = [{routers}]
links = [{links}]
hosts = [
  {{ id = "victim", router = "r0", kind = "victim" }},
  {{ id = "attacker", router = "r{}", kind = "attacker" }},
]
[[scheme]]
id = "fms"
[[traffic]]
id = "flood"
class = "attack"
from = "attacker"
to = "victim"
rate = "1 kpkt/s"
packets = 1000
spoof = {{ per = "flow" }}
"#,
        ROUTERS - 1
    );
    let scenario = scenario::parse("setup.toml", &text, &Overrides::default());
    scenario.and_then(|s| resolve::plan(&s)).map_err(|r| anyhow!("{r}"))
}

fn ours(plan: &Plan) -> anyhow::Result<Row> {
    let id = ulid::Ulid::new().to_string();
    let dir = std::env::temp_dir().join(&id);
    let row = Row::of(
        || {
            NetnsWorld::up(
                plan.clone(),
                RunPaths { id, dir: dir.clone(), datapath: Datapath::Afpacket },
                &|_| {},
            )
        },
        |world| {
            let removed = world.down()?;
            ensure!(removed.left.is_empty(), "left behind: {:?}", removed.left);
            ensure!(removed.links == plan.links.len(), "only {} links", removed.links);
            Ok(())
        },
    );
    let _ = fs::remove_dir_all(dir);
    row
}

/// The same number of namespaces, one of them for control, and of links between them.
fn bare(plan: &Plan) -> anyhow::Result<Row> {
    let tag = format!("ashi-bench-{}", std::process::id());
    let spaces = plan.routers.len() + plan.hosts.len() + 1;
    let (mut add, mut del) = (String::new(), String::new());
    for i in 0..spaces {
        writeln!(add, "netns add {tag}-{i}")?;
        writeln!(del, "netns del {tag}-{i}")?;
    }
    for i in 0..plan.links.len() {
        let (a, b) = (format!("{tag}-{i}"), format!("{tag}-{}", i + 1));
        writeln!(add, "link add b{i} netns {a} type veth peer name a{i} netns {b}")?;
    }
    Row::of(|| batch(&add), |()| batch(&del)).inspect_err(|_| {
        // Whatever stands of it; the error is what matters.
        let _ = batch(&del);
    })
}

fn batch(lines: &str) -> anyhow::Result<()> {
    let file = std::env::temp_dir().join(format!("ashi-bench-{}.batch", std::process::id()));
    fs::write(&file, lines).with_context(|| format!("write {}", file.display()))?;
    let status = Command::new("ip").args(["-force", "-batch"]).arg(&file).status();
    fs::remove_file(&file).with_context(|| format!("remove {}", file.display()))?;
    let status = status.context("cannot start ip")?;
    ensure!(status.success(), "ip -batch: {status}");
    Ok(())
}

fn summarise(rows: &[(&str, Row)]) -> Value {
    let median = |what: &str| {
        let rows = rows.iter().filter(|(name, _)| *name == what);
        report::median(rows.map(|(_, row)| row.seconds()).collect())
    };
    let round = |x: f64| report::rounded(x, 3);
    let (ours, peer) = (median("ashiato"), median("ip -batch"));
    json!({
        "setup-100-routers": {
            "median": round(ours), "unit": "s, set up and taken down",
            "peer": "as many bare namespaces and veth pairs made and deleted by ip -batch",
            "ratio": round(ours / peer),
            "goal": "<= 5 s", "met": ours <= GOAL,
        },
    })
}

fn csv(rows: &[(&str, Row)]) -> anyhow::Result<String> {
    let mut csv = String::from("by,up_s,down_s\n");
    for (name, Row { up, down }) in rows {
        writeln!(csv, "{name},{:.6},{:.6}", up.as_secs_f64(), down.as_secs_f64())?;
    }
    Ok(csv)
}
