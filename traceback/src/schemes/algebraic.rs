//! Algebraic marking: a path is a polynomial, and every packet carries one of its values.
//!
//! Idea: the bytes of the routers' addresses, in the order in which a packet meets them, are the
//! coefficients of a polynomial. Each packet evaluates it at a point of its own, by Horner's rule: every
//! router multiplies and adds its four bytes. As many different points as there are coefficients give the
//! polynomial, by interpolation, and with it the whole path. One fewer gives nothing.
//!
//! Paper: Dean, Franklin, Stubblefield, "An Algebraic Approach to IP Traceback", NDSS 2001 (dean2001), the
//! full-path schemes, with addresses in four chunks modulo 257.
//!
//! ```text
//!  15          9 8                0     Identification; IPv6: low 16 bits of the flow label
//! | routers (7) | value mod 257 (9) |     y = (((y x + a) x + b) x + c) x + d  for router a.b.c.d
//! ```
//! Full path: the router at the edge starts with `y = 0`. Random full path (`restart` above 0): nobody knows
//! the edge, and every router starts anew with that probability, so the victim also gets values of the
//! path's ends, and keeps the longest that it can solve.
//!
//! Departs: the paper takes the point `x` from bits that the packet happens to have; here it is a keyed hash
//! of the packet, so that a sender can neither choose it nor continue a forged polynomial. The paper
//! tells mixed paths apart by list decoding; here packets are grouped by flow, or where flows are too
//! small by length alone, and where a point has several values the most frequent one counts. A solution
//! must end at the gateway and have no address in 0.0.0.0/8, where constants that senders choose end up.
//!
//! Cost: one hash, four products and divisions by 257, one write to a 16-bit field for each packet.

mod polynomial;

use crate::case::{Case, Evidence, Gap, Step};
use crate::graph::{AttackGraph, Finding};
use crate::invariant::{Invariant, mix2};
use crate::law::distinct_values;
use crate::ledger::{BadBytes, Ledger, Reader, put_varint};
use crate::scheme::{
    BadParams, Card, Field, Hop, Keeper, Marked, Names, Place, Reliance, RouterId, Scheme,
    probability,
};
use crate::slot::Slot;
use crate::stats::whole;
use polynomial::{P, interpolate};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Coefficients of one router.
pub const CHUNKS: u8 = 4;
/// Points at which a packet may ask for a path's value.
pub const POINTS: u32 = P as u32;
/// Longest path: there must be as many points as coefficients.
pub const MOST_HOPS: u8 = 64;

/// Algebraic marking at work.
#[derive(Debug, Clone, Copy)]
pub struct Algebraic {
    params: Params,
    /// A draw below this starts anew.
    threshold: u64,
}

/// What a scenario may set.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Probability with which any router starts anew; 0: only routers at the edge do.
    pub restart: f64,
    /// Points that the ledger holds; more are counted as lost.
    pub capacity: usize,
}

impl Default for Params {
    /// The deterministic scheme.
    fn default() -> Self {
        Self { restart: 0.0, capacity: 65_536 }
    }
}

/// The 16 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// Routers whose addresses are in the value; saturates at 127.
    pub routers: u8,
    /// The value so far, 0..=256; a sender may write up to 511.
    pub value: u16,
}

impl Field for Mark {
    const BITS: u32 = 16;

    fn pack(self) -> u32 {
        u32::from(self.routers) << 9 | u32::from(self.value)
    }

    fn unpack(bits: u32) -> Self {
        Self { routers: (bits >> 9 & 0x7f) as u8, value: (bits & 0x1ff) as u16 }
    }
}

/// The point at which a packet evaluates.
pub fn point(inv: &Invariant) -> u16 {
    // Below 257: nine bits.
    ((((mix2(inv.digest, 0x414c_4745) >> 32) * u64::from(P)) >> 32) & 0x1ff) as u16
}

/// How often each value was seen, by flow, number of routers and point.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Points {
    seen: BTreeMap<(u64, u16, Mark), u64>,
    lost: u64,
}

