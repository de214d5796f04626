//! Advanced marking: packets until a path stands, false routers, and where it saturates.
//!
//! Source: song2001; the laws are the exact coupon integral and the binomial law of false matches. The
//! paper's own counts and times are not at hand. What a later paper draws as its baseline counts every
//! packet twice and is not here (PINT's figure 10).

use super::Job;
use super::chance::{Chance, Sampling};
use super::line::Convergence;
use super::packets;
use super::row::{Gate, Measured, Row, Said};
use std::collections::{BTreeMap, BTreeSet};
use traceback::case::{Case, Evidence, Gap, Step};
use traceback::counts::Counts;
use traceback::graph::{Edge, Finding, path_edges};
use traceback::invariant::Invariant;
use traceback::law::{Coupon, Hops, filter};
use traceback::map::{Map, MapRouter};
use traceback::scheme::{Field, Hop, Place};
use traceback::schemes::ams1::{self, Ams1};
use traceback::schemes::ams2::{self, Ams2};
use traceback::{RouterId, Scheme};

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
const MANY: u32 = 10_000;

/// Convergence of the first scheme.
pub fn first_jobs(lengths: &[u8]) -> impl Iterator<Item = Job> {
    lengths.iter().map(|&d| {
        let id = format!("ams1-d{d}-mean");
        Job::new(vec![id.clone()], move |s| vec![first().mean(&id, d, None, 0.03, s)])
    })
}

/// All oracles of the second.
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
    mean.chain(reservoir).chain(wrong).chain([full])
}

const SATURATED: &str = "ams2-saturated-n10000";

fn first() -> Convergence<Ams1> {
    let params = ams1::Params::default();
    Convergence {
        scheme: Ams1::new(&params).expect("invariant: the paper's parameters are in range"),
        cell: |mark| (mark.distance, 0),
        cells: 1,
        need: 1,
        hops: Hops::Overwriting(params.p),
        rebuild: true,
    }
}

fn scheme(threshold: u8, saturated: f64) -> Ams2 {
    Ams2::new(&ams2::Params { threshold, saturated, ..ams2::Params::default() })
        .expect("invariant: thresholds of 1 to 8 are in range")
}

