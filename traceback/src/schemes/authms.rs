//! Authenticated marking: advanced marking whose hashes are keyed, with keys that are told afterwards.
//!
//! Idea: marks of [`super::ams2`] can be forged by anybody, since hashes of routers are public. Here a router
//! writes a keyed hash of the packet and itself. Every interval of time has a key of its own, which is
//! published when the interval is over: then the victim can check what it kept, and a mark made with a
//! published key comes too late. Keys of a router form a chain ([`chain`]), so that one commitment vouches
//! for all of them and a key that was not heard follows from any later one.
//!
//! Paper: Song, Perrig, "Advanced and Authenticated Marking Schemes for IP Traceback", INFOCOM 2001
//! (song2001), section 5, with the time-released keys proposed there.
//!
//! ```text
//!  15     11 10       8 7              0     Identification; IPv6: low 16 bits of the flow label
//! | distance | function | keyed hash    |
//! key j is used from j T on, published at (j + 1) T + disclosure; T is the interval
//! ```
//! Departs: the paper's keyed hash and its packet data are not fixed; ours are SipHash-1-3 over our packet
//! digest, the function and the router. Publication is not acted out: a key is known to the
//! collector once its interval lies within the case's window, whose last keys it is taken to have waited
//! for. Chains derive from `secret`, which a plan draws from its seed; in the field every operator would
//! have one. A link is believed when marks of `threshold` functions fit *and* more marks fit than chance
//! explains (Chernoff's bound against `doubt`): each packet is a new chance of 2^-8 for any wrong
//! link, so functions alone would say less the more packets there are.
//!
//! Cost: the packet's digest, the time and one division; one keyed hash for packets that are written or
//! completed. The victim keeps 18 bytes for each marked packet until its key is out.

pub mod buffer;
pub mod chain;

use super::ams2::{self, Ams2, FAR, FUNCTIONS};
use super::walk::MAX_PATHS;
use crate::case::{Case, Evidence, Gap, Step};
use crate::graph::{AttackGraph, Edge};
use crate::invariant::Invariant;
use crate::law::filter;
use crate::scheme::{BadParams, Card, Hop, Marked, Nanos, Place, RouterId, Scheme, probability};
use buffer::{Buffer, Kept};
use chain::{Chain, INTERVALS, Role};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Authenticated marking at work.
#[derive(Debug, Clone, Copy)]
pub struct AuthMs {
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
    /// Functions of the eight that must fit.
    pub threshold: u8,
    /// How long a key is used, in milliseconds; a chain has [`INTERVALS`] keys.
    pub interval_ms: u64,
    /// How long after its interval a key is published.
    pub disclosure_ms: u64,
    /// How far clocks may differ.
    pub skew_ms: u64,
    /// Chance with which a link on no path may be believed, at most.
    pub doubt: f64,
    /// Packets that the victim keeps; more are counted as lost.
    pub capacity: usize,
    /// What routers' chains are made of.
    pub secret: u64,
}

impl Default for Params {
    fn default() -> Self {
        let (interval_ms, disclosure_ms, skew_ms) = (10_000, 1_000, 100);
        let (threshold, doubt, capacity) = (FUNCTIONS, 1e-6, 1 << 17);
        Self { p: 0.04, threshold, interval_ms, disclosure_ms, skew_ms, doubt, capacity, secret: 0 }
    }
}

/// The 16 bits.
pub type Mark = ams2::Mark;

impl Scheme for AuthMs {
    const CARD: Card = Card {
        id: "authms",
        title: "Authenticated marking, time-released keys",
        paper: "Song, Perrig, INFOCOM 2001, section 5",
        hashes: true,
        harms: "overwrites the IPv4 Identification: fragments are left unmarked, marked packets get DF; an answer \
                waits until the last key is out, and clocks must agree",
        state: "a chain of 128 keys for each router; the victim keeps every marked packet's digest",
        ..Ams2::CARD
    };
    type Params = Params;
    type Local = Chain;
    type Mark = Mark;
    type Ledger = Buffer;

