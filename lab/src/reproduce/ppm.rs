//! Relatives of FMS: packets until a path stands, who is heard, what forged packets do, when to stop.
//!
//! Sources: liu2003 and peng2002 (1/j at the j-th router), paruchuri2008, ma2006, tseng2004, wong2008. Laws
//! are exact; the only figures of papers at hand are those that PINT draws for reservoir sampling with
//! eight fragments.

use super::Job;
use super::ams::uniform;
use super::chance::{Chance, Sampling};
use super::line::{Convergence, Line, TTL};
use super::packets::CLEAN_ID;
use super::row::{Gate, Measured, Row, Said, slack};
use traceback::Scheme;
use traceback::counts::Counts;
use traceback::law::Hops;
use traceback::scheme::{Field, hops_before};
use traceback::schemes::dppm::Dppm;
use traceback::schemes::fragments::{CELLS, Mark};
use traceback::schemes::npc::Npc;
use traceback::schemes::rppm::{self, Rppm};
use traceback::schemes::tabu::Tabu;
use traceback::schemes::tpm::Tpm;

/// Path lengths at which PINT's figure 10 was read, as far as five bits count.
pub const LENGTHS: &[u8] = &[5, 10, 25];
/// Distances of 30 and 31 mean "or more" and "no mark", so paths end here.
pub const MOST_HOPS: u8 = 30;

/// PINT's figure 10, its baseline of reservoir sampling with 8 fragments: hops, mean.
pub const FIGURE_10: &[(u8, f64)] =
    &[(5, 168.5), (10, 396.4), (25, 1_178.9), (36, 1_798.8), (59, 3_162.5)];
/// Lengths beyond five bits, from a model of who marked last.
const LONGER: [u8; 2] = [36, 59];
/// Probability with which the rectified rule must be right.
const CONFIDENCE: [f64; 3] = [0.90, 0.95, 0.99];

/// Schemes with rows of convergence.
pub const CONVERGING: [&str; 4] = ["dppm", "tpm", "tabu", "npc"];

/// Convergence of one scheme.
pub fn converging(scheme: &'static str, lengths: &[u8]) -> impl Iterator<Item = Job> {
    lengths.iter().map(move |&d| {
        let mut ids = vec![format!("{scheme}-d{d}-mean")];
        if scheme == "npc" {
            ids.push(format!("npc-d{d}-heard"));
        }
        Job::new(ids.clone(), move |s| ids.iter().map(|id| mean(scheme, id, d, s)).collect())
    })
}

/// The other oracles.
pub fn jobs() -> Vec<Job> {
    let longer = LONGER.map(|k| {
        let id = format!("dppm-model-k{k}-mean");
        Job::new(vec![id.clone()], move |s| vec![uniform(&id, k, CELLS, figure(k), s)])
    });
    let forging = [
        Job::new(vec![LOW_TTL.into()], |s| vec![low_ttl(s)]),
        Job::new(vec![FORGED.into()], |s| vec![forged(s)]),
    ];
    let sure = CONFIDENCE.map(|confidence| {
        let id = format!("rppm-p{:.0}-right", 100.0 * confidence);
        Job::new(vec![id.clone()], move |s| vec![stopping(&id, confidence, s)])
    });
    longer.into_iter().chain(forging).chain(sure).collect()
}

const LOW_TTL: &str = "dppm-low-ttl-first";
const FORGED: &str = "tabu-forged-marked";

fn figure(k: u8) -> Option<f64> {
    FIGURE_10.iter().find(|(length, _)| *length == k).map(|(_, mean)| *mean)
}

fn mean(scheme: &str, id: &str, d: u8, sampling: &Sampling) -> Row {
    let fixed = Hops::Overwriting(0.04);
    match scheme {
        "dppm" => path(Dppm::new, Hops::Uniform).mean(id, d, figure(d), 0.025, sampling),
        "tpm" => path(Tpm::new, Hops::Uniform).mean(id, d, None, 0.025, sampling),
        "tabu" => path(Tabu::new, fixed).mean(id, d, None, 0.03, sampling),
        _ if id.ends_with("heard") => heard(id, d, sampling),
        _ => path(Npc::new, npc_law()).mean(id, d, None, 0.03, sampling),
    }
}

fn npc_law() -> Hops {
    Hops::Constant(1.0 / 30.0)
}

