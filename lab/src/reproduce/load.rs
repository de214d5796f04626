//! FDPM's load controller: what a router under load still marks, and what it remembers for that.
//!
//! Source: xiang2009, which gives no figures: marking is to stay within a budget while the offered load rises tenfold. A
//! router measures its load over a window and acts on it in the next, so the first window of a rise is marked as
//! before it, and the law counts that. Costs in nanoseconds are the benchmarks' business.

use super::Job;
use super::chance::{Chance, Sampling};
use super::row::{Gate, Measured, Row, Said};
use traceback::invariant::Invariant;
use traceback::ledger::Ledger;
use traceback::scheme::{Field, Hop};
use traceback::schemes::fdpm::{Fdpm, MOST_FLOWS, Mark, Params, Seen, WINDOW};
use traceback::{Nanos, Scheme};

/// Windows of each stretch of equal load.
const WINDOWS: u64 = 50;
/// Packets of a window before the rise, tenfold, and a hundredfold.
const OFFERED: [u64; 3] = [90, 900, 9_000];
/// Packets of a window above which only flows that dominate are marked, and above which none are.
const LIMITS: [u64; 2] = [100, 2_000];
/// Share of the one flow that dominates; each other packet is a flow of its own.
const BIG: f64 = 0.3;
/// Bytes of a flow in a router's table.
const FLOW: u64 = 16;

const IDS: [&str; 4] =
    ["fdpm-load-below", "fdpm-load-tenfold", "fdpm-load-hundredfold", "fdpm-load-memory"];

/// All oracles.
pub fn jobs() -> impl Iterator<Item = Job> {
    [Job::new(IDS.map(str::to_owned).to_vec(), rows)].into_iter()
}

fn rows(sampling: &Sampling) -> Vec<Row> {
    let runs = sampling.sample(IDS[0], sampling.runs(40, 8), |chance| Router::new().run(chance));
    let trials = |stretch: usize| runs.len() as u64 * WINDOWS * OFFERED[stretch];
    let marked = |stretch: usize| {
        let count = runs.iter().map(|(marked, _)| marked[stretch]).sum();
        Measured::share(count, trials(stretch))
    };
    let late = 1.0 / WINDOWS as f64;
    // In its first window each stretch is marked as the one before it.
    let laws = [1.0, late + (1.0 - late) * BIG, late * BIG];
    let share = |stretch: usize| {
        let said = Said { paper: None, law: Some(laws[stretch]) };
        let gate = if stretch == 0 { Gate::Exact } else { Gate::Law(0.03) };
        marked(stretch).row(IDS[stretch], said, gate, sampling)
    };
    let most = runs.iter().map(|(_, most)| *most).max().unwrap_or(0);
    // Two windows' flows are remembered, whatever the load.
    let said = Said { paper: None, law: Some((2 * MOST_FLOWS as u64 * FLOW) as f64) };
    let memory = Measured::count(most, runs.len() as u64).row(IDS[3], said, Gate::Exact, sampling);
    vec![share(0), share(1), share(2), memory]
}

/// An ingress router that watches its load.
struct Router {
    fdpm: Fdpm,
    seen: Seen,
}

impl Router {
    fn new() -> Self {
        let [most, none] = LIMITS.map(|packets| packets * (1_000_000_000 / WINDOW.0));
        let params = Params { most, none, ..Params::default() };
        let fdpm = Fdpm::new(&params).expect("invariant: limits are any numbers");
        Self { fdpm, seen: Seen::default() }
    }

    /// Packets marked in each stretch, and the most memory that the table of flows took.
    fn run(mut self, chance: &mut Chance) -> ([u64; 3], u64) {
        let (mut marked, mut most, mut window) = ([0; 3], 0, 0);
        for (marked, offered) in marked.iter_mut().zip(OFFERED) {
            for _ in 0..WINDOWS {
                window += 1;
                for n in 0..offered {
                    let at = Nanos(window * WINDOW.0 + n * WINDOW.0 / offered);
                    *marked += u64::from(self.marks(at, chance));
                }
                most = most.max(self.seen.footprint() as u64);
            }
        }
        (marked, most)
    }

    /// Passes one packet; whether it is marked.
    fn marks(&mut self, at: Nanos, chance: &mut Chance) -> bool {
        let flow = if chance.happens(BIG) { 1 } else { chance.word() };
        let inv = Invariant { digest: 0, flow };
        let hop = Hop { edge: 1, at, draw: chance.draw(), ..Hop::default() };
        let step = |hop: &Hop| self.fdpm.mark(&5, hop, &inv, Mark::unpack(0));
        let first = step(&hop);
        let after = match first.need {
            Some(key) => {
                let cell = self.seen.cell(key, at);
                step(&Hop { cell, ..hop })
            }
            None => first,
        };
        // A mark's digest and index may be 0; its flag is not.
        after.mark != Mark::unpack(0)
    }
}
