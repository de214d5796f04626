//! Hybrids of marking and logging: HIT, RIHT, MRT and Huffman marking.
//!
//! Source: gong2008, yang2012, malliga2008, choi2004. All rows are exact: chance only chooses the paths.
//!
//! Trap: numbers without a first digit of their own, as the papers of MRT and Huffman marking have them, fit
//! `floor(32 / log2 D)` digits, and nobody can tell where one begins. Ours begin with two bits, so `D = 4`
//! takes 15 hops instead of 16; the paper's column shows the former.

use super::Job;
use super::chance::{Chance, Sampling};
use super::packets::{case_of, udp4};
use super::row::{Gate, Measured, Row, Said};
use ashiato_collector::trace::{Question, trace};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use traceback::RouterId;
use traceback::case::Answer;
use traceback::graph::Finding;
use traceback::invariant::Key;
use traceback::map::{Map, MapRouter};
use traceback::packet::Packet;
use traceback::scheme::Hop;
use traceback::schemes::{AnyScheme, find};
use traceback::vantage::{Draws, Setting, Vantage};

/// Routers of a path; far more than a mark holds.
const HOPS: u16 = 40;
/// Packets sent along each path.
const PACKETS: usize = 20;

/// Oracles of the hybrids.
pub fn jobs() -> Vec<Job> {
    let recovery = ["hit", "riht", "mrt", "huffman"].map(|scheme| {
        let ids = ["unrecovered", "wrong"].map(|what| format!("{scheme}-{what}")).to_vec();
        Job::new(ids, move |s| recovered(scheme, s))
    });
    let fitting = [("mrt", 4), ("mrt", 10), ("mrt", 32), ("huffman", 4), ("huffman", 32)];
    let fitting = fitting.map(|(scheme, degree)| {
        let id = format!("{scheme}-d{degree}-hops");
        Job::new(vec![id.clone()], move |s| vec![hops_that_fit(&id, scheme, degree, s)])
    });
    let rest = [
        Job::new(vec!["hit-d10-logs".into()], |s| vec![logs(s)]),
        Job::new(vec!["riht-growth".into()], |s| vec![growth(s)]),
        Job::new(vec!["riht-d4-hops".into()], |s| {
            vec![hops_that_fit("riht-d4-hops", "riht", 4, s)]
        }),
    ];
    recovery.into_iter().chain(fitting).chain(rest).collect()
}

/// A path of routers that each have other neighbours beside it.
struct Net {
    path: Vec<RouterId>,
    /// By router of the path: rank of the neighbour that packets come from, and degree.
    links: Vec<(u16, u16)>,
    map: Map,
    vantages: Vec<Box<dyn Vantage>>,
    key: Key,
}

impl Net {
    /// Routers with `degree` links, or 2 to 33 where that is left open.
    fn new(scheme: &str, hops: u16, degree: Option<u16>, chance: &mut Chance) -> Self {
        let mut links = vec![];
        let mut count = u32::from(hops);
        for i in 0..hops {
            let degree = degree.unwrap_or(2 + u16::from(chance.byte() & 31));
            let own = u16::from(i > 0) + u16::from(i + 1 < hops);
            links.extend((i > 0).then(|| (u32::from(i) - 1, u32::from(i))));
            (own..degree).for_each(|_| {
                links.push((u32::from(i), count));
                count += 1;
            });
        }
        let mut ids = BTreeSet::new();
        while ids.len() < count as usize {
            ids.insert(chance.draw());
        }
        // In an order that has nothing to do with their ranks.
        let mut ids: Vec<RouterId> = ids.into_iter().map(RouterId).collect();
        (1..ids.len()).for_each(|i| ids.swap(i, chance.below(i + 1)));
        let map = Map::new(ids.iter().map(router).collect(), links)
            .expect("invariant: routers are different and links join them");
        Self::over(scheme, &ids[..usize::from(hops)], map, chance)
    }

    fn over(scheme: &str, path: &[RouterId], map: Map, chance: &mut Chance) -> Self {
        let key = Key(chance.word(), chance.word());
        let place = |id: &RouterId| map.place(*id).expect("invariant: the map has the path");
        let vantage = |id: &RouterId| {
            let setting = Setting { place: place(id), key, draws: Draws::Keyed, filter: None };
            chosen(scheme).vantage(setting)
        };
        let link = |i: usize| {
            let mut all: Vec<RouterId> = map.neighbours(path[i]).collect();
            all.sort_unstable();
            let from = i.checked_sub(1).and_then(|i| all.binary_search(&path[i]).ok());
            (u16::try_from(from.unwrap_or(0)).unwrap_or(u16::MAX), place(&path[i]).degree)
        };
        Self {
            path: path.to_vec(),
            links: (0..path.len()).map(link).collect(),
            vantages: path.iter().map(vantage).collect(),
            map,
            key,
        }
    }

    /// Passes a packet along the path; it starts with whatever its sender wrote.
    fn send(&mut self, chance: &mut Chance) -> Vec<u8> {
        let mut bytes = udp4(chance);
        for i in 0..self.path.len() {
            let Ok(mut packet) = Packet::parse(&mut bytes[..]) else { return bytes };
            let from = i.checked_sub(1).map_or(RouterId(0), |i| self.path[i]);
            let ((link, degree), edge) = (self.links[i], u8::from(i == 0));
            let me = self.path[i];
            let ttl = packet.ttl();
            self.vantages[i]
                .forward(Hop { me, from, link, degree, edge, ttl, ..Hop::default() }, &mut packet);
        }
        bytes
    }

