//! Edge sampling: links with their distance, whole in each mark.
//!
//! Idea: with probability `p` a router writes its name as the beginning of a link; the next router, which
//! sees distance 0, adds its own as the end; all others only count the distance. Each mark that arrives is
//! a link of the path, and links are put together by their distance.
//!
//! Paper: Savage, Wetherall, Karlin, Anderson, SIGCOMM 2000, section 4.3 (savage2000).
//!
//! ```text
//!  31     26 25        13 12         0     first two records of the room that the sender reserved
//! | distance | start      | end       |     13 bits of a name: the router's position in the map, + 1
//! ```
//! Departs: the paper's 72 bits (two addresses, eight bits of distance) fit no header; with positions in the
//! map instead of addresses they fit 32 bits, for maps of at most 8,191 routers. Routers beyond write
//! nothing. Name 0 is nobody's. Distances of 63 mean "63 or more" and are not used.
//!
//! Cost: one comparison and at most one write of 32 bits, with its checksum, for each packet.

use crate::case::{Case, Evidence, Gap, Step};
use crate::graph::{AttackGraph, Edge as Link, Finding};
use crate::invariant::Invariant;
use crate::law::{Coupon, Hops};
use crate::marks::Marks;
use crate::scheme::{
    BadParams, Card, Chance, Field, Hop, Marked, Place, RouterId, Scheme, probability,
};
use crate::schemes::node::Node;
use crate::schemes::walk::MAX_PATHS;
use crate::stats::whole;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Distances are counted up to this one, which means "this or more".
pub const FAR: u8 = 63;
/// Bits of a name.
const NAME: u32 = 13;

/// Edge sampling at work.
#[derive(Debug, Clone, Copy)]
pub struct Edge {
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
    /// 1/25. Source: savage2000 section 4.2.
    fn default() -> Self {
        Self { p: 0.04, capacity: 65_536 }
    }
}

/// The 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Hops since it was written, saturating at [`FAR`].
    pub distance: u8,
    /// Name of the router that wrote it; 0 is nobody.
    pub start: u16,
    /// Name of the next one; 0 where that was the victim.
    pub end: u16,
}

impl Field for Mark {
    const BITS: u32 = 32;

    fn pack(self) -> u32 {
        u32::from(self.distance) << (2 * NAME) | u32::from(self.start) << NAME | u32::from(self.end)
    }

    fn unpack(bits: u32) -> Self {
        let name = |at: u32| (bits >> at & ((1 << NAME) - 1)) as u16;
        Self { distance: (bits >> (2 * NAME)) as u8, start: name(NAME), end: name(0) }
    }
}

/// A router's name by its position; 0 where that is too large.
fn name(index: u16) -> u16 {
    if index < (1 << NAME) - 1 { index + 1 } else { 0 }
}

impl Scheme for Edge {
    const CARD: Card = Card {
        id: "edge",
        title: "Edge sampling",
        paper: "Savage, Wetherall, Karlin, Anderson, SIGCOMM 2000, section 4.3",
        needs_map: true,
        harms: "needs room that the sender reserved; marked packets get DF",
        state: "its position in the map",
        ..Node::CARD
    };
    type Params = Params;
    type Local = u16;
    type Mark = Mark;
    type Ledger = Marks;

    fn new(params: &Params) -> Result<Self, BadParams> {
        Ok(Self { params: *params, threshold: probability("p", params.p)? })
    }

    fn local(&self, place: &Place) -> u16 {
        name(place.index)
    }

    fn twin(&self, name: &u16) -> Vec<u64> {
        vec![self.threshold, (*name).into()]
    }

    fn chance(&self, _: &Hop) -> Option<Chance> {
        Some(Chance { p: self.params.p, bits: 0 })
    }

    #[inline]
    fn mark(&self, name: &u16, hop: &Hop, _: &Invariant, mut mark: Mark) -> Marked<Mark> {
        if *name != 0 && u64::from(hop.draw) < self.threshold {
            return Mark { distance: 0, start: *name, end: 0 }.into();
        }
        if mark.distance == 0 {
            mark.end = *name;
        }
        // Saturates: a wrapped distance would let the attacker forge nearby links.
        mark.distance = FAR.min(mark.distance + 1);
        mark.into()
    }

