//! AMS II: advanced marking with eight hash functions.
//!
//! Idea: a victim who has a map of the routers upstream need not be told names: hashes do. With
//! probability `p` a router writes one of eight hashes of itself; the next router XORs its own in, by a
//! second family of functions, so that a link differs from its reverse; every other router only counts
//! the distance. The victim goes from its gateway outwards and takes a neighbour in when at least
//! `threshold` of the eight hashes of the link were seen at that distance. More functions mean fewer
//! false routers and more packets.
//!
//! Paper: Song, Perrig, "Advanced and Authenticated Marking Schemes for IP Traceback", INFOCOM 2001
//! (song2001), scheme II.
//!
//! ```text
//!  15     11 10       8 7              0     Identification; IPv6: low 16 bits of the flow label
//! | distance | function | hash          |
//! ```
//! Departs: the functions are the bytes of two 64-bit hashes. Distances of 31 mean "31 or more" and are
//! not used. Where marks of many routers fill the 256 values of a function, the paper's answer drowns in
//! false routers; ours is [`Gap::Saturated`] with the law's rate (see [`crate::schemes::walk`]).
//!
//! Cost: one comparison and at most three writes to one 16-bit field for each packet. Reconstruction is
//! linear in the map's links around routers found.

use crate::case::{Case, Evidence, Gap, Step};
use crate::counts::Counts;
use crate::graph::{AttackGraph, Finding};
use crate::invariant::{Invariant, mix2};
use crate::law::{Coupon, Hops};
use crate::scheme::{
    BadParams, Card, Chance, Field, Hop, Keeper, Marked, Names, Place, RouterId, Scheme,
    probability,
};
use crate::schemes::walk::{Hashes, Seen, Values, Walk};
use crate::slot::Slot;
use crate::stats::whole;
use serde::{Deserialize, Serialize};

/// Hash functions.
pub const FUNCTIONS: u8 = 8;
/// Distances are counted up to this one, which means "this or more".
pub const FAR: u8 = 31;

/// AMS II at work.
#[derive(Debug, Clone, Copy)]
pub struct Ams2 {
    params: Params,
    /// A draw below this marks.
    draws: u64,
}

/// What a scenario may set.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Marking probability.
    pub p: f64,
    /// Functions of the eight that must match: `T`. The paper's "m > 5, 6, 7" are 6, 7 and 8.
    pub threshold: u8,
    /// False matches per link, by the law, from which a distance says nothing; 1 never refuses.
    pub saturated: f64,
}

impl Default for Params {
    /// 1/25, all functions, every second link.
    fn default() -> Self {
        Self { p: 0.04, threshold: FUNCTIONS, saturated: 0.5 }
    }
}

/// The 16 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Hops since it was written, saturating at [`FAR`].
    pub distance: u8,
    /// Which function, 0..=7.
    pub function: u8,
    /// The function's value for a router, or for a link.
    pub hash: u8,
}

impl Field for Mark {
    const BITS: u32 = 16;

    fn pack(self) -> u32 {
        u32::from(self.distance) << 11 | u32::from(self.function) << 8 | u32::from(self.hash)
    }

    fn unpack(bits: u32) -> Self {
        let [_, _, high, hash] = bits.to_be_bytes();
        Self { distance: high >> 3, function: high & 7, hash }
    }
}

/// A router's eight hashes when it writes and when it completes a link; function 0 first. The first
/// scheme of the paper takes 11 bits of the same words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// When it writes.
    pub alone: u64,
    /// When it completes.
    pub under: u64,
}

impl Pair {
    /// The hashes of a router.
    pub fn of(router: RouterId) -> Self {
        let id = u64::from(router.0);
        Self { alone: mix2(0x414d_5301, id), under: mix2(0x414d_5302, id) }
    }
}

/// The byte of each function.
struct Bytes;

impl Hashes for Bytes {
    fn alone(&self, router: RouterId) -> Values {
        Pair::of(router).alone.to_le_bytes().map(u32::from)
    }

