//! Node sampling: routers' addresses, ordered by how often they are seen.
//!
//! Idea: with probability `p` a router overwrites the mark with its address. Nearer routers overwrite
//! farther ones, so the nearest is seen most often; with `p` above one half this order holds even
//! against one attacker who forges marks, as long as he is not nearer than what he forges.
//!
//! Paper: Savage, Wetherall, Karlin, Anderson, SIGCOMM 2000, section 4.2 (savage2000).
//!
//! ```text
//!  31                             0     first two records of the room that the sender reserved
//! | address                        |    0 where nobody has written
//! ```
//! Departs: nothing; the paper leaves open where 32 bits would go. Two routers whose counts differ by less
//! than [`APART`] standard deviations end the path there: the paper's order would be a guess. Several
//! paths at once cannot be told apart, which is the paper's second objection to this scheme.
//!
//! Cost: one comparison and one write of 32 bits in every other packet.

use crate::case::{Case, Evidence, Gap, Step};
use crate::graph::{AttackGraph, Finding};
use crate::invariant::Invariant;
use crate::law::survives;
use crate::marks::Marks;
use crate::scheme::{
    BadParams, Card, Chance, Field, Hop, Keeper, Marked, Names, Place, RouterId, Scheme,
    probability,
};
use crate::slot::Slot;
use crate::stats::whole;
use serde::{Deserialize, Serialize};

/// Standard deviations that two counts must lie apart to say which router is nearer.
const APART: f64 = 2.0;

/// Node sampling at work.
#[derive(Debug, Clone, Copy)]
pub struct Node {
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
    /// 0.51, the paper's example. Source: savage2000 section 4.2.
    fn default() -> Self {
        Self { p: 0.51, capacity: 65_536 }
    }
}

/// A router's address; 0 is nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(pub u32);

impl Field for Mark {
    const BITS: u32 = 32;

    fn pack(self) -> u32 {
        self.0
    }

    fn unpack(bits: u32) -> Self {
        Self(bits)
    }
}

impl Scheme for Node {
    const CARD: Card = Card {
        id: "node",
        title: "Node sampling",
        paper: "Savage, Wetherall, Karlin, Anderson, SIGCOMM 2000, section 4.2",
        v4: Slot::Room,
        v6: Slot::Room,
        records: false,
        keeper: Keeper::Victim,
        names: Names::Paths,
        needs_map: false,
        groups_by_flow: false,
        draws: true,
        hashes: false,
        harms: "needs room that the sender reserved; marked packets get DF; one path only",
        state: "none",
    };
    type Params = Params;
    type Local = RouterId;
    type Mark = Mark;
    type Ledger = Marks;

    fn new(params: &Params) -> Result<Self, BadParams> {
        Ok(Self { params: *params, threshold: probability("p", params.p)? })
    }

    fn local(&self, place: &Place) -> RouterId {
        place.id
    }

    fn twin(&self, _: &RouterId) -> Vec<u64> {
        vec![self.threshold]
    }

    fn chance(&self, _: &Hop) -> Option<Chance> {
        Some(Chance { p: self.params.p, bits: 0 })
    }

    #[inline]
    fn mark(&self, me: &RouterId, hop: &Hop, _: &Invariant, mark: Mark) -> Marked<Mark> {
        if u64::from(hop.draw) < self.threshold { Mark(me.0).into() } else { mark.into() }
    }

    fn observe(&self, _: &Hop, _: &Invariant, mark: Mark, _: &[u8], ledger: &mut Marks) {
        ledger.add(mark.0, self.params.capacity);
    }

    fn reconstruct(&self, case: &Case, evidence: &Evidence<Marks>) -> Result<Step, Gap> {
        let mut seen = Marks::default();
        evidence
            .ledgers
            .values()
            .for_each(|ledger| crate::ledger::Ledger::merge(&mut seen, ledger));
        let mut counts: Vec<(u64, u32)> = seen.iter().map(|(id, n)| (n, id)).collect();
        counts.retain(|(_, id)| *id != 0);
        counts.sort_unstable_by(|a, b| b.cmp(a));
        counts.truncate(case.budget.hops.into());
        let path = ordered(&counts);
        if path.first() != Some(&case.gateway) {
            // A handful of packets with the gateway's mark.
            let want = whole((4.0 / survives(self.params.p, 1)).ceil());
            return Err(Gap::TooFew { have: seen.packets(), want });
        }
        let set_aside = (counts.len() - path.len()) as u64;
        let path = path.into_iter().rev().collect();
        let graph = AttackGraph { set_aside, ..AttackGraph::from_paths([path]) };
        Ok(Step::Done(Finding::Paths(graph)))
    }
}

/// Routers from the most frequent one on, as long as the counts leave no doubt about their order.
fn ordered(counts: &[(u64, u32)]) -> Vec<RouterId> {
    let clear = |more: u64, less: u64| {
        let (more, less) = (more as f64, less as f64);
        more - less >= APART * (more + less).sqrt()
    };
    let doubtful = counts.windows(2).position(|pair| !clear(pair[0].0, pair[1].0));
    let sure = doubtful.unwrap_or(counts.len());
    counts[..sure].iter().map(|(_, id)| RouterId(*id)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schemes::rig;

    fn trace(counts: &[(u32, u64)]) -> Result<Step, Gap> {
        let node = Node::new(&Params::default()).unwrap();
        let mut ledger = Marks::default();
        for (id, n) in counts {
            (0..*n).for_each(|_| ledger.add(*id, 100));
        }
        let case = rig::case(rig::line(&[30, 20, 10]), vec![]);
        let mut evidence = Evidence::default();
        evidence.ledgers.insert(case.gateway, ledger);
        node.reconstruct(&case, &evidence)
    }

    fn path(ids: &[u32], set_aside: u64) -> Result<Step, Gap> {
        let path = ids.iter().map(|id| RouterId(*id)).collect();
        let graph = AttackGraph { set_aside, ..AttackGraph::from_paths([path]) };
        Ok(Step::Done(Finding::Paths(graph)))
    }

    #[test]
    fn the_most_frequent_router_is_the_nearest() {
        assert_eq!(trace(&[(30, 130), (10, 510), (20, 250)]), path(&[30, 20, 10], 0));
    }

    #[test]
    fn a_doubtful_order_ends_the_path() {
        assert_eq!(trace(&[(30, 100), (20, 110), (10, 500), (0, 40)]), path(&[10], 2));
    }

    #[test]
    fn what_does_not_begin_at_the_gateway_is_no_path() {
        assert!(matches!(trace(&[(20, 500)]), Err(Gap::TooFew { have: 500, .. })));
    }
}
