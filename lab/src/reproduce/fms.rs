//! FMS: packets until a path stands, unmarked packets, header checksums, false edges.
//!
//! Source: savage2000, figure 10 (read from the vectors of the figure) and sections 5.1 and 5.2.
//!
//! Traps: the paper's bound lies below the mean on paths of fewer than 9 hops, so the exact law is
//! the target; "converged" means that all eight fragments of every hop were seen and that the
//! rebuilt path is the true one; unmarked packets arrive with the Identification that clean runs
//! use, at distance 31, which is why paths end at 31 hops.

use super::Job;
use super::chance::{Chance, Sampling};
use super::line::{Convergence, Line};
use super::packets::{self, udp4};
use super::row::{Gate, Measured, Row, Said, slack};
use std::sync::Arc;
use traceback::case::{Evidence, Step};
use traceback::counts::Counts;
use traceback::graph::Finding;
use traceback::invariant::{Key, mix};
use traceback::law::{self, Coupon, Hops, filter};
use traceback::packet::Packet;
use traceback::scheme::{Field, Hop, Place};
use traceback::schemes::fms::{Fms, Params};
use traceback::schemes::fragments::{CELLS, Check, FAR, FRAGMENTS, Mark};
use traceback::stats::Statistic;
use traceback::vantage::{At, Draws, Setting, Vantage};
use traceback::{RouterId, Scheme};

/// Path lengths of the acceptance table.
pub const LENGTHS: &[u8] = &[5, 10, 15, 20, 25, 30];
/// Distances of [`FAR`] mean "or more", so paths end here.
pub const MOST_HOPS: u8 = FAR;

/// Figure 10: hops, mean, median, 95th percentile.
pub const FIGURE_10: &[(u8, [f64; 3])] = &[
    (1, [552.0, 508.0, 990.0]),
    (5, [926.0, 887.0, 1_435.0]),
    (10, [1_234.0, 1_178.0, 1_867.0]),
    (15, [1_533.0, 1_459.0, 2_293.0]),
    (20, [1_882.0, 1_797.0, 2_793.0]),
    (25, [2_335.0, 2_213.0, 3_479.0]),
    (30, [2_855.0, 2_705.0, 4_226.0]),
    (32, [3_066.0, 2_949.0, 4_563.0]),
];

/// Statistics of the convergence rows with their gates: tolerances are those of the acceptance table.
const CONVERGENCE: [(&str, Statistic, f64); 3] = [
    ("mean", Statistic::Mean, 0.03),
    ("median", Statistic::Quantile(0.5), 0.04),
    ("p95", Statistic::Quantile(0.95), 0.05),
];

/// The law of false links: reduced, with the split check and with the paper's; and at full width.
const FALSE_EDGE: [&str; 3] = ["fms-false-edge", "fms-false-edge-nonlinear", "fms-false-edge-m12"];

/// Oracles of FMS.
pub fn jobs(lengths: &[u8]) -> Vec<Job> {
    let converge = lengths.iter().map(|&d| {
        let ids = CONVERGENCE.iter().map(|(word, _, _)| format!("fms-d{d}-{word}")).collect();
        Job::new(ids, move |sampling| convergence(d, sampling))
    });
    let unmark = lengths.iter().map(|&d| {
        let id = format!("fms-d{d}-unmarked");
        Job::new(vec![id.clone()], move |sampling| vec![unmarked(&id, d, sampling)])
    });
    let ids = ["fms-checksum-unchanged", "fms-checksum-valid"].map(str::to_owned).to_vec();
    let rest = [
        Job::new(ids, checksums),
        Job::new(vec![FALSE_EDGE[0].into()], |s| vec![reduced(FALSE_EDGE[0], 0xff00, s)]),
        Job::new(vec![FALSE_EDGE[1].into()], |s| vec![reduced(FALSE_EDGE[1], 0, s)]),
        Job::new(vec![FALSE_EDGE[2].into()], |s| vec![false_edges(FALSE_EDGE[2], s)]),
    ];
    converge.chain(unmark).chain(rest).collect()
}

fn scheme() -> Fms {
    Fms::new(&Params::default()).expect("invariant: the paper's parameters are in range")
}

/// FMS on one path.
fn one_path() -> Convergence<Fms> {
    Convergence {
        scheme: scheme(),
        cell: |_, mark| (1 << mark.distance, mark.offset),
        cells: CELLS,
        need: CELLS,
        hops: Hops::Overwriting(Params::default().p),
        rebuild: true,
    }
}

/// How many packets a path of `d` routers takes.
pub fn packets_law(d: u8) -> Coupon {
    one_path().law(d)
}

