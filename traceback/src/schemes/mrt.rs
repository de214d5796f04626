//! MRT: the path as a number to the base of each router's links, put away where it is full.
//!
//! Idea: as in RIHT a mark is a number whose digits are the links that the packet came by. Where it
//! is full, the router logs it under the packet's digest and starts again. No index comes back, so
//! a log grows with packets, not with paths; in return a digit costs nothing beyond itself.
//!
//! Paper: Malliga, Tamilarasi, "A proposal for new marking scheme with its performance evaluation for IP
//! traceback", WSEAS 2008 (malliga2008); the log as in Choi, Dai, ISPAN 2004 (choi2004).
//!
//! ```text
//!  31                       0     Identification, flags and fragment offset; IPv6: reserved room
//! | mark * degree + link     |     begins with 2 where the packet entered, with 3 where a mark was logged
//! ```
//! Departs: the papers leave open how a trace knows where a number begins; ours begin with a digit of
//! their own, 2 or 3, which also says whether to ask the router. So four links fill the field after
//! 15 routers, not 16. Routers with one link count as having two. 0 says that some log was full. A
//! log entry is 31 bits of the digest and the mark; where two packets share those bits, nobody is named.
//!
//! Cost: one product for each packet; one log entry of 12 bytes for each packet after a dozen routers.

use super::digits::{Back, Digits, Mark};
use super::riht::Riht;
use crate::case::{Case, Evidence, Gap, Step};
use crate::handed::Handed;
use crate::invariant::{Invariant, mix2};
use crate::scheme::{BadParams, Card, Hop, Marked, Place, Scheme};
use crate::slot::Slot;
use crate::table::{MOST_ENTRIES, Table};
use serde::{Deserialize, Serialize};

/// The mark of a packet that met a full log.
const LOST: u32 = 0;
/// A number's first digits.
const ENTERED: u32 = 2;
const LOGGED: u32 = 3;

/// MRT at work.
#[derive(Debug, Clone, Copy)]
pub struct Mrt;

/// Neither MRT nor Huffman marking has parameters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// How a link becomes a digit, and back.
pub(super) trait Code {
    /// Appends a link; `None` where the number does not fit 32 bits.
    fn push(number: u32, degree: u16, link: u16) -> Option<u32>;
    /// The last link and the number before it.
    fn pop(number: u32, degree: u16) -> (u16, u32);
}

impl Code for Mrt {
    fn push(number: u32, degree: u16, link: u16) -> Option<u32> {
        number.checked_mul(degree.max(2).into())?.checked_add(link.into())
    }

    fn pop(number: u32, degree: u16) -> (u16, u32) {
        let base = u32::from(degree.max(2));
        (u16::try_from(number % base).unwrap_or(u16::MAX), number / base)
    }
}

/// The router's step, for any code.
pub(super) fn append<C: Code>(hop: &Hop, inv: &Invariant, before: Mark) -> Marked<Mark> {
    // Whatever the sender chose is wiped.
    if hop.edge == 1 {
        return Mark(ENTERED).into();
    }
    if before.0 < ENTERED {
        return Mark(LOST).into();
    }
    if let Some(new) = C::push(before.0, hop.degree, hop.link) {
        return Mark(new).into();
    }
    let again = C::push(LOGGED, hop.degree, hop.link).filter(|_| hop.cell > 0);
    // The first time round nothing was logged yet; the second time, the log is full.
    let need = again.is_none().then_some(tag(inv.digest) | u64::from(before.0));
    Marked { need, ..Mark(again.unwrap_or(LOST)).into() }
}

/// Undoes it.
pub(super) fn remove<C: Code>(degree: u16, mark: u32, digest: u64) -> Back {
    match mark {
        ENTERED => Back::Source,
        0 | 1 | LOGGED => Back::Lost,
        _ => match C::pop(mark, degree) {
            (_, 0 | 1) => Back::Lost,
            (link, LOGGED) => Back::Ask(tag(digest), link),
            (link, before) => Back::By(link, before),
        },
    }
}

