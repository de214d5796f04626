//! Hash-based DPM: the ingress router's address in segments, held together by a digest.
//!
//! Idea: plain DPM matches halves by the sender's address, which an attacker changes with every
//! packet. Here every mark carries a digest of the whole address beside one segment of it, so that
//! segments find each other whatever the sender claims to be.
//!
//! Paper: Belenky, Ansari, "Tracing Multiple Attackers with Deterministic Packet Marking (DPM)", PACRIM
//! 2003; "On deterministic packet marking", Computer Networks 51(10), 2007 (belenky2007).
//!
//! ```text
//!  16                                 0   reserved flag and Identification; IPv6: low 17 bits of the
//! | digest (d) | index (s) | segment (a) |   flow label;   a = 4: d = 10, s = 3;   a = 2: 11, 4;  a = 1: 11, 5
//! ```
//! Departs: see `segments.rs`, which holds the layout and the victim's work. The mark does not say which
//! of the `f` digest functions made it, as in the paper. Too many combinations are a gap with their
//! number: how many false addresses to expect is [`crate::law::segments`]'s to say, and it says far
//! more than the mean of segments in an area suggests.
//!
//! Cost: one comparison on every router; one hash of a word and one write of 17 bits at the ingress.

use super::dpm::{Dpm, want};
use super::segments::{Layout, MOST_MARKS};
use crate::case::{Case, Evidence, Gap, Step};
use crate::graph::Finding;
use crate::invariant::Invariant;
use crate::ledger::Ledger;
use crate::marks::Marks;
use crate::scheme::{BadParams, Card, Chance, Field, Hop, Marked, Place, Scheme};
use serde::{Deserialize, Serialize};

/// Hash-based DPM at work.
#[derive(Debug, Clone, Copy)]
pub struct Hdpm {
    layout: Layout,
}

/// What a scenario may set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Bits of address in a mark: 1, 2, 4 or 8.
    pub a: u32,
    /// Digest functions: more of them mean fewer false addresses and more packets.
    pub f: u32,
}

impl Default for Params {
    /// Eight segments of four bits, one function. Source: belenky2007's first triple.
    fn default() -> Self {
        Self { a: 4, f: 1 }
    }
}

/// The 17 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(pub u32);

impl Field for Mark {
    const BITS: u32 = 17;

    fn pack(self) -> u32 {
        self.0
    }

    fn unpack(bits: u32) -> Self {
        Self(bits & ((1 << Self::BITS) - 1))
    }
}

impl Scheme for Hdpm {
    const CARD: Card = Card {
        id: "hdpm",
        title: "Deterministic packet marking with digests",
        paper: "Belenky, Ansari, PACRIM 2003; Computer Networks 51(10), 2007",
        groups_by_flow: false,
        ..Dpm::CARD
    };
    type Params = Params;
    type Local = u32;
    type Mark = Mark;
    type Ledger = Marks;

    fn new(params: &Params) -> Result<Self, BadParams> {
        Ok(Self { layout: Layout::new(Mark::BITS, params.a, params.f)? })
    }

    fn local(&self, place: &Place) -> u32 {
        place.id.0
    }

    fn twin(&self, address: &u32) -> Vec<u64> {
        let Layout { s, f, .. } = self.layout;
        let mut words = [s, f].map(u64::from).to_vec();
        words.extend(self.layout.all(*address).map(u64::from));
        words.resize(2 + MOST_MARKS, 0);
        words
    }

    fn chance(&self, _: &Hop) -> Option<Chance> {
        (self.layout.f == 1).then_some(Chance { p: 1.0, bits: self.layout.s })
    }

    #[inline]
    fn mark(&self, address: &u32, hop: &Hop, _: &Invariant, before: Mark) -> Marked<Mark> {
        if hop.edge == 0 {
            return before.into();
        }
        Mark(self.layout.drawn(*address, hop.draw)).into()
    }

    fn observe(&self, _: &Hop, _: &Invariant, mark: Mark, _: &[u8], ledger: &mut Marks) {
        ledger.add(mark.0, 1 << Mark::BITS);
    }

    fn reconstruct(&self, case: &Case, evidence: &Evidence<Marks>) -> Result<Step, Gap> {
        ingress(&self.layout, case, evidence.ledgers.values())
    }
}

/// The victim's work, for any layout.
pub(super) fn ingress<'a>(
    layout: &Layout,
    case: &Case,
    ledgers: impl Iterator<Item = &'a Marks>,
) -> Result<Step, Gap> {
    let mut seen = Marks::default();
    ledgers.for_each(|l| seen.merge(l));
    let routers = layout.addresses(&seen, &case.budget)?;
    if routers.is_empty() {
        return Err(Gap::TooFew { have: seen.packets(), want: want(layout.marks()) });
    }
    Ok(Step::Done(Finding::Ingress { routers }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::Map;
    use crate::scheme::RouterId;
    use crate::schemes::rig::case;
    use std::collections::BTreeSet;

    #[test]
    fn two_ingress_routers_are_named_whatever_their_senders_claim() {
        let hdpm = Hdpm::new(&Params { a: 4, f: 2 }).unwrap();
        let inv = Invariant::NONE;
        let mut ledger = Marks::default();
        for n in 0..1_000_u32 {
            let me = 0xc613_0001 + (n & 1);
            let draw = (crate::invariant::mix(n.into()) >> 32) as u32;
            let hop = Hop { edge: 1, draw, ..Hop::default() };
            let mark = hdpm.mark(&me, &hop, &inv, Mark(0)).mark;
            hdpm.observe(&hop, &inv, mark, &[], &mut ledger);
        }
        let evidence = Evidence { ledgers: [(RouterId(1), ledger)].into(), ..Evidence::default() };
        let found = hdpm.reconstruct(&case(Map::default(), vec![]), &evidence);
        let routers = BTreeSet::from([RouterId(0xc613_0001), RouterId(0xc613_0002)]);
        assert_eq!(found, Ok(Step::Done(Finding::Ingress { routers })));
    }

    #[test]
    fn seven_of_eight_segments_are_too_few() {
        let hdpm = Hdpm::new(&Params::default()).unwrap();
        let mut ledger = Marks::default();
        (0..7).for_each(|index| ledger.add(hdpm.layout.mark(0xc613_0001, 0, index), 99));
        let evidence = Evidence { ledgers: [(RouterId(1), ledger)].into(), ..Evidence::default() };
        let found = hdpm.reconstruct(&case(Map::default(), vec![]), &evidence);
        assert_eq!(found, Err(Gap::TooFew { have: 7, want: 22 }));
    }
}