fn convergence(d: u8, sampling: &Sampling) -> Vec<Row> {
    let path = one_path();
    let law = path.law(d);
    let laws = [law.mean(), law.quantile(0.5).into(), law.quantile(0.95).into()];
    let figure = FIGURE_10.iter().find(|(length, _)| *length == d);
    let name = format!("fms-d{d}");
    let samples = path.samples(&name, d, sampling.runs(10_000, 2_000), CONVERGENCE[0].2, sampling);
    let row = |(i, (word, statistic, share)): (usize, &(&str, Statistic, f64))| {
        let id = format!("{name}-{word}");
        let said = Said { paper: figure.map(|(_, three)| three[i]), law: Some(laws[i]) };
        let measured = Measured::of(&samples, *statistic, sampling.stream(&id));
        measured.row(&id, said, Gate::Law(*share), sampling)
    };
    CONVERGENCE.iter().enumerate().map(row).collect()
}

/// Share of packets that pass `d` routers unmarked. They keep distance 31, which no mark has.
fn unmarked(id: &str, d: u8, sampling: &Sampling) -> Row {
    let fms = scheme();
    let (paths, each) = (sampling.runs(280, 20), 10_000_u32);
    let hits = sampling.sample(id, paths, |chance| {
        let line = Line::new(&fms, d, chance);
        (0..each).filter(|_| line.send(&fms, chance).distance == FAR).count() as u64
    });
    let trials = paths * u64::from(each);
    let law = law::unmarked(Params::default().p, d.into());
    let width = slack(law, trials);
    let said = Said { paper: None, law: Some(law) };
    let measured = Measured::share(hits.iter().sum(), trials);
    measured.row(id, said, Gate::Between(law - width, law + width), sampling)
}

/// What one router did to one header's checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Checked {
    /// The distance was counted up and nothing else changed.
    Fast {
        /// Whether the checksum field is what it was.
        unchanged: bool,
    },
    /// Marked, completed, or saturated.
    Slow,
    /// The checksum is wrong.
    Wrong,
}

/// Source: savage2000 section 5.2: counting the distance up and the TTL down cancel out.
fn checksums(sampling: &Sampling) -> Vec<Row> {
    let headers = sampling.runs(200, 40);
    let outcomes: Vec<Checked> =
        sampling.sample("fms-checksum", headers, many_headers).into_iter().flatten().collect();
    let count = |what: fn(&Checked) -> bool| outcomes.iter().filter(|o| what(o)).count() as u64;
    let fast = count(|o| matches!(o, Checked::Fast { .. }));
    let changed = count(|o| matches!(o, Checked::Fast { unchanged: false }));
    let wrong = count(|o| matches!(o, Checked::Wrong));
    let said = Said { paper: Some(0.0), law: Some(0.0) };
    let row = |id, measured: Measured| measured.row(id, said, Gate::Exact, sampling);
    vec![
        row("fms-checksum-unchanged", Measured::count(changed, fast)),
        row("fms-checksum-valid", Measured::count(wrong, outcomes.len() as u64)),
    ]
}

fn many_headers(chance: &mut Chance) -> Vec<Checked> {
    let place = Place { id: RouterId(chance.draw()), index: 0, degree: 2, asn: 0 };
    let draws = Draws::Seeded(chance.word());
    let key = Key(chance.word(), chance.word());
    let setting = Setting { place, key, draws, filter: None };
    let mut router = At::new(Arc::new(scheme()), setting);
    (0..5_000).map(|_| one_header(&mut router, chance)).collect()
}

fn one_header(router: &mut dyn Vantage, chance: &mut Chance) -> Checked {
    let mut bytes = udp4(chance);
    let word = |bytes: &[u8], at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    let mark = |bytes: &[u8]| Mark::unpack(word(bytes, 4).into());
    let (before, check) = (mark(&bytes), word(&bytes, 10));
    let Ok(mut packet) = Packet::parse(&mut bytes[..]) else { return Checked::Wrong };
    router.forward(Hop { ttl: packet.ttl(), ..Hop::default() }, &mut packet);
    packet.decrement_ttl();
    // Parsing sums the whole header anew.
    if Packet::parse(&bytes[..]).is_err() {
        return Checked::Wrong;
    }
    let counted = Mark { distance: before.distance + 1, ..before };
    if (1..FAR).contains(&before.distance) && mark(&bytes) == counted {
        return Checked::Fast { unchanged: word(&bytes, 10) == check };
    }
    Checked::Slow
}