/// A scheme of fragments on one path, with its paper's parameters.
fn path<S, P, E>(new: fn(&P) -> Result<S, E>, hops: Hops) -> Convergence<S>
where
    S: Scheme<Mark = Mark, Ledger = Counts>,
    P: Default,
    E: std::fmt::Debug,
{
    Convergence {
        scheme: new(&P::default()).expect("invariant: the papers' parameters are in range"),
        cell: |_, mark| (1 << mark.distance, mark.offset),
        cells: CELLS,
        need: CELLS,
        hops,
        rebuild: true,
    }
}

/// Packets until every router was heard at all, by any fragment: `H_d / p`. Source: tseng2004.
fn heard(id: &str, d: u8, sampling: &Sampling) -> Row {
    let path = Convergence { need: 1, rebuild: false, ..path(Npc::new, npc_law()) };
    path.mean(id, d, None, 0.03, sampling)
}

/// Routers of the paths on which senders forge.
const D: u8 = 10;
/// The lowest TTL that the last router does not take for a young packet's.
const LOWEST: u8 = TTL + D + 1;

/// A sender whose TTL looks as if so many routers had been passed before the first, and still does at the
/// last: the first one's marks survive with probability `1 / (passed + d)` instead of `1/d`.
fn low_ttl(sampling: &Sampling) -> Row {
    let passed = hops_before(LOWEST);
    let packets = 50_000;
    let share = sampling.sample(LOW_TTL, sampling.runs(40, 10), |chance| {
        let line = Line::new(&Dppm, D, chance);
        let unmarked = Mark::unpack(CLEAN_ID.into());
        let first = |_: &u32| line.send_from(&Dppm, LOWEST, unmarked, chance).distance == D - 1;
        (0..packets).filter(first).count() as u64
    });
    let trials = share.len() as u64 * u64::from(packets);
    let said = Said { paper: None, law: Some(1.0 / f64::from(passed + D)) };
    Measured::share(share.iter().sum(), trials).row(LOW_TTL, said, Gate::Law(0.03), sampling)
}

/// Packets that arrive with the mark of any router when their sender forged one: none.
fn forged(sampling: &Sampling) -> Row {
    let Convergence { scheme, .. } = path(Tabu::new, Hops::Uniform);
    let marked = sampling.sample(FORGED, 4, |chance| {
        let line = Line::new(&scheme, D, chance);
        let forged = |n: u32| Mark::unpack(n & 0xe0ff | ((n >> 16) % 31) << 8);
        let mut send = |n| line.send_from(&scheme, TTL, forged(n), chance).distance < D;
        (0..31 << 16).filter(|n| n & 0x1f00 == 0 && send(*n)).count() as u64
    });
    let cases = marked.len() as u64 * (31 << 11);
    let said = Said { paper: None, law: Some(0.0) };
    Measured::count(marked.iter().sum(), cases).row(FORGED, said, Gate::Exact, sampling)
}

/// How often the graph is whole when the rule says so, on paths whose length it does not know.
fn stopping(id: &str, confidence: f64, sampling: &Sampling) -> Row {
    let rppm = Rppm::new(&rppm::Params { confidence, ..rppm::Params::default() })
        .expect("invariant: confidences lie between 0 and 1");
    let needed: Vec<u64> = (0..=u16::from(MOST_HOPS)).map(|d| rppm.packets(d, 1)).collect();
    let runs = sampling.runs(4_000, 400);
    let right = sampling.sample(id, runs, |chance| stops_right(&rppm, &needed, chance));
    let hits = right.into_iter().filter(|r| *r).count() as u64;
    let least = confidence - slack(confidence, runs);
    let said = Said { paper: Some(confidence), law: None };
    Measured::share(hits, runs).row(id, said, Gate::AtLeast(least), sampling)
}

/// One run: packet by packet, until the rule holds for what is complete so far.
fn stops_right(rppm: &Rppm, needed: &[u64], chance: &mut Chance) -> bool {
    let d = u8::try_from(1 + chance.below(25)).unwrap_or(1);
    let line = Line::new(rppm, d, chance);
    let (mut ledger, mut seen) = (Counts::default(), vec![0_u8; d.into()]);
    for packet in 1.. {
        let mark = line.send(rppm, chance);
        line.observe(rppm, mark, &mut ledger);
        if let Some(cells) = seen.get_mut(usize::from(mark.distance)) {
            *cells |= 1 << mark.offset;
        }
        let depth = seen.iter().take_while(|cells| **cells == u8::MAX).count();
        if depth > 0 && packet >= needed[depth] {
            return line.rebuilds(rppm, ledger);
        }
    }
    false
}
