//! Large maps in layers, attack paths over them, and what the victim holds once every mark was seen.
//!
//! Shared by the oracles of schemes that search a map ([`super::ams`]) and by the benchmark `scale`. How
//! a map looks does not matter to the laws: a link on no path matches by chance wherever it is.

use super::chance::Chance;
use super::packets;
use std::collections::{BTreeMap, BTreeSet};
use traceback::case::{Case, Evidence, Gap, Step};
use traceback::graph::{Edge, Finding, path_edges};
use traceback::invariant::Invariant;
use traceback::map::{Map, MapRouter};
use traceback::scheme::{Field, Hop, Place};
use traceback::{RouterId, Scheme};

/// A gateway, and above it layers of equally many routers each of which has two links to random routers of
/// the layer below; those of the first have one, to the gateway.
pub struct Layers {
    /// About nothing yet; made once, since copying the map would take longer than searching it.
    pub case: Case,
    layers: u32,
    width: u32,
}

impl Layers {
    /// So many layers of so many routers.
    pub fn new(layers: u32, width: u32, chance: &mut Chance) -> Self {
        let router = |n: u32| MapRouter {
            id: id_of(n),
            name: n.to_string(),
            asn: 64_512,
            nation: "XA".into(),
            aliases: vec![],
        };
        let mut links = vec![];
        for n in 1..=layers * width {
            let layer = (n - 1) / width;
            for _ in 0..2 {
                let any = one_of(width, chance);
                links.push((if layer == 0 { 0 } else { (layer - 1) * width + any }, n));
            }
        }
        let map = Map::new((0..=layers * width).map(router).collect(), links)
            .expect("invariant: every link joins two routers of different layers");
        let case = Case { map, ..packets::case(id_of(0)) };
        Self { case, layers, width }
    }

    /// As many walks down from random routers of the top layer, the gateway last.
    pub fn paths(&self, count: u32, chance: &mut Chance) -> Vec<Vec<RouterId>> {
        let top = (self.layers - 1) * self.width;
        let walk = |_| {
            let mut at = top + one_of(self.width, chance);
            let mut path = vec![id_of(at)];
            while at > 0 {
                // Positions rise with layers, so a router's links down come first.
                let linked = self.case.map.linked(at);
                let lower = linked.partition_point(|n| *n < at);
                at = linked[chance.below(lower)];
                path.push(id_of(at));
            }
            path
        };
        (0..count).map(walk).collect()
    }

    /// The links of random paths, which end where their distance has so many links already; so every
    /// distance from 1 on has exactly so many, all of which lead to the gateway.
    pub fn links(&self, count: u32, chance: &mut Chance) -> BTreeSet<Edge> {
        let mut truth = BTreeSet::new();
        let layers = u16::try_from(self.layers).unwrap_or(u16::MAX);
        let mut open: BTreeMap<u16, u32> = (1..=layers).map(|d| (d, count)).collect();
        // Chance may leave the last few links of a distance for long.
        for path in self.paths(20 * count, chance) {
            let edges: Vec<Edge> = path_edges(&path).collect();
            for edge in edges.into_iter().rev() {
                match open.get_mut(&edge.distance).filter(|_| !truth.contains(&edge)) {
                    Some(0) => break,
                    Some(left) => *left -= 1,
                    None => {}
                }
                truth.insert(edge);
            }
            if open.values().all(|left| *left == 0) {
                break;
            }
        }
        truth
    }

    /// Reconstruction over this map.
    ///
    /// # Errors
    /// The scheme's own gaps.
    pub fn reconstruct<S: Scheme>(&self, scheme: &S, ledger: S::Ledger) -> Result<Finding, Gap> {
        let mut evidence = Evidence::default();
        evidence.ledgers.insert(self.case.gateway, ledger);
        match scheme.reconstruct(&self.case, &evidence)? {
            Step::Done(finding) => Ok(finding),
            Step::Ask(_) => Err(Gap::Nothing { what: "an answer without questions".into() }),
        }
    }

    /// Links of no path at distances where true ones are: taken in, and examined.
    pub fn examined(&self, found: &BTreeSet<Edge>, truth: &BTreeSet<Edge>) -> (u64, u64) {
        let deepest = truth.last().map_or(0, |edge| edge.distance);
        let gateway = self.case.gateway;
        let mut below = BTreeMap::<(u16, RouterId), Vec<RouterId>>::new();
        for edge in found {
            below.entry((edge.distance, edge.from)).or_default().extend(edge.to);
        }
        let mut of = 0;
        for ((distance, router), below) in below.into_iter().filter(|((d, _), _)| *d < deepest) {
            let neighbours = self.case.map.neighbours(router);
            let beyond = neighbours.filter(|n| !below.contains(n) && *n != gateway);
            let untrue = |from: &RouterId| {
                !truth.contains(&Edge { distance: distance + 1, from: *from, to: Some(router) })
            };
            of += beyond.filter(untrue).count() as u64;
        }
        let wrong = found.difference(truth).filter(|e| e.distance <= deepest).count() as u64;
        (wrong, of)
    }
}

/// What the victim holds when every mark of every link was seen. `marks` of the scheme's marks tell a router
/// whole, and `at` sets their distance.
pub fn complete<'e, S: Scheme>(
    scheme: &S,
    edges: impl IntoIterator<Item = &'e Edge>,
    marks: u32,
    at: fn(S::Mark, u8) -> S::Mark,
) -> S::Ledger {
    let mut ledger = S::Ledger::default();
    let inv = Invariant::NONE;
    let local = |id| scheme.local(&Place { id, index: 0, degree: 2, asn: 0 });
    let step = |local: &S::Local, draw, mark| {
        scheme.mark(local, &Hop { draw, ..Hop::default() }, &inv, mark).mark
    };
    for edge in edges {
        let (from, to) = (local(edge.from), edge.to.map(local));
        for draw in 0..marks {
            let mut mark = step(&from, draw, S::Mark::unpack(0));
            if let Some(to) = &to {
                mark = step(to, u32::MAX, mark);
            }
            let mark = at(mark, u8::try_from(edge.distance).unwrap_or(u8::MAX));
            scheme.observe(&Hop::default(), &inv, mark, &[], &mut ledger);
        }
    }
    ledger
}

/// The `n`-th router; higher layers have higher addresses.
fn id_of(n: u32) -> RouterId {
    RouterId(0x1000_0000 + n)
}

/// 1 to `n`.
fn one_of(n: u32, chance: &mut Chance) -> u32 {
    u32::try_from(1 + chance.below(n as usize)).unwrap_or(n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_the_gateway_and_are_as_many_as_asked_for() {
        let layers = Layers::new(4, 300, &mut Chance(1));
        let truth = layers.links(20, &mut Chance(2));
        for distance in 1..=4 {
            assert_eq!(truth.iter().filter(|e| e.distance == distance).count(), 20);
        }
        let near = |e: &&Edge| e.distance > 0;
        let hangs = |e: &Edge| {
            truth.iter().any(|below| below.distance + 1 == e.distance && Some(below.from) == e.to)
        };
        assert!(truth.iter().filter(near).all(hangs));
        assert_eq!(layers.examined(&truth, &truth).0, 0);
    }
}
