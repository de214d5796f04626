//! FMS: fragment marking, compressed edge fragment sampling.
//!
//! Idea: with probability `p` a router writes one of the eight bytes of its name; the next router
//! XORs in its own byte, which makes it a link; every other router only counts the distance. The
//! victim starts at its own gateway, whose marks carry no XOR, and unravels one distance after the
//! other. A name is the router's address with a hash of it interleaved, so that a wrong combination
//! of fragments betrays itself.
//!
//! Paper: Savage, Wetherall, Karlin, Anderson, "Practical Network Support for IP Traceback",
//! SIGCOMM 2000, sections 4.3, 4.4 and 5 (savage2000).
//!
//! ```text
//!  15    13 12       8 7              0     Identification; IPv6: low 16 bits of the flow label
//! | offset | distance | fragment       |
//! name, 64 bits: address bit 0, hash bit 0, address bit 1, hash bit 1, ...  from the left;
//! fragment `o` is its byte `o` from the left.
//! ```
//! Departs: figures 6 and 8 of the paper disagree about which bits are the address; ours is figure 8
//! (address on even bits, counted from the left from 0). The hash is the finaliser of MurmurHash3.
//! Distances of 31 mean "31 or more" and are not used. Where fragments at some distance make more
//! combinations than the budget allows, what lies nearer is kept and the rest set aside: beyond the
//! true first router, unmarked packets carry whatever their sender chose (savage2000 section 5.1).
//!
//! Cost: one comparison and at most four writes to one 16-bit field for each packet.

use crate::case::{Case, Evidence, Gap, Step};
use crate::counts::Counts;
use crate::graph::{AttackGraph, Edge, Finding};
use crate::invariant::Invariant;
use crate::scheme::{
    BadParams, Card, Field, Hop, Keeper, Marked, Names, Place, RouterId, Scheme, probability,
};
use crate::slot::Slot;
use crate::stats::whole;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Fragments of a name.
pub const FRAGMENTS: usize = 8;
/// Distances are counted up to this one, which means "this or more".
pub const FAR: u8 = 31;
/// Paths listed at most; a lawful tree of routers has far fewer.
const MAX_PATHS: usize = 10_000;

/// FMS at work.
#[derive(Debug, Clone, Copy)]
pub struct Fms {
    p: f64,
    /// A draw below this marks.
    threshold: u64,
}

/// What a scenario may set.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Marking probability.
    pub p: f64,
}

impl Default for Params {
    /// 1/25. Source: savage2000 section 4.2.
    fn default() -> Self {
        Self { p: 0.04 }
    }
}

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

/// A router's name: address and hash interleaved.
pub fn name(router: RouterId) -> [u8; FRAGMENTS] {
    (spread(router.0) << 1 | spread(hash(router.0))).to_be_bytes()
}

/// The address in a name, if the hash beside it agrees.
pub fn check(name: [u8; FRAGMENTS]) -> Option<RouterId> {
    let bits = u64::from_be_bytes(name);
    let address = gather(bits >> 1);
    (hash(address) == gather(bits)).then_some(RouterId(address))
}

/// MurmurHash3's 32-bit finaliser.
fn hash(mut x: u32) -> u32 {
    x = (x ^ (x >> 16)).wrapping_mul(0x85eb_ca6b);
    x = (x ^ (x >> 13)).wrapping_mul(0xc2b2_ae35);
    x ^ (x >> 16)
}

/// Puts a zero before each bit.
fn spread(x: u32) -> u64 {
    let mut x = u64::from(x);
    for (shift, mask) in SPREAD {
        x = (x | x << shift) & mask;
    }
    x
}

