//! Marks that are numbers whose digits are links: what RIHT, MRT and Huffman codes share.
//!
//! A router appends the link that a packet came by to the number; when the field is full, it puts the
//! number away and starts again. From the victim's gateway the trace takes digit after digit off,
//! and asks the routers that put numbers away for them. Links are numbered by their neighbours'
//! identities in rising order, by routers and by the map alike.

use crate::case::{Case, Evidence, Gap, Query, Sample, Step};
use crate::graph::{AttackGraph, Finding, path_edges};
use crate::handed::Handed;
use crate::invariant::Invariant;
use crate::packet::Packet;
use crate::scheme::{Field, RouterId};
use crate::slot::Slot;
use crate::table::Table;
use std::collections::BTreeSet;

/// The 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(pub u32);

impl Field for Mark {
    const BITS: u32 = 32;

    fn pack(self) -> u32 {
        self.0
    }

    fn unpack(bits: u32) -> Self {
        Self(bits)
    }
}

/// What a mark says about the router that wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Back {
    /// The packet entered the network here.
    Source,
    /// It came by this link, with this mark.
    By(u16, u32),
    /// The router put the mark away and must be asked for this key; `u16` is the link where the mark
    /// still says it.
    Ask(u64, u16),
    /// Nothing that a router writes.
    Lost,
}

/// How digits come off.
pub(super) trait Digits {
    /// Where the mark lives, in IPv4 and in IPv6.
    const SLOTS: [Slot; 2];

    /// Undoes the step of a router with so many links to others.
    fn back(&self, degree: u16, mark: u32, digest: u64) -> Back;

    /// Link and mark before, from what the router answered.
    fn told(&self, value: u64, link: u16) -> (u16, u32);

    /// Traces every sample.
    fn trace(&self, case: &Case, evidence: &Evidence<Table>) -> Result<Step, Gap> {
        let mut graph = AttackGraph::default();
        let mut ask = BTreeSet::new();
        for sample in &case.samples {
            let Some((digest, mark)) = self.arrived(case, sample) else { continue };
            let (path, end) = self.walk(case, evidence, digest, mark);
            match end {
                End::Source | End::Handed(_) => graph.join(AttackGraph::from_paths([path])),
                // The part nearest the victim is known all the same.
                End::Silent => graph.edges.extend(path_edges(&path)),
                End::Ask(question) => {
                    ask.insert(question);
                }
                End::Lost => graph.set_aside += 1,
            }
        }
        if !ask.is_empty() {
            return Ok(Step::Ask(ask.into_iter().collect()));
        }
        if graph.edges.is_empty() {
            return Err(Gap::Nothing {
                what: "a sampled packet whose mark leads to a source".into(),
            });
        }
        Ok(Step::Done(Finding::Paths(graph)))
    }

    /// Who beyond the case's part of the network handed samples over, and with which marks.
    fn over(&self, case: &Case, evidence: &Evidence<Table>) -> Vec<Handed> {
        let arrived = case.samples.iter().filter_map(|sample| self.arrived(case, sample));
        let ends = arrived.map(|(digest, mark)| self.walk(case, evidence, digest, mark).1);
        ends.filter_map(|end| if let End::Handed(by) = end { Some(by) } else { None }).collect()
    }

    /// A sample's digest and mark.
    fn arrived(&self, case: &Case, sample: &Sample) -> Option<(u64, u32)> {
        let mut packet = Packet::parse(sample.bytes.as_slice()).ok()?;
        let slot = Self::SLOTS[usize::from(packet.is_v6())];
        if slot == Slot::IdFlagsOffset {
            packet.own_fragment_bits();
        }
        Some((Invariant::of(&packet, case.key).digest, slot.read(&packet)?))
    }

    /// The routers from the one that could be reached to the gateway.
    fn walk(
        &self,
        case: &Case,
        evidence: &Evidence<Table>,
        digest: u64,
        mut mark: u32,
    ) -> (Vec<RouterId>, End) {
        let mut path = vec![case.gateway];
        let end = loop {
            let here = path[path.len() - 1];
            let (link, before) = match self.step(case, evidence, here, (digest, mark)) {
                Ok(step) => step,
                Err(end) => break end,
            };
            let Some(next) = neighbour(case, here, link) else { break End::Lost };
            if path.len() >= usize::from(case.budget.hops) || path.contains(&next) {
                break End::Lost;
            }
            if case.beyond.contains(&next) {
                break End::Handed(Handed { by: next, mark: Some(before) });
            }
            path.push(next);
            mark = before;
        };
        path.reverse();
        (path, end)
    }

    /// Link and mark before one router.
    fn step(
        &self,
        case: &Case,
        evidence: &Evidence<Table>,
        here: RouterId,
        (digest, mark): (u64, u32),
    ) -> Result<(u16, u32), End> {
        let place = case.map.place(here).ok_or(End::Lost)?;
        let (key, link) = match self.back(place.degree, mark, digest) {
            Back::Source => return Err(End::Source),
            Back::Lost => return Err(End::Lost),
            Back::By(link, mark) => return Ok((link, mark)),
            Back::Ask(key, link) => (key, link),
        };
        let asked = (here, Query { keys: vec![key], from: case.window.from, to: case.window.to });
        let Some(answer) = evidence.answers.get(&asked) else { return Err(End::Ask(asked)) };
        let value = answer.as_ref().and_then(|a| a.values.first().copied().flatten());
        Ok(self.told(value.ok_or(End::Silent)?, link))
    }
}

/// How a walk ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// At the router where the packet entered.
    Source,
    /// Before a router that is for others to ask.
    Handed(Handed),
    /// At a router that must be asked first.
    Ask((RouterId, Query)),
    /// At a router that does not answer, or has forgotten.
    Silent,
    /// The mark makes no sense.
    Lost,
}

/// The neighbour of this rank.
fn neighbour(case: &Case, of: RouterId, link: u16) -> Option<RouterId> {
    let mut all: Vec<RouterId> = case.map.neighbours(of).collect();
    all.sort_unstable();
    all.get(usize::from(link)).copied()
}
