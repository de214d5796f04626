//! FAST: autonomous systems sampled one or two at a time.
//!
//! Idea: a path has four or five ASes, and 25 bits hold hashes of more than one. One router acts for each
//! AS, where the packet comes in: the first clears the mark and writes itself, the `j`-th takes the place of
//! a random slot with probability `s / j`, so that every AS of the path is in a packet with the same
//! probability. A handful of packets shows them all.
//!
//! Paper: Durresi, Paruchuri, Barolli, "Fast Autonomous System Traceback", Journal of Network and Computer
//! Applications, 2009; Paruchuri, Durresi, Barolli, AINA 2007 (paruchuri2007).
//!
//! ```text
//!  24      22 21      19 18                                 0     IPv4: TOS, flag, Identification;
//! | ASes (3) | place (3) | hash (19)                         |    IPv6: reserved room.  One slot
//!  24      22 21      19 18      11 10       8 7            0
//! | ASes (3) | place (3) | hash (8) | place (3) | hash (8)   |    two slots
//! ```
//! The place of an AS is its number on the way, 1 for the first; 0 is an empty slot. ASes counts those so far;
//! after seven the count is 0 and stays so, and such packets are not used.
//!
//! Departs: known to us from its abstract, not from its text: layout and reservoir are ours. The paper takes
//! distances from BGP's AS path, which routers of this testbed do not have, and counts them in the mark
//! instead. ASes are joined by the links of the map between them, so of two paths of equal length
//! whose ASes are linked crosswise all four are named.
//!
//! Cost: two comparisons; at borders one product and one write of 25 bits.

use super::ases;
use super::walk::{Hashes, Seen, Values, Walk, only};
use crate::case::{Case, Evidence, Gap, Step};
use crate::invariant::{Invariant, mix2};
use crate::law::distinct_draws;
use crate::ledger::Ledger;
use crate::marks::Marks;
use crate::scheme::{BadParams, Card, Field, Hop, Marked, Place, RouterId, Scheme, probability};
use crate::stats::whole;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// ASes of a path at most.
pub const MOST: u8 = 7;
/// Bits of a place, and of the count.
const PLACE: u32 = 3;

/// FAST at work.
#[derive(Debug, Clone, Copy)]
pub struct Fast {
    params: Params,
}

/// What a scenario may set.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// ASes that a packet shows: 1 or 2.
    pub slots: u8,
    /// Share of ASes on no path that match by chance, from which a distance says nothing.
    pub saturated: f64,
    /// Different marks that the ledger holds; more are counted as lost.
    pub capacity: usize,
}

impl Default for Params {
    fn default() -> Self {
        Self { slots: 2, saturated: 0.5, capacity: 1 << 16 }
    }
}

/// The 25 bits; the scheme reads them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(pub u32);

impl Field for Mark {
    const BITS: u32 = 25;

    fn pack(self) -> u32 {
        self.0
    }

    fn unpack(bits: u32) -> Self {
        Self(bits & ((1 << Self::BITS) - 1))
    }
}

impl Mark {
    /// ASes that the packet passed; 0 where nobody knows.
    pub fn ases(self) -> u8 {
        (self.0 >> (Self::BITS - PLACE) & 7) as u8
    }
}

impl Fast {
    /// Bits of a hash.
    fn hash_bits(&self) -> u32 {
        if self.params.slots == 1 { 19 } else { 8 }
    }

    fn hash(&self, asn: u32) -> u32 {
        (mix2(0x4641_5354, asn.into()) >> 32) as u32 >> (32 - self.hash_bits())
    }

    /// Places and hashes of a mark's slots, empty ones too.
    pub fn slots(&self, mark: Mark) -> impl Iterator<Item = (u8, u32)> + use<> {
        let (bits, slots) = (self.hash_bits(), u32::from(self.params.slots));
        (0..slots).map(move |i| {
            let slot = mark.0 >> ((bits + PLACE) * (slots - 1 - i));
            ((slot >> bits & 7) as u8, slot & ((1 << bits) - 1))
        })
    }

    /// Which slot the `number`-th AS takes.
    fn taken(&self, number: u32, draw: u32) -> Option<u32> {
        let slots = u32::from(self.params.slots);
        if number <= slots {
            return Some(number - 1);
        }
        // The low bit is fair whatever the comparison, which looks at the high ones.
        let wins = u64::from(draw) * u64::from(number) < u64::from(slots) << 32;
        wins.then_some(draw & (slots - 1))
    }
}

