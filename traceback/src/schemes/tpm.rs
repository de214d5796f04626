//! TPM: TTL-based packet marking.
//!
//! Idea: as in [`super::dppm`] a router marks with a probability that falls with the distance its packet has
//! come, so all routers are heard alike and few packets arrive as their sender made them. Besides, routers
//! and victim compare mark and TTL: no mark can have been carried farther than its packet. A router
//! replaces a mark that claims so; the victim ignores it.
//!
//! Paper: Paruchuri, Durresi, Chellappan, "TTL Based Packet Marking for IP Traceback", GLOBECOM 2008
//! (paruchuri2008).
//!
//! ```text
//!  15    13 12       8 7              0     Identification; IPv6: low 16 bits of the flow label
//! | offset | distance | fragment       |
//! ```
//! Departs: the paper's field is not at hand; what is written and how it is decoded is FMS's
//! ([`super::fragments`]). Initial TTLs are taken to be 64, 128 and 255.
//!
//! Cost: one product, one comparison and at most four writes to one 16-bit field for each packet.

use crate::case::{Case, Evidence, Gap, Step};
use crate::counts::Counts;
use crate::graph::Finding;
use crate::invariant::Invariant;
use crate::scheme::{BadParams, Card, Chance, Hop, Marked, Place, Scheme, hops_before};
use crate::schemes::dppm::one_in;
use crate::schemes::fragments::{self, Check, FAR, Mark, Name, decode};
use serde::{Deserialize, Serialize};

/// TPM at work.
#[derive(Debug, Clone, Copy)]
pub struct Tpm;

/// What a scenario may set: nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {}

impl Scheme for Tpm {
    const CARD: Card = Card {
        id: "tpm",
        title: "TTL-based marking, with its consistency check",
        paper: "Paruchuri, Durresi, Chellappan, GLOBECOM 2008",
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
        if one_in(hop.number(), hop.draw) || !can_be(mark, hops_before(hop.ttl)) {
            return Mark::written(name, hop.draw).into();
        }
        mark.carried(name, FAR).into()
    }

    fn observe(&self, hop: &Hop, _: &Invariant, mark: Mark, _: &[u8], ledger: &mut Counts) {
        if can_be(mark, hops_before(hop.ttl)) {
            mark.count(ledger);
        }
    }

    fn reconstruct(&self, case: &Case, evidence: &Evidence<Counts>) -> Result<Step, Gap> {
        // The gateway's marks are as rare as those of any router: one in d, at most this.
        let graph = decode::paths(Check::Split, case, evidence, 1.0 / f64::from(FAR))?;
        Ok(Step::Done(Finding::Paths(graph)))
    }
}

/// Whether one of `hops` routers can have written the mark: the first of them did so `hops - 1` ago.
fn can_be(mark: Mark, hops: u8) -> bool {
    mark.distance < hops
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheme::RouterId;

    fn step(scheme: &Tpm, ttl: u8, draw: u32, before: Mark) -> Mark {
        let hop = Hop { ttl, draw, ..Hop::default() };
        let inv = Invariant::NONE;
        scheme.mark(&Check::Split.name(RouterId(7)), &hop, &inv, before).mark
    }

    #[test]
    fn a_mark_older_than_its_packet_is_replaced() {
        let forged = |distance| Mark { offset: 3, distance, fragment: 9 };
        // Four routers were passed: the first one's mark has distance 3 by now.
        assert_eq!(step(&Tpm, 60, u32::MAX, forged(3)).distance, 4);
        assert_eq!(step(&Tpm, 60, u32::MAX, forged(4)).distance, 0);
        // With an honest TTL nothing that the sender wrote passes the first router.
        assert!(
            (0..=0xffff)
                .all(|bits| step(&Tpm, 64, u32::MAX, crate::scheme::Field::unpack(bits)).distance
                    == 0)
        );
    }

    #[test]
    fn the_victim_ignores_what_cannot_be() {
        let mut ledger = Counts::default();
        let inv = Invariant::NONE;
        let hop = Hop { ttl: 60, ..Hop::default() };
        for distance in [3, 4] {
            Tpm.observe(&hop, &inv, Mark { offset: 0, distance, fragment: 0 }, &[], &mut ledger);
        }
        assert_eq!(ledger.packets(), 1);
    }
}
