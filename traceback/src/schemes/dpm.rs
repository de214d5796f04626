//! DPM: deterministic packet marking, the ingress router's address in two halves.
//!
//! Idea: only the router where a packet enters the network marks, and it marks every packet, with one
//! half of its address drawn at random. Nobody downstream touches the mark, so whatever the sender
//! wrote is gone, and two different halves of one sender name where that sender is attached.
//!
//! Paper: Belenky, Ansari, "IP Traceback With Deterministic Packet Marking", IEEE Communications
//! Letters 7(4), 2003 (belenky2003).
//!
//! ```text
//!   16    15                0     reserved flag and Identification; IPv6: low 17 bits of the flow label
//! | half | half an address   |     half 0: bits 0..16 of the address from the left, half 1: bits 16..32
//! ```
//! Departs: the paper's victim keeps one entry for each source address, ours one for each flow
//! (addresses, protocol, ports), as that is what a vantage computes. Addresses are routers'
//! identities, since one router has one agent. A flow that shows two values of one half came in at
//! two routers; its halves cannot be matched, so it is set aside.
//!
//! Cost: one comparison on every router, one write of 17 bits where a packet enters.

use crate::case::{Case, Evidence, Gap, Step};
use crate::graph::Finding;
use crate::invariant::Invariant;
use crate::law::{Coupon, Hops};
use crate::ledger::{BadBytes, Ledger, Reader, put_varint};
use crate::scheme::{
    BadParams, Card, Chance, Field, Hop, Keeper, Marked, Names, Place, RouterId, Scheme,
};
use crate::slot::Slot;
use crate::stats::whole;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// DPM at work.
#[derive(Debug, Clone, Copy)]
pub struct Dpm {
    capacity: usize,
}

/// What a scenario may set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Flows that the ledger holds; packets of more are counted as lost.
    pub capacity: usize,
}

impl Default for Params {
    fn default() -> Self {
        Self { capacity: 1 << 18 }
    }
}

/// The 17 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// 0 is the left half of the address, 1 the right one.
    pub half: u8,
    /// Its bits.
    pub bits: u16,
}

impl Mark {
    /// One half of a router's address.
    pub fn of(router: RouterId, half: u8) -> Self {
        let bits = if half == 0 { router.0 >> 16 } else { router.0 & 0xffff };
        Self { half, bits: (bits & 0xffff) as u16 }
    }
}

impl Field for Mark {
    const BITS: u32 = 17;

    fn pack(self) -> u32 {
        u32::from(self.half) << 16 | u32::from(self.bits)
    }

    fn unpack(bits: u32) -> Self {
        Self { half: (bits >> 16 & 1) as u8, bits: (bits & 0xffff) as u16 }
    }
}

/// What was seen of one half of one flow's address. A semilattice: joining goes down this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Half {
    #[default]
    Unseen,
    One(u16),
    Several,
}

impl Half {
    fn join(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unseen, half) | (half, Self::Unseen) => half,
            (Self::One(a), Self::One(b)) if a == b => self,
            (Self::One(_) | Self::Several, Self::One(_) | Self::Several) => Self::Several,
        }
    }
}

/// One flow at the victim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Flow {
    packets: u64,
    halves: [Half; 2],
}

impl Flow {
    fn join(&mut self, other: &Self) {
        self.packets = self.packets.saturating_add(other.packets);
        for (half, other) in self.halves.iter_mut().zip(other.halves) {
            *half = half.join(other);
        }
    }
}

/// Halves of addresses by flow.
///
/// ```text
/// encoding: lost, number of flows, then for each in rising order: flow (8), packets,
///           for each half: 0, or 1 and its bits (2), or 2
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Flows {
    flows: BTreeMap<u64, Flow>,
    lost: u64,
}

impl Flows {
    /// Notes one packet; a new flow beyond `capacity` is counted as lost.
    fn add(&mut self, flow: u64, mark: Mark, capacity: usize) {
        if self.flows.len() >= capacity && !self.flows.contains_key(&flow) {
            self.lost += 1;
            return;
        }
        let mut halves = [Half::Unseen; 2];
        halves[usize::from(mark.half & 1)] = Half::One(mark.bits);
        self.flows.entry(flow).or_default().join(&Flow { packets: 1, halves });
    }
}