impl Ledger for Points {
    fn merge(&mut self, other: &Self) {
        for (key, packets) in &other.seen {
            let sum = self.seen.entry(*key).or_default();
            *sum = sum.saturating_add(*packets);
        }
        self.lost = self.lost.saturating_add(other.lost);
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.lost);
        put_varint(out, self.seen.len() as u64);
        for ((flow, x, mark), packets) in &self.seen {
            out.extend(flow.to_le_bytes());
            out.extend(x.to_le_bytes());
            out.extend(((mark.pack() & 0xffff) as u16).to_le_bytes());
            put_varint(out, *packets);
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, BadBytes> {
        let mut read = Reader(bytes);
        let mut points = Self { lost: read.varint()?, ..Self::default() };
        let mut last = None;
        for _ in 0..read.varint()? {
            let key = (read.u64()?, read.u16()?, Mark::unpack(read.u16()?.into()));
            if key.1 >= P || last.is_some_and(|last| last >= key) {
                return Err(BadBytes);
            }
            last = Some(key);
            let packets = Some(read.varint()?).filter(|n| *n > 0).ok_or(BadBytes)?;
            points.seen.insert(key, packets);
        }
        read.end()?;
        Ok(points)
    }

    fn footprint(&self) -> usize {
        self.seen.len() * size_of::<((u64, u16, Mark), u64)>()
    }

    fn lost(&self) -> u64 {
        self.lost
    }
}

impl Scheme for Algebraic {
    const CARD: Card = Card {
        id: "algebraic",
        title: "Algebraic marking, full path in chunks",
        paper: "Dean, Franklin, Stubblefield, NDSS 2001",
        v4: Slot::Id,
        v6: Slot::FlowLabel,
        records: false,
        keeper: Keeper::Victim,
        names: Names::Paths,
        needs_map: false,
        groups_by_flow: true,
        draws: true,
        hashes: true,
        harms: "overwrites the IPv4 Identification of every packet: fragments are left unmarked, marked packets get DF",
        state: "none",
    };
    const RELIES_ON: Reliance = Reliance::Entrance;
    type Params = Params;
    type Local = RouterId;
    type Mark = Mark;
    type Ledger = Points;

    fn new(params: &Params) -> Result<Self, BadParams> {
        let random = params.restart != 0.0;
        let threshold = if random { probability("restart", params.restart)? } else { 0 };
        Ok(Self { params: *params, threshold })
    }

    fn local(&self, place: &Place) -> RouterId {
        place.id
    }

    fn twin(&self, me: &RouterId) -> Vec<u64> {
        vec![self.threshold, me.0.into()]
    }

    #[inline]
    fn mark(&self, me: &RouterId, hop: &Hop, inv: &Invariant, mut mark: Mark) -> Marked<Mark> {
        let random = self.threshold > 0;
        if if random { u64::from(hop.draw) < self.threshold } else { hop.edge == 1 } {
            mark = Mark { routers: 0, value: 0 };
        }
        let x = u64::from(point(inv));
        let [a, b, c, d] = me.0.to_be_bytes().map(u64::from);
        // Below 2^42, whatever the sender wrote, so one remainder does for all four coefficients.
        let (square, lower) = (x * x, c * x + d);
        let value = (u64::from(mark.value) * square + a * x + b) * square + lower;
        let value = value % u64::from(P);
        // Saturates: a wrapped number would let the attacker shorten paths.
        Mark { routers: 127.min(mark.routers + 1), value: (value & 0x1ff) as u16 }.into()
    }

    fn observe(&self, _: &Hop, inv: &Invariant, mark: Mark, _: &[u8], ledger: &mut Points) {
        let key = (inv.flow, point(inv), mark);
        if let Some(packets) = ledger.seen.get_mut(&key) {
            *packets = packets.saturating_add(1);
        } else if ledger.seen.len() < self.params.capacity {
            ledger.seen.insert(key, 1);
        } else {
            ledger.lost += 1;
        }
    }

