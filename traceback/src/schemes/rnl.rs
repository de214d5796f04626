//! Randomize-and-link: words of a message, tied together by a cord.
//!
//! Idea: a router's message (its address) is cut into words. A mark is one word, its index, and a hash of
//! the whole message: the cord. Words with the same cord belong together, and the cord is also the check
//! that they do. No distance is counted and nothing is XORed: routers neither read nor complete
//! marks, and the victim needs no map to know who took part.
//!
//! Paper: Goodrich, "Efficient Packet Marking for Large-Scale IP Traceback", CCS 2002; "Probabilistic Packet
//! Marking for Large-Scale IP Traceback", IEEE/ACM ToN 16(1), 2008 (goodrich2002).
//!
//! ```text
//!  19        10 9     8 7        0   IPv4: 3 bits of TOS, the reserved flag, Identification
//! | cord (10)  | index | word (8) |  IPv6: flow label
//! ```
//! Four words of a 32-bit address. Among `r` routers of one cord there are `r^4` combinations, and a wrong
//! one passes once in 1024: with 200 routers, a third of a wrong name on average.
//!
//! Departs: the paper has up to 25 bits and longer messages with keyed hashes; 20 bits are what both
//! versions of IP have. Who took part is one half of a path: the order is read off a map, by fewest hops
//! over routers named. Routers that the map does not show, or does not connect, are set aside.
//!
//! Cost: one comparison and one write to 20 bits for each packet that is marked, nothing for others.

use crate::case::{Case, Evidence, Gap, Step};
use crate::graph::{AttackGraph, Edge, Finding};
use crate::invariant::{Invariant, mix2};
use crate::law::harmonic;
use crate::marks::Marks;
use crate::scheme::{
    BadParams, Card, Chance, Field, Hop, Keeper, Marked, Names, Place, RouterId, Scheme,
    probability,
};
use crate::schemes::walk::MAX_PATHS;
use crate::slot::Slot;
use crate::stats::whole;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Words of a message.
pub const WORDS: u32 = 4;
/// Bits of a cord.
pub const CORD: u32 = 10;

/// Randomize-and-link at work.
#[derive(Debug, Clone, Copy)]
pub struct Rnl {
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
    /// Different marks that the ledger holds; more are counted as lost.
    pub capacity: usize,
}

impl Default for Params {
    /// 1/25, as FMS.
    fn default() -> Self {
        Self { p: 0.04, capacity: 65_536 }
    }
}

/// The 20 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Hash of the message: 10 bits.
    pub cord: u16,
    /// Which word, 0..=3; the first is the highest.
    pub index: u8,
    /// Eight bits of the message.
    pub word: u8,
}

impl Field for Mark {
    const BITS: u32 = CORD + 10;

    fn pack(self) -> u32 {
        u32::from(self.cord) << 10 | u32::from(self.index) << 8 | u32::from(self.word)
    }

    fn unpack(bits: u32) -> Self {
        let [_, _, middle, word] = bits.to_be_bytes();
        Self { cord: (bits >> 10 & 0x3ff) as u16, index: middle & 3, word }
    }
}

/// The cord of a router.
pub fn cord(router: RouterId) -> u16 {
    (mix2(0x524e_4c00, router.0.into()) & 0x3ff) as u16
}

impl Scheme for Rnl {
    const CARD: Card = Card {
        id: "rnl",
        title: "Randomize-and-link, four words and a cord of 10 bits",
        paper: "Goodrich, CCS 2002; IEEE/ACM ToN 16(1), 2008",
        v4: Slot::IdTosReserved,
        v6: Slot::FlowLabel,
        records: false,
        keeper: Keeper::Victim,
        names: Names::Paths,
        needs_map: true,
        groups_by_flow: false,
        draws: true,
        hashes: false,
        harms: "overwrites Identification, reserved flag, ECN and a bit of DSCP: fragments are left unmarked, marked packets get DF",
        state: "8 bytes for each router",
    };
    type Params = Params;
    type Local = (u16, RouterId);
    type Mark = Mark;
    type Ledger = Marks;

    fn new(params: &Params) -> Result<Self, BadParams> {
        Ok(Self { params: *params, threshold: probability("p", params.p)? })
    }

    fn local(&self, place: &Place) -> (u16, RouterId) {
        (cord(place.id), place.id)
    }

    fn twin(&self, (cord, me): &(u16, RouterId)) -> Vec<u64> {
        vec![self.threshold, (*cord).into(), me.0.into()]
    }

    fn chance(&self, _: &Hop) -> Option<Chance> {
        Some(Chance { p: self.params.p, bits: 2 })
    }

    #[inline]
    fn mark(
        &self,
        (cord, me): &(u16, RouterId),
        hop: &Hop,
        _: &Invariant,
        mark: Mark,
    ) -> Marked<Mark> {
        if u64::from(hop.draw) >= self.threshold {
            return mark.into();
        }
        // The low bits are fair whatever the threshold, which fixes only the high ones.
        let index = (hop.draw & 3) as u8;
        Mark { cord: *cord, index, word: me.0.to_be_bytes()[usize::from(index)] }.into()
    }

    fn observe(&self, _: &Hop, _: &Invariant, mark: Mark, _: &[u8], ledger: &mut Marks) {
        ledger.add(mark.pack(), self.params.capacity);
    }

