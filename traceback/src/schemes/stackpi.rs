//! StackPi: path identification by a stack of bits.
//!
//! Idea: as in Pi every router adds one or two bits of a hash of the link, but it pushes them: the mark
//! moves left, and the bits of the routers nearest the victim remain. So the initial TTL plays no
//! part. A router whose next router takes no part also pushes the bits which that one would push, so
//! that a gap of one router leaves no trace in the mark.
//!
//! Paper: Yaar, Perrig, Song, "StackPi: New Packet Marking and Filtering Mechanisms for DDoS and IP
//! Spoofing Defense", IEEE JSAC 24(10), 2006 (yaar2006).
//!
//! ```text
//!  15      13                 1      0      Identification; IPv6: low 16 bits of the flow label
//! | 8th router | ... | 2nd | nearest |      n = 2: eight routers of two bits;  n = 1: sixteen of one
//! ```
//! Departs: hash and first router as in [`super::pi`], with which it shares the victim. Which routers take
//! no part is told to their neighbours; the paper's routers find out by asking.
//!
//! Cost: one hash of two words and one write of 16 bits for each packet.

use super::pi::{self, Mark, Pi, classes, link_bits};
use crate::case::{Case, Evidence, Gap, Step};
use crate::counts::Counts;
use crate::invariant::Invariant;
use crate::scheme::{BadParams, Card, Hop, Marked, Place, RouterId, Scheme};
use serde::{Deserialize, Serialize};

/// StackPi at work.
#[derive(Debug, Clone, Copy)]
pub struct StackPi {
    params: Params,
}

/// What a scenario may set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Bits that a router pushes: 1 or 2.
    pub n: u8,
    /// Whether routers write ahead for next routers that take no part.
    pub ahead: bool,
}

impl Default for Params {
    /// As in Pi. Source: yaar2006 section 4, with write-ahead.
    fn default() -> Self {
        Self { n: pi::Params::default().n, ahead: true }
    }
}

impl StackPi {
    fn push(&self, mark: Mark, from: RouterId, to: RouterId) -> Mark {
        let mask = pi::Params { n: self.params.n }.mask();
        Mark(mark.0 << self.params.n | link_bits(from, to) & mask)
    }
}

impl Scheme for StackPi {
    const CARD: Card = Card {
        id: "stackpi",
        title: "Path identification by a stack",
        paper: "Yaar, Perrig, Song, IEEE JSAC 24(10), 2006",
        harms: "overwrites the IPv4 Identification: fragments are left unmarked, marked packets get DF; \
                on short paths the sender's own bits remain",
        ..Pi::CARD
    };
    type Params = Params;
    type Local = RouterId;
    type Mark = Mark;
    type Ledger = Counts;

    fn new(params: &Params) -> Result<Self, BadParams> {
        pi::Params { n: params.n }.checked()?;
        Ok(Self { params: *params })
    }

    fn local(&self, place: &Place) -> RouterId {
        place.id
    }

    fn twin(&self, me: &RouterId) -> Vec<u64> {
        vec![me.0.into(), self.params.n.into(), self.params.ahead.into()]
    }

    #[inline]
    fn mark(&self, me: &RouterId, hop: &Hop, _: &Invariant, before: Mark) -> Marked<Mark> {
        let mark = self.push(before, hop.from, *me);
        if self.params.ahead && hop.legacy == 1 {
            return self.push(mark, *me, hop.to).into();
        }
        mark.into()
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

    /// The mark of a packet that passes routers, some of which take no part.
    fn send(stack: &StackPi, path: &[(u32, bool)]) -> u16 {
        let hops = path.iter().zip(path.iter().skip(1).map(Some).chain([None])).enumerate();
        let mark = hops.fold(Mark(0), |mark, (i, ((me, deployed), next))| {
            let from = i.checked_sub(1).map_or(0, |i| path[i].0);
            let hop = Hop {
                from: RouterId(from),
                to: RouterId(next.map_or(0, |n| n.0)),
                legacy: next.is_some_and(|n| !n.1).into(),
                ..Hop::default()
            };
            if !deployed {
                return mark;
            }
            stack.mark(&RouterId(*me), &hop, &Invariant::NONE, mark).mark
        });
        mark.0
    }

    #[test]
    fn gaps_of_one_router_leave_no_trace() {
        let [ahead, plain] =
            [true, false].map(|ahead| StackPi::new(&Params { n: 2, ahead }).unwrap());
        let path =
            |legacy: &[u32]| (100..120).map(|me| (me, !legacy.contains(&me))).collect::<Vec<_>>();
        let whole = send(&ahead, &path(&[]));
        for legacy in [vec![114], vec![119], vec![104, 113, 118]] {
            assert_eq!(send(&ahead, &path(&legacy)), whole, "{legacy:?}");
            assert_ne!(send(&plain, &path(&legacy)), whole, "{legacy:?}");
        }
        // Nobody writes for the second of two, which are near enough to matter.
        assert_ne!(send(&ahead, &path(&[116, 117])), whole);
    }

    #[test]
    fn the_nearest_routers_remain_whatever_the_ttl() {
        let inv = Invariant::NONE;
        for n in [1_u8, 2] {
            let stack = StackPi::new(&Params { n, ahead: true }).unwrap();
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
