//! Fragments of router names in 16 bits: what FMS and its relatives write, carry and decode.
//!
//! FMS, dynamic, TTL-based, tabu, non-preemptive and rectified marking differ in *when* a router marks.
//! What they write is the same, and lives here: names, marks, and in [`decode`] the way back.
//!
//! ```text
//!  15    13 12       8 7              0     Identification; IPv6: low 16 bits of the flow label
//! | offset | distance | fragment       |
//! name, 64 bits: address bit 0, hash bit 0, address bit 1, hash bit 1, ...  from the left;
//! fragment `o` is its byte `o` from the left.
//! ```
//! Source: savage2000 section 4.4. The hash beside the address is what tells true combinations of
//! fragments from wrong ones; [`Check`] says how it is made, and why it is made of two halves.

pub mod decode;

use crate::counts::Counts;
use crate::scheme::{Card, Field, Keeper, Names, RouterId};
use crate::slot::Slot;
use serde::{Deserialize, Serialize};
use std::ops::BitXor;

/// Fragments of a name.
pub const FRAGMENTS: usize = CELLS as usize;
/// The same, as laws count what a router must show.
pub const CELLS: u32 = 8;
/// Distances are counted up to this one, which means "this or more" and is not used.
pub const FAR: u8 = 31;
/// A router's name: address and hash interleaved.
pub type Name = [u8; FRAGMENTS];

/// What the cards of all these schemes have in common. What is left out here each says itself.
pub const CARD: Card = Card {
    id: "",
    title: "",
    paper: "",
    v4: Slot::Id,
    v6: Slot::FlowLabel,
    records: false,
    keeper: Keeper::Victim,
    names: Names::Paths,
    needs_map: false,
    groups_by_flow: false,
    draws: true,
    hashes: false,
    harms: "overwrites the IPv4 Identification: fragments are left unmarked, marked packets get DF",
    state: "8 bytes for each router",
};

/// The 16 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Which fragment, 0..=7.
    pub offset: u8,
    /// Hops since it was written, saturating at [`FAR`].
    pub distance: u8,
    /// A byte of a name, or of two names XORed.
    pub fragment: u8,
}

impl Mark {
    /// What a router writes when it marks. The low bits of a draw choose the fragment: they are fair
    /// even when the draw is known to lie below some threshold, which fixes only the high ones.
    pub fn written(name: &Name, draw: u32) -> Self {
        let offset = (draw & 7) as u8;
        Self { offset, distance: 0, fragment: name[usize::from(offset)] }
    }

    /// What a router makes of a mark that it keeps: the first one after the writer turns a name into
    /// a link, all of them count. Saturates at `far`: a wrapped distance would let the attacker forge
    /// nearby links.
    pub fn carried(mut self, name: &Name, far: u8) -> Self {
        if self.distance == 0 {
            self.fragment ^= name[usize::from(self.offset)];
        }
        self.distance = self.distance.max(far.min(self.distance + 1));
        self
    }

    /// Counts this mark.
    pub fn count(self, ledger: &mut Counts) {
        ledger.add((self.pack() & 0xffff) as u16);
    }
}

impl Field for Mark {
    const BITS: u32 = 16;

    fn pack(self) -> u32 {
        u32::from(self.offset) << 13 | u32::from(self.distance) << 8 | u32::from(self.fragment)
    }

    fn unpack(bits: u32) -> Self {
        let [_, _, high, fragment] = bits.to_be_bytes();
        Self { offset: high >> 5, distance: high & 31, fragment }
    }
}

/// How the 32 bits of hash beside an address are made.
///
/// Where many routers share a distance, one fragment of each offset is combined with every other:
/// `m^8` combinations. A hash that is linear over GF(2) can be judged in parts: the bits by which one
/// half of the fragments fails must be those by which the other half fails, so two lists of `m^4` are
/// joined instead. But a link is the XOR of two names, so a hash that is wholly linear holds for a link
/// XORed with *any* name, and every wrong router downstream would be believed. Hence two halves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// 16 linear bits to join by, 16 non-linear bits that bind a link to its downstream router.
    #[default]
    Split,
    /// As published: every combination must be tried.
    Nonlinear,
    /// For comparison: joins fastest, and believes what it should not.
    Linear,
}

impl Check {
    /// The hash of an address.
    pub fn hash(self, address: u32) -> u32 {
        linear(address) & self.linear_bits() | murmur(address) & !self.linear_bits()
    }

    /// Which of its bits are linear over GF(2).
    pub fn linear_bits(self) -> u32 {
        match self {
            Self::Split => 0xffff_0000,
            Self::Nonlinear => 0,
            Self::Linear => u32::MAX,
        }
    }

    /// A router's name.
    pub fn name(self, router: RouterId) -> Name {
        (spread(router.0) << 1 | spread(self.hash(router.0))).to_be_bytes()
    }

    /// The address in a name, if the hash beside it agrees.
    pub fn router(self, name: Name) -> Option<RouterId> {
        let bits = u64::from_be_bytes(name);
        let address = gather(bits >> 1);
        (self.hash(address) == gather(bits)).then_some(RouterId(address))
    }