    fn under(&self, router: RouterId) -> Values {
        Pair::of(router).under.to_le_bytes().map(u32::from)
    }
}

impl Scheme for Ams2 {
    const CARD: Card = Card {
        id: "ams2",
        title: "Advanced marking II, eight hash functions",
        paper: "Song, Perrig, INFOCOM 2001, scheme II",
        v4: Slot::Id,
        v6: Slot::FlowLabel,
        records: false,
        keeper: Keeper::Victim,
        names: Names::Paths,
        needs_map: true,
        groups_by_flow: false,
        draws: true,
        hashes: false,
        harms: "overwrites the IPv4 Identification: fragments are left unmarked, marked packets get DF",
        state: "16 bytes for each router",
    };
    type Params = Params;
    type Local = Pair;
    type Mark = Mark;
    type Ledger = Counts;

    fn new(params: &Params) -> Result<Self, BadParams> {
        let Params { p, threshold, saturated } = *params;
        if !(1..=FUNCTIONS).contains(&threshold) {
            let got = threshold.to_string();
            return Err(BadParams { key: "threshold", must: "must lie between 1 and 8", got });
        }
        probability("saturated", saturated)?;
        Ok(Self { params: *params, draws: probability("p", p)? })
    }

    fn local(&self, place: &Place) -> Pair {
        Pair::of(place.id)
    }

    fn twin(&self, pair: &Pair) -> Vec<u64> {
        vec![self.draws, pair.alone, pair.under]
    }

    fn chance(&self, _: &Hop) -> Option<Chance> {
        Some(Chance { p: self.params.p, bits: 3 })
    }

    #[inline]
    fn mark(&self, pair: &Pair, hop: &Hop, _: &Invariant, mut mark: Mark) -> Marked<Mark> {
        if u64::from(hop.draw) < self.draws {
            // The low bits are fair whatever the threshold, which fixes only the high ones.
            let function = (hop.draw & 7) as u8;
            let hash = pair.alone.to_le_bytes()[usize::from(function)];
            return Mark { distance: 0, function, hash }.into();
        }
        if mark.distance == 0 {
            mark.hash ^= pair.under.to_le_bytes()[usize::from(mark.function)];
        }
        // Saturates: a wrapped distance would let the attacker forge nearby links.
        mark.distance = FAR.min(mark.distance + 1);
        mark.into()
    }

    fn observe(&self, _: &Hop, _: &Invariant, mark: Mark, _: &[u8], ledger: &mut Counts) {
        ledger.add((mark.pack() & 0xffff) as u16);
    }

    fn reconstruct(&self, case: &Case, evidence: &Evidence<Counts>) -> Result<Step, Gap> {
        let mut seen = Seen::new(FUNCTIONS.into(), 8);
        for (mark, _) in evidence.ledgers.values().flat_map(Counts::iter) {
            let mark = Mark::unpack(mark.into());
            seen.add(mark.distance, mark.function, mark.hash.into());
        }
        let (need, saturated) = (self.params.threshold, self.params.saturated);
        let walk = Walk { case, seen: &seen, hashes: &Bytes, need: need.into(), saturated };
        let packets = evidence.ledgers.values().map(Counts::packets).sum();
        done(walk.paths()?, packets, self.params.p, FUNCTIONS, need)
    }
}

/// A finding, or that the `have` packets are too few, with how many the gateway alone needs on average
/// before `need` of its `cells` marks were seen.
pub(super) fn done(
    graph: AttackGraph,
    have: u64,
    p: f64,
    cells: u8,
    need: u8,
) -> Result<Step, Gap> {
    if graph.edges.is_empty() {
        let law = Coupon::new(Hops::Overwriting(p), 1, cells.into(), need.into());
        let want = law.map_or(u64::MAX, |law| whole(law.mean().ceil()));
        return Err(Gap::TooFew { have, want });
    }
    Ok(Step::Done(Finding::Paths(graph)))
}

#[cfg(test)]
#[path = "ams2_tests.rs"]
mod tests;
