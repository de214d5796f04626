//! HIT: hybrid traceback of single packets, marking and logging by turns.
//!
//! Idea: a router writes its name into every packet. It logs a packet only where the router before it
//! did not, so half of the routers remember a packet and the mark says whether the last one did. A
//! log is kept for each neighbour, so a hit says at once where the packet came from.
//!
//! Paper: Gong, Sarac, "Toward a Practical Packet Marking Approach for IP Traceback", ICC 2005 and
//! TPDS 19(10), 2008 (gong2008).
//!
//! ```text
//!  15            1   0       Identification; IPv6: low 16 bits of the flow label
//! | name (15)     | logged |
//! ```
//! Departs: a name is 15 bits of a hash of the identity; it need only differ from those two hops away,
//! and where it does not, a trace asks one router too many. One log holds the digests of all
//! neighbours, each under a hash family of its own, which takes the same room as a log for each.
//! Fragments keep their Identification, so every router logs them, under their neighbour.
//!
//! Cost: one comparison and one write of 16 bits for each packet; for every other one a log entry as in
//! SPIE.

use super::pages::{Pages, Params};
use crate::case::{Case, Evidence, Gap, Query, Sample, Step};
use crate::graph::{AttackGraph, Edge, Finding};
use crate::handed::Handed;
use crate::invariant::{Invariant, addend};
use crate::packet::Packet;
use crate::scheme::{
    BadParams, Card, Field, Hop, Keeper, LogPage, LogShape, Marked, Names, Place, RouterId, Scheme,
};
use crate::slot::Slot;
use std::collections::{BTreeMap, BTreeSet};

/// Paths listed at most for one packet; with sound pages there is one.
const MAX_PATHS: usize = 1_000;

/// HIT at work.
#[derive(Debug, Clone, Copy)]
pub struct Hit {
    params: Params,
}

/// The 16 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The router that wrote it.
    pub name: u16,
    /// Whether it logged the packet.
    pub logged: bool,
}

impl Field for Mark {
    const BITS: u32 = 16;

    fn pack(self) -> u32 {
        u32::from(self.name) << 1 | u32::from(self.logged)
    }

    fn unpack(bits: u32) -> Self {
        Self { name: (bits >> 1 & 0x7fff) as u16, logged: bits & 1 == 1 }
    }
}

/// A router's name. Multiplied by the golden ratio, identities that follow each other, as those of neighbours do,
/// come as far apart as they can.
pub fn name(router: RouterId) -> u16 {
    (router.0.wrapping_mul(0x9e37_79b9) >> 17) as u16
}

/// What a packet from this neighbour is logged under. Pages mix what they are given, so it need only differ.
fn key(digest: u64, from: RouterId) -> u64 {
    digest.wrapping_add(addend(from.0.into()))
}

impl Scheme for Hit {
    const CARD: Card = Card {
        id: "hit",
        title: "Hybrid traceback, marking and logging by turns",
        paper: "Gong, Sarac, ICC 2005; TPDS 19(10), 2008",
        v4: Slot::Id,
        v6: Slot::FlowLabel,
        records: false,
        keeper: Keeper::Routers,
        names: Names::Paths,
        needs_map: true,
        groups_by_flow: false,
        draws: false,
        hashes: true,
        harms: "overwrites the IPv4 Identification: fragments are left unmarked and logged everywhere, \
                marked packets get DF; behind a legacy router a sender can forge its name, which moves \
                the turns by one",
        state: "half of SPIE's: 12 bits for every other packet and page",
    };
    type Params = Params;
    type Local = u16;
    type Mark = Mark;
    type Ledger = Pages;

    fn new(params: &Params) -> Result<Self, BadParams> {
        Ok(Self { params: params.checked()? })
    }

    fn local(&self, place: &Place) -> u16 {
        name(place.id)
    }

    fn twin(&self, name: &u16) -> Vec<u64> {
        vec![self.params.bits, self.params.hashes.into(), (*name).into()]
    }

    fn log(&self) -> Option<LogShape> {
        Some(self.params.shape())
    }

    fn log_key(&self, hop: &Hop, inv: &Invariant, mark: Mark) -> Option<u64> {
        (hop.fragment == 1 || mark.logged).then(|| key(inv.digest, hop.from))
    }

    fn cells(&self, salt: u64, key: u64) -> Vec<u64> {
        self.params.cells(salt, key)
    }

    fn absorb(&self, page: LogPage<'_>, ledger: &mut Pages) {
        ledger.absorb(page, &self.params);
    }

    #[inline]
    fn mark(&self, me: &u16, hop: &Hop, _: &Invariant, before: Mark) -> Marked<Mark> {
        // Whatever a host wrote is no router's name.
        let valid = hop.edge == 0 && before.name == name(hop.from);
        Mark { name: *me, logged: valid && !before.logged }.into()
    }

    fn observe(&self, hop: &Hop, inv: &Invariant, mark: Mark, _: &[u8], ledger: &mut Pages) {
        if let Some(key) = self.log_key(hop, inv, mark) {
            ledger.log(&self.params, hop, key);
        }
    }

    fn reconstruct(&self, case: &Case, evidence: &Evidence<Pages>) -> Result<Step, Gap> {
        let mut graph = AttackGraph::default();
        let mut ask = BTreeSet::new();
        for sample in &case.samples {
            let Some((digest, start)) = arrived(case, sample) else { continue };
            let mut trace = Trace { case, evidence, digest, ask: &mut ask };
            graph.join(AttackGraph::from_edges(trace.walk(start).0, MAX_PATHS));
        }
        if !ask.is_empty() {
            return Ok(Step::Ask(ask.into_iter().collect()));
        }
        if graph.edges.is_empty() {
            return Err(Gap::Nothing { what: "a sampled packet with the gateway's mark".into() });
        }
        Ok(Step::Done(Finding::Paths(graph)))
    }

