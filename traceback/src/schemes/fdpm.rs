//! FDPM: flexible deterministic packet marking, as wide as the header allows, sparing under load.
//!
//! Idea: hash-based DPM with up to 24 bits: where a network does not use the TOS byte, all of it or its
//! upper three bits lengthen the digest, so that a hundred thousand sources can be told apart. A router
//! under load marks only flows that dominate its traffic, and beyond a second limit none.
//!
//! Paper: Xiang, Zhou, Guo, "Flexible Deterministic Packet Marking: An IP Traceback System to Find the
//! Real Source of Attacks", IEEE TPDS 20(4), 2009 (xiang2009).
//!
//! ```text
//!  24        17   16      15             0     IPv4; IPv6: reserved room
//! | TOS (8)     | marked | Identification |
//! length 24: all of it but the flag; 19: TOS's upper three bits; 16: none of it; the rest of TOS stays
//! the bits of the mark, in that order, are those of `segments.rs`:  digest (d) | index (3) | segment (4)
//! ```
//! Departs: the reserved flag says that a router marked the packet, and is cleared where it did not, so
//! that a sender's own bits never count; the paper uses it to signal the length, which here is the
//! same everywhere. What the load is and what dominates is measured over [`WINDOW`] in a table of
//! [`MOST_FLOWS`] flows, thresholds are packets a second; the paper leaves both open. Measuring flows
//! costs more than marking does here, so the controller serves to show its effect, not to save time.
//!
//! Cost: one comparison on every router, one hash of a word and one write of 25 bits at the ingress; with the
//! controller a table look-up more.

use super::hdpm::ingress;
use super::segments::Layout;
use crate::case::{Case, Evidence, Gap, Step};
use crate::invariant::Invariant;
use crate::ledger::{BadBytes, Ledger};
use crate::marks::Marks;
use crate::scheme::{
    BadParams, Card, Field, Hop, Keeper, Marked, Names, Nanos, Place, Scheme, probability,
};
use crate::slot::Slot;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Time over which a router measures its load.
pub const WINDOW: Nanos = Nanos(10_000_000);
/// Flows that it tells apart in one window.
pub const MOST_FLOWS: usize = 4_096;
/// Bits of address in a mark.
pub const SEGMENT: u32 = 4;

/// FDPM at work.
#[derive(Debug, Clone, Copy)]
pub struct Fdpm {
    params: Params,
    layout: Layout,
    /// A flow dominates with this share of a window, in 255ths.
    dominant: u32,
}

/// What a scenario may set.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Bits of a mark: 24, 19 or 16, by how much of TOS is in use.
    pub length: u32,
    /// Packets a second above which a router marks only flows that dominate; 0 for no limit.
    pub most: u64,
    /// Packets a second above which it marks none; 0 for no limit.
    pub none: u64,
    /// Share of its traffic with which a flow dominates.
    pub share: f64,
    /// Marks that the ledger holds; packets of more are counted as lost.
    pub capacity: usize,
}

impl Default for Params {
    fn default() -> Self {
        Self { length: 24, most: 0, none: 0, share: 0.05, capacity: 1 << 20 }
    }
}

/// The 25 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(pub u32);

impl Field for Mark {
    const BITS: u32 = 25;

    fn pack(self) -> u32 {
        self.0
    }

    fn unpack(bits: u32) -> Self {
        Self(bits & ((1 << Self::BITS) - 1))
    }
}

/// The flag that says that a router marked.
const MARKED: u32 = 1 << 16;

impl Fdpm {
    /// Bits of TOS that marks leave alone.
    fn spared(&self) -> u32 {
        24 - self.params.length
    }

    /// Puts a mark's bits into their places.
    fn place(&self, before: Mark, bits: u32) -> Mark {
        let spared = self.spared();
        let tos = bits >> 16 << spared | before.0 >> 17 & ((1 << spared) - 1);
        Mark(tos << 17 | MARKED | bits & 0xffff)
    }

    /// Takes them out again; `None` where no router marked.
    fn bits(&self, mark: Mark) -> Option<u32> {
        let bits = mark.0 >> (17 + self.spared()) << 16 | mark.0 & 0xffff;
        (mark.0 & MARKED != 0).then_some(bits)
    }

    /// Whether the load allows marking, `None` before it was measured.
    fn allowed(&self, cell: u32) -> Option<bool> {
        let Params { most, none, .. } = self.params;
        if most == 0 && none == 0 {
            return Some(true);
        }
        let (packets, share) = Load::unpack(cell)?;
        let rate = u64::from(packets) * (1_000_000_000 / WINDOW.0);
        let over = |limit: u64| limit > 0 && rate > limit;
        Some(!over(none) && (!over(most) || share >= self.dominant))
    }
}

/// Marks at the victim; at a router that watches its load, the meter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    marks: Marks,
    load: Load,
}

/// What a router measures: the window under way and the one before.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Load {
    window: u64,
    packets: u32,
    flows: BTreeMap<u64, u32>,
    before: (u32, BTreeMap<u64, u32>),
}

