//! Tabu marking: a router never overwrites a mark.
//!
//! Idea: marks of far routers are rare because nearer ones overwrite them. If a router marks only packets
//! that carry no mark yet, the farthest router is heard most. On one path the law is that of FMS in
//! reverse order; where many attackers share routers near the victim, the shared ones no longer push
//! the others out.
//!
//! Paper: Ma, "Tabu marking scheme to speedup IP traceback", Computer Networks 50(18), 2006 (ma2006).
//!
//! ```text
//!  15    13 12       8 7              0     Identification; IPv6: low 16 bits of the flow label
//! | offset | distance | fragment       |
//! ```
//! Distance 31 says "no mark".
//!
//! Departs: what is written and how it is decoded is FMS's ([`super::fragments`]); marks older than 30 hops
//! keep distance 30. Senders who put anything but distance 31 there are never marked at all: forged
//! marks hide a path completely, which the paper leaves to authentication.
//!
//! Cost: one comparison and at most four writes to one 16-bit field for each packet.

use crate::case::{Case, Evidence, Gap, Step};
use crate::counts::Counts;
use crate::graph::Finding;
use crate::invariant::Invariant;
use crate::scheme::{BadParams, Card, Chance, Hop, Marked, Place, Scheme, probability};
use crate::schemes::fragments::{self, Check, FAR, Mark, Name, decode};
use serde::{Deserialize, Serialize};

/// Tabu marking at work.
#[derive(Debug, Clone, Copy)]
pub struct Tabu {
    p: f64,
    /// A draw below this marks.
    threshold: u64,
}

/// What a scenario may set.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Marking probability.
    pub p: f64,
}

impl Default for Params {
    /// 1/25, as FMS.
    fn default() -> Self {
        Self { p: 0.04 }
    }
}

impl Scheme for Tabu {
    const CARD: Card = Card {
        id: "tabu",
        title: "Tabu marking: marks are never overwritten",
        paper: "Ma, Computer Networks 50(18), 2006",
        harms: "overwrites the IPv4 Identification: fragments are left unmarked, marked packets get DF; a sender who forges a mark is never marked",
        ..fragments::CARD
    };
    type Params = Params;
    type Local = Name;
    type Mark = Mark;
    type Ledger = Counts;

    fn new(params: &Params) -> Result<Self, BadParams> {
        Ok(Self { p: params.p, threshold: probability("p", params.p)? })
    }

    fn local(&self, place: &Place) -> Name {
        Check::Split.name(place.id)
    }

    fn twin(&self, name: &Name) -> Vec<u64> {
        vec![self.threshold, u64::from_be_bytes(*name)]
    }

    fn chance(&self, _: &Hop) -> Option<Chance> {
        Some(Chance { p: self.p, bits: 3 })
    }

    #[inline]
    fn mark(&self, name: &Name, hop: &Hop, _: &Invariant, mark: Mark) -> Marked<Mark> {
        if mark.distance == FAR && u64::from(hop.draw) < self.threshold {
            return Mark::written(name, hop.draw).into();
        }
        // A mark never becomes "no mark".
        mark.carried(name, FAR - 1).into()
    }

    fn observe(&self, _: &Hop, _: &Invariant, mark: Mark, _: &[u8], ledger: &mut Counts) {
        mark.count(ledger);
    }

    fn reconstruct(&self, case: &Case, evidence: &Evidence<Counts>) -> Result<Step, Gap> {
        let graph = decode::paths(Check::Split, case, evidence, self.p)?;
        Ok(Step::Done(Finding::Paths(graph)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheme::RouterId;

    fn step(scheme: &Tabu, ttl: u8, draw: u32, before: Mark) -> Mark {
        let hop = Hop { ttl, draw, ..Hop::default() };
        let inv = Invariant::NONE;
        scheme.mark(&Check::Split.name(RouterId(7)), &hop, &inv, before).mark
    }

    #[test]
    fn only_unmarked_packets_are_marked() {
        let tabu = Tabu::new(&Params::default()).unwrap();
        let mark = |distance| Mark { offset: 3, distance, fragment: 9 };
        assert_eq!(step(&tabu, 64, 0, mark(FAR)).distance, 0);
        assert_eq!(step(&tabu, 64, u32::MAX, mark(FAR)), mark(FAR));
        for distance in 0..FAR {
            assert_eq!(step(&tabu, 64, 0, mark(distance)).distance, 30.min(distance + 1));
        }
    }

    #[test]
    fn p_must_be_a_probability() {
        assert_eq!(Tabu::new(&Params { p: 2.0 }).unwrap_err().key, "p");
    }
}
