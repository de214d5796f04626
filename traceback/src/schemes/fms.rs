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
//! ```
//! Departs: figures 6 and 8 of the paper disagree about which bits are the address; ours is figure 8
//! (address on even bits, counted from the left from 0). Half of the hash is linear, so that fragments
//! of many routers can be joined ([`Check`]); `check = "nonlinear"` is the paper's. With `map = true`
//! links of the map are looked up among the fragments instead, as Song and Perrig propose. Distances
//! of 31 mean "31 or more" and are not used. Beyond the true first router unmarked packets carry
//! whatever their sender chose: see [`decode`] for where that ends.
//!
//! Cost: one comparison and at most four writes to one 16-bit field for each packet.

use crate::case::{Case, Evidence, Gap, Step};
use crate::counts::Counts;
use crate::graph::Finding;
use crate::invariant::Invariant;
use crate::scheme::{
    BadParams, Card, Chance, Field, Hop, Marked, Place, RouterId, Scheme, probability,
};
use crate::schemes::fragments::{self, Check, FAR, FRAGMENTS, Mark, Name, decode};
use crate::schemes::walk::{Hashes, Seen, Values, Walk};
use serde::{Deserialize, Serialize};

/// FMS at work.
#[derive(Debug, Clone, Copy)]
pub struct Fms {
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
    /// Whether links of the map are looked up, instead of combining all fragments.
    pub map: bool,
    /// How the hash beside an address is made.
    pub check: Check,
}

impl Default for Params {
    /// 1/25. Source: savage2000 section 4.2.
    fn default() -> Self {
        Self { p: 0.04, map: false, check: Check::default() }
    }
}

impl Scheme for Fms {
    const CARD: Card = Card {
        id: "fms",
        title: "Fragment marking (compressed edge fragment sampling)",
        paper: "Savage, Wetherall, Karlin, Anderson, SIGCOMM 2000, section 4.4",
        ..fragments::CARD
    };
    type Params = Params;
    type Local = Name;
    type Mark = Mark;
    type Ledger = Counts;

    fn new(params: &Params) -> Result<Self, BadParams> {
        Ok(Self { params: *params, threshold: probability("p", params.p)? })
    }

    fn local(&self, place: &Place) -> Name {
        self.params.check.name(place.id)
    }

    fn twin(&self, name: &Name) -> Vec<u64> {
        vec![self.threshold, u64::from_be_bytes(*name)]
    }

    fn chance(&self, _: &Hop) -> Option<Chance> {
        Some(Chance { p: self.params.p, bits: 3 })
    }

    #[inline]
    fn mark(&self, name: &Name, hop: &Hop, _: &Invariant, mark: Mark) -> Marked<Mark> {
        if u64::from(hop.draw) < self.threshold {
            return Mark::written(name, hop.draw).into();
        }
        mark.carried(name, FAR).into()
    }

    fn observe(&self, _: &Hop, _: &Invariant, mark: Mark, _: &[u8], ledger: &mut Counts) {
        mark.count(ledger);
    }

    fn reconstruct(&self, case: &Case, evidence: &Evidence<Counts>) -> Result<Step, Gap> {
        if self.params.map {
            return self.look_up(case, evidence);
        }
        let graph = decode::paths(self.params.check, case, evidence, self.params.p)?;
        Ok(Step::Done(Finding::Paths(graph)))
    }
}

impl Fms {
    fn look_up(&self, case: &Case, evidence: &Evidence<Counts>) -> Result<Step, Gap> {
        let mut seen = Seen::new(FRAGMENTS, 8);
        for (mark, _) in evidence.ledgers.values().flat_map(Counts::iter) {
            let mark = Mark::unpack(mark.into());
            seen.add(mark.distance, mark.offset, mark.fragment.into());
        }
        let (need, saturated) = (FRAGMENTS, SATURATED);
        let graph =
            Walk { case, seen: &seen, hashes: &self.params.check, need, saturated }.paths()?;
        if graph.edges.is_empty() {
            let packets = evidence.ledgers.values().map(Counts::packets).sum();
            return Err(decode::too_few(packets, self.params.p));
        }
        Ok(Step::Done(Finding::Paths(graph)))
    }
}

/// A router's bytes are its hashes, the same whether it writes or completes a link.
impl Hashes for Check {
    fn alone(&self, router: RouterId) -> Values {
        self.name(router).map(u32::from)
    }

    fn under(&self, router: RouterId) -> Values {
        self.alone(router)
    }
}

/// With a map, where every second link on no path would pass, fragments say nothing.
const SATURATED: f64 = 0.5;

#[cfg(test)]
#[path = "fms_tests.rs"]
mod tests;
