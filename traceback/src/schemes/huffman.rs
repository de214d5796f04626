//! Huffman marking: the path as a string of prefix codes for links, put away where it is full.
//!
//! Idea: as in MRT, but a link is written as a code word, so that a router shifts instead of
//! multiplying, and links that carry more could have shorter words.
//!
//! Paper: Choi, Dai, "A Marking Scheme Using Huffman Codes for IP Traceback", ISPAN 2004 (choi2004).
//!
//! ```text
//!  31                       0     Identification, flags and fragment offset; IPv6: reserved room
//! | ... | code word | code   |     words are read from the right; the first two bits are as in MRT
//! of D links, the first u = 2^(k+1) - D have k bits, the others k + 1, where 2^k <= D < 2^(k+1)
//! ```
//! Departs: words are those of equal shares of traffic, since neither map nor trace knows the shares;
//! for equal shares this is Huffman's code. Beginning, log and first router as in [`super::mrt`].
//!
//! Cost: one shift for each packet; one log entry of 12 bytes for each packet that fills its mark.

use super::digits::{Back, Digits, Mark};
use super::mrt::{Code, Mrt, Params, append, remove};
use crate::case::{Case, Evidence, Gap, Step};
use crate::handed::Handed;
use crate::invariant::Invariant;
use crate::scheme::{BadParams, Card, Hop, Marked, Place, Scheme};
use crate::slot::Slot;
use crate::table::{MOST_ENTRIES, Table};

/// Huffman marking at work.
#[derive(Debug, Clone, Copy)]
pub struct Huffman;

/// Bits of the short words and how many short words there are.
fn words(degree: u16) -> (u32, u32) {
    let links = u32::from(degree.max(2));
    let bits = links.ilog2();
    (bits, (2 << bits) - links)
}

impl Code for Huffman {
    fn push(number: u32, degree: u16, link: u16) -> Option<u32> {
        let ((bits, short), link) = (words(degree), u32::from(link));
        // Long words begin, on the right, with what no short word is.
        let (word, bits) = match link.checked_sub(short) {
            None => (link, bits),
            Some(rest) => ((rest & 1) << bits | (short + rest / 2), bits + 1),
        };
        (number.leading_zeros() >= bits).then_some(number << bits | word)
    }

    fn pop(number: u32, degree: u16) -> (u16, u32) {
        let (bits, short) = words(degree);
        let word = number & ((1 << bits) - 1);
        if word < short {
            return ((word & 0xffff) as u16, number >> bits);
        }
        let link = short + (word - short) * 2 + (number >> bits & 1);
        ((link & 0xffff) as u16, number >> (bits + 1))
    }
}

impl Scheme for Huffman {
    const CARD: Card = Card {
        id: "huffman",
        title: "Path as code words for links, logged when full",
        paper: "Choi, Dai, ISPAN 2004",
        ..Mrt::CARD
    };
    type Params = Params;
    /// Bits of the short words and how many there are, for the kernel twin: the degree of a place is that
    /// of every hop there.
    type Local = (u32, u32);
    type Mark = Mark;
    type Ledger = Table;

    fn new(_: &Params) -> Result<Self, BadParams> {
        Ok(Self)
    }

    fn local(&self, place: &Place) -> (u32, u32) {
        words(place.degree)
    }

    fn twin(&self, (bits, short): &(u32, u32)) -> Vec<u64> {
        vec![(*bits).into(), (*short).into()]
    }

    fn entries(&self) -> Option<u32> {
        Some(MOST_ENTRIES)
    }

    #[inline]
    fn mark(&self, _: &(u32, u32), hop: &Hop, inv: &Invariant, before: Mark) -> Marked<Mark> {
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

impl Digits for Huffman {
    const SLOTS: [Slot; 2] = [Self::CARD.v4, Self::CARD.v6];

    fn back(&self, degree: u16, mark: u32, digest: u64) -> Back {
        remove::<Self>(degree, mark, digest)
    }

    fn told(&self, value: u64, link: u16) -> (u16, u32) {
        Mrt.told(value, link)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_six_links() {
        // Two short words, 00 and 01; four long ones, which end on 10 and 11.
        let words: Vec<u32> = (0..6).map(|link| Huffman::push(1, 6, link).unwrap()).collect();
        assert_eq!(words, [0b100, 0b101, 0b1010, 0b1110, 0b1011, 0b1111]);
    }

    #[test]
    fn pop_undoes_push() {
        for degree in 1..300 {
            for link in 0..degree {
                for number in [2, 3, 4, 77, 1 << 20] {
                    let pushed = Huffman::push(number, degree, link).unwrap();
                    assert_eq!(Huffman::pop(pushed, degree), (link, number), "{degree} {link}");
                }
            }
        }
    }

    #[test]
    fn a_word_that_does_not_fit_is_not_written() {
        assert_eq!(Huffman::push(1 << 29, 4, 3), Some(1 << 31 | 3));
        assert_eq!(Huffman::push(1 << 30, 4, 3), None);
        // The largest degree there is.
        assert_eq!(
            Huffman::push(2, u16::MAX, 65_534).map(|n| Huffman::pop(n, u16::MAX).0),
            Some(65_534)
        );
    }
}
