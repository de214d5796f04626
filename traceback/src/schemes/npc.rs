//! NPC: non-preemptive marking with compensation.
//!
//! Idea: a router marks only packets that carry no mark yet, and makes up for those that it had to let pass
//! by marking more of the others, so that every router's marks arrive with the same probability `p`.
//! Needs `d p <= 1` on paths of `d` routers.
//!
//! Paper: Tseng, Chen, Hsieh, "Modified PPM for DDoS attacks", IEEE Communications Letters 8(7), 2004
//! (tseng2004).
//!
//! ```text
//!  15    13 12       8 7              0     Identification; IPv6: low 16 bits of the flow label
//! | offset | distance | fragment       |
//! ```
//! Distance 31 says "no mark".
//!
//! Departs: the paper's router counts what it owes. Ours computes it: at the `j`-th router a share
//! `1 - (j-1) p` of packets is unmarked, so it marks these with probability `p / (1 - (j-1) p)`, `j` being
//! taken from the TTL; no state, and the same mean. What is written and how it is decoded is FMS's
//! ([`super::fragments`]); marks older than 30 hops keep distance 30.
//!
//! Cost: one product and at most four writes to one 16-bit field for each packet.

use crate::case::{Case, Evidence, Gap, Step};
use crate::counts::Counts;
use crate::graph::Finding;
use crate::invariant::Invariant;
use crate::scheme::{BadParams, Card, Chance, Hop, Marked, Place, Scheme, probability};
use crate::schemes::fragments::{self, Check, FAR, Mark, Name, decode};
use serde::{Deserialize, Serialize};

/// NPC at work.
#[derive(Debug, Clone, Copy)]
pub struct Npc {
    p: f64,
    /// `p` of 2^32.
    share: u64,
}

/// What a scenario may set.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Probability with which every router's mark arrives; at most one half.
    pub p: f64,
}

impl Default for Params {
    /// 1/30: enough for all paths whose distances can be told.
    fn default() -> Self {
        Self { p: 1.0 / 30.0 }
    }
}

impl Npc {
    /// Of 2^32 packets, those that no router before this one has marked. None are left on paths that are
    /// too long, and nothing is marked there.
    fn unmarked(&self, hop: &Hop) -> u64 {
        let passed = u64::from(hop.number()) - 1;
        (1_u64 << 32).saturating_sub(passed * self.share)
    }
}

impl Scheme for Npc {
    const CARD: Card = Card {
        id: "npc",
        title: "Non-preemptive marking with compensation",
        paper: "Tseng, Chen, Hsieh, IEEE Communications Letters 8(7), 2004",
        harms: "overwrites the IPv4 Identification: fragments are left unmarked, marked packets get DF; believes the TTL; a sender who forges a mark is never marked",
        ..fragments::CARD
    };
    type Params = Params;
    type Local = Name;
    type Mark = Mark;
    type Ledger = Counts;

    fn new(params: &Params) -> Result<Self, BadParams> {
        if params.p > 0.5 {
            let got = params.p.to_string();
            return Err(BadParams { key: "p", must: "must lie above 0 and at most at 0.5", got });
        }
        Ok(Self { p: params.p, share: probability("p", params.p)? })
    }

    fn local(&self, place: &Place) -> Name {
        Check::Split.name(place.id)
    }

    fn twin(&self, name: &Name) -> Vec<u64> {
        vec![self.share, u64::from_be_bytes(*name)]
    }

    fn chance(&self, hop: &Hop) -> Option<Chance> {
        let unmarked = self.unmarked(hop);
        let p = if unmarked == 0 { 0.0 } else { self.share as f64 / unmarked as f64 };
        (p <= 1.0).then_some(Chance { p, bits: 3 })
    }

    #[inline]
    fn mark(&self, name: &Name, hop: &Hop, _: &Invariant, mark: Mark) -> Marked<Mark> {
        let unmarked = self.unmarked(hop);
        let chosen = unmarked > 0 && (u64::from(hop.draw) * unmarked) >> 32 < self.share;
        if mark.distance == FAR && chosen {
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

    fn step(scheme: &Npc, ttl: u8, draw: u32, before: Mark) -> Mark {
        let hop = Hop { ttl, draw, ..Hop::default() };
        let inv = Invariant::NONE;
        scheme.mark(&Check::Split.name(RouterId(7)), &hop, &inv, before).mark
    }

    #[test]
    fn the_share_of_unmarked_packets_is_compensated() {
        let npc = Npc::new(&Params { p: 0.25 }).unwrap();
        let unmarked = Mark { offset: 0, distance: FAR, fragment: 0 };
        // 1/4, 1/3, 1/2, all, none.
        for (ttl, share) in [(64, 0.25), (63, 1.0 / 3.0), (62, 0.5), (61, 1.0), (60, 0.0)] {
            let draws = (0..12_000_u32).map(|n| n * (u32::MAX / 12_000));
            let marked = draws.filter(|d| step(&npc, ttl, *d, unmarked).distance == 0).count();
            assert!((marked as f64 - 12_000.0 * share).abs() <= 2.0, "{ttl}: {marked}");
        }
    }

    #[test]
    fn a_mark_is_never_overwritten() {
        let npc = Npc::new(&Params::default()).unwrap();
        let forged = Mark { offset: 3, distance: 0, fragment: 9 };
        assert_eq!(step(&npc, 64, 0, forged).distance, 1);
        assert_eq!(Npc::new(&Params { p: 0.6 }).unwrap_err().key, "p");
        assert_eq!(Npc::new(&Params { p: f64::NAN }).unwrap_err().key, "p");
    }
}
