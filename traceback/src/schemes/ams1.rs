//! AMS I: advanced marking with one hash of 11 bits.
//!
//! Idea: as in [`super::ams2`], with one function. A router is known by its first mark, so paths stand
//! after as many packets as plain edge sampling needs; and of other routers one in 2048 is taken for
//! each link at a distance.
//!
//! Paper: Song, Perrig, "Advanced and Authenticated Marking Schemes for IP Traceback", INFOCOM 2001
//! (song2001), scheme I.
//!
//! ```text
//!  15     11 10                  0     Identification; IPv6: low 16 bits of the flow label
//! | distance | hash of a link     |
//! ```
//! Departs: as AMS II does; the two functions `h` and `h'` are the low 11 bits of its two hashes.
//!
//! Cost: one comparison and at most two writes to one 16-bit field for each packet.

use super::ams2::{Pair, done};
use crate::case::{Case, Evidence, Gap, Step};
use crate::counts::Counts;
use crate::invariant::Invariant;
use crate::scheme::{
    BadParams, Card, Field, Hop, Keeper, Marked, Names, Place, RouterId, Scheme, probability,
};
use crate::schemes::walk::{FUNCTIONS, Hashes, Seen, Values, Walk};
use crate::slot::Slot;
use serde::{Deserialize, Serialize};

/// Distances are counted up to this one, which means "this or more".
pub const FAR: u8 = 31;

/// AMS I at work.
#[derive(Debug, Clone, Copy)]
pub struct Ams1 {
    params: Params,
    /// A draw below this marks.
    draws: u64,
}

/// What a scenario may set.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Marking probability.
    pub p: f64,
    /// False matches per link, by the law, from which a distance says nothing; 1 never refuses.
    pub saturated: f64,
}

impl Default for Params {
    /// 1/25, every second link.
    fn default() -> Self {
        Self { p: 0.04, saturated: 0.5 }
    }
}

/// The 16 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Hops since it was written, saturating at [`FAR`].
    pub distance: u8,
    /// Hash of a router, or of a link: 11 bits.
    pub hash: u16,
}

impl Field for Mark {
    const BITS: u32 = 16;

    fn pack(self) -> u32 {
        u32::from(self.distance) << 11 | u32::from(self.hash)
    }

    fn unpack(bits: u32) -> Self {
        Self { distance: (bits >> 11 & 31) as u8, hash: (bits & 0x7ff) as u16 }
    }
}

/// Eleven bits of each word.
struct Low;

impl Hashes for Low {
    fn alone(&self, router: RouterId) -> Values {
        only(low(Pair::of(router).alone).into())
    }

    fn under(&self, router: RouterId) -> Values {
        only(low(Pair::of(router).under).into())
    }
}

fn low(word: u64) -> u16 {
    (word & 0x7ff) as u16
}

/// One function's value.
pub(super) fn only(value: u32) -> Values {
    let mut values = [0; FUNCTIONS];
    values[0] = value;
    values
}

impl Scheme for Ams1 {
    const CARD: Card = Card {
        id: "ams1",
        title: "Advanced marking I, one hash function",
        paper: "Song, Perrig, INFOCOM 2001, scheme I",
        v4: Slot::Id,
        v6: Slot::FlowLabel,
        records: false,
        keeper: Keeper::Victim,
        names: Names::Paths,
        needs_map: true,
        groups_by_flow: false,
        draws: true,
        hashes: false,
        harms: "overwrites the IPv4 Identification: fragments are left unmarked, marked packets get DF",
        state: "16 bytes for each router",
    };
    type Params = Params;
    type Local = Pair;
    type Mark = Mark;
    type Ledger = Counts;

    fn new(params: &Params) -> Result<Self, BadParams> {
        probability("saturated", params.saturated)?;
        Ok(Self { params: *params, draws: probability("p", params.p)? })
    }

    fn local(&self, place: &Place) -> Pair {
        Pair::of(place.id)
    }

    fn twin(&self, pair: &Pair) -> Vec<u64> {
        vec![self.draws, pair.alone, pair.under]
    }

    fn mark(&self, pair: &Pair, hop: &Hop, _: &Invariant, mut mark: Mark) -> Marked<Mark> {
        if u64::from(hop.draw) < self.draws {
            return Mark { distance: 0, hash: low(pair.alone) }.into();
        }
        if mark.distance == 0 {
            mark.hash ^= low(pair.under);
        }
        // Saturates: a wrapped distance would let the attacker forge nearby links.
        mark.distance = FAR.min(mark.distance + 1);
        mark.into()
    }

    fn observe(&self, _: &Hop, _: &Invariant, mark: Mark, _: &[u8], ledger: &mut Counts) {
        ledger.add((mark.pack() & 0xffff) as u16);
    }

    fn reconstruct(&self, case: &Case, evidence: &Evidence<Counts>) -> Result<Step, Gap> {
        let mut seen = Seen::new(1, 11);
        for (mark, _) in evidence.ledgers.values().flat_map(Counts::iter) {
            let mark = Mark::unpack(mark.into());
            seen.add(mark.distance, 0, mark.hash.into());
        }
        let saturated = self.params.saturated;
        let walk = Walk { case, seen: &seen, hashes: &Low, need: 1, saturated };
        let packets = evidence.ledgers.values().map(Counts::packets).sum();
        done(walk.paths()?, packets, self.params.p, 1, 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{AttackGraph, Finding};
    use crate::schemes::trial::{case, complete, map, paths};

    #[test]
    fn layout_is_distance_hash() {
        assert_eq!(Mark { distance: 31, hash: 0x5a7 }.pack(), 31 << 11 | 0x5a7);
        assert!((0..=0xffff).all(|bits| Mark::unpack(bits).pack() == bits));
    }

    #[test]
    fn one_mark_of_each_router_is_enough() {
        let ams = Ams1::new(&Params::default()).unwrap();
        let truth = paths(4, 10);
        let evidence = complete(&ams, &truth, 0..1);
        let found = ams.reconstruct(&case(map(&truth)), &evidence);
        assert_eq!(found, Ok(Step::Done(Finding::Paths(AttackGraph::from_paths(truth)))));
    }

    #[test]
    fn two_thousand_attackers_saturate() {
        let ams = Ams1::new(&Params::default()).unwrap();
        let truth = paths(2_000, 3);
        let evidence = complete(&ams, &truth, 0..1);
        let found = ams.reconstruct(&case(map(&truth)), &evidence);
        assert!(matches!(found, Err(Gap::Saturated { distance: 1, .. })), "{found:?}");
    }
}