impl Ledger for Flows {
    fn merge(&mut self, other: &Self) {
        for (flow, seen) in &other.flows {
            self.flows.entry(*flow).or_default().join(seen);
        }
        self.lost = self.lost.saturating_add(other.lost);
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.lost);
        put_varint(out, self.flows.len() as u64);
        for (flow, seen) in &self.flows {
            out.extend(flow.to_le_bytes());
            put_varint(out, seen.packets);
            for half in seen.halves {
                match half {
                    Half::Unseen => out.push(0),
                    Half::One(bits) => {
                        out.push(1);
                        out.extend(bits.to_le_bytes());
                    }
                    Half::Several => out.push(2),
                }
            }
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, BadBytes> {
        let mut read = Reader(bytes);
        let mut flows = Self { lost: read.varint()?, ..Self::default() };
        for _ in 0..read.varint()? {
            let flow = read.u64()?;
            if flows.flows.last_key_value().is_some_and(|(last, _)| *last >= flow) {
                return Err(BadBytes);
            }
            let packets = read.varint()?;
            let mut half = || match read.u8()? {
                0 => Ok(Half::Unseen),
                1 => Ok(Half::One(read.u16()?)),
                2 => Ok(Half::Several),
                _ => Err(BadBytes),
            };
            flows.flows.insert(flow, Flow { packets, halves: [half()?, half()?] });
        }
        read.end()?;
        Ok(flows)
    }

    fn footprint(&self) -> usize {
        self.flows.len() * (size_of::<u64>() + size_of::<Flow>())
    }

    fn lost(&self) -> u64 {
        self.lost
    }
}

impl Scheme for Dpm {
    const CARD: Card = Card {
        id: "dpm",
        title: "Deterministic packet marking at the ingress",
        paper: "Belenky, Ansari, IEEE Communications Letters 7(4), 2003",
        v4: Slot::IdReserved,
        v6: Slot::FlowLabel,
        records: false,
        keeper: Keeper::Victim,
        names: Names::Ingress,
        needs_map: false,
        groups_by_flow: true,
        draws: true,
        hashes: false,
        harms: "overwrites the IPv4 Identification and the reserved flag of every packet: fragments \
                are left unmarked, marked packets get DF; believes that every ingress router marks, \
                else the sender's own bits count",
        state: "none",
    };
    type Params = Params;
    type Local = RouterId;
    type Mark = Mark;
    type Ledger = Flows;

    fn new(params: &Params) -> Result<Self, BadParams> {
        Ok(Self { capacity: params.capacity })
    }

    fn local(&self, place: &Place) -> RouterId {
        place.id
    }

    fn twin(&self, me: &RouterId) -> Vec<u64> {
        vec![me.0.into()]
    }

    fn chance(&self, _: &Hop) -> Option<Chance> {
        Some(Chance { p: 1.0, bits: 1 })
    }

    #[inline]
    fn mark(&self, me: &RouterId, hop: &Hop, _: &Invariant, before: Mark) -> Marked<Mark> {
        if hop.edge == 0 {
            return before.into();
        }
        Mark::of(*me, (hop.draw & 1) as u8).into()
    }

    fn observe(&self, _: &Hop, inv: &Invariant, mark: Mark, _: &[u8], ledger: &mut Flows) {
        ledger.add(inv.flow, mark, self.capacity);
    }

    fn reconstruct(&self, _: &Case, evidence: &Evidence<Flows>) -> Result<Step, Gap> {
        let mut all = Flows::default();
        evidence.ledgers.values().for_each(|l| all.merge(l));
        let address = |flow: &Flow| match flow.halves {
            [Half::One(left), Half::One(right)] => {
                Some(RouterId(u32::from(left) << 16 | u32::from(right)))
            }
            _ => None,
        };
        let routers: BTreeSet<RouterId> = all.flows.values().filter_map(address).collect();
        if !routers.is_empty() {
            return Ok(Step::Done(Finding::Ingress { routers }));
        }
        let mixed = |f: &&Flow| f.halves.contains(&Half::Several);
        let sum = |flows: &mut dyn Iterator<Item = &Flow>| {
            flows.fold(0_u64, |sum, f| sum.saturating_add(f.packets))
        };
        match sum(&mut all.flows.values().filter(mixed)) {
            0 => Err(Gap::TooFew { have: sum(&mut all.flows.values()), want: want(2) }),
            packets => Err(Gap::Mixed { packets }),
        }
    }
}

/// Mean packets until each of so many equally likely marks was seen.
pub(super) fn want(marks: u32) -> u64 {
    let law = Coupon::new(Hops::Uniform, marks, 1, 1);
    law.map_or(0, |law| whole(law.mean().ceil()))
}

#[cfg(test)]
#[path = "dpm_tests.rs"]
mod tests;