/// Routers at one distance whose fragments are all combined by the scheme's own decoder.
const ROUTERS: u32 = 12;

/// How often some wrong combination of the fragments of [`ROUTERS`] routers passes the check.
fn false_edges(id: &str, sampling: &Sampling) -> Row {
    let hits = sampling.sample(id, sampling.runs(20_000, 1_000), |chance| {
        let mut ids: Vec<u32> = vec![];
        let mut seen = vec![];
        while ids.len() < ROUTERS as usize {
            let router = chance.draw();
            let name = Check::default().name(RouterId(router));
            // The law counts m^k different combinations, so no two routers share a fragment.
            if seen
                .iter()
                .all(|other: &[u8; FRAGMENTS]| other.iter().zip(name).all(|(a, b)| *a != b))
            {
                ids.push(router);
                seen.push(name);
            }
        }
        names_found(&seen) > ids.len()
    });
    let count = hits.iter().filter(|hit| **hit).count() as u64;
    let said = Said { paper: None, law: Some(filter::false_edge(ROUTERS, 32, CELLS)) };
    Measured::share(count, hits.len() as u64).row(id, said, Gate::Law(0.15), sampling)
}

/// How many routers the decoder makes of these names at distance 0.
fn names_found(names: &[[u8; FRAGMENTS]]) -> usize {
    let mut ledger = Counts::default();
    for (name, draw) in names.iter().flat_map(|name| (0..CELLS).map(move |draw| (name, draw))) {
        Mark::written(name, draw).count(&mut ledger);
    }
    let mut evidence = Evidence::default();
    evidence.ledgers.insert(RouterId(0), ledger);
    match scheme().reconstruct(&packets::case(RouterId(0)), &evidence) {
        Ok(Step::Done(Finding::Paths(graph))) => graph.edges.len(),
        Ok(_) | Err(_) => 0,
    }
}

/// Routers at one distance, fragments of a name, and bits of hash of the reduced law: the full one
/// (10 routers, 8 fragments, 32 bits) would need ten million times as many combinations.
const REDUCED: (u32, u32, u32) = (8, 4, 16);

/// How often some wrong combination of fragments passes the check, of whose hash the bits `linear` are
/// linear. A model of [`Fms`]'s names at half their width, interleaved and checked alike.
fn reduced(id: &str, linear: u16, sampling: &Sampling) -> Row {
    let (m, k, h) = REDUCED;
    let trials = 20_000;
    let hits = sampling.sample(id, trials, |chance| some_false_edge(linear, chance));
    let count = hits.into_iter().filter(|hit| *hit).count() as u64;
    let said = Said { paper: None, law: Some(filter::false_edge(m, h, k)) };
    Measured::share(count, trials).row(id, said, Gate::Law(0.15), sampling)
}

fn some_false_edge(linear: u16, chance: &mut Chance) -> bool {
    let seed = chance.word();
    // A random linear map: the XOR of one word for each bit that is set.
    let words: [u16; 16] = std::array::from_fn(|_| (chance.word() >> 48) as u16);
    let xor =
        |address: u16| (0..16).filter(|i| address >> i & 1 == 1).fold(0, |sum, i| sum ^ words[i]);
    let hash = |address: u16| {
        xor(address) & linear | (mix(seed ^ u64::from(address)) >> 48) as u16 & !linear
    };
    let mut names: Vec<[u8; 4]> = vec![];
    while names.len() < REDUCED.0 as usize {
        let address = (chance.word() >> 48) as u16;
        let name = interleave(address, hash(address)).to_be_bytes();
        // The law counts m^k different combinations, so no two routers share a fragment.
        if names.iter().all(|other| other.iter().zip(&name).all(|(a, b)| a != b)) {
            names.push(name);
        }
    }
    let count = names.len();
    (0..count.pow(4)).any(|combination| {
        let mut rest = combination;
        let name = std::array::from_fn(|o| {
            let fragment = names[rest % count][o];
            rest /= count;
            fragment
        });
        let (address, check) = split(u32::from_be_bytes(name));
        hash(address) == check && !names.contains(&name)
    })
}

fn interleave(address: u16, hash: u16) -> u32 {
    (0..16).fold(0, |word, i| {
        word | u32::from(address >> i & 1) << (2 * i + 1) | u32::from(hash >> i & 1) << (2 * i)
    })
}

fn split(word: u32) -> (u16, u16) {
    let mut halves = (0, 0);
    for i in 0..16 {
        halves.0 |= ((word >> (2 * i + 1) & 1) as u16) << i;
        halves.1 |= ((word >> (2 * i) & 1) as u16) << i;
    }
    halves
}