/// What a packet's marks are logged under: the upper half of a key, never 0.
fn tag(digest: u64) -> u64 {
    (mix2(digest, 0x4d52_5421) | 1 << 32) >> 32 << 32
}

impl Scheme for Mrt {
    const CARD: Card = Card {
        id: "mrt",
        title: "Path as a number to the base of links, logged when full",
        paper: "Malliga, Tamilarasi, WSEAS 2008; Choi, Dai, ISPAN 2004",
        hashes: true,
        state: "12 bytes for each packet that fills its mark here",
        ..Riht::CARD
    };
    type Params = Params;
    type Local = ();
    type Mark = Mark;
    type Ledger = Table;

    fn new(_: &Params) -> Result<Self, BadParams> {
        Ok(Self)
    }

    fn local(&self, _: &Place) {}

    fn twin(&self, (): &()) -> Vec<u64> {
        vec![0]
    }

    fn entries(&self) -> Option<u32> {
        Some(MOST_ENTRIES)
    }

    #[inline]
    fn mark(&self, (): &(), hop: &Hop, inv: &Invariant, before: Mark) -> Marked<Mark> {
        append::<Self>(hop, inv, before)
    }

    fn observe(&self, _: &Hop, _: &Invariant, _: Mark, _: &[u8], _: &mut Table) {}

    fn reconstruct(&self, case: &Case, evidence: &Evidence<Table>) -> Result<Step, Gap> {
        self.trace(case, evidence)
    }

    fn handed(&self, case: &Case, evidence: &Evidence<Table>) -> Vec<Handed> {
        self.over(case, evidence)
    }
}

impl Digits for Mrt {
    const SLOTS: [Slot; 2] = [Self::CARD.v4, Self::CARD.v6];

    fn back(&self, degree: u16, mark: u32, digest: u64) -> Back {
        remove::<Self>(degree, mark, digest)
    }

    fn told(&self, value: u64, link: u16) -> (u16, u32) {
        (link, (value & 0xffff_ffff) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Routers behind the first whose digits fit without a log, all with the same links.
    fn fit<C: Code>(degree: u16, link: u16) -> usize {
        let next = |number: &u32| C::push(*number, degree, link);
        std::iter::successors(Some(ENTERED), next).count() - 1
    }

    #[test]
    fn hops_before_the_field_is_full() {
        // floor(32 / log2 D), less the first digit where the field is filled to the last bit.
        let guaranteed = [(4, 15), (10, 9), (32, 6)];
        for (degree, hops) in guaranteed {
            assert_eq!(fit::<Mrt>(degree, degree - 1), hops);
        }
    }

    #[test]
    fn pop_undoes_push() {
        for degree in 1..200 {
            for link in 0..degree {
                for number in [2, 3, 4, 77, 1 << 20] {
                    let pushed = Mrt::push(number, degree, link).unwrap();
                    assert_eq!(Mrt::pop(pushed, degree), (link, number));
                }
            }
        }
    }

    #[test]
    fn a_full_mark_is_logged_and_a_full_log_loses_the_packet() {
        let hop = Hop { degree: 3, link: 2, ..Hop::default() };
        let inv = Invariant { digest: 99, flow: 0 };
        let full = Mark(u32::MAX);
        let first = append::<Mrt>(&hop, &inv, full);
        assert_eq!(first.need, Some(tag(99) | u64::from(u32::MAX)));
        assert_eq!(first.mark, Mark(LOST));
        let after = append::<Mrt>(&Hop { cell: 1, ..hop }, &inv, full);
        assert_eq!((after.need, after.mark), (None, Mark(3 * 3 + 2)));
        assert_eq!(remove::<Mrt>(3, after.mark.0, 99), Back::Ask(tag(99), 2));
        assert_eq!(append::<Mrt>(&hop, &inv, Mark(LOST)).mark, Mark(LOST));
        assert!([0, 1, 3].iter().all(|mark| remove::<Mrt>(3, *mark, 99) == Back::Lost));
    }
}
