//! SPIE: false positives of its pages, what its digests see, and routers that a search adds.
//!
//! Source: snoeren2001 sections 4 and 5. Rates and extra routers are judged by their formulas alone: the
//! paper's own figures are not at hand, and its examples of storage in bytes per minute are said not
//! to follow from its rule.

use super::Job;
use super::chance::{Chance, Sampling};
use super::packets::{case_of, repair, udp4};
use super::row::{Gate, Measured, Row, Said};
use ashiato_collector::trace::{Question, trace};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use traceback::case::Answer;
use traceback::graph::Finding;
use traceback::invariant::{Invariant, Key};
use traceback::law::filter;
use traceback::map::{Map, MapRouter};
use traceback::packet::Packet;
use traceback::scheme::Hop;
use traceback::schemes::{AnyScheme, find, pages::Page};
use traceback::stats::Statistic;
use traceback::vantage::{Draws, Setting, Vantage};
use traceback::{Nanos, Place, RouterId};

/// Pages measured: bits a packet, hashes. Those of the paper's examples.
const PAGES: [(u64, u32); 2] = [(5, 3), (12, 8)];
/// Packets in a page when it is measured.
const INSERTED: u64 = 100_000;

/// Routers of the true path.
const PATH: u32 = 32;
/// False neighbours of each router; with [`NODE`]'s rate of 1/16 an eighth of one on average.
const BRANCHES: u16 = 2;
/// Generations of false routers behind the path; the last holds one in 4,096 of them all.
const DEPTH: u32 = 4;
/// A page whose false positives are 1/16: bits, hashes, packets.
const NODE: (u64, u32, u32) = (5_771, 4, 1_000);

/// Oracles of SPIE.
pub fn jobs() -> Vec<Job> {
    let pages = PAGES.iter().map(|&(bits, hashes)| {
        let id = format!("spie-bloom-m{bits}-k{hashes}");
        Job::new(vec![id.clone()], move |s| vec![page(&id, bits, hashes, s)])
    });
    let ids = ["spie-digest-kept", "spie-digest-changed"].map(str::to_owned).to_vec();
    let rest = [
        Job::new(vec!["spie-extra-nodes".into()], |s| vec![extra_nodes(s)]),
        Job::new(ids, digests),
    ];
    pages.chain(rest).collect()
}

fn page(id: &str, bits: u64, hashes: u32, sampling: &Sampling) -> Row {
    let (pages, asked) = (sampling.runs(40, 10), 1_000_000_u64);
    let hits = sampling.sample(id, pages, |chance| {
        let mut page = Page::new(bits * INSERTED, hashes, chance.word(), Nanos(0));
        (0..INSERTED).for_each(|_| page.insert(chance.word()));
        // A word that was inserted comes again with probability 1e5 / 2^64.
        (0..asked).filter(|_| page.contains(chance.word())).count() as u64
    });
    let law = filter::bloom(bits * INSERTED, hashes, INSERTED);
    let said = Said { paper: None, law: Some(law) };
    let measured = Measured::share(hits.iter().sum(), pages * asked);
    measured.row(id, said, Gate::Law(0.05), sampling)
}

/// SPIE with pages of this size, of which it keeps eight.
fn scheme(bits: u64, hashes: u32, packets: u32) -> Arc<dyn AnyScheme> {
    let entry = find("spie").expect("invariant: the registry lists SPIE");
    let params = json!({ "bits": bits, "hashes": hashes, "packets": packets });
    entry.build(&params).expect("invariant: sizes above are in range")
}

/// Routers that hold one page each of other packets, and a path between them.
struct Forest {
    scheme: Arc<dyn AnyScheme>,
    map: Map,
    key: Key,
    /// By identity; those on the path come first in [`Map::routers`].
    routers: BTreeMap<RouterId, Box<dyn Vantage>>,
}

impl Forest {
    /// A path whose every router has [`BRANCHES`] trees beside it, all filled.
    fn grow(chance: &mut Chance) -> Self {
        let (bits, hashes, packets) = NODE;
        // Room for the packets that are searched for, too.
        let scheme = scheme(bits, hashes, u32::MAX);
        let mut links: Vec<(u32, u32)> = (1..PATH).map(|i| (i - 1, i)).collect();
        let mut parents: Vec<u32> = (0..PATH).collect();
        let mut count = PATH;
        for _ in 0..DEPTH {
            let children: Vec<(u32, u32)> = parents
                .iter()
                .flat_map(|p| std::iter::repeat_n(*p, BRANCHES.into()))
                .zip(count..)
                .collect();
            count += u32::try_from(children.len()).unwrap_or(0);
            parents = children.iter().map(|(_, child)| *child).collect();
            links.extend(children);
        }
        let map = Map::new((0..count).map(router).collect(), links)
            .expect("invariant: every link above joins two of the routers");
        let key = Key(chance.word(), chance.word());
        let mut routers = BTreeMap::new();
        for id in map.routers().iter().map(|r| r.id) {
            let mut vantage = scheme.vantage(setting(&map, id, key));
            (0..packets).for_each(|_| pass(&mut *vantage, id, &mut udp4(chance)));
            routers.insert(id, vantage);
        }
        Self { scheme, map, key, routers }
    }

