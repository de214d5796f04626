//! What marking and logging in the kernel cost: single programs, whole paths beside unmarked
//! forwarding and NFQUEUE, timing, and loss. See benches/README.md.
//!
//! Where there is no time for all: `ASHIATO_BENCH_QUICK=steps` measures single programs only, `steps:fms,pint` those
//! of some schemes; `rates` whole paths, `rates:xdp.unmarked,xdp.fms` those of some lanes; `loss` looks for
//! losses; and any other value measures everything, but less of it.

use anyhow::ensure;
use ashiato_agent::config::Datapath;
use ashiato_benches::lanes::{Lane, Way, Yard};
use ashiato_benches::rates::{Rates, Row};
use ashiato_benches::report::keep;
use ashiato_benches::steps::Steps;
use ashiato_benches::verdicts::{self, Summary};
use serde_json::Value;
use std::path::PathBuf;
use std::time::Instant;
use traceback::schemes;

/// How much is measured.
struct Size {
    step_rounds: usize,
    rate_rounds: usize,
    /// Packets of the search for losses.
    paced: u32,
}

const FULL: Size = Size { step_rounds: 15, rate_rounds: 31, paced: 100_000_000 };
const QUICK: Size = Size { step_rounds: 7, rate_rounds: 3, paced: 1_000_000 };

fn main() -> anyhow::Result<()> {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: needs root");
        std::process::exit(77);
    }
    let out = std::env::args().nth(1).map(PathBuf::from);
    let quick = std::env::var_os("ASHIATO_BENCH_QUICK");
    let size = if quick.is_some() { QUICK } else { FULL };
    let start = Instant::now();
    let say = |what: &str| eprintln!("{:4.0} s  {what}", start.elapsed().as_secs_f64());

    let mut yard = Yard::make()?;
    say("single programs");
    let wanted = quick.and_then(|part| part.into_string().ok());
    if let Some((csv, summary)) = part(&mut yard, &size, &wanted.unwrap_or_default())? {
        println!("{csv}{}", Value::from(summary));
        return Ok(());
    }
    let steps = Steps::measure(size.step_rounds, &[])?;
    say("routers");
    let mut lanes = lanes(&mut yard, |_| true)?;
    say("whole paths");
    let rates = rates(&mut lanes, size.rate_rounds)?;
    lanes.iter().try_for_each(|lane| check(lane, &rates))?;
    say("loss");
    let paced = paced(&mut lanes, &rates, size.paced)?;
    say("done");

    let summary = summarise(&steps, &rates, &paced, size.paced);
    if let Some(out) = out {
        let files =
            [("raw.csv", rates.csv()), ("steps.csv", steps.csv()), ("loss.csv", paced.csv())];
        keep(&out, &files, &summary)?;
    }
    println!("{summary}");
    Ok(())
}

/// What was asked for instead of everything: as CSV, and beside what was promised.
fn part(yard: &mut Yard, size: &Size, part: &str) -> anyhow::Result<Option<(String, Summary)>> {
    let (part, only) = part.split_once(':').unwrap_or((part, ""));
    let only: Vec<&str> = only.split(',').filter(|name| !name.is_empty()).collect();
    let mut summary = Summary::new();
    let csv = match part {
        "steps" => {
            let steps = Steps::measure(size.step_rounds, &only)?;
            verdicts::steps(&steps, &mut summary);
            steps.csv()
        }
        "rates" => {
            let mut lanes = lanes(yard, |name| only.is_empty() || only.contains(&name))?;
            let rates = rates(&mut lanes, FULL.rate_rounds)?;
            let specs: Vec<_> = lanes.into_iter().map(|lane| lane.spec).collect();
            verdicts::rates(&rates, &specs, &mut summary);
            rates.csv()
        }
        "loss" => {
            let mut lanes = lanes(yard, |_| true)?;
            let rates = rates(&mut lanes, size.rate_rounds)?;
            let paced = paced(&mut lanes, &rates, FULL.paced)?;
            verdicts::loss(&paced, &rates, FULL.paced.into(), &mut summary);
            paced.csv()
        }
        _ => return Ok(None),
    };
    Ok(Some((csv, summary)))
}

/// Sets up the lanes whose names are wanted.
fn lanes(yard: &mut Yard, wanted: impl Fn(&str) -> bool) -> anyhow::Result<Vec<Lane>> {
    verdicts::specs().into_iter().filter(|s| wanted(&s.name)).map(|s| yard.lane(s)).collect()
}

/// Their rates, in so many rounds.
fn rates(lanes: &mut [Lane], rounds: usize) -> anyhow::Result<Rates> {
    Rates::default().measure(lanes, 1)?; // warms up
    let mut rates = Rates::default();
    rates.measure(lanes, rounds)?;
    Ok(rates)
}

fn summarise(steps: &Steps, rates: &Rates, paced: &Rates, want: u32) -> Value {
    let mut summary = Summary::new();
    verdicts::steps(steps, &mut summary);
    verdicts::rates(rates, &verdicts::specs(), &mut summary);
    verdicts::loss(paced, rates, want.into(), &mut summary);
    summary.into()
}

/// What came out at the other end is what the scheme makes of it.
fn check(lane: &Lane, rates: &Rates) -> anyhow::Result<()> {
    let ends = rates.ends(&lane.spec.name);
    let marks =
        schemes::find(lane.spec.scheme).is_some_and(|e| e.card().v4.bits() > 0 || e.card().records);
    // Some schemes write into one packet of 25 and leave the others alone.
    let right = if marks { ends.changed * 50 > ends.arrived } else { ends.changed == 0 };
    ensure!(ends.arrived > 0 && right, "{}: {ends:?}", lane.spec.name);
    Ok(())
}

/// Sends packets at half of each lane's own rate: mostly through the fast ones.
fn paced(lanes: &mut [Lane], peak: &Rates, total: u32) -> anyhow::Result<Rates> {
    let share = |way| match way {
        Way::Agent(Datapath::Xdp) => 0.8,
        Way::Agent(Datapath::Tc) => 0.196,
        Way::Agent(Datapath::Afpacket) | Way::Queue => 0.002,
        _ => 0.0,
    };
    let ways: Vec<Way> = lanes.iter().map(|l| l.spec.way).collect();
    let mut paced = Rates::default();
    for lane in lanes.iter_mut().filter(|l| share(l.spec.way) > 0.0) {
        let alike = ways.iter().filter(|w| **w == lane.spec.way).count();
        // The nearest above, so that the parts make up the whole.
        let packets = (f64::from(total) * share(lane.spec.way) / alike as f64).ceil();
        let pace = peak.median(&lane.spec.name) / 2.0;
        #[allow(clippy::cast_possible_truncation, reason = "a part of a u32")]
        let (ends, busy) = lane.forward(packets as u32, Some(pace))?;
        paced.rows.push(Row { lane: lane.spec.name.clone(), round: 0, ends, busy });
    }
    Ok(paced)
}
