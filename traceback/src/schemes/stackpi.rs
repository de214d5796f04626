//! StackPi: path identification by a stack of bits.
//!
//! Idea: as in Pi every router adds one or two bits of a hash of the link, but it pushes them: the mark
//! moves left, and the bits of the routers nearest the victim remain. So the initial TTL plays no
//! part.
//!
//! Paper: Yaar, Perrig, Song, "StackPi: New Packet Marking and Filtering Mechanisms for DDoS and IP
//! Spoofing Defense", IEEE JSAC 24(10), 2006 (yaar2006).
//!
//! ```text
//!  15      13                 1      0      Identification; IPv6: low 16 bits of the flow label
//! | 8th router | ... | 2nd | nearest |      n = 2: eight routers of two bits;  n = 1: sixteen of one
//! ```
//! Departs: hash and first router as in [`super::pi`], with which it shares parameters and victim.
//!
//! Cost: one hash of two words and one write of 16 bits for each packet.

use super::pi::{Mark, Params, classes, link_bits};
use crate::case::{Case, Evidence, Gap, Step};
use crate::counts::Counts;
use crate::invariant::Invariant;
use crate::scheme::{BadParams, Card, Hop, Keeper, Marked, Names, Place, RouterId, Scheme};
use crate::slot::Slot;

/// StackPi at work.
#[derive(Debug, Clone, Copy)]
pub struct StackPi {
    params: Params,
}

impl Scheme for StackPi {
    const CARD: Card = Card {
        id: "stackpi",
        title: "Path identification by a stack",
        paper: "Yaar, Perrig, Song, IEEE JSAC 24(10), 2006",
        v4: Slot::Id,
        v6: Slot::FlowLabel,
        records: false,
        keeper: Keeper::Victim,
        names: Names::Classes,
        needs_map: false,
        groups_by_flow: false,
        draws: false,
        hashes: false,
        harms: "overwrites the IPv4 Identification: fragments are left unmarked, marked packets get DF; \
                on short paths the sender's own bits remain",
        state: "none",
    };
    type Params = Params;
    type Local = RouterId;
    type Mark = Mark;
    type Ledger = Counts;

    fn new(params: &Params) -> Result<Self, BadParams> {
        Ok(Self { params: params.checked()? })
    }

    fn local(&self, place: &Place) -> RouterId {
        place.id
    }

    fn twin(&self, me: &RouterId) -> Vec<u64> {
        vec![me.0.into(), self.params.n.into()]
    }

    fn mark(&self, me: &RouterId, hop: &Hop, _: &Invariant, before: Mark) -> Marked<Mark> {
        Mark(before.0 << self.params.n | link_bits(hop.from, *me) & self.params.mask()).into()
    }

    fn observe(&self, _: &Hop, _: &Invariant, mark: Mark, _: &[u8], ledger: &mut Counts) {
        ledger.add(mark.0);
    }

    fn reconstruct(&self, _: &Case, evidence: &Evidence<Counts>) -> Result<Step, Gap> {
        classes(evidence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_routers_remain_whatever_the_ttl() {
        let inv = Invariant { digest: 0, flow: 0 };
        for n in [1_u8, 2] {
            let stack = StackPi::new(&Params { n }).unwrap();
            let send = |start: u16, ttl: u8| {
                (100..120_u32).fold(Mark(start), |mark, me| {
                    let hop = Hop { from: RouterId(me - 1), ttl, ..Hop::default() };
                    stack.mark(&RouterId(me), &hop, &inv, mark).mark
                })
            };
            assert_eq!(send(0, 64), send(0xffff, 255));
            let nearest = link_bits(RouterId(118), RouterId(119)) & ((1 << n) - 1);
            assert_eq!(send(0, 1).0 & ((1 << n) - 1), nearest);
        }
    }
}