    /// The paths that a trace of one packet names.
    fn trace(&self, scheme: &str, packet: Vec<u8>) -> BTreeSet<Vec<RouterId>> {
        let at: BTreeMap<RouterId, usize> = self.path.iter().copied().zip(0..).collect();
        let mut ask = |questions: &[Question]| {
            let answer = |(router, query): &Question| -> Option<Answer> {
                let nobody = Answer { values: vec![None; query.keys.len()] };
                Some(at.get(router).map_or(nobody, |i| self.vantages[*i].answer(query)))
            };
            questions.iter().map(answer).collect()
        };
        let gateway = self.path[self.path.len() - 1];
        let case = case_of(gateway, self.map.clone(), self.key, packet);
        match trace(&*chosen(scheme), &case, &[], &mut ask).finding {
            Ok(Finding::Paths(graph)) => graph.paths,
            Ok(_) | Err(_) => BTreeSet::new(),
        }
    }

    /// Routers that hold something.
    fn keepers(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.path.len()).filter(|i| self.vantages[*i].footprint() > 0)
    }
}

fn router(id: &RouterId) -> MapRouter {
    let (name, nation) = (id.to_string(), "XA".into());
    MapRouter { id: *id, name, asn: 64_512, nation, aliases: vec![] }
}

/// A scheme with small pages, where it has pages.
fn chosen(scheme: &str) -> Arc<dyn AnyScheme> {
    let entry = find(scheme).expect("invariant: rows name schemes of the registry");
    let mut params = entry.defaults();
    if let Some(bits) = params.get_mut("bits") {
        // A few packets, so that no false positive is expected in all runs.
        *bits = (1 << 14).into();
    }
    entry.build(&params).expect("invariant: defaults are in range")
}

/// Packets whose path is not found, and packets for which another is named.
fn recovered(scheme: &'static str, sampling: &Sampling) -> Vec<Row> {
    let runs = sampling.runs(2_000, 100);
    let counts = sampling.sample(scheme, runs, |chance| {
        let hops = 1 + u16::from(chance.byte()) % HOPS;
        let mut net = Net::new(scheme, hops, None, chance);
        let truth = net.path.clone();
        let packets: Vec<Vec<u8>> = (0..PACKETS).map(|_| net.send(chance)).collect();
        let found = packets.into_iter().map(|p| net.trace(scheme, p));
        found.fold((0, 0), |(missed, wrong), found| {
            let right = u64::from(found.contains(&truth));
            (missed + 1 - right, wrong + found.len() as u64 - right)
        })
    });
    let cases = runs * PACKETS as u64;
    let said = Said { paper: (scheme == "riht").then_some(0.0), law: Some(0.0) };
    let row = |what: &str, count| {
        Measured::count(count, cases).row(&format!("{scheme}-{what}"), said, Gate::Exact, sampling)
    };
    let missed = counts.iter().map(|(missed, _)| missed).sum();
    vec![row("unrecovered", missed), row("wrong", counts.iter().map(|(_, wrong)| wrong).sum())]
}

/// Routers behind the first whose links fit any mark: the least over paths.
fn hops_that_fit(id: &str, scheme: &'static str, degree: u16, sampling: &Sampling) -> Row {
    let runs = sampling.runs(2_000, 300);
    let first = sampling.sample(id, runs, |chance| {
        let mut net = Net::new(scheme, HOPS, Some(degree), chance);
        net.send(chance);
        let digits = net.keepers().next().unwrap_or(net.path.len()) - 1;
        digits as u64
    });
    let base = f64::from(degree + u16::from(scheme == "riht"));
    let paper = (32.0 / base.log2()).floor();
    // Numbers begin with a 2, so that all below 3 D^h must fit; RIHT's begin with nothing.
    let most = if scheme == "riht" { 1.0_f64 } else { 3.0 };
    let law = ((32.0 - most.log2()) / base.log2()).floor();
    let said = Said { paper: Some(paper), law: Some(law) };
    let least = first.into_iter().min().unwrap_or(0);
    Measured::count(least, runs).row(id, said, Gate::Exact, sampling)
}

/// Digests of one packet that the routers of ten hops log.
fn logs(sampling: &Sampling) -> Row {
    let id = "hit-d10-logs";
    let runs = sampling.runs(2_000, 200);
    let counts = sampling.sample(id, runs, |chance| {
        let mut net = Net::new("hit", 10, None, chance);
        net.send(chance);
        net.keepers().count() as u64
    });
    let said = Said { paper: Some(5.0), law: Some(5.0) };
    let same = counts.iter().all(|count| *count == counts[0]);
    let count = if same { counts[0] } else { u64::MAX };
    Measured::count(count, runs).row(id, said, Gate::Exact, sampling)
}

/// Bytes that RIHT's tables grow by when ten times as many packets come by the same paths.
fn growth(sampling: &Sampling) -> Row {
    let id = "riht-growth";
    let runs = sampling.runs(500, 50);
    let grown = sampling.sample(id, runs, |chance| {
        let mut net = Net::new("riht", HOPS, None, chance);
        let bytes = |net: &Net| net.vantages.iter().map(|v| v.footprint() as u64).sum::<u64>();
        (0..PACKETS).for_each(|_| drop(net.send(chance)));
        let before = bytes(&net);
        (0..9 * PACKETS).for_each(|_| drop(net.send(chance)));
        bytes(&net) - before
    });
    let said = Said { paper: Some(0.0), law: Some(0.0) };
    Measured::count(grown.into_iter().sum(), runs).row(id, said, Gate::Exact, sampling)
}
