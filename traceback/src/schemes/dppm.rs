//! DPPM: dynamic probabilistic packet marking, 1/j at the j-th router.
//!
//! Idea: with one fixed probability, marks of far routers are rare and many packets arrive unmarked, with
//! whatever their sender chose. If the `j`-th router from the sender marks with probability `1/j`, every
//! router's mark survives with the same probability `1/d`, and none is left to the sender.
//!
//! Paper: Liu, Lee, Chung, "Dynamic Probabilistic Packet Marking for Efficient IP Traceback", ICPADS 2003
//! (liu2003), which takes `j` from the TTL; the rule is that of Peng, Leckie, Ramamohanarao, "Adjusted
//! Probabilistic Packet Marking for IP Traceback", Networking 2002.
//!
//! ```text
//!  15    13 12       8 7              0     Identification; IPv6: low 16 bits of the flow label
//! | offset | distance | fragment       |
//! ```
//! Departs: what is written and how it is decoded is FMS's ([`super::fragments`]). Initial TTLs are 64, 128
//! and 255; 32 is left out, which systems no longer use and which would be taken for 64 from afar.
//!
//! Cost: one product and at most four writes to one 16-bit field for each packet.

use crate::case::{Case, Evidence, Gap, Step};
use crate::counts::Counts;
use crate::graph::Finding;
use crate::invariant::Invariant;
use crate::scheme::{BadParams, Card, Chance, Hop, Marked, Place, Scheme};
use crate::schemes::fragments::{self, Check, FAR, Mark, Name, decode};
use serde::{Deserialize, Serialize};

/// DPPM at work.
#[derive(Debug, Clone, Copy)]
pub struct Dppm;

/// What a scenario may set: nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {}

impl Scheme for Dppm {
    const CARD: Card = Card {
        id: "dppm",
        title: "Dynamic marking, 1/j at the j-th router",
        paper: "Liu, Lee, Chung, ICPADS 2003; Peng, Leckie, Ramamohanarao, Networking 2002",
        harms: "overwrites the IPv4 Identification: fragments are left unmarked, marked packets get DF; believes the TTL: a sender who starts it lower is marked less",
        ..fragments::CARD
    };
    type Params = Params;
    type Local = Name;
    type Mark = Mark;
    type Ledger = Counts;

    fn new(_: &Params) -> Result<Self, BadParams> {
        Ok(Self)
    }

    fn local(&self, place: &Place) -> Name {
        Check::Split.name(place.id)
    }

    fn twin(&self, name: &Name) -> Vec<u64> {
        vec![u64::from_be_bytes(*name)]
    }

    fn chance(&self, hop: &Hop) -> Option<Chance> {
        Some(Chance { p: f64::from(hop.number()).recip(), bits: 3 })
    }

    #[inline]
    fn mark(&self, name: &Name, hop: &Hop, _: &Invariant, mark: Mark) -> Marked<Mark> {
        if one_in(hop.number(), hop.draw) {
            return Mark::written(name, hop.draw).into();
        }
        mark.carried(name, FAR).into()
    }

    fn observe(&self, _: &Hop, _: &Invariant, mark: Mark, _: &[u8], ledger: &mut Counts) {
        mark.count(ledger);
    }

    fn reconstruct(&self, case: &Case, evidence: &Evidence<Counts>) -> Result<Step, Gap> {
        // The gateway's marks are as rare as those of any router: one in d, at most this.
        let graph = decode::paths(Check::Split, case, evidence, 1.0 / f64::from(FAR))?;
        Ok(Step::Done(Finding::Paths(graph)))
    }
}

/// Whether a draw falls into one of `number` equal parts: reservoir sampling.
pub fn one_in(number: u8, draw: u32) -> bool {
    u64::from(draw) * u64::from(number) < 1 << 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheme::RouterId;

    fn step(scheme: &Dppm, ttl: u8, draw: u32, before: Mark) -> Mark {
        let hop = Hop { ttl, draw, ..Hop::default() };
        let inv = Invariant::NONE;
        scheme.mark(&Check::Split.name(RouterId(7)), &hop, &inv, before).mark
    }

    #[test]
    fn the_first_router_always_marks_and_the_second_half_the_time() {
        let forged = Mark { offset: 3, distance: 0, fragment: 9 };
        assert_eq!(step(&Dppm, 64, u32::MAX, forged).distance, 0);
        assert_eq!(step(&Dppm, 63, (1 << 31) - 1, forged).distance, 0);
        assert_eq!(step(&Dppm, 63, 1 << 31, forged).distance, 1);
        // Initial TTLs of 128 and 255 count from there.
        assert_eq!(step(&Dppm, 128, u32::MAX, forged).distance, 0);
        assert_eq!(step(&Dppm, 255, u32::MAX, forged).distance, 0);
    }

    #[test]
    fn a_sender_who_starts_lower_is_marked_less() {
        // TTL 67 looks like 128 after 61 hops: the first router marks one packet in 62.
        let marked = (0..62_000_u32).filter(|n| {
            step(&Dppm, 67, n * (u32::MAX / 62_000), Mark::written(&[0; 8], 0)).distance == 0
        });
        assert!((999..=1001).contains(&marked.count()));
    }
}
