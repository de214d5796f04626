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

use super::ams2::{Ams2, Pair, done};
use crate::case::{Case, Evidence, Gap, Step};
use crate::counts::Counts;
use crate::invariant::Invariant;
use crate::scheme::{
    BadParams, Card, Chance, Field, Hop, Marked, Place, RouterId, Scheme, probability,
};
use crate::schemes::walk::{Hashes, Seen, Values, Walk, only};
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
pub type Mark = Link<11>;

/// A distance of five bits and a hash of so many, 27 at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link<const HASH: u32> {
    /// Hops since it was written, saturating at [`FAR`].
    pub distance: u8,
    /// Hash of a router, or of a link.
    pub hash: u32,
}

impl<const HASH: u32> Field for Link<HASH> {
    const BITS: u32 = 5 + HASH;

    fn pack(self) -> u32 {
        u32::from(self.distance) << HASH | self.hash
    }

    fn unpack(bits: u32) -> Self {
        Self { distance: (bits >> HASH & 31) as u8, hash: low::<HASH>(bits.into()) }
    }
}

impl<const HASH: u32> Link<HASH> {
    /// What a router makes of a mark, if it `writes` and if it does not.
    pub(super) fn next(mut self, pair: &Pair, writes: bool) -> Self {
        if writes {
            return Self { distance: 0, hash: low::<HASH>(pair.alone) };
        }
        if self.distance == 0 {
            self.hash ^= low::<HASH>(pair.under);
        }
        // Saturates: a wrapped distance would let the attacker forge nearby links.
        self.distance = FAR.min(self.distance + 1);
        self
    }
}

/// The low bits of each word.
pub(super) struct Low<const HASH: u32>;

impl<const HASH: u32> Hashes for Low<HASH> {
    fn alone(&self, router: RouterId) -> Values {
        only(low::<HASH>(Pair::of(router).alone))
    }

    fn under(&self, router: RouterId) -> Values {
        only(low::<HASH>(Pair::of(router).under))
    }
}

/// So many low bits of a word.
pub(super) fn low<const HASH: u32>(word: u64) -> u32 {
    (word & 0xffff_ffff) as u32 & ((1 << HASH) - 1)
}

impl Scheme for Ams1 {
    const CARD: Card = Card {
        id: "ams1",
        title: "Advanced marking I, one hash function",
        paper: "Song, Perrig, INFOCOM 2001, scheme I",
        ..Ams2::CARD
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

    fn chance(&self, _: &Hop) -> Option<Chance> {
        Some(Chance { p: self.params.p, bits: 0 })
    }

    #[inline]
    fn mark(&self, pair: &Pair, hop: &Hop, _: &Invariant, mark: Mark) -> Marked<Mark> {
        mark.next(pair, u64::from(hop.draw) < self.draws).into()
    }

    fn observe(&self, _: &Hop, _: &Invariant, mark: Mark, _: &[u8], ledger: &mut Counts) {
        ledger.add((mark.pack() & 0xffff) as u16);
    }

    fn reconstruct(&self, case: &Case, evidence: &Evidence<Counts>) -> Result<Step, Gap> {
        let mut seen = Seen::new(1, 11);
        for (mark, _) in evidence.ledgers.values().flat_map(Counts::iter) {
            let mark = Mark::unpack(mark.into());
            seen.add(mark.distance, 0, mark.hash);
        }
        let saturated = self.params.saturated;
        let walk = Walk { case, seen: &seen, hashes: &Low::<11>, need: 1, saturated };
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
