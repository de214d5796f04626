//! The comparison where all routers are shown, by sets alone: what the tests hold [`super::score_shown`] against.

use super::{Level, Levels, Paths, Score};
use crate::graph::{AttackGraph, Edge, Finding};
use crate::map::Map;
use crate::scheme::RouterId;
use std::collections::BTreeSet;

/// Compares; `None` is a gap, which found nothing.
///
/// `truth` holds each attack path once, the router nearest the attacker first.
pub(super) fn score(truth: &BTreeSet<Vec<RouterId>>, said: Option<&Finding>, map: &Map) -> Score {
    let whole = match said {
        Some(Finding::AsPaths { paths }) => {
            level(&truth.iter().map(|path| map.as_path(path)).collect(), paths)
        }
        Some(Finding::Paths(graph)) => level(truth, &graph.paths),
        Some(Finding::Ingress { .. } | Finding::Classes { .. }) | None => {
            level(truth, &BTreeSet::new())
        }
    };
    let truth = Facts::of_graph(&AttackGraph::from_paths(truth.iter().cloned()), map);
    let said = said.map_or_else(Facts::default, |f| Facts::of(f, map));
    Score {
        levels: Levels {
            router: level(&truth.routers, &said.routers),
            edge: level(&truth.edges, &said.edges),
            r#as: level(&truth.asns, &said.asns),
            nation: level(&truth.nations, &said.nations),
            source: level(&truth.sources, &said.sources),
        },
        paths: Paths { truth: whole.truth, exact: whole.found, wrong: whole.wrong },
    }
}

fn level<T: Ord>(truth: &BTreeSet<T>, said: &BTreeSet<T>) -> Level {
    let found = truth.intersection(said).count();
    Level::counted(truth.len(), found, said.len() - found)
}

/// Everything that a finding, or the truth, says.
#[derive(Debug, Default)]
struct Facts {
    routers: BTreeSet<(RouterId, u16)>,
    edges: BTreeSet<Edge>,
    asns: BTreeSet<u32>,
    nations: BTreeSet<String>,
    sources: BTreeSet<RouterId>,
}

impl Facts {
    fn of(finding: &Finding, map: &Map) -> Self {
        match finding {
            Finding::Paths(graph) => Self::of_graph(graph, map),
            Finding::Ingress { routers } => {
                let mut facts = Self { sources: routers.clone(), ..Self::default() };
                facts.place(routers.iter().copied(), map);
                facts
            }
            Finding::AsPaths { paths } => {
                let asns: BTreeSet<u32> = paths.iter().flatten().copied().collect();
                let known = map.routers().iter().filter(|router| asns.contains(&router.asn));
                let nations = known.map(|router| router.nation.clone()).collect();
                Self { asns, nations, ..Self::default() }
            }
            Finding::Classes { .. } => Self::default(),
        }
    }

    fn of_graph(graph: &AttackGraph, map: &Map) -> Self {
        let mut facts = Self {
            routers: graph.routers(),
            edges: graph.edges.clone(),
            sources: graph.paths.iter().filter_map(|p| p.first().copied()).collect(),
            ..Self::default()
        };
        facts.place(graph.edges.iter().map(|e| e.from), map);
        facts
    }

    fn place(&mut self, routers: impl Iterator<Item = RouterId>, map: &Map) {
        for router in routers.filter_map(|id| map.router(id)) {
            self.asns.insert(router.asn);
            self.nations.insert(router.nation.clone());
        }
    }
}
