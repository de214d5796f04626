//! FMS over the IPv6 flow label: the same sampling of fragments in 20 bits.
//!
//! Idea: IPv6 has no Identification in its header, and the flow label is four bits wider. [`Layout::Short`]
//! spends them on longer fragments of the same 64-bit names, so that six take the place of eight;
//! [`Layout::Long`] carries names as IPv6 has them, address and hash of 128 bits each, in 26 fragments.
//!
//! Paper: Savage, Wetherall, Karlin, Anderson, "Practical Network Support for IP Traceback", SIGCOMM 2000
//! (savage2000), section 7, which proposes the field and leaves its layout open.
//!
//! ```text
//!  19      17 16      12 11             0     short
//! | offset (3) | distance (5) | fragment (12) |    6 fragments: address (32) and hash (32), interleaved
//!  19      15 14      10 9              0     long
//! | offset (5) | distance (5) | fragment (10) |   26 fragments: address (128) and hash (128), interleaved
//! ```
//! Departs: the paper counts 24 bits, as flow labels had in its time. Routers' identities are 32 bits
//! in this testbed, so their long addresses are the mapped ones of RFC 4291, `::ffff:a.b.c.d`. Of the
//! 128 bits of hash 96 are linear, by which fragments are joined, and 32 are not, which bind a link to its
//! downstream router (see [`super::fragments`]); of the short names' it is half. There is no IPv4 form.
//! A router that changes a flow label departs from RFC 6437, which allows it for such cases only.
//!
//! Cost: one comparison and one write of 20 bits; no checksum covers the flow label.

use super::fragments::decode::{self, Seen};
use super::fragments::{self, Check, Code, FAR, gather, linear, murmur, spread};
use crate::case::{Case, Evidence, Gap, Step};
use crate::graph::Finding;
use crate::invariant::{Invariant, mix2};
use crate::ledger::Ledger;
use crate::marks::Marks;
use crate::scheme::{BadParams, Card, Field, Hop, Marked, Place, RouterId, Scheme, probability};
use crate::slot::Slot;
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::BitXor;

/// FMS over the flow label at work.
#[derive(Debug, Clone, Copy)]
pub struct Fms6 {
    params: Params,
    /// A draw below this marks.
    threshold: u64,
}

/// What a scenario may set.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Marking probability.
    pub p: f64,
    /// What the 20 bits hold.
    pub layout: Layout,
    /// Different marks that the ledger holds; more are counted as lost.
    pub capacity: usize,
}

impl Default for Params {
    /// 1/25, as FMS. Every mark of 20 bits has room.
    fn default() -> Self {
        Self { p: 0.04, layout: Layout::Short, capacity: 1 << 20 }
    }
}

/// What the 20 bits hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// Names of 64 bits in 6 fragments.
    #[default]
    Short,
    /// Names of 256 bits in 26 fragments.
    Long,
}

/// The 20 bits; a [`Layout`] reads them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(pub u32);

impl Field for Mark {
    const BITS: u32 = 20;

    fn pack(self) -> u32 {
        self.0
    }

    fn unpack(bits: u32) -> Self {
        Self(bits & ((1 << Self::BITS) - 1))
    }
}

/// Bits of a distance.
const DISTANCE: u32 = 5;

/// The fragments of a router's name by offset; zeros where there is none.
pub type Fragments = [u16; 32];

impl Layout {
    /// Offset, distance and fragment.
    pub fn split(self, mark: Mark) -> (u8, u8, u16) {
        let width = self.width();
        let fragment = mark.0 & ((1 << width) - 1);
        let part = |shift: u32| (mark.0 >> shift & 31) as u8;
        (part(width + DISTANCE), part(width), (fragment & 0xffff) as u16)
    }

    fn join(self, offset: u8, distance: u8, fragment: u16) -> Mark {
        let high = u32::from(offset) << DISTANCE | u32::from(distance);
        Mark(high << self.width() | u32::from(fragment))
    }

    /// The fragments of a router's name.
    pub fn cut(self, router: RouterId) -> Fragments {
        let name = self.name(router);
        let mut cut = [0; 32];
        let there = cut.iter_mut().take(self.fragments() as usize);
        there.enumerate().for_each(|(o, fragment)| *fragment = self.fragment(name, o));
        cut
    }

    fn fragment(self, Name(words): Name, offset: usize) -> u16 {
        let bit = |at: usize| {
            let word = words.get(at / 64).copied().unwrap_or(0);
            (word >> (63 - at % 64) & 1) as u16
        };
        let width = self.width() as usize;
        (offset * width..(offset + 1) * width).fold(0, |fragment, at| fragment << 1 | bit(at))
    }
}

/// A name: words of 32 bits of address and 32 of hash, interleaved; short ones have only the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Name([u64; 4]);

impl BitXor for Name {
    type Output = Self;

    fn bitxor(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] ^ other.0[i]))
    }
}

/// The long address of a router, four words, most significant first.
fn address(router: RouterId) -> [u32; 4] {
    let octets = Ipv4Addr::from(router).to_ipv6_mapped().octets();
    let mut words = octets.chunks_exact(4).map(|w| u32::from_be_bytes([w[0], w[1], w[2], w[3]]));
    std::array::from_fn(|_| words.next().unwrap_or(0))
}

