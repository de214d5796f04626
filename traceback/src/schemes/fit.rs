//! FIT: fast Internet traceback, fragments of a router's hash beside a distance that the TTL counts.
//!
//! Idea: with probability `p` a router writes one fragment of a hash of its name, and sets the low five
//! bits of the TTL to a constant. Every router behind it lowers the TTL anyway, whether it knows of
//! this scheme or not, so the victim reads the distance from the TTL and nobody spends bits or
//! writes on counting. A victim with a map of its upstream routers knows which fragments each would
//! write at its distance.
//!
//! Paper: Yaar, Perrig, Song, "FIT: Fast Internet Traceback", INFOCOM 2005 (yaar2005), the variant
//! written 1/2/13.
//!
//! ```text
//!  15   14 13   12           0      Identification; IPv6: low 16 bits of the flow label
//! | b | index  | fragment     |     b: the TTL's sixth bit when the mark was written
//! distance = (b << 5 | c) - (TTL at the victim), modulo 64;  1 is the victim's gateway
//! ```
//! Departs: the map gives every router one distance, the fewest hops to the gateway. `c` is 31, so that
//! no mark shortens a packet's life; the paper leaves it open. Where a router is named and none of
//! those before it are, the path goes on through the only one the map allows, since legacy routers
//! write nothing; where it allows several, the router is set aside.
//!
//! Cost: one comparison for each packet; two writes for each mark, nothing for others.

use crate::case::{Case, Evidence, Gap, Step};
use crate::graph::{AttackGraph, Edge, Finding};
use crate::invariant::{Invariant, mix};
use crate::law::{Coupon, Hops};
use crate::ledger::Ledger;
use crate::marks::Marks;
use crate::scheme::{
    BadParams, Card, Chance, Field, Hop, Keeper, Marked, Names, Place, Reliance, RouterId, Scheme,
    probability,
};
use crate::schemes::walk::MAX_PATHS;
use crate::slot::Slot;
use crate::stats::whole;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Fragments of a router's hash.
pub const FRAGMENTS: usize = 4;
/// Their indices.
const INDICES: [u8; FRAGMENTS] = [0, 1, 2, 3];
/// Distances are counted modulo this.
const DISTANCES: u16 = 64;
/// Bits of a fragment.
const WIDTH: u32 = 13;

/// FIT at work.
#[derive(Debug, Clone, Copy)]
pub struct Fit {
    params: Params,
    /// A draw below this marks.
    threshold: u64,
}

/// What a scenario may set.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Marking probability.
    pub p: f64,
    /// Low five bits of a marked packet's TTL, 2..=31.
    pub c: u8,
    /// Fragments that must be seen to name a router, 1..=4.
    pub need: u32,
    /// Marks that the ledger holds; packets of more are counted as lost.
    pub capacity: usize,
}

impl Default for Params {
    /// `p` as in savage2000, which yaar2005 compares with.
    fn default() -> Self {
        Self { p: 0.04, c: 31, need: 4, capacity: 1 << 18 }
    }
}

/// The 16 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The TTL's sixth bit.
    pub b: u8,
    /// Which fragment, 0..=3.
    pub index: u8,
    /// Its 13 bits.
    pub fragment: u16,
}

impl Field for Mark {
    const BITS: u32 = 16;

    fn pack(self) -> u32 {
        u32::from(self.b) << 15 | u32::from(self.index) << WIDTH | u32::from(self.fragment)
    }

    fn unpack(bits: u32) -> Self {
        let fragment = (bits & ((1 << WIDTH) - 1)) as u16;
        Self { b: (bits >> 15 & 1) as u8, index: (bits >> WIDTH & 3) as u8, fragment }
    }
}

/// The hash whose fragments a router writes; fragment `i` is 13 bits from bit `13 i`.
pub fn hash(router: RouterId) -> u64 {
    mix(router.0.into())
}

fn fragment(hash: u64, index: u8) -> u16 {
    (hash >> (WIDTH * u32::from(index)) & ((1 << WIDTH) - 1)) as u16
}

impl Fit {
    /// Hops since a mark was written, from the TTL at the victim; 0 is 64.
    pub fn distance(&self, mark: Mark, ttl: u8) -> u8 {
        (mark.b << 5 | self.params.c).wrapping_sub(ttl) & 0x3f
    }

    /// Whether enough of a router's fragments were seen this far out, the gateway being at 1.
    fn seen(&self, seen: &Marks, router: RouterId, distance: u16) -> bool {
        let hash = hash(router);
        let of = |index: &u8| {
            seen.contains(key(
                distance,
                Mark { b: 0, index: *index, fragment: fragment(hash, *index) },
            ))
        };
        INDICES.iter().filter(|index| of(index)).count() >= self.params.need as usize
    }
}

/// What the ledger counts: a distance and what was seen there.
fn key(distance: u16, mark: Mark) -> u32 {
    u32::from(distance) << 15 | Mark { b: 0, ..mark }.pack()
}