/// Inverse of [`spread`]; ignores the bits between.
fn gather(x: u64) -> u32 {
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

impl Scheme for Fms {
    const CARD: Card = Card {
        id: "fms",
        title: "Fragment marking (compressed edge fragment sampling)",
        paper: "Savage, Wetherall, Karlin, Anderson, SIGCOMM 2000, section 4.4",
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
    type Params = Params;
    type Local = [u8; FRAGMENTS];
    type Mark = Mark;
    type Ledger = Counts;

    fn new(params: &Params) -> Result<Self, BadParams> {
        Ok(Self { p: params.p, threshold: probability("p", params.p)? })
    }

    fn local(&self, place: &Place) -> [u8; FRAGMENTS] {
        name(place.id)
    }

    fn twin(&self, name: &[u8; FRAGMENTS]) -> Vec<u64> {
        vec![self.threshold, u64::from_be_bytes(*name)]
    }

    fn mark(
        &self,
        name: &[u8; FRAGMENTS],
        hop: &Hop,
        _: &Invariant,
        mut mark: Mark,
    ) -> Marked<Mark> {
        if u64::from(hop.draw) < self.threshold {
            // The low bits are fair whatever the threshold, which fixes only the high ones.
            let offset = (hop.draw & 7) as u8;
            return Mark { offset, distance: 0, fragment: name[usize::from(offset)] }.into();
        }
        if mark.distance == 0 {
            mark.fragment ^= name[usize::from(mark.offset)];
        }
        // Saturates: a wrapped distance would let the attacker forge nearby links.
        mark.distance = FAR.min(mark.distance + 1);
        mark.into()
    }

    fn observe(&self, _: &Hop, _: &Invariant, mark: Mark, _: &[u8], ledger: &mut Counts) {
        ledger.add((mark.pack() & 0xffff) as u16);
    }

    fn reconstruct(&self, case: &Case, evidence: &Evidence<Counts>) -> Result<Step, Gap> {
        let mut cells = Cells::default();
        let mut packets = 0;
        for ledger in evidence.ledgers.values() {
            packets += ledger.packets();
            ledger.iter().for_each(|(mark, _)| cells.add(Mark::unpack(mark.into())));
        }
        let graph = unravel(&cells, case)?;
        if graph.edges.is_empty() {
            // The exact mean for the gateway alone: eight equal coupons.
            let harmonic: f64 = (1..=FRAGMENTS).map(|i| 1.0 / i as f64).sum();
            let want = whole((FRAGMENTS as f64 * harmonic / self.p).ceil());
            return Err(Gap::TooFew { have: packets, want });
        }
        Ok(Step::Done(Finding::Paths(graph)))
    }
}

/// Distinct fragments by distance and offset.
#[derive(Debug, Default)]
struct Cells([[Vec<u8>; FRAGMENTS]; FAR as usize]);

impl Cells {
    fn add(&mut self, mark: Mark) {
        if let Some(at) = self.0.get_mut(usize::from(mark.distance)) {
            let seen = &mut at[usize::from(mark.offset)];
            if !seen.contains(&mark.fragment) {
                seen.push(mark.fragment);
            }
        }
    }
}

/// Goes from the gateway outwards, one distance at a time (savage2000 figure 8).
fn unravel(cells: &Cells, case: &Case) -> Result<AttackGraph, Gap> {
    let mut edges = BTreeSet::new();
    let mut reached: Vec<Option<RouterId>> = vec![None];
    let mut spent = 0_u64;
    let mut set_aside = 0;
    for (distance, fragments) in (0..case.budget.hops.min(u16::from(FAR))).zip(&cells.0) {
        let each = fragments.iter().map(|f| f.len() as u64).fold(1, u64::saturating_mul);
        let census = each.saturating_mul(reached.len() as u64);
        spent = spent.saturating_add(census);
        if spent > case.budget.candidates {
            if distance == 0 {
                return Err(Gap::Budget { budget: case.budget.candidates, distance, census });
            }
            set_aside = census;
            break;
        }
        let mut found = BTreeSet::new();
        for to in &reached {
            let under = to.map_or([0; FRAGMENTS], name);
            combine(fragments, under, &mut |from| {
                edges.insert(Edge { distance, from, to: *to });
                found.insert(Some(from));
            });
        }
        if found.is_empty() {
            break;
        }
        reached = found.into_iter().collect();
    }
    let graph = AttackGraph::from_edges(edges, MAX_PATHS);
    Ok(AttackGraph { set_aside, ..graph })
}

/// Calls `hit` for every combination of one fragment per offset that is a name once `under` is
/// taken out.
fn combine(
    fragments: &[Vec<u8>; FRAGMENTS],
    under: [u8; FRAGMENTS],
    hit: &mut impl FnMut(RouterId),
) {
    if fragments.iter().any(Vec::is_empty) {
        return;
    }
    let mut at = [0; FRAGMENTS];
    loop {
        let mut name = under;
        for o in 0..FRAGMENTS {
            name[o] ^= fragments[o][at[o]];
        }
        if let Some(router) = check(name) {
            hit(router);
        }
        let Some(o) = (0..FRAGMENTS).find(|&o| at[o] + 1 < fragments[o].len()) else { return };
        at[o] += 1;
        at[..o].fill(0);
    }
}

#[cfg(test)]
#[path = "fms_tests.rs"]
mod tests;