/// The linear part of the long hash: 96 bits, each of which depends on all of the address.
fn linear_words(address: [u32; 4]) -> [u32; 3] {
    [0, 1, 2].map(|i: u32| {
        (0..).zip(address).fold(0, |hash, (j, word)| hash ^ linear(word).rotate_left(7 * i + 3 * j))
    })
}

/// The rest, which is not.
fn nonlinear_word([a, b, c, d]: [u32; 4]) -> u32 {
    let half = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
    murmur((mix2(half(a, b), half(c, d)) >> 32) as u32)
}

impl Code for Layout {
    type Name = Name;

    fn fragments(self) -> u32 {
        match self {
            Self::Short => 6,
            Self::Long => 26,
        }
    }

    fn width(self) -> u32 {
        match self {
            Self::Short => 12,
            Self::Long => 10,
        }
    }

    fn hash_bits(self) -> (u32, u32) {
        match self {
            Self::Short => Check::Split.hash_bits(),
            Self::Long => (128, 96),
        }
    }

    fn name(self, router: RouterId) -> Name {
        if self == Self::Short {
            return Name([Code::name(Check::Split, router), 0, 0, 0]);
        }
        let address = address(router);
        let [a, b, c] = linear_words(address);
        let hash = [a, b, c, nonlinear_word(address)];
        Name(std::array::from_fn(|i| spread(address[i]) << 1 | spread(hash[i])))
    }

    fn part(self, offset: usize, fragment: u16) -> Name {
        let mut words = [0; 4];
        let width = self.width() as usize;
        for i in 0..width {
            let at = offset * width + i;
            if let Some(word) = words.get_mut(at / 64) {
                *word |= u64::from(fragment >> (width - 1 - i) & 1) << (63 - at % 64);
            }
        }
        Name(words)
    }

    fn router(self, name: Name) -> Option<RouterId> {
        let id = match self {
            Self::Short => Code::router(Check::Split, name.0[0])?,
            Self::Long => {
                let [a, b, c, d] = name.0.map(|word| u128::from(gather(word >> 1)));
                let long = Ipv6Addr::from(a << 96 | b << 64 | c << 32 | d);
                RouterId::from(long.to_ipv4_mapped()?)
            }
        };
        (self.name(id) == name).then_some(id)
    }

    fn failing(self, Name(words): Name) -> u128 {
        if self == Self::Short {
            return Code::failing(Check::Split, words[0]);
        }
        let wanted = linear_words(words.map(|word| gather(word >> 1)));
        (0..3).fold(0, |bits, i| bits << 32 | u128::from(gather(words[i]) ^ wanted[i]))
    }
}

impl Scheme for Fms6 {
    const CARD: Card = Card {
        id: "fms6",
        title: "Fragment marking over the IPv6 flow label",
        paper: "Savage, Wetherall, Karlin, Anderson, SIGCOMM 2000, section 7",
        v4: Slot::FlowLabel,
        v6: Slot::FlowLabel,
        harms: "IPv6 only; changes the flow label, by which routers may spread packets over equal routes",
        state: "6 or 26 fragments for each router",
        ..fragments::CARD
    };
    type Params = Params;
    type Local = Fragments;
    type Mark = Mark;
    type Ledger = Marks;

    fn new(params: &Params) -> Result<Self, BadParams> {
        Ok(Self { params: *params, threshold: probability("p", params.p)? })
    }

    fn local(&self, place: &Place) -> Fragments {
        self.params.layout.cut(place.id)
    }

    fn twin(&self, name: &Fragments) -> Vec<u64> {
        let layout = self.params.layout;
        let head = [self.threshold, layout.fragments().into(), layout.width().into()];
        head.into_iter().chain(name.map(u64::from)).collect()
    }

    #[inline]
    fn mark(&self, name: &Fragments, hop: &Hop, _: &Invariant, mark: Mark) -> Marked<Mark> {
        let layout = self.params.layout;
        if u64::from(hop.draw) < self.threshold {
            // The low bits are fair whatever the threshold, which fixes only the high ones.
            let offset = ((hop.draw & 0xffff) * layout.fragments()) >> 16;
            return layout.join((offset & 31) as u8, 0, name[offset as usize & 31]).into();
        }
        let (offset, distance, mut fragment) = layout.split(mark);
        if distance == 0 {
            fragment ^= name[usize::from(offset & 31)];
        }
        // Saturates: a wrapped distance would let the attacker forge nearby links.
        layout.join(offset, FAR.min(distance + 1), fragment).into()
    }

    fn observe(&self, _: &Hop, _: &Invariant, mark: Mark, _: &[u8], ledger: &mut Marks) {
        ledger.add(mark.0, self.params.capacity);
    }

    fn reconstruct(&self, case: &Case, evidence: &Evidence<Marks>) -> Result<Step, Gap> {
        let layout = self.params.layout;
        let mut all = Marks::default();
        evidence.ledgers.values().for_each(|ledger| all.merge(ledger));
        let seen = |(bits, packets): (u32, u64)| {
            let (offset, distance, fragment) = layout.split(Mark::unpack(bits));
            Seen { distance, offset, fragment, packets }
        };
        let graph = decode::unravelled(layout, case, all.iter().map(seen))?;
        if graph.edges.is_empty() {
            return Err(decode::too_few_of(layout.fragments(), all.packets(), self.params.p));
        }
        Ok(Step::Done(Finding::Paths(graph)))
    }
}

#[cfg(test)]
#[path = "fms6_tests.rs"]
mod tests;