impl Scheme for Fit {
    const CARD: Card = Card {
        id: "fit",
        title: "Fast Internet traceback (fragments, distance by TTL)",
        paper: "Yaar, Perrig, Song, INFOCOM 2005",
        v4: Slot::Id,
        v6: Slot::FlowLabel,
        records: false,
        keeper: Keeper::Victim,
        names: Names::Paths,
        needs_map: true,
        groups_by_flow: false,
        draws: true,
        hashes: false,
        harms: "overwrites the IPv4 Identification: fragments are left unmarked, marked packets get DF; \
                raises the TTL, so that packets in a loop live longer and filters by TTL err; believes \
                the TTL and the bits of unmarked packets, by which a sender forges routers at any distance",
        state: "8 bytes for each router",
    };
    const RELIES_ON: Reliance = Reliance::Everybody;
    type Params = Params;
    type Local = u64;
    type Mark = Mark;
    type Ledger = Marks;

    fn new(params: &Params) -> Result<Self, BadParams> {
        let bad = |key, must, got: u32| Err(BadParams { key, must, got: got.to_string() });
        if !(2..=31).contains(&params.c) {
            return bad("c", "must be 2 to 31", params.c.into());
        }
        if !(1..=4).contains(&params.need) {
            return bad("need", "must be 1 to 4", params.need);
        }
        Ok(Self { params: *params, threshold: probability("p", params.p)? })
    }

    fn local(&self, place: &Place) -> u64 {
        hash(place.id)
    }

    fn twin(&self, hash: &u64) -> Vec<u64> {
        vec![self.threshold, self.params.c.into(), *hash]
    }

    fn chance(&self, _: &Hop) -> Option<Chance> {
        Some(Chance { p: self.params.p, bits: 2 })
    }

    #[inline]
    fn mark(&self, hash: &u64, hop: &Hop, _: &Invariant, before: Mark) -> Marked<Mark> {
        if u64::from(hop.draw) >= self.threshold {
            return before.into();
        }
        // The low bits are fair whatever the threshold, which fixes only the high ones.
        let index = (hop.draw & 3) as u8;
        let mark = Mark { b: hop.ttl >> 5 & 1, index, fragment: fragment(*hash, index) };
        Marked { ttl: Some(hop.ttl & !0x1f | self.params.c), ..mark.into() }
    }

    fn observe(&self, hop: &Hop, _: &Invariant, mark: Mark, _: &[u8], ledger: &mut Marks) {
        ledger.add(key(self.distance(mark, hop.ttl).into(), mark), self.params.capacity);
    }

    fn reconstruct(&self, case: &Case, evidence: &Evidence<Marks>) -> Result<Step, Gap> {
        let mut seen = Marks::default();
        evidence.ledgers.values().for_each(|l| seen.merge(l));
        let upstream = Upstream::of(case);
        let named: BTreeSet<RouterId> = (upstream.distance.iter())
            .filter(|(router, distance)| self.seen(&seen, **router, **distance + 1))
            .map(|(router, _)| *router)
            .collect();
        if named.is_empty() {
            let law = Coupon::new(Hops::Overwriting(self.params.p), 1, 4, self.params.need);
            let want = law.map_or(0, |law| whole(law.mean().ceil()));
            return Err(Gap::TooFew { have: seen.packets(), want });
        }
        Ok(Step::Done(Finding::Paths(upstream.graph(&named))))
    }
}

/// The map as the victim sees it: every router with its hops to the gateway, which is at 0.
struct Upstream<'a> {
    case: &'a Case,
    distance: BTreeMap<RouterId, u16>,
}

impl<'a> Upstream<'a> {
    fn of(case: &'a Case) -> Self {
        let mut distance = BTreeMap::from([(case.gateway, 0)]);
        let mut front = vec![case.gateway];
        for hops in 1..case.budget.hops.min(DISTANCES - 1) {
            let mut next = vec![];
            for router in front.iter().flat_map(|r| case.map.neighbours(*r)) {
                distance.entry(router).or_insert_with(|| {
                    next.push(router);
                    hops
                });
            }
            front = next;
        }
        Self { case, distance }
    }

    /// Neighbours one hop nearer to the gateway.
    fn nearer(&self, router: RouterId) -> Vec<RouterId> {
        let at = self.distance[&router];
        let is = |n: &RouterId| self.distance.get(n).is_some_and(|d| d + 1 == at);
        self.case.map.neighbours(router).filter(is).collect()
    }

    /// Paths through the routers named, and through legacy routers where the map leaves no choice.
    fn graph(&self, named: &BTreeSet<RouterId>) -> AttackGraph {
        let mut edges = BTreeSet::new();
        let mut set_aside = 0;
        let mut walked = BTreeSet::new();
        let mut front: Vec<RouterId> = named.iter().copied().collect();
        while let Some(from) = front.pop() {
            if !walked.insert(from) {
                continue;
            }
            let distance = self.distance[&from];
            if distance == 0 {
                edges.insert(Edge { distance, from, to: None });
                continue;
            }
            let all = self.nearer(from);
            let sure: Vec<RouterId> = all.iter().filter(|n| named.contains(n)).copied().collect();
            let next = if sure.is_empty() { all } else { sure.clone() };
            if sure.is_empty() && next.len() > 1 {
                set_aside += 1;
                continue;
            }
            edges.extend(next.iter().map(|to| Edge { distance, from, to: Some(*to) }));
            front.extend(next);
        }
        AttackGraph { set_aside, ..AttackGraph::from_edges(edges, MAX_PATHS) }
    }
}

#[cfg(test)]
#[path = "fit_tests.rs"]
mod tests;