impl Load {
    /// Counts a packet; the packets of the last window and the share of this flow in it, packed.
    fn meet(&mut self, flow: u64, at: Nanos) -> u32 {
        let window = at.0 / WINDOW.0;
        if window != self.window {
            let last = (self.packets, std::mem::take(&mut self.flows));
            // After a pause, the window before this one was empty.
            self.before = if window == self.window + 1 { last } else { Default::default() };
            (self.window, self.packets) = (window, 0);
        }
        self.packets = self.packets.saturating_add(1);
        if self.flows.len() < MOST_FLOWS || self.flows.contains_key(&flow) {
            *self.flows.entry(flow).or_default() += 1;
        }
        let own = self.before.1.get(&flow).copied().unwrap_or(0);
        let share = u64::from(own) * 255 / u64::from(self.before.0.max(1));
        // Never 0, which would mean that nothing was measured.
        self.before.0.min(0x00ff_ffff) << 8 | (share.clamp(1, 255) & 0xff) as u32
    }

    fn unpack(cell: u32) -> Option<(u32, u32)> {
        (cell > 0).then_some((cell >> 8, cell & 0xff))
    }
}

/// The meter stays at its router: only marks are merged and travel.
impl Ledger for Seen {
    fn merge(&mut self, other: &Self) {
        self.marks.merge(&other.marks);
    }

    fn encode(&self, out: &mut Vec<u8>) {
        self.marks.encode(out);
    }

    fn decode(bytes: &[u8]) -> Result<Self, BadBytes> {
        Ok(Self { marks: Marks::decode(bytes)?, load: Load::default() })
    }

    fn footprint(&self) -> usize {
        let flows = self.load.flows.len() + self.load.before.1.len();
        self.marks.footprint() + flows * size_of::<(u64, u32)>()
    }

    fn lost(&self) -> u64 {
        self.marks.lost()
    }

    fn cell(&mut self, key: u64, at: Nanos) -> u32 {
        self.load.meet(key, at)
    }
}

impl Scheme for Fdpm {
    const CARD: Card = Card {
        id: "fdpm",
        title: "Flexible deterministic packet marking",
        paper: "Xiang, Zhou, Guo, IEEE TPDS 20(4), 2009",
        v4: Slot::IdTosReserved,
        v6: Slot::Room,
        records: false,
        keeper: Keeper::Victim,
        names: Names::Ingress,
        needs_map: false,
        groups_by_flow: false,
        draws: true,
        hashes: false,
        harms: "overwrites the IPv4 Identification, the reserved flag and TOS (or its upper three bits, or \
                none of it) of every packet: fragments are left unmarked, marked packets get DF, classes of \
                service are lost; believes that every ingress router marks",
        state: "none; with the load controller, up to 8192 flows",
    };
    type Params = Params;
    type Local = u32;
    type Mark = Mark;
    type Ledger = Seen;

    fn new(params: &Params) -> Result<Self, BadParams> {
        let Params { length, share, .. } = *params;
        if !matches!(length, 24 | 19 | 16) {
            let must = "must be 24, 19 or 16";
            return Err(BadParams { key: "length", must, got: length.to_string() });
        }
        let dominant = (probability("share", share)? * 255).div_ceil(1 << 32).max(2);
        let layout = Layout::new(length, SEGMENT, 1)?;
        Ok(Self { params: *params, layout, dominant: (dominant & 0xff) as u32 })
    }

    fn local(&self, place: &Place) -> u32 {
        place.id.0
    }

    fn twin(&self, address: &u32) -> Vec<u64> {
        let kept = ((1 << self.spared()) - 1) << 17;
        let mut words = vec![u64::from(self.layout.segments() - 1), kept];
        words.extend(self.layout.all(*address).map(|bits| u64::from(self.place(Mark(0), bits).0)));
        words.resize(2 + 32, 0);
        words
    }

    /// The load controller tells flows apart.
    fn hashes(&self) -> bool {
        self.userspace_only().is_some()
    }

    fn userspace_only(&self) -> Option<&'static str> {
        let Params { most, none, .. } = self.params;
        (most > 0 || none > 0).then_some("its load controller (`most`, `none`) tells flows apart")
    }

    #[inline]
    fn mark(&self, address: &u32, hop: &Hop, inv: &Invariant, before: Mark) -> Marked<Mark> {
        if hop.edge == 0 {
            return before.into();
        }
        match self.allowed(hop.cell) {
            Some(true) => self.place(before, self.layout.drawn(*address, hop.draw)).into(),
            Some(false) => Mark(before.0 & !MARKED).into(),
            None => Marked { need: Some(inv.flow), ..before.into() },
        }
    }

    fn observe(&self, _: &Hop, _: &Invariant, mark: Mark, _: &[u8], ledger: &mut Seen) {
        if let Some(bits) = self.bits(mark) {
            ledger.marks.add(bits, self.params.capacity);
        }
    }

    fn reconstruct(&self, case: &Case, evidence: &Evidence<Seen>) -> Result<Step, Gap> {
        ingress(&self.layout, case, evidence.ledgers.values().map(|l| &l.marks))
    }
}

#[cfg(test)]
#[path = "fdpm_tests.rs"]
mod tests;
