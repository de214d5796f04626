//! FIT: packets until routers are known, and the distance that the TTL counts.
//!
//! Source: yaar2005. "Tens of packets" is what the farthest router's first fragment takes, not a whole
//! path: the rows show both, and what all four fragments of all routers take.

use super::chance::{Chance, Sampling};
use super::line::path_map;
use super::row::{Gate, Measured, Row, Said};
use super::{Job, packets};
use std::collections::BTreeSet;
use traceback::case::{Evidence, Step};
use traceback::graph::Finding;
use traceback::invariant::Invariant;
use traceback::law::{self, Coupon, Hops};
use traceback::map::Map;
use traceback::marks::Marks;
use traceback::scheme::{Field, Hop, Place};
use traceback::schemes::fit::{Fit, Mark, Params};
use traceback::stats::Statistic;
use traceback::{RouterId, Scheme};

/// Path lengths of the acceptance table.
pub const LENGTHS: &[u8] = &[5, 10, 15, 20, 25];
/// From here on, unmarked packets of a clean run show the distance of some router.
pub const MOST_HOPS: u8 = 31;
/// A run that takes longer has failed.
const MOST_PACKETS: u32 = 1_000_000;

/// Oracles of FIT.
pub fn jobs(lengths: &[u8]) -> Vec<Job> {
    let each = lengths.iter().flat_map(|&d| {
        let far = format!("fit-d{d}-farthest");
        let paths = [1, 4].map(|need| {
            let id = format!("fit-d{d}-need{need}");
            Job::new(vec![id.clone()], move |s| vec![whole_path(&id, d, need, s)])
        });
        let far = Job::new(vec![far.clone()], move |s| vec![farthest(&far, d, s)]);
        paths.into_iter().chain([far])
    });
    each.chain([Job::new(vec!["fit-distance".into()], |s| vec![distances(s)])]).collect()
}

fn scheme(need: u32) -> Fit {
    let params = Params { need, ..Params::default() };
    Fit::new(&params).expect("invariant: the paper's parameters are in range")
}

/// A line of routers, the one nearest the sender first, with what each knows.
struct Path {
    routers: Vec<(RouterId, u64)>,
    map: Map,
}

impl Path {
    fn new(fit: &Fit, d: u8, chance: &mut Chance) -> Self {
        let mut ids = BTreeSet::new();
        while ids.len() < usize::from(d) {
            ids.insert(RouterId(chance.draw()));
        }
        let ids: Vec<RouterId> = ids.into_iter().collect();
        let local = |id: &RouterId| fit.local(&Place { id: *id, index: 0, degree: 2, asn: 0 });
        Self { routers: ids.iter().map(|id| (*id, local(id))).collect(), map: path_map(&ids) }
    }

    /// One packet's mark and TTL at the victim; it starts with whatever its sender wrote.
    fn send(&self, fit: &Fit, chance: &mut Chance) -> (Mark, u8) {
        let inv = Invariant::NONE;
        let start = (Mark::unpack(0x1f00), 255);
        self.routers.iter().fold(start, |(mark, ttl), (me, hash)| {
            let hop = Hop { me: *me, ttl, draw: chance.draw(), ..Hop::default() };
            let marked = fit.mark(hash, &hop, &inv, mark);
            (marked.mark, marked.ttl.unwrap_or(ttl) - 1)
        })
    }
}

/// Packets until the whole path is rebuilt, with so many fragments of each router.
fn whole_path(id: &str, d: u8, need: u32, sampling: &Sampling) -> Row {
    let fit = scheme(need);
    let law = Coupon::new(Hops::Overwriting(Params::default().p), d.into(), 4, need)
        .expect("invariant: the paper's parameters have a law for any length");
    let runs = sampling.runs(4_000, 400);
    let samples = sampling.sample_mean(id, runs, 0.03, |c| packets_to_path(&fit, d, need, c));
    let said = Said { paper: None, law: Some(law.mean()) };
    let measured = Measured::of(&samples, Statistic::Mean, sampling.stream(id));
    measured.row(id, said, Gate::Law(0.03), sampling)
}

/// `None` where what is rebuilt from enough fragments is not exactly the path.
fn packets_to_path(fit: &Fit, d: u8, need: u32, chance: &mut Chance) -> Option<f64> {
    let path = Path::new(fit, d, chance);
    let mut seen = vec![0_u8; usize::from(d)];
    let mut ledger = Marks::default();
    for packet in 1..=MOST_PACKETS {
        let (mark, ttl) = path.send(fit, chance);
        fit.observe(&Hop { ttl, ..Hop::default() }, &Invariant::NONE, mark, &[], &mut ledger);
        let distance = usize::from(fit.distance(mark, ttl));
        // Unmarked packets show distances beyond every router.
        if let Some(at) = distance.checked_sub(1).and_then(|at| seen.get_mut(at)) {
            *at |= 1 << mark.index;
        }
        if seen.iter().all(|seen| seen.count_ones() >= need) {
            return rebuilds(fit, &path, ledger).then_some(packet.into());
        }
    }
    None
}

fn rebuilds(fit: &Fit, path: &Path, ledger: Marks) -> bool {
    let ids: Vec<RouterId> = path.routers.iter().map(|(id, _)| *id).collect();
    let Some(gateway) = ids.last() else { return false };
    let case = traceback::case::Case { map: path.map.clone(), ..packets::case(*gateway) };
    let evidence = Evidence { ledgers: [(*gateway, ledger)].into(), ..Evidence::default() };
    match fit.reconstruct(&case, &evidence) {
        Ok(Step::Done(Finding::Paths(graph))) => graph.paths == BTreeSet::from([ids]),
        Ok(_) | Err(_) => false,
    }
}

/// Packets until some fragment of the farthest router is there.
fn farthest(id: &str, d: u8, sampling: &Sampling) -> Row {
    let fit = scheme(1);
    let samples = sampling.sample_mean(id, sampling.runs(20_000, 4_000), 0.03, |chance| {
        let path = Path::new(&fit, d, chance);
        let mut packets = 1..=MOST_PACKETS;
        let arrives = packets.find(|_| {
            let (mark, ttl) = path.send(&fit, chance);
            fit.distance(mark, ttl) == d
        });
        arrives.map(f64::from)
    });
    let law = law::survives(Params::default().p, d.into()).recip();
    let said = Said { paper: None, law: Some(law) };
    let measured = Measured::of(&samples, Statistic::Mean, sampling.stream(id));
    measured.row(id, said, Gate::Law(0.03), sampling)
}

/// Wrong distances over every TTL, constant, and number of hops behind the mark.
fn distances(sampling: &Sampling) -> Row {
    let (mut wrong, mut cases) = (0, 0);
    for c in 2..=31 {
        let fit = Fit::new(&Params { c, ..Params::default() }).expect("invariant: c is in range");
        for ttl in 2..=u8::MAX {
            let hop = Hop { ttl, ..Hop::default() };
            let marked = fit.mark(&7, &hop, &Invariant::NONE, Mark::unpack(0));
            let written = marked.ttl.unwrap_or(0);
            for hops in 1..=written.min(63) {
                cases += 1;
                wrong += u64::from(fit.distance(marked.mark, written - hops) != hops);
            }
        }
    }
    let said = Said { paper: None, law: Some(0.0) };
    Measured::count(wrong, cases).row("fit-distance", said, Gate::Exact, sampling)
}