    fn handed(&self, case: &Case, evidence: &Evidence<Pages>) -> Vec<Handed> {
        let mut ask = BTreeSet::new();
        let mut over = |sample| {
            let (digest, start) = arrived(case, sample)?;
            Some(Trace { case, evidence, digest, ask: &mut ask }.walk(start).1)
        };
        case.samples.iter().filter_map(&mut over).flatten().collect()
    }
}

/// What one router did with the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    /// Marked and logged it.
    Logged,
    /// Only marked it.
    Marked,
    /// Logged it as every router does with fragments.
    Fragment,
}

impl Turn {
    /// What a router that had this turn handed over.
    fn handed(self, by: RouterId) -> Handed {
        let mark = |logged| Some(Mark { name: name(by), logged }.pack());
        let mark = match self {
            Self::Logged => mark(true),
            Self::Marked => mark(false),
            Self::Fragment => None,
        };
        Handed { by, mark }
    }
}

/// A sample's digest, and what the gateway did with it; `None` where it has not the gateway's mark.
fn arrived(case: &Case, sample: &Sample) -> Option<(u64, Turn)> {
    let packet = Packet::parse(sample.bytes.as_slice()).ok()?;
    let digest = Invariant::of(&packet, case.key).digest;
    if packet.is_fragment() {
        return Some((digest, Turn::Fragment));
    }
    let slot = Hit::CARD.slot(packet.is_v6());
    let mark = Mark::unpack(slot.read(&packet)?);
    let turn = if mark.logged { Turn::Logged } else { Turn::Marked };
    (mark.name == name(case.gateway)).then_some((digest, turn))
}

/// One packet's way back.
struct Trace<'a> {
    case: &'a Case,
    evidence: &'a Evidence<Pages>,
    digest: u64,
    ask: &'a mut BTreeSet<(RouterId, Query)>,
}

impl Trace<'_> {
    /// Follows the packet from the gateway outwards as far as answers go, and notes whom to ask next. Also
    /// who beyond may have handed it over.
    fn walk(&mut self, start: Turn) -> (BTreeSet<Edge>, BTreeSet<Handed>) {
        let (mut edges, mut over) = (BTreeSet::new(), BTreeSet::new());
        let mut placed = BTreeSet::new();
        let mut front = BTreeMap::from([(self.case.gateway, (None, start))]);
        for distance in 0..self.case.budget.hops {
            let mut next = BTreeMap::new();
            placed.extend(front.keys().copied());
            for (from, (to, turn)) in front {
                // A mark may say what the log denies: whoever shows the packet wrote it then.
                if turn != Turn::Marked && self.denies(from) {
                    continue;
                }
                edges.insert(Edge { distance, from, to });
                for (before, turn) in self.before(from, turn, &placed) {
                    if self.case.beyond.contains(&before) {
                        over.insert(turn.handed(before));
                    } else {
                        next.insert(before, (Some(from), turn));
                    }
                }
            }
            front = next;
        }
        (edges, over)
    }

    /// The routers before one that had this turn, with theirs; none through which the packet went later.
    fn before(
        &mut self,
        router: RouterId,
        turn: Turn,
        later: &BTreeSet<RouterId>,
    ) -> Vec<(RouterId, Turn)> {
        let after = |turn| move |before| (before, turn);
        let is_new = |before: &RouterId| !later.contains(before);
        match turn {
            Turn::Logged | Turn::Fragment => {
                let turn = if turn == Turn::Logged { Turn::Marked } else { turn };
                self.logged(router).into_iter().filter(is_new).map(after(turn)).collect()
            }
            // It did not log, so the one before it did, unless the packet came from a host.
            Turn::Marked => {
                let all = self.case.map.neighbours(router).filter(is_new);
                let (beyond, own): (Vec<_>, Vec<_>) =
                    all.partition(|before| self.case.beyond.contains(before));
                let logged = |before: &RouterId| !self.logged(*before).is_empty();
                let logged: Vec<RouterId> = own.into_iter().filter(logged).collect();
                // Only where none of the own did may it be one beyond.
                let who = if logged.is_empty() { beyond } else { logged };
                who.into_iter().map(after(Turn::Logged)).collect()
            }
        }
    }

    /// Whether a router answered that it did not log the packet.
    fn denies(&mut self, router: RouterId) -> bool {
        self.answer(router).is_some_and(|logged| logged.is_empty())
    }

    /// Neighbours from which a router logged the packet.
    fn logged(&mut self, router: RouterId) -> Vec<RouterId> {
        self.answer(router).unwrap_or_default()
    }

    /// The same; nothing where it is yet to be asked, or silent.
    fn answer(&mut self, router: RouterId) -> Option<Vec<RouterId>> {
        let neighbours: Vec<RouterId> = self.case.map.neighbours(router).collect();
        let keys = neighbours.iter().map(|from| key(self.digest, *from)).collect();
        let asked = Query { keys, from: self.case.window.from, to: self.case.window.to };
        let question = (router, asked);
        let Some(answer) = self.evidence.answers.get(&question) else {
            self.ask.insert(question);
            return None;
        };
        let values = &answer.as_ref()?.values;
        Some(neighbours.into_iter().zip(values).filter_map(|(n, v)| v.map(|_| n)).collect())
    }
}

#[cfg(test)]
#[path = "hit_tests.rs"]
mod tests;