    fn new(params: &Params) -> Result<Self, BadParams> {
        let Params { threshold, interval_ms, disclosure_ms, skew_ms, .. } = *params;
        let refuse = |key, must, got: u64| Err(BadParams { key, must, got: got.to_string() });
        if !(1..=FUNCTIONS).contains(&threshold) {
            return refuse("threshold", "must lie between 1 and 8", threshold.into());
        }
        if !(1..=86_400_000).contains(&interval_ms) {
            return refuse("interval_ms", "must lie between 1 and a day", interval_ms);
        }
        if disclosure_ms > interval_ms {
            return refuse("disclosure_ms", "must not exceed interval_ms", disclosure_ms);
        }
        if skew_ms >= disclosure_ms {
            return refuse("skew_ms", "must lie below disclosure_ms", skew_ms);
        }
        probability("doubt", params.doubt)?;
        Ok(Self { params: *params, draws: probability("p", params.p)? })
    }

    fn local(&self, place: &Place) -> Chain {
        Chain::of(self.params.secret, place.id)
    }

    fn twin(&self, chain: &Chain) -> Vec<u64> {
        let keys = chain.keys.iter().flat_map(|key| [key.0, key.1]);
        [self.draws, self.interval()].into_iter().chain(keys).collect()
    }

    fn outsider(&self) -> Option<Self> {
        let secret = !self.params.secret;
        Some(Self { params: Params { secret, ..self.params }, ..*self })
    }

    #[inline]
    fn mark(&self, chain: &Chain, hop: &Hop, inv: &Invariant, mut mark: Mark) -> Marked<Mark> {
        let key = chain.key(hop.at.0 / self.interval());
        // The low bits are fair whatever the threshold, which fixes only the high ones.
        let function = (hop.draw & 7) as u8;
        if let Some(key) = key {
            if u64::from(hop.draw) < self.draws {
                let hash = key.hash(inv.digest, Role::Writes, function, hop.me);
                return Mark { distance: 0, function, hash }.into();
            }
            if mark.distance == 0 {
                mark.hash ^= key.hash(inv.digest, Role::Completes, mark.function, hop.me);
            }
        }
        // Saturates: a wrapped distance would let the attacker forge nearby links.
        mark.distance = FAR.min(mark.distance + 1);
        mark.into()
    }

    fn observe(&self, hop: &Hop, inv: &Invariant, mark: Mark, _: &[u8], buffer: &mut Buffer) {
        if mark.distance < FAR {
            buffer.add(Kept { at: hop.at, digest: inv.digest, mark }, self.params.capacity);
        }
    }

    fn reconstruct(&self, case: &Case, evidence: &Evidence<Buffer>) -> Result<Step, Gap> {
        let mut marks: [Vec<Trial>; FAR as usize] = Default::default();
        let kept = evidence.ledgers.values().flat_map(Buffer::iter);
        for kept in kept.filter(|kept| kept.at <= case.window.to) {
            let keys = self.keys(kept.at).filter(|j| self.begins(*j) <= case.window.to.0);
            if let Some(at) = marks.get_mut(usize::from(kept.mark.distance)) {
                at.extend(keys.map(|interval| Trial { kept, interval }));
            }
        }
        let graph = Unravelled { scheme: self, case, marks: &marks }.graph()?;
        let have = evidence.ledgers.values().map(|buffer| buffer.len() as u64).sum();
        ams2::done(graph, have, self.params.p, FUNCTIONS, self.params.threshold)
    }
}

impl AuthMs {
    /// The length of an interval, in nanoseconds.
    fn interval(&self) -> u64 {
        self.params.interval_ms * 1_000_000
    }

    fn begins(&self, interval: usize) -> u64 {
        (interval as u64).saturating_mul(self.interval())
    }

    /// Intervals whose keys a packet that arrived then may carry: they had begun, and their keys were
    /// not out, on anybody's clock.
    pub fn keys(&self, arrived: Nanos) -> impl Iterator<Item = usize> + use<> {
        let Params { disclosure_ms, skew_ms, .. } = self.params;
        let [disclosure, skew] = [disclosure_ms, skew_ms].map(|ms| ms * 1_000_000);
        let interval = self.interval();
        let last = arrived.0.saturating_add(skew) / interval;
        let over = (arrived.0.saturating_add(skew).saturating_add(1)).saturating_sub(disclosure);
        let first = over.div_ceil(interval).saturating_sub(1);
        let index = |j: u64| usize::try_from(j).ok().filter(|j| *j < INTERVALS);
        (first..=last).filter_map(index)
    }
}