fn second(need: u8) -> Convergence<Ams2> {
    Convergence {
        scheme: scheme(need, 0.5),
        cell: |mark| (mark.distance, mark.function),
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
    let samples = sampling.sample(id, sampling.runs(2_000, 300), |chance: &mut Chance| {
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

/// A map in layers: the gateway, below [`LAYERS`] layers of [`WIDTH`] routers each of which has two
/// links to random routers of the layer below; those of the first have one, to the gateway.
struct Layers {
    map: Map,
}

const LAYERS: u16 = 19;
const WIDTH: u16 = 3_000;

impl Layers {
    fn new(chance: &mut Chance) -> Self {
        let router = |n: u16| MapRouter {
            id: id_of(n),
            name: n.to_string(),
            asn: 64_512,
            nation: "XA".into(),
            aliases: vec![],
        };
        let mut links = vec![];
        for n in 1..=LAYERS * WIDTH {
            let layer = (n - 1) / WIDTH;
            let below = |any: u16| if layer == 0 { 0 } else { (layer - 1) * WIDTH + any };
            links.push((below(one_of_layer(chance)), n));
            links.push((below(one_of_layer(chance)), n));
        }
        let map = Map::new((0..=LAYERS * WIDTH).map(router).collect(), links)
            .expect("invariant: every link joins two routers of different layers");
        Self { map }
    }

    /// As many walks down from random routers of the top layer.
    fn paths(&self, count: u32, chance: &mut Chance) -> Vec<Vec<RouterId>> {
        let top = (LAYERS - 1) * WIDTH;
        let walk = |_| {
            let mut path = vec![id_of(top + one_of_layer(chance))];
            while let Some(next) = path.last().and_then(|id| self.below(*id, chance)) {
                path.push(next);
            }
            path
        };
        (0..count).map(walk).collect()
    }

    fn below(&self, id: RouterId, chance: &mut Chance) -> Option<RouterId> {
        let lower: Vec<RouterId> = self.map.neighbours(id).filter(|n| n.0 < id.0).collect();
        (!lower.is_empty()).then(|| lower[chance.below(lower.len())])
    }
}

/// The `n`-th router; higher layers have higher addresses.
fn id_of(n: u16) -> RouterId {
    RouterId(0x1000_0000 + u32::from(n))
}

/// 1 to [`WIDTH`].
fn one_of_layer(chance: &mut Chance) -> u16 {
    u16::try_from(1 + chance.below(WIDTH.into())).unwrap_or(WIDTH)
}

/// What the victim holds when every function of every link was seen.
fn complete(ams: &Ams2, edges: &BTreeSet<Edge>) -> Counts {
    let mut ledger = Counts::default();
    let inv = Invariant { digest: 0, flow: 0 };
    let local = |id| ams.local(&Place { id, index: 0, degree: 2, asn: 0 });
    for edge in edges {
        for draw in 0..u32::from(ams2::FUNCTIONS) {
            let step = |id, draw, mark| {
                ams.mark(&local(id), &Hop { draw, ..Hop::default() }, &inv, mark).mark
            };
            let mut mark = step(edge.from, draw, ams2::Mark::unpack(0));
            if let Some(to) = edge.to {
                mark = step(to, u32::MAX, mark);
            }
            let distance = u8::try_from(edge.distance).unwrap_or(ams2::FAR);
            ledger.add((ams2::Mark { distance, ..mark }.pack() & 0xffff) as u16);
        }
    }
    ledger
}

fn reconstruct(ams: &Ams2, map: &Map, ledger: Counts) -> Result<Finding, Gap> {
    let gateway = id_of(0);
    let case = Case { map: map.clone(), ..packets::case(gateway) };
    let mut evidence = Evidence::default();
    evidence.ledgers.insert(gateway, ledger);
    match ams.reconstruct(&case, &evidence)? {
        Step::Done(finding) => Ok(finding),
        Step::Ask(_) => Err(Gap::Nothing { what: "an answer without questions".into() }),
    }
}

/// The share of links on no path, of all that lead on from routers found, that were taken in.
fn false_links(id: &str, links: u32, need: u8, trials: u64, sampling: &Sampling) -> Row {
    let layers = Layers::new(&mut Chance(sampling.stream(id)));
    let ams = scheme(need, 1.0);
    let counts = sampling.sample(id, trials, |chance| {
        // More paths than links: some meet on their way down.
        let mut truth = BTreeSet::new();
        let mut at = BTreeMap::<u16, u32>::new();
        for path in layers.paths(links + links / 2, chance) {
            for edge in path_edges(&path) {
                let count = at.entry(edge.distance).or_default();
                if *count < links && truth.insert(edge) {
                    *count += 1;
                }
            }
        }
        let found = reconstruct(&ams, &layers.map, complete(&ams, &truth));
        let Ok(Finding::Paths(graph)) = found else { return (0, 0) };
        examined(&layers.map, &graph.edges, &truth)
    });
    let (wrong, of) = counts.into_iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    let said = Said { paper: None, law: Some(filter::false_match(links, 8, 8, need.into())) };
    Measured::share(wrong, of).row(id, said, Gate::Law(0.1), sampling)
}

/// Links of no path at distances where true ones are: taken in, and examined.
fn examined(map: &Map, found: &BTreeSet<Edge>, truth: &BTreeSet<Edge>) -> (u64, u64) {
    let deepest = truth.last().map_or(0, |edge| edge.distance);
    let mut below = BTreeMap::<(u16, RouterId), BTreeSet<RouterId>>::new();
    for edge in found {
        below.entry((edge.distance, edge.from)).or_default().extend(edge.to);
    }
    let mut of = 0;
    for ((distance, router), below) in below.into_iter().filter(|((d, _), _)| *d < deepest) {
        let beyond = map.neighbours(router).filter(|n| !below.contains(n) && *n != id_of(0));
        let untrue = |from: &RouterId| {
            !truth.contains(&Edge { distance: distance + 1, from: *from, to: Some(router) })
        };
        of += beyond.filter(untrue).count() as u64;
    }
    let wrong = found.difference(truth).filter(|e| e.distance <= deepest).count() as u64;
    (wrong, of)
}

/// How often a flood from [`MANY`] attackers ends in the gap that says why.
fn saturated(sampling: &Sampling) -> Row {
    let layers = Layers::new(&mut Chance(sampling.stream(SATURATED)));
    let ams = scheme(ams2::FUNCTIONS, 0.5);
    let said_so = sampling.sample(SATURATED, 4, |chance| {
        let paths = layers.paths(MANY, chance);
        let truth: BTreeSet<Edge> = paths.iter().flat_map(|p| path_edges(p)).collect();
        let found = reconstruct(&ams, &layers.map, complete(&ams, &truth));
        matches!(found, Err(Gap::Saturated { false_ppm: 990_000.., .. }))
    });
    let hits = said_so.iter().filter(|s| **s).count() as u64;
    let said = Said { paper: None, law: Some(said_so.len() as f64) };
    Measured::count(hits, said_so.len() as u64).row(SATURATED, said, Gate::Exact, sampling)
}