    /// The linear bits in which a name, or any part of one, fails: the XOR over its parts is that of
    /// the whole, and true names fail in none.
    pub fn failing(self, part: u64) -> u32 {
        (linear(gather(part >> 1)) ^ gather(part)) & self.linear_bits()
    }
}

/// Names that are cut into fragments, and put together again by XOR: what [`decode`] needs to know.
pub trait Code: Copy {
    /// A name, or the part of one that some of its fragments are.
    type Name: Copy + Default + Ord + BitXor<Output = Self::Name>;

    /// Fragments of a name.
    fn fragments(self) -> u32;
    /// Bits of a fragment.
    fn width(self) -> u32;
    /// Bits of hash in a name, and how many of them are linear over GF(2), 128 at most.
    fn hash_bits(self) -> (u32, u32);
    /// A router's name.
    fn name(self, router: RouterId) -> Self::Name;
    /// The part of a name that one fragment is.
    fn part(self, offset: usize, fragment: u16) -> Self::Name;
    /// The router with this name, if the hash in it agrees.
    fn router(self, name: Self::Name) -> Option<RouterId>;
    /// The linear bits in which a part fails; the XOR over its parts is that of the whole.
    fn failing(self, part: Self::Name) -> u128;
}

impl Code for Check {
    type Name = u64;

    fn fragments(self) -> u32 {
        CELLS
    }

    fn width(self) -> u32 {
        8
    }

    fn hash_bits(self) -> (u32, u32) {
        (32, self.linear_bits().count_ones())
    }

    fn name(self, router: RouterId) -> u64 {
        u64::from_be_bytes(Self::name(self, router))
    }

    fn part(self, offset: usize, fragment: u16) -> u64 {
        u64::from(fragment) << (56 - 8 * offset)
    }

    fn router(self, name: u64) -> Option<RouterId> {
        Self::router(self, name.to_be_bytes())
    }

    fn failing(self, part: u64) -> u128 {
        Self::failing(self, part).into()
    }
}

/// MurmurHash3's 32-bit finaliser.
pub(super) fn murmur(mut x: u32) -> u32 {
    x = (x ^ (x >> 16)).wrapping_mul(0x85eb_ca6b);
    x = (x ^ (x >> 13)).wrapping_mul(0xc2b2_ae35);
    x ^ (x >> 16)
}

/// Four rounds of xorshift32: linear over GF(2), and a bijection.
///
/// Source: Marsaglia, Journal of Statistical Software 8(14), 2003.
pub(super) fn linear(mut x: u32) -> u32 {
    for _ in 0..4 {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
    }
    x
}

/// Puts a zero before each bit.
pub(super) fn spread(x: u32) -> u64 {
    let mut x = u64::from(x);
    for (shift, mask) in SPREAD {
        x = (x | x << shift) & mask;
    }
    x
}

/// Inverse of [`spread`]; ignores the bits between.
pub(super) fn gather(x: u64) -> u32 {
    let mut x = x & 0x5555_5555_5555_5555;
    for (shift, mask) in [(1, SPREAD[3].1), (2, SPREAD[2].1), (4, SPREAD[1].1), (8, SPREAD[0].1)] {
        x = (x | x >> shift) & mask;
    }
    ((x | x >> 16) & 0xffff_ffff) as u32
}

const SPREAD: [(u32, u64); 5] = [
    (16, 0x0000_ffff_0000_ffff),
    (8, 0x00ff_00ff_00ff_00ff),
    (4, 0x0f0f_0f0f_0f0f_0f0f),
    (2, 0x3333_3333_3333_3333),
    (1, 0x5555_5555_5555_5555),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_is_offset_distance_fragment() {
        let mark = Mark { offset: 5, distance: 31, fragment: 0xa7 };
        assert_eq!(mark.pack(), 5 << 13 | 31 << 8 | 0xa7);
        assert!((0..=0xffff).all(|bits| Mark::unpack(bits).pack() == bits));
    }

    #[test]
    fn name_interleaves_address_on_even_bits() {
        for check in [Check::Split, Check::Nonlinear, Check::Linear] {
            let bits = u64::from_be_bytes(check.name(RouterId(0x8000_0001)));
            assert_eq!((bits >> 63, bits >> 1 & 1), (1, 1)); // first and last address bit
            let name = check.name(RouterId(0xc613_0007));
            assert_eq!(check.router(name), Some(RouterId(0xc613_0007)));
            assert_eq!(check.failing(u64::from_be_bytes(name)), 0);
            let mut wrong = name;
            wrong[3] ^= 0x10;
            assert_eq!(check.router(wrong), None);
        }
    }

    #[test]
    fn a_wholly_linear_check_accepts_every_wrong_downstream_router() {
        let believed = |check: Check| {
            let xor = |a: Name, b: Name| std::array::from_fn(|o| a[o] ^ b[o]);
            let name = |id: u32| check.name(RouterId(0xc613_0000 + id));
            let link = xor(name(1), name(2));
            (3..=1002).filter(|wrong| check.router(xor(link, name(*wrong))).is_some()).count()
        };
        assert_eq!(believed(Check::Linear), 1000);
        // By their law: 1000 x 2^-16 and 1000 x 2^-32.
        assert_eq!((believed(Check::Split), believed(Check::Nonlinear)), (0, 0));
    }
}