/// A mark and a key that may have made it.
#[derive(Debug, Clone, Copy)]
struct Trial {
    kept: Kept,
    interval: usize,
}

impl Trial {
    fn hash(&self, chain: &Chain, role: Role, router: RouterId) -> u8 {
        let Kept { digest, mark, .. } = self.kept;
        chain.keys[self.interval].hash(digest, role, mark.function, router)
    }
}

/// A reconstruction over a map: from the gateway outwards, one distance at a time.
struct Unravelled<'a> {
    scheme: &'a AuthMs,
    case: &'a Case,
    marks: &'a [Vec<Trial>],
}

impl Unravelled<'_> {
    fn graph(&self) -> Result<AttackGraph, Gap> {
        let Case { gateway, map, budget, .. } = self.case;
        if map.router(*gateway).is_none() {
            return Err(Gap::Nothing { what: "a map that shows the gateway".into() });
        }
        let (mut edges, mut left) = (BTreeSet::new(), budget.candidates);
        let mut found = BTreeMap::from([(None, BTreeSet::from([*gateway]))]);
        for (distance, marks) in (0..budget.hops).zip(self.marks) {
            if marks.is_empty() {
                break;
            }
            let links = found.values().map(|from| from.len() as u64).sum::<u64>();
            let census = links.saturating_mul(marks.len() as u64);
            let spent = Gap::Budget { budget: budget.candidates, distance, census };
            left = left.checked_sub(census).ok_or(spent)?;
            let new: Vec<Edge> = found
                .iter()
                .flat_map(|(to, from)| self.links(distance, marks, *to, from))
                .collect();
            found = self.beyond(&new);
            edges.extend(new);
        }
        Ok(AttackGraph::from_edges(edges, MAX_PATHS))
    }

    /// Which of these routers marked packets that the next one completed.
    fn links(
        &self,
        distance: u16,
        marks: &[Trial],
        to: Option<RouterId>,
        from: &BTreeSet<RouterId>,
    ) -> Vec<Edge> {
        let secret = self.scheme.params.secret;
        let chain = to.map(|to| (to, Chain::of(secret, to)));
        let completed = |trial: &Trial| {
            chain.as_ref().map_or(0, |(to, chain)| trial.hash(chain, Role::Completes, *to))
        };
        let wanted: Vec<u8> = marks.iter().map(|t| t.kept.mark.hash ^ completed(t)).collect();
        let fits = |from: &&RouterId| {
            let chain = Chain::of(secret, **from);
            let fitting = marks
                .iter()
                .zip(&wanted)
                .filter(|(trial, wanted)| trial.hash(&chain, Role::Writes, **from) == **wanted);
            let (hits, functions) = fitting
                .fold((0, 0_u8), |(n, bits), (t, _)| (n + 1, bits | 1 << t.kept.mark.function));
            functions.count_ones() >= self.scheme.params.threshold.into()
                && filter::chance_bound(marks.len() as u64, hits, 8) <= self.scheme.params.doubt
        };
        from.iter().filter(fits).map(|from| Edge { distance, from: *from, to }).collect()
    }

    /// Neighbours of what was found from which a packet can have come: not where it goes to next, and not
    /// the gateway, which it passes last.
    fn beyond(&self, edges: &[Edge]) -> BTreeMap<Option<RouterId>, BTreeSet<RouterId>> {
        let mut next = BTreeMap::new();
        for edge in edges {
            let open = |id: &RouterId| Some(*id) != edge.to && *id != self.case.gateway;
            let neighbours = self.case.map.neighbours(edge.from).filter(open);
            next.entry(Some(edge.from)).or_insert_with(BTreeSet::new).extend(neighbours);
        }
        next
    }
}

#[cfg(test)]
#[path = "authms_tests.rs"]
mod tests;