    /// Sends one packet along the path, looks for it, and counts routers found beside the path;
    /// `None` where a router of the path is missing.
    fn search(&mut self, chance: &mut Chance) -> Option<f64> {
        let packet = udp4(chance);
        let path: Vec<RouterId> = (0..PATH).map(id).collect();
        for id in &path {
            pass(&mut **self.routers.get_mut(id)?, *id, &mut packet.clone());
        }
        let case = case_of(path[0], self.map.clone(), self.key, packet);
        let answer = |(router, query): &Question| Some(self.routers.get(router)?.answer(query));
        let mut ask =
            |asked: &[Question]| -> Vec<Option<Answer>> { asked.iter().map(answer).collect() };
        let Ok(Finding::Paths(graph)) = trace(&*self.scheme, &case, &[], &mut ask).finding else {
            return None;
        };
        let found = graph.routers();
        let all = path.iter().zip(0..).all(|(id, distance)| found.contains(&(*id, distance)));
        all.then(|| (found.len() - path.len()) as f64)
    }
}

fn id(index: u32) -> RouterId {
    RouterId(0x0aff_0001 + index)
}

fn router(index: u32) -> MapRouter {
    let name = format!("r{index}");
    MapRouter { id: id(index), name, asn: 64_512, nation: "XA".into(), aliases: vec![] }
}

fn setting(map: &Map, id: RouterId, key: Key) -> Setting {
    let place = map.place(id).unwrap_or(Place { id, index: 0, degree: 0, asn: 0 });
    Setting { place, key, draws: Draws::Keyed, filter: None }
}

fn pass(vantage: &mut dyn Vantage, me: RouterId, bytes: &mut [u8]) {
    let mut packet = Packet::parse(bytes).expect("invariant: udp4 makes lawful packets");
    let ttl = packet.ttl();
    vantage.forward(Hop { me, ttl, ..Hop::default() }, &mut packet);
}

fn extra_nodes(sampling: &Sampling) -> Row {
    let name = "spie-extra-nodes";
    let (forests, searches) = (sampling.runs(16, 4), 250);
    let samples: Vec<Option<f64>> = sampling
        .sample(name, forests, |chance| {
            let mut forest = Forest::grow(chance);
            (0..searches).map(|_| forest.search(chance)).collect::<Vec<_>>()
        })
        .into_iter()
        .flatten()
        .collect();
    let (bits, hashes, packets) = NODE;
    let branching = f64::from(BRANCHES) * filter::bloom(bits, hashes, packets.into());
    let law = filter::extra_nodes(PATH, branching);
    let said = Said { paper: None, law: Some(law) };
    let measured = Measured::of(&samples, Statistic::Mean, sampling.stream(name));
    measured.row(name, said, Gate::Law(0.10), sampling)
}

/// Whether the digest survives what routers and marking schemes change, and notices all else.
fn digests(sampling: &Sampling) -> Vec<Row> {
    let packets = sampling.runs(2_000, 500);
    let counts = sampling.sample("spie-digest", packets, one_digest);
    let sum = |kind: usize| {
        let each = counts.iter().map(|both| both[kind]);
        each.fold((0, 0), |(wrong, cases), (w, c)| (wrong + w, cases + c))
    };
    let said = Said { paper: None, law: Some(0.0) };
    let row =
        |id, (wrong, cases)| Measured::count(wrong, cases).row(id, said, Gate::Exact, sampling);
    vec![row("spie-digest-kept", sum(0)), row("spie-digest-changed", sum(1))]
}

/// Failures and cases: of changes that the digest must not see, and of those that it must.
fn one_digest(chance: &mut Chance) -> [(u64, u64); 2] {
    let key = Key(chance.word(), chance.word());
    let bytes = udp4(chance);
    let digest = |bytes: &[u8]| Packet::parse(bytes).ok().map(|p| Invariant::of(&p, key).digest);
    let before = digest(&bytes);
    let flipped = |at: usize, bit: u8| {
        let mut other = bytes.clone();
        other[at] ^= bit;
        repair(&mut other);
        digest(&other)
    };
    let bits =
        |range: std::ops::Range<usize>| range.flat_map(|at| (0..8).map(move |b| (at, 1 << b)));
    // TOS, Identification, reserved flag and DF, TTL, transport checksum.
    let free = bits(1..2).chain(bits(4..6)).chain([(6, 0x80), (6, 0x40)]).chain(bits(8..9));
    let mut kept: Vec<bool> =
        free.chain(bits(26..28)).map(|(at, bit)| flipped(at, bit) == before).collect();
    kept.push(digest(&with_option(&bytes)) == before);
    // Protocol, addresses, ports, payload.
    let bound = bits(9..10).chain(bits(12..24)).chain(bits(28..bytes.len()));
    let changed: Vec<bool> = bound
        .map(|(at, bit)| flipped(at, bit).is_some_and(|digest| Some(digest) != before))
        .collect();
    [kept, changed]
        .map(|held| (held.iter().filter(|held| !**held).count() as u64, held.len() as u64))
}

/// The packet with four bytes of options: no operation, as RFC 791 has it.
fn with_option(bytes: &[u8]) -> Vec<u8> {
    let mut longer = bytes.to_vec();
    longer.splice(20..20, [1; 4]);
    longer[0] = 0x46;
    longer[3] += 4;
    repair(&mut longer);
    longer
}