    fn reconstruct(&self, case: &Case, evidence: &Evidence<Points>) -> Result<Step, Gap> {
        let mut flows: BTreeMap<u64, Lengths> = BTreeMap::new();
        for ((flow, x, mark), packets) in evidence.ledgers.values().flat_map(|l| &l.seen) {
            flows.entry(*flow).or_default().add(*x, *mark, *packets);
        }
        let (mut paths, mut rest) = (vec![], Lengths::default());
        for flow in flows.into_values() {
            match flow.path(case.gateway) {
                Ok(path) => paths.push(path),
                // Too small by itself, or of no use: it may still be one of many alike.
                Err(_) => rest.join(flow),
            }
        }
        // What flows did not tell alone is no loss where others did.
        match rest.path(case.gateway) {
            Ok(path) => paths.push(path),
            Err(gap) if paths.is_empty() => return Err(gap),
            Err(_) => {}
        }
        Ok(Step::Done(Finding::Paths(AttackGraph::from_paths(paths))))
    }
}

/// Packets by number of routers, point and value.
#[derive(Debug, Default)]
struct Lengths(BTreeMap<u8, BTreeMap<u16, BTreeMap<u16, u64>>>);

impl Lengths {
    fn add(&mut self, x: u16, mark: Mark, packets: u64) {
        if (1..=MOST_HOPS).contains(&mark.routers) && mark.value < P {
            let values = self.0.entry(mark.routers).or_default().entry(x).or_default();
            let sum = values.entry(mark.value).or_default();
            *sum = sum.saturating_add(packets);
        }
    }

    fn join(&mut self, other: Self) {
        for (routers, points) in other.0 {
            for (x, values) in points {
                for (value, packets) in values {
                    self.add(x, Mark { routers, value }, packets);
                }
            }
        }
    }

    /// The longest path that these values tell.
    fn path(&self, gateway: RouterId) -> Result<Vec<RouterId>, Gap> {
        let mut gap = Gap::Nothing { what: "marks with a number of routers".into() };
        for (routers, points) in self.0.iter().rev() {
            match solve(*routers, points, gateway) {
                Ok(path) => return Ok(path),
                Err(why) => gap = why,
            }
        }
        Err(gap)
    }
}

/// The path of so many routers through the most frequent value at each point.
fn solve(
    routers: u8,
    points: &BTreeMap<u16, BTreeMap<u16, u64>>,
    gateway: RouterId,
) -> Result<Vec<RouterId>, Gap> {
    let want = usize::from(routers) * usize::from(CHUNKS);
    let mut best: Vec<(u64, u16, u16)> = vec![];
    for (x, values) in points {
        let mut often: Vec<(u64, u16)> = values.iter().map(|(y, n)| (*n, *y)).collect();
        often.sort_unstable_by(|a, b| b.cmp(a));
        match often[..] {
            // As often as another: nobody can say which is true.
            [(n, _), (m, _), ..] if n == m => {}
            [(n, y), ..] => best.push((n, *x, y)),
            [] => {}
        }
    }
    let packets = points.values().flat_map(BTreeMap::values).sum();
    if points.len() < want {
        // The law for so many different points of 257.
        let law = distinct_values(P.into(), u32::try_from(want).unwrap_or(u32::MAX));
        return Err(Gap::TooFew { have: packets, want: whole(law.ceil()) });
    }
    best.sort_unstable_by(|a, b| b.cmp(a));
    let mixed = Gap::Mixed { packets };
    let points: Vec<(u16, u16)> = best.iter().take(want).map(|(_, x, y)| (*x, *y)).collect();
    if points.len() < want {
        return Err(mixed);
    }
    let bytes: Option<Vec<u8>> =
        interpolate(&points).into_iter().rev().map(|c| u8::try_from(c).ok()).collect();
    let word = |four: &[u8]| four.iter().fold(0, |id, byte| id << 8 | u32::from(*byte));
    let path: Vec<RouterId> = bytes
        .ok_or(mixed.clone())?
        .chunks(CHUNKS.into())
        .map(|four| RouterId(word(four)))
        .collect();
    let lawful = path.last() == Some(&gateway) && path.iter().all(|id| id.0 >> 24 > 0);
    if lawful { Ok(path) } else { Err(mixed) }
}

#[cfg(test)]
#[path = "algebraic_tests.rs"]
mod tests;
