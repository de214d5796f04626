//! Advanced marking: packets until a path stands, false routers, and where it saturates.
//!
//! Source: song2001; the laws are the exact coupon integral and the binomial law of false matches. The
//! paper's own counts and times are not at hand. What a later paper draws as its baseline counts every
//! packet twice and is not here (PINT's figure 10).

use super::Job;
use super::chance::{Chance, Sampling};
use super::layers::{Layers, complete};
use super::line::Convergence;
use super::row::{Gate, Measured, Row, Said};
use std::collections::BTreeSet;
use traceback::Scheme;
use traceback::case::Gap;
use traceback::counts::Counts;
use traceback::graph::{Edge, Finding, path_edges};
use traceback::law::{Coupon, Hops, filter};
use traceback::schemes::ams1::{self, Ams1};
use traceback::schemes::ams2::{self, Ams2};
use traceback::schemes::amswide::{self, AmsWide};

/// Path lengths of the laws' table.
pub const LENGTHS: &[u8] = &[5, 10, 20, 30];
/// Distances of 31 mean "or more", so paths end here.
pub const MOST_HOPS: u8 = 31;

/// Functions that must match.
const THRESHOLDS: std::ops::RangeInclusive<u8> = 6..=8;
/// Reservoir sampling: hops, thresholds.
const RESERVOIR: (u8, [u8; 2]) = (59, [5, 6]);
/// False matches: links at each distance, threshold, trials that give a thousand of them or more.
const FALSE: [(u32, u8, u64); 5] =
    [(100, 6, 200), (100, 7, 400), (100, 8, 1_500), (200, 8, 200), (500, 8, 60)];
/// Attackers whose marks say nothing any more.
pub const MANY: u32 = 10_000;
/// Routers of the map besides the gateway.
pub const ROUTERS: u32 = 200_000;

/// Convergence of the first scheme.
pub fn first_jobs(lengths: &[u8]) -> impl Iterator<Item = Job> {
    let mean = lengths.iter().map(|&d| {
        let id = format!("ams1-d{d}-mean");
        Job::new(vec![id.clone()], move |s| vec![first().mean(&id, d, None, 0.03, s)])
    });
    mean.chain([Job::new(vec![FIRST.into()], |s| vec![false_links_of_first(s)])])
}

/// All oracles of the second, and of the wide form of the first.
pub fn second_jobs(lengths: &[u8]) -> impl Iterator<Item = Job> {
    let pairs = THRESHOLDS.flat_map(|need| lengths.iter().map(move |&d| (need, d)));
    let mean = pairs.map(|(need, d)| {
        let id = format!("ams2-d{d}-t{need}-mean");
        Job::new(vec![id.clone()], move |s| vec![second(need).mean(&id, d, None, 0.03, s)])
    });
    let reservoir = RESERVOIR.1.map(|need| {
        let id = format!("ams2-reservoir-k{}-t{need}", RESERVOIR.0);
        Job::new(vec![id.clone()], move |s| vec![uniform(&id, RESERVOIR.0, need.into(), None, s)])
    });
    let wrong = FALSE.map(|(links, need, trials)| {
        let id = format!("ams2-false-n{links}-t{need}");
        Job::new(vec![id.clone()], move |s| {
            vec![false_links(&id, links, need, s.runs(trials, 40), s)]
        })
    });
    let full = Job::new(vec![SATURATED.into()], |s| vec![saturated(s)]);
    let wide = Job::new(vec![WIDE.into()], |s| vec![wide(s)]);
    mean.chain(reservoir).chain(wrong).chain([full, wide])
}

const FIRST: &str = "ams1-false-n100";
const SATURATED: &str = "ams2-saturated-n10000";
const WIDE: &str = "amswide-false-n10000";

fn first() -> Convergence<Ams1> {
    let params = ams1::Params::default();
    Convergence {
        scheme: Ams1::new(&params).expect("invariant: the paper's parameters are in range"),
        cell: |_, mark| (1 << mark.distance, 0),
        cells: 1,
        need: 1,
        hops: Hops::Overwriting(params.p),
        rebuild: true,
    }
}

/// AMS II that asks for so many functions, and for less than so many false matches per link.
pub fn scheme(threshold: u8, saturated: f64) -> Ams2 {
    Ams2::new(&ams2::Params { threshold, saturated, ..ams2::Params::default() })
        .expect("invariant: thresholds of 1 to 8 are in range")
}

fn second(need: u8) -> Convergence<Ams2> {
    Convergence {
        scheme: scheme(need, 0.5),
        cell: |_, mark| (1 << mark.distance, mark.function),
        cells: ams2::FUNCTIONS.into(),
        need: need.into(),
        hops: Hops::Overwriting(ams2::Params::default().p),
        rebuild: true,
    }
}

