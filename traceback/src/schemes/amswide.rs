//! AMS I, widened: one hash of 27 bits, in room that the sender reserved.
//!
//! Idea: what keeps [`super::ams1`] from telling thousands of attackers apart is the width of its hash. With
//! 16 more bits, of ten thousand links at a distance one other link in 13,000 matches by chance, and
//! paths still stand after as many packets as plain edge sampling needs.
//!
//! Paper: Song, Perrig, "Advanced and Authenticated Marking Schemes for IP Traceback", INFOCOM 2001
//! (song2001), scheme I; the width is ours.
//!
//! ```text
//!  31     27 26                        0     first four bytes of reserved room, IPv4 and IPv6
//! | distance | hash of a link           |
//! ```
//! Departs: as AMS I does, and needs senders that reserve room: what a wider field would be worth, not what
//! can be had today. Packets without room pass unmarked.
//!
//! Cost: one comparison and one write of 32 bits for each packet.

use super::ams1::only;
use super::ams2::{Pair, done};
use crate::case::{Case, Evidence, Gap, Step};
use crate::invariant::Invariant;
use crate::marks::Marks;
use crate::scheme::{
    BadParams, Card, Field, Hop, Keeper, Marked, Names, Place, RouterId, Scheme, probability,
};
use crate::schemes::walk::{Hashes, Seen, Values, Walk};
use crate::slot::Slot;
use serde::{Deserialize, Serialize};

/// Distances are counted up to this one, which means "this or more".
pub const FAR: u8 = 31;
/// Bits of the hash.
pub const BITS: u32 = 27;
const HASH: u32 = (1 << BITS) - 1;

/// Wide AMS I at work.
#[derive(Debug, Clone, Copy)]
pub struct AmsWide {
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
    /// Different marks that the ledger holds; more are counted as lost.
    pub capacity: usize,
}

impl Default for Params {
    /// 1/25, every second link, a million marks.
    fn default() -> Self {
        Self { p: 0.04, saturated: 0.5, capacity: 1 << 20 }
    }
}

/// The 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Hops since it was written, saturating at [`FAR`].
    pub distance: u8,
    /// Hash of a router, or of a link: 27 bits.
    pub hash: u32,
}

impl Field for Mark {
    const BITS: u32 = 32;

    fn pack(self) -> u32 {
        u32::from(self.distance) << BITS | self.hash
    }

    fn unpack(bits: u32) -> Self {
        Self { distance: (bits >> BITS) as u8, hash: bits & HASH }
    }
}

/// Twenty-seven bits of each word.
struct Low;

impl Hashes for Low {
    fn alone(&self, router: RouterId) -> Values {
        only(low(Pair::of(router).alone))
    }

    fn under(&self, router: RouterId) -> Values {
        only(low(Pair::of(router).under))
    }
}

fn low(word: u64) -> u32 {
    (word & u64::from(HASH)) as u32
}

impl Scheme for AmsWide {
    const CARD: Card = Card {
        id: "amswide",
        title: "Advanced marking I in reserved room, a hash of 27 bits",
        paper: "Song, Perrig, INFOCOM 2001, scheme I",
        v4: Slot::Room,
        v6: Slot::Room,
        records: false,
        keeper: Keeper::Victim,
        names: Names::Paths,
        needs_map: true,
        groups_by_flow: false,
        draws: true,
        hashes: false,
        harms: "needs senders that reserve room",
        state: "16 bytes for each router",
    };
    type Params = Params;
    type Local = Pair;
    type Mark = Mark;
    type Ledger = Marks;

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

    fn observe(&self, _: &Hop, _: &Invariant, mark: Mark, _: &[u8], ledger: &mut Marks) {
        ledger.add(mark.pack(), self.params.capacity);
    }

    fn reconstruct(&self, case: &Case, evidence: &Evidence<Marks>) -> Result<Step, Gap> {
        let mut seen = Seen::new(1, BITS);
        for (mark, _) in evidence.ledgers.values().flat_map(Marks::iter) {
            let mark = Mark::unpack(mark);
            seen.add(mark.distance, 0, mark.hash);
        }
        let saturated = self.params.saturated;
        let walk = Walk { case, seen: &seen, hashes: &Low, need: 1, saturated };
        let packets = evidence.ledgers.values().map(Marks::packets).sum();
        done(walk.paths()?, packets, self.params.p, 1, 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{AttackGraph, Finding};
    use crate::schemes::rig;
    use crate::schemes::trial::{GATEWAY, case, map, paths};

    #[test]
    fn layout_is_distance_hash() {
        assert_eq!(Mark { distance: 31, hash: 0x5a7 }.pack(), 31 << 27 | 0x5a7);
        for bits in [0, 1, u32::MAX, 0x1234_5678, 1 << 27, HASH] {
            assert_eq!(Mark::unpack(bits).pack(), bits);
        }
    }

    /// What every router of these paths leaves, in all.
    fn complete(truth: &[Vec<RouterId>]) -> Evidence<Marks> {
        let mut ledger = Marks::default();
        for edge in AttackGraph::from_paths(truth.iter().cloned()).edges {
            let under = edge.to.map_or(0, |to| low(Pair::of(to).under));
            let distance = u8::try_from(edge.distance).unwrap();
            ledger.add(
                Mark { distance, hash: low(Pair::of(edge.from).alone) ^ under }.pack(),
                1 << 20,
            );
        }
        let mut evidence = Evidence::default();
        evidence.ledgers.insert(GATEWAY, ledger);
        evidence
    }

    #[test]
    fn five_thousand_attackers_are_told_apart() {
        let ams = AmsWide::new(&Params::default()).unwrap();
        let truth = paths(5_000, 8);
        let found = ams.reconstruct(&case(map(&truth)), &complete(&truth));
        let Ok(Step::Done(Finding::Paths(graph))) = found else { panic!("no paths") };
        assert!(graph == AttackGraph::from_paths(truth)); // not worth printing
        let other = rig::case(rig::line(&[1, 2]), vec![]);
        assert!(matches!(
            ams.reconstruct(&other, &complete(&paths(1, 2))),
            Err(Gap::TooFew { .. })
        ));
    }
}
