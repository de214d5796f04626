//! Findings: attack graphs, ingress sets, and classes.

use crate::scheme::RouterId;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A directed link of an attack path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Edge {
    /// Hops between `from` and the victim's gateway; 0 where `from` is the gateway.
    pub distance: u16,
    /// The router farther from the victim.
    pub from: RouterId,
    /// The next router, or `None` where `from` delivers to the victim.
    pub to: Option<RouterId>,
}

/// What a reconstruction says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Finding {
    /// Router paths.
    Paths(AttackGraph),
    /// Routers where attack traffic entered.
    Ingress {
        /// The routers.
        routers: BTreeSet<RouterId>,
    },
    /// Paths of autonomous systems, the one nearest the attacker first.
    AsPaths {
        /// AS numbers.
        paths: BTreeSet<Vec<u32>>,
    },
    /// Fingerprints that tell paths apart without naming routers, with the packets of each.
    Classes {
        /// Packets by fingerprint.
        #[serde(deserialize_with = "by_fingerprint")]
        packets: BTreeMap<u32, u64>,
    },
}

/// JSON's keys are text, and what is read behind a tag stays text.
fn by_fingerprint<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<u32, u64>, D::Error> {
    let packets = BTreeMap::<String, u64>::deserialize(from)?;
    let number = |(key, n): (String, u64)| Ok((key.parse().map_err(D::Error::custom)?, n));
    packets.into_iter().map(number).collect()
}

/// Paths that end at the victim's gateway.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AttackGraph {
    /// Every link, each at its distance.
    pub edges: BTreeSet<Edge>,
    /// Whole paths, the router nearest the attacker first, the gateway last.
    pub paths: BTreeSet<Vec<RouterId>>,
    /// Candidates beyond the last trustworthy hop that the scheme set aside (unmarked packets carry
    /// whatever the sender chose).
    pub set_aside: u64,
}

impl AttackGraph {
    /// The graph of whole paths.
    pub fn from_paths(paths: impl IntoIterator<Item = Vec<RouterId>>) -> Self {
        let paths: BTreeSet<Vec<RouterId>> = paths.into_iter().filter(|p| !p.is_empty()).collect();
        let edges = paths.iter().flat_map(|p| path_edges(p)).collect();
        Self { edges, paths, set_aside: 0 }
    }

    /// The graph of edges found one distance after the other; paths are those from each edge that
    /// nothing continues, down to the gateway.
    ///
    /// Returns at most `limit` paths, so that a graph with many joins cannot exhaust memory.
    pub fn from_edges(edges: BTreeSet<Edge>, limit: usize) -> Self {
        let continued: BTreeSet<(u16, RouterId)> =
            edges.iter().filter_map(|e| Some((e.distance.checked_sub(1)?, e.to?))).collect();
        let mut paths = BTreeSet::new();
        for leaf in edges.iter().filter(|e| !continued.contains(&(e.distance, e.from))) {
            descend(&edges, *leaf, &mut vec![], &mut paths, limit);
        }
        Self { edges, paths, set_aside: 0 }
    }

    /// Routers with their distance from the gateway.
    pub fn routers(&self) -> BTreeSet<(RouterId, u16)> {
        self.edges.iter().map(|e| (e.from, e.distance)).collect()
    }

    /// Adds all of another graph.
    pub fn join(&mut self, other: Self) {
        self.edges.extend(other.edges);
        self.paths.extend(other.paths);
        self.set_aside += other.set_aside;
    }
}

/// The edges of one path, the router nearest the attacker first.
pub fn path_edges(path: &[RouterId]) -> impl Iterator<Item = Edge> + '_ {
    path.iter().enumerate().map(|(i, from)| Edge {
        distance: u16::try_from(path.len() - 1 - i).unwrap_or(u16::MAX),
        from: *from,
        to: path.get(i + 1).copied(),
    })
}

fn descend(
    edges: &BTreeSet<Edge>,
    edge: Edge,
    walked: &mut Vec<RouterId>,
    paths: &mut BTreeSet<Vec<RouterId>>,
    limit: usize,
) {
    if paths.len() >= limit || walked.contains(&edge.from) {
        return;
    }
    walked.push(edge.from);
    match (edge.to, edge.distance.checked_sub(1)) {
        (Some(to), Some(distance)) => {
            let (low, high) = (
                Edge { distance, from: to, to: None },
                Edge { distance, from: to, to: Some(RouterId(u32::MAX)) },
            );
            for next in edges.range(low..=high) {
                descend(edges, *next, walked, paths, limit);
            }
        }
        (None, None) => {
            paths.insert(walked.clone());
        }
        // An edge to the victim beyond distance 0, or one at 0 that goes on: no lawful path.
        (None, Some(_)) | (Some(_), None) => {}
    }
    walked.pop();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(path: &[u32]) -> Vec<RouterId> {
        path.iter().copied().map(RouterId).collect()
    }

    #[test]
    fn edges_and_paths_describe_the_same_graph() {
        let paths = [ids(&[5, 4, 1]), ids(&[6, 4, 1]), ids(&[7, 2, 3, 1])];
        let whole = AttackGraph::from_paths(paths.clone());
        let again = AttackGraph::from_edges(whole.edges.clone(), 100);
        assert_eq!(again.paths, paths.into_iter().collect());
        assert!(whole.routers().contains(&(RouterId(7), 3)));
    }

    #[test]
    fn findings_of_every_kind_survive_json() {
        let findings = [
            Finding::Paths(AttackGraph::from_paths([ids(&[5, 4, 1])])),
            Finding::Ingress { routers: [RouterId(7)].into() },
            Finding::AsPaths { paths: [vec![64_500, 64_496]].into() },
            Finding::Classes { packets: [(12_034, 5), (u32::MAX, 1)].into() },
        ];
        for finding in findings {
            let text = serde_json::to_string(&finding).unwrap();
            assert_eq!(serde_json::from_str::<Finding>(&text).unwrap(), finding, "{text}");
        }
    }

    #[test]
    fn a_loop_ends() {
        let edge = |distance, from, to| Edge { distance, from: RouterId(from), to };
        let edges =
            [edge(0, 1, None), edge(1, 2, Some(RouterId(1))), edge(2, 1, Some(RouterId(2)))];
        // Router 1 twice on one way: no acyclic path.
        assert!(AttackGraph::from_edges(edges.into(), 10).paths.is_empty());
    }
}