    fn observe(&self, _: &Hop, _: &Invariant, mark: Mark, _: &[u8], ledger: &mut Marks) {
        ledger.add(mark.pack(), self.params.capacity);
    }

    fn reconstruct(&self, case: &Case, evidence: &Evidence<Marks>) -> Result<Step, Gap> {
        let mut seen: Vec<Mark> = vec![];
        let mut packets = 0;
        for ledger in evidence.ledgers.values() {
            packets += ledger.packets();
            seen.extend(ledger.iter().map(|(bits, _)| Mark::unpack(bits)));
        }
        let graph = join(case, &seen);
        if graph.edges.is_empty() {
            let first = Coupon::new(Hops::Overwriting(self.params.p), 1, 1, 1);
            let want = first.map_or(1, |law| whole(law.mean().ceil()));
            return Err(Gap::TooFew { have: packets, want });
        }
        Ok(Step::Done(Finding::Paths(graph)))
    }
}

/// Goes from the gateway outwards: a link counts where its end was reached one hop nearer.
fn join(case: &Case, seen: &[Mark]) -> AttackGraph {
    let router = |name: u16| case.map.by_index(name.checked_sub(1)?).map(|r| r.id);
    let mut edges = BTreeSet::new();
    let mut reached: BTreeSet<RouterId> = BTreeSet::new();
    let mut used = 0;
    for distance in 0..case.budget.hops.min(u16::from(FAR)) {
        let mut next = BTreeSet::new();
        for mark in seen.iter().filter(|m| u16::from(m.distance) == distance) {
            let to = router(mark.end);
            let (Some(from), true) = (router(mark.start), (distance == 0) == (mark.end == 0))
            else {
                continue;
            };
            if (distance == 0 && from == case.gateway) || to.is_some_and(|to| reached.contains(&to))
            {
                edges.insert(Link { distance, from, to });
                next.insert(from);
                used += 1;
            }
        }
        if next.is_empty() {
            break;
        }
        reached = next;
    }
    // Beyond the true first router, unmarked packets carry whatever their sender chose.
    let somebodys = seen.iter().filter(|m| m.start != 0).count() as u64;
    AttackGraph { set_aside: somebodys - used, ..AttackGraph::from_edges(edges, MAX_PATHS) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schemes::rig;

    fn step(name: u16, draw: u32, before: Mark) -> Mark {
        let edge = Edge::new(&Params::default()).unwrap();
        let hop = Hop { draw, ..Hop::default() };
        edge.mark(&name, &hop, &Invariant::NONE, before).mark
    }

    const OLD: Mark = Mark { distance: 9, start: 5, end: 6 };

    #[test]
    fn a_link_is_written_closed_and_carried() {
        let written = step(7, 0, OLD);
        assert_eq!(written, Mark { distance: 0, start: 7, end: 0 });
        let closed = step(8, u32::MAX, written);
        assert_eq!(closed, Mark { distance: 1, start: 7, end: 8 });
        assert_eq!(step(9, u32::MAX, closed), Mark { distance: 2, ..closed });
        let far = Mark { distance: FAR, ..closed };
        assert_eq!(step(9, u32::MAX, far), far);
        assert_eq!(Mark::unpack(closed.pack()), closed);
    }

    #[test]
    fn routers_without_a_name_write_nothing() {
        assert_eq!(name((1 << NAME) - 1), 0);
        assert_eq!(step(0, 0, OLD), Mark { distance: 10, ..OLD });
    }

    #[test]
    fn links_that_hang_on_nothing_are_set_aside() {
        let case = rig::case(rig::line(&[30, 20, 10]), vec![]);
        let seen = [
            Mark { distance: 0, start: 3, end: 0 },
            Mark { distance: 1, start: 2, end: 3 },
            // Beyond the path, at the wrong distance, of nobody, and of a stranger.
            Mark { distance: 3, start: 1, end: 2 },
            Mark { distance: 1, start: 1, end: 2 },
            Mark { distance: 0, start: 0, end: 0 },
            Mark { distance: 1, start: 4_000, end: 3 },
        ];
        let graph = join(&case, &seen);
        let path = vec![RouterId(20), RouterId(10)];
        assert_eq!((graph.paths, graph.set_aside), ([path].into(), 3));
    }
}
