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

use super::ams1::{Ams1, Link, Low};
use super::ams2::{Pair, done};
use crate::case::{Case, Evidence, Gap, Step};
use crate::invariant::Invariant;
use crate::marks::Marks;
use crate::scheme::{BadParams, Card, Chance, Field, Hop, Marked, Place, Scheme, probability};
use crate::schemes::walk::{Seen, Walk};
use crate::slot::Slot;
use serde::{Deserialize, Serialize};

/// Bits of the hash.
pub const BITS: u32 = 27;

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
pub type Mark = Link<BITS>;

impl Scheme for AmsWide {
    const CARD: Card = Card {
        id: "amswide",
        title: "Advanced marking I in reserved room, a hash of 27 bits",
        v4: Slot::Room,
        v6: Slot::Room,
        harms: "needs senders that reserve room",
        ..Ams1::CARD
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

    fn chance(&self, _: &Hop) -> Option<Chance> {
        Some(Chance { p: self.params.p, bits: 0 })
    }

    #[inline]
    fn mark(&self, pair: &Pair, hop: &Hop, _: &Invariant, mark: Mark) -> Marked<Mark> {
        mark.next(pair, u64::from(hop.draw) < self.draws).into()
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
        let walk = Walk { case, seen: &seen, hashes: &Low::<BITS>, need: 1, saturated };
        let packets = evidence.ledgers.values().map(Marks::packets).sum();
        done(walk.paths()?, packets, self.params.p, 1, 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RouterId;
    use crate::graph::{AttackGraph, Finding};
    use crate::schemes::ams1::low;
    use crate::schemes::rig;
    use crate::schemes::trial::{GATEWAY, case, map, paths};

    #[test]
    fn layout_is_distance_hash() {
        assert_eq!(Mark { distance: 31, hash: 0x5a7 }.pack(), 31 << 27 | 0x5a7);
        for bits in [0, 1, u32::MAX, 0x1234_5678, 1 << 27, (1 << 27) - 1] {
            assert_eq!(Mark::unpack(bits).pack(), bits);
        }
    }

    /// What every router of these paths leaves, in all.
    fn complete(truth: &[Vec<RouterId>]) -> Evidence<Marks> {
        let mut ledger = Marks::default();
        for edge in AttackGraph::from_paths(truth.iter().cloned()).edges {
            let under = edge.to.map_or(0, |to| low::<BITS>(Pair::of(to).under));
            let distance = u8::try_from(edge.distance).unwrap();
            ledger.add(
                Mark { distance, hash: low::<BITS>(Pair::of(edge.from).alone) ^ under }.pack(),
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
