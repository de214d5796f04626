//! Pi: path identification, a fingerprint that grows on the way.
//!
//! Idea: every router writes one or two bits of a hash of the link it got the packet by, at a place in
//! the field that the TTL chooses. All packets of one path arrive with one mark, whatever their
//! senders claim, so a victim that has seen one attack packet can drop the rest by a look-up. No
//! router is named: a mark is good for filtering, not for finding anybody.
//!
//! Paper: Yaar, Perrig, Song, "Pi: A Path Identification Mechanism to Defend against DDoS Attacks",
//! IEEE Symposium on Security and Privacy 2003 (yaar2003).
//!
//! ```text
//!  15       13       11                      Identification; IPv6: low 16 bits of the flow label
//! | ttl % 8 = 7 | = 6 | ...     | = 0 |      n = 2: eight places of two bits;  n = 1: sixteen of one
//! ```
//! Departs: the hash is [`mix2`] of two identities instead of MD5 of two addresses; a router that gets
//! packets from hosts takes 0 for the address before. On paths with fewer routers than places, bits
//! that the sender chose remain, as in the paper.
//!
//! Cost: one hash of two words and one write of 16 bits for each packet.

use crate::case::{Case, Evidence, Gap, Step};
use crate::counts::Counts;
use crate::graph::Finding;
use crate::invariant::{Invariant, mix2};
use crate::scheme::{BadParams, Card, Field, Hop, Keeper, Marked, Names, Place, RouterId, Scheme};
use crate::slot::Slot;
use serde::{Deserialize, Serialize};

/// Pi at work.
#[derive(Debug, Clone, Copy)]
pub struct Pi {
    params: Params,
}

/// What a scenario may set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Bits that a router writes: 1 or 2.
    pub n: u8,
}

impl Default for Params {
    /// Two bits, so that eight routers fit. Source: yaar2003 section 4.
    fn default() -> Self {
        Self { n: 2 }
    }
}

impl Params {
    /// Checks the number of bits.
    ///
    /// # Errors
    /// [`BadParams`] where it is neither 1 nor 2.
    pub fn checked(self) -> Result<Self, BadParams> {
        if matches!(self.n, 1 | 2) {
            Ok(self)
        } else {
            Err(BadParams { key: "n", must: "must be 1 or 2", got: self.n.to_string() })
        }
    }

    /// The value that a router's bits can take at most.
    pub(super) fn mask(self) -> u16 {
        (1 << self.n) - 1
    }
}

/// The 16 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(pub u16);

impl Field for Mark {
    const BITS: u32 = 16;

    fn pack(self) -> u32 {
        self.0.into()
    }

    fn unpack(bits: u32) -> Self {
        Self((bits & 0xffff) as u16)
    }
}

/// What a router writes about the link from `from` to `to`; callers keep the low bits.
pub(super) fn link_bits(from: RouterId, to: RouterId) -> u16 {
    (mix2(from.0.into(), to.0.into()) & 0xffff) as u16
}

impl Scheme for Pi {
    const CARD: Card = Card {
        id: "pi",
        title: "Path identification",
        paper: "Yaar, Perrig, Song, IEEE S&P 2003",
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
                believes the TTL, so a sender has as many marks as it tries initial values; on short \
                paths the sender's own bits remain",
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

    #[inline]
    fn mark(&self, me: &RouterId, hop: &Hop, _: &Invariant, before: Mark) -> Marked<Mark> {
        let Params { n } = self.params;
        let at = hop.ttl % (16 / n) * n;
        let mask = self.params.mask() << at;
        Mark(before.0 & !mask | link_bits(hop.from, *me) << at & mask).into()
    }

    fn observe(&self, _: &Hop, _: &Invariant, mark: Mark, _: &[u8], ledger: &mut Counts) {
        ledger.add(mark.0);
    }

    fn reconstruct(&self, _: &Case, evidence: &Evidence<Counts>) -> Result<Step, Gap> {
        classes(evidence)
    }
}

/// The victim's work: every mark of a packet complained about is a class.
pub(super) fn classes(evidence: &Evidence<Counts>) -> Result<Step, Gap> {
    let mut packets = std::collections::BTreeMap::<u32, u64>::new();
    for (mark, count) in evidence.ledgers.values().flat_map(Counts::iter) {
        *packets.entry(mark.into()).or_default() += u64::from(count);
    }
    if packets.is_empty() {
        return Err(Gap::Nothing { what: "a packet with a mark".into() });
    }
    Ok(Step::Done(Finding::Classes { packets }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mark of one packet that passes these routers.
    fn send(n: u8, path: &[u32], ttl: u8, start: u16) -> u16 {
        let pi = Pi::new(&Params { n }).unwrap();
        let inv = Invariant::NONE;
        let mut from = RouterId(0);
        let steps = path.iter().zip((0..=ttl).rev());
        let mark = steps.fold(Mark(start), |mark, (me, ttl)| {
            let hop = Hop { from, ttl, ..Hop::default() };
            from = RouterId(*me);
            pi.mark(&RouterId(*me), &hop, &inv, mark).mark
        });
        mark.0
    }

    #[test]
    fn one_path_has_one_mark_up_to_rotation_by_the_ttl() {
        let path: Vec<u32> = (100..120).collect();
        for n in [1, 2] {
            let mark = send(n, &path, 64, 0);
            assert_eq!(send(n, &path, 64, 0xffff), mark);
            for more in 0..64_u8 {
                let turned = mark.rotate_left(u32::from(more % (16 / n) * n));
                assert_eq!(send(n, &path, 64 + more, 0xbad), turned);
            }
        }
    }

    #[test]
    fn other_paths_have_other_marks_and_short_ones_keep_the_senders_bits() {
        let path: Vec<u32> = (100..120).collect();
        let other: Vec<u32> = (200..220).collect();
        assert_ne!(send(2, &path, 64, 0), send(2, &other, 64, 0));
        assert_ne!(send(2, &path[..3], 64, 0), send(2, &path[..3], 64, 0xffff));
    }

    #[test]
    fn only_one_or_two_bits() {
        assert!([0, 3, 4, 16].iter().all(|n| Pi::new(&Params { n: *n }).is_err()));
    }
}