impl Scheme for Fast {
    const CARD: Card = Card {
        id: "fast",
        title: "Fast autonomous system traceback",
        paper: "Paruchuri, Durresi, Barolli, AINA 2007 (mechanism from abstracts)",
        harms: "overwrites the IPv4 Identification and TOS, ECN with it: fragments are left unmarked, marked packets \
                get DF; believes senders where the first AS takes no part",
        ..ases::CARD
    };
    type Params = Params;
    type Local = u32;
    type Mark = Mark;
    type Ledger = Marks;

    fn new(params: &Params) -> Result<Self, BadParams> {
        if !(1..=2).contains(&params.slots) {
            let got = params.slots.to_string();
            return Err(BadParams { key: "slots", must: "must be 1 or 2", got });
        }
        probability("saturated", params.saturated)?;
        Ok(Self { params: *params })
    }

    fn local(&self, place: &Place) -> u32 {
        self.hash(place.asn)
    }

    fn twin(&self, hash: &u32) -> Vec<u64> {
        vec![(*hash).into(), self.params.slots.into(), self.hash_bits().into()]
    }

    #[inline]
    fn mark(&self, hash: &u32, hop: &Hop, _: &Invariant, mark: Mark) -> Marked<Mark> {
        if !ases::enters(hop) {
            return mark.into();
        }
        let (bits, slots) = (self.hash_bits(), u32::from(self.params.slots));
        let top = Mark::BITS - PLACE;
        let before = if hop.edge == 1 { 0 } else { mark.0 & ((1 << top) - 1) };
        let number = if hop.edge == 1 { 1 } else { u32::from(mark.ases()) + 1 };
        if hop.edge == 0 && (mark.ases() == 0 || number > MOST.into()) {
            return Mark(before).into();
        }
        let Some(slot) = self.taken(number, hop.draw) else {
            return Mark(number << top | before).into();
        };
        let at = (bits + PLACE) * (slots - 1 - slot);
        let kept = before & !(((1 << (bits + PLACE)) - 1) << at);
        Mark(number << top | kept | (number << bits | hash) << at).into()
    }

    fn observe(&self, _: &Hop, _: &Invariant, mark: Mark, _: &[u8], ledger: &mut Marks) {
        ledger.add(mark.0, self.params.capacity);
    }

    fn reconstruct(&self, case: &Case, evidence: &Evidence<Marks>) -> Result<Step, Gap> {
        let case = ases::case_of(case)?;
        let mut all = Marks::default();
        evidence.ledgers.values().for_each(|ledger| all.merge(ledger));
        let mut found = BTreeSet::new();
        // Packets say how long their path is, so paths of every length are put together by themselves.
        for length in 1..=MOST {
            let mut seen = Seen::new(1, self.hash_bits());
            let marks = all.iter().map(|(bits, _)| Mark::unpack(bits));
            for (place, hash) in marks.filter(|m| m.ases() == length).flat_map(|m| self.slots(m)) {
                if (1..=length).contains(&place) {
                    seen.add(length - place, 0, hash);
                }
            }
            let saturated = self.params.saturated;
            let walk = Walk { case: &case, seen: &seen, hashes: self, need: 1, saturated };
            let whole = |path: &Vec<RouterId>| path.len() == usize::from(length);
            found.extend(walk.paths()?.paths.into_iter().filter(whole));
        }
        if found.is_empty() {
            let longest = all.iter().map(|(bits, _)| Mark::unpack(bits).ases()).max().unwrap_or(0);
            let law = distinct_draws(longest.max(1).into(), self.params.slots.into());
            return Err(Gap::TooFew { have: all.packets(), want: whole(law.ceil()) });
        }
        Ok(Step::Done(ases::finding(found)))
    }
}

/// An AS is known by its own hash; what follows it adds nothing.
impl Hashes for Fast {
    fn alone(&self, system: RouterId) -> Values {
        only(self.hash(system.0))
    }

    fn under(&self, _: RouterId) -> Values {
        only(0)
    }
}

#[cfg(test)]
#[path = "fast_tests.rs"]
mod tests;