/// Packets until every one of `k` hops has shown `need` of 8 cells, when the `j`-th router marks with
/// probability `1/j`. A model of who marked last, so that paths may be longer than five bits can count.
pub fn uniform(id: &str, k: u8, need: u32, paper: Option<f64>, sampling: &Sampling) -> Row {
    let cells = 8;
    let samples =
        sampling.sample_mean(id, sampling.runs(2_000, 300), 0.025, |chance: &mut Chance| {
            let mut seen = vec![0_u8; k.into()];
            let mut packets = 0.0;
            while seen.iter().any(|s| s.count_ones() < need) {
                packets += 1.0;
                let mut last = (0, 0);
                for number in 1..=k {
                    let draw = chance.draw();
                    if traceback::schemes::dppm::one_in(number, draw) {
                        last = (usize::from(number) - 1, draw & 7);
                    }
                }
                seen[last.0] |= 1 << last.1;
            }
            Some(packets)
        });
    let law = Coupon::new(Hops::Uniform, k.into(), cells, need)
        .expect("invariant: 1 to 8 of 8 cells have a law");
    let said = Said { paper, law: Some(law.mean()) };
    let measured = Measured::of(&samples, traceback::stats::Statistic::Mean, sampling.stream(id));
    measured.row(id, said, Gate::Law(0.025), sampling)
}

/// All that the victim of AMS II can see of these links.
pub fn complete2(ams: &Ams2, edges: &BTreeSet<Edge>) -> Counts {
    complete(ams, edges, ams2::FUNCTIONS.into(), |mark, distance| ams2::Mark { distance, ..mark })
}

/// The share of links on no path, of all that lead on from routers found, that were taken in.
fn false_links(id: &str, links: u32, need: u8, trials: u64, sampling: &Sampling) -> Row {
    let layers = Layers::new(20, ROUTERS / 20, &mut Chance(sampling.stream(id)));
    let ams = scheme(need, 1.0);
    let counts = sampling.sample(id, trials, |chance| {
        let truth = layers.links(links, chance);
        let found = layers.reconstruct(&ams, complete2(&ams, &truth));
        let Ok(Finding::Paths(graph)) = found else { return (0, 0) };
        layers.examined(&graph.edges, &truth)
    });
    let law = filter::false_match(links, 8, 8, need.into());
    share(&counts, law, id, sampling)
}

fn share(counts: &[(u64, u64)], law: f64, id: &str, sampling: &Sampling) -> Row {
    let (wrong, of) = counts.iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    let said = Said { paper: None, law: Some(law) };
    Measured::share(wrong, of).row(id, said, Gate::Law(0.1), sampling)
}

/// The same for the first scheme's 11 bits, at the first number of links.
fn false_links_of_first(sampling: &Sampling) -> Row {
    let layers = Layers::new(20, ROUTERS / 20, &mut Chance(sampling.stream(FIRST)));
    let params = ams1::Params { saturated: 1.0, ..ams1::Params::default() };
    let ams = Ams1::new(&params).expect("invariant: 1 is a probability");
    let links = FALSE[0].0;
    let counts = sampling.sample(FIRST, sampling.runs(200, 40), |chance| {
        let truth = layers.links(links, chance);
        let at = |mark, distance| ams1::Mark { distance, ..mark };
        let found = layers.reconstruct(&ams, complete(&ams, &truth, 1, at));
        let Ok(Finding::Paths(graph)) = found else { return (0, 0) };
        layers.examined(&graph.edges, &truth)
    });
    share(&counts, filter::false_match(links, 11, 1, 1), FIRST, sampling)
}

/// The same where ten thousand links at each distance are told apart by 27 bits; a run that misses a true
/// link, or finds no paths, counts as all wrong.
fn wide(sampling: &Sampling) -> Row {
    let layers = Layers::new(5, ROUTERS / 5, &mut Chance(sampling.stream(WIDE)));
    let ams = AmsWide::new(&amswide::Params::default())
        .expect("invariant: the paper's parameters are in range");
    let counts = sampling.sample(WIDE, sampling.runs(320, 8), |chance| {
        let truth = layers.links(MANY, chance);
        let at = |mark, distance| amswide::Mark { distance, ..mark };
        let found = layers.reconstruct(&ams, complete(&ams, &truth, 1, at));
        let Ok(Finding::Paths(graph)) = found else { return (1, 1) };
        if graph.edges.is_superset(&truth) { layers.examined(&graph.edges, &truth) } else { (1, 1) }
    });
    share(&counts, filter::false_match(MANY, amswide::BITS, 1, 1), WIDE, sampling)
}

/// How often a flood from [`MANY`] attackers ends in the gap that says why.
fn saturated(sampling: &Sampling) -> Row {
    let layers = Layers::new(5, ROUTERS / 5, &mut Chance(sampling.stream(SATURATED)));
    let ams = scheme(ams2::FUNCTIONS, 0.5);
    let said_so = sampling.sample(SATURATED, 4, |chance| {
        let paths = layers.paths(MANY, chance);
        let truth: BTreeSet<Edge> = paths.iter().flat_map(|p| path_edges(p)).collect();
        let found = layers.reconstruct(&ams, complete2(&ams, &truth));
        matches!(found, Err(Gap::Saturated { false_ppm: 990_000.., .. }))
    });
    let hits = said_so.iter().filter(|s| **s).count() as u64;
    let said = Said { paper: None, law: Some(said_so.len() as f64) };
    Measured::count(hits, said_so.len() as u64).row(SATURATED, said, Gate::Exact, sampling)
}