    fn reconstruct(&self, case: &Case, evidence: &Evidence<Marks>) -> Result<Step, Gap> {
        let marks = evidence.ledgers.values().flat_map(Marks::iter);
        let named = link(marks.map(|(mark, _)| Mark::unpack(mark)), case.budget.candidates)?;
        let graph = order(&named, case);
        if graph.edges.is_empty() {
            let have = evidence.ledgers.values().map(Marks::packets).sum();
            let want = whole((f64::from(WORDS) * harmonic(WORDS) / self.params.p).ceil());
            return Err(Gap::TooFew { have, want });
        }
        Ok(Step::Done(Finding::Paths(graph)))
    }
}

/// Routers whose words all have the cord that is theirs.
///
/// # Errors
/// [`Gap::Budget`] where words of one cord combine in too many ways; distance 0 stands for any.
pub fn link(marks: impl Iterator<Item = Mark>, budget: u64) -> Result<BTreeSet<RouterId>, Gap> {
    let mut cords: BTreeMap<u16, [BTreeSet<u8>; WORDS as usize]> = BTreeMap::new();
    for mark in marks {
        cords.entry(mark.cord).or_default()[usize::from(mark.index)].insert(mark.word);
    }
    let combinations = |words: &[BTreeSet<u8>; WORDS as usize]| {
        words.iter().map(|w| w.len() as u64).product::<u64>()
    };
    let census = cords.values().map(combinations).fold(0, u64::saturating_add);
    if census > budget {
        return Err(Gap::Budget { budget, distance: 0, census });
    }
    let mut named = BTreeSet::new();
    for (tie, [a, b, c, d]) in &cords {
        for (a, b) in a.iter().flat_map(|a| b.iter().map(move |b| (a, b))) {
            for (c, d) in c.iter().flat_map(|c| d.iter().map(move |d| (c, d))) {
                let router = RouterId(u32::from_be_bytes([*a, *b, *c, *d]));
                if cord(router) == *tie {
                    named.insert(router);
                }
            }
        }
    }
    Ok(named)
}

/// Routers named, by fewest hops from the gateway over links of the map between them.
fn order(named: &BTreeSet<RouterId>, case: &Case) -> AttackGraph {
    let mut edges = BTreeSet::new();
    let mut placed = BTreeSet::new();
    let mut front = BTreeSet::new();
    if named.contains(&case.gateway) && case.map.router(case.gateway).is_some() {
        edges.insert(Edge { distance: 0, from: case.gateway, to: None });
        front.insert(case.gateway);
    }
    for distance in 1..=case.budget.hops {
        placed.extend(front.iter().copied());
        let mut next = BTreeSet::new();
        for to in &front {
            let beyond = case.map.neighbours(*to);
            for from in beyond.filter(|n| named.contains(n) && !placed.contains(n)) {
                edges.insert(Edge { distance, from, to: Some(*to) });
                next.insert(from);
            }
        }
        front = next;
    }
    let set_aside = (named.len() - placed.intersection(named).count()) as u64;
    AttackGraph { set_aside, ..AttackGraph::from_edges(edges, MAX_PATHS) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schemes::rig;

    const PATH: [u32; 4] = [0xc613_0007, 0x0a00_0001, 0xac10_0909, 0xc613_0101];

    fn words(router: u32) -> [Mark; 4] {
        let mark = |index: u8| Mark {
            cord: cord(RouterId(router)),
            index,
            word: router.to_be_bytes()[usize::from(index)],
        };
        [0, 1, 2, 3].map(mark)
    }

    fn found(marks: &[Mark], map: &[u32]) -> Result<Step, Gap> {
        let mut ledger = Marks::default();
        marks.iter().for_each(|mark| ledger.add(mark.pack(), 1 << 20));
        let mut evidence = Evidence::default();
        evidence.ledgers.insert(RouterId(PATH[3]), ledger);
        let rnl = Rnl::new(&Params::default()).unwrap();
        rnl.reconstruct(&rig::case(rig::line(map), vec![]), &evidence)
    }

    #[test]
    fn all_words_of_all_routers_give_the_path_and_three_give_none() {
        let mut marks: Vec<Mark> = PATH.iter().flat_map(|r| words(*r)).collect();
        let path = PATH.map(RouterId).to_vec();
        let whole = AttackGraph::from_paths([path]);
        assert_eq!(found(&marks, &PATH), Ok(Step::Done(Finding::Paths(whole))));
        // Without the gateway's last word there is nothing to begin with.
        marks.pop();
        assert!(matches!(found(&marks, &PATH), Err(Gap::TooFew { .. })));
    }

    #[test]
    fn names_off_the_map_are_set_aside() {
        let marks: Vec<Mark> = PATH.iter().flat_map(|r| words(*r)).collect();
        let Ok(Step::Done(Finding::Paths(graph))) = found(&marks, &PATH[2..]) else { panic!() };
        assert_eq!((graph.paths.len(), graph.set_aside), (1, 2));
    }

    #[test]
    fn a_full_slot_spends_the_budget() {
        let every = (0..1 << 20).map(Mark::unpack);
        assert!(matches!(link(every, 50_000_000), Err(Gap::Budget { .. })));
    }

    #[test]
    fn layout_is_cord_index_word() {
        assert_eq!(Mark { cord: 0x3a5, index: 2, word: 9 }.pack(), 0x3a5 << 10 | 2 << 8 | 9);
        assert!((0..1 << 20).all(|bits| Mark::unpack(bits).pack() == bits));
    }
}
