//! Scores where domains do not show all of their routers.
//!
//! A finding names what routers wrote, so it is compared with what is shown of the truth ([`Cut::project`]):
//! what is not in there is wrong. Recall is still that of the whole truth: a router is found where its own
//! name is, a system or a nation where a name tells it.

use super::{Level, Levels, Paths, Score};
use crate::disclose::{Cut, Detail};
use crate::graph::{Edge, Finding, path_edges};
use crate::scheme::RouterId;
use std::collections::{BTreeMap, BTreeSet};

/// A cut map, and what each name of it tells.
#[derive(Debug, Clone)]
pub struct Sight<'a> {
    cut: &'a Cut,
    told: BTreeMap<RouterId, Told<'a>>,
}

/// What a name tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Told<'a> {
    router: Option<RouterId>,
    asn: Option<u32>,
    nation: Option<&'a str>,
}

impl<'a> Sight<'a> {
    /// What names in marks tell by themselves.
    pub fn of_marks(cut: &'a Cut) -> Self {
        Self::of(cut, |router| cut.detail(router))
    }

    /// What they tell once domains have been asked who stands behind words that only they resolve; `answers`
    /// has what each router's domain tells.
    pub fn of_answered_marks(cut: &'a Cut, answers: impl Fn(u32) -> Detail) -> Self {
        Self::of(cut, |router| match cut.detail(router) {
            Detail::Hash => answers(router),
            shown => shown,
        })
    }

    /// What is told of packets that routers logged: nothing but answers.
    pub fn of_answers(cut: &'a Cut, answers: impl Fn(u32) -> Detail) -> Self {
        Self::of(cut, answers)
    }

    fn of(cut: &'a Cut, detail: impl Fn(u32) -> Detail) -> Self {
        let count = u32::try_from(cut.whole().routers().len()).unwrap_or(u32::MAX);
        let told = |router| Some((cut.node(router)?.id, Told::of(cut, router, detail(router))));
        Self { cut, told: (0..count).filter_map(told).collect() }
    }

    fn told(&self, name: RouterId) -> Told<'a> {
        self.told.get(&name).copied().unwrap_or_default()
    }

    fn names(&self, name: RouterId, router: RouterId) -> bool {
        self.told.get(&name).is_some_and(|told| told.router == Some(router))
    }

    fn asns(&self, names: impl Iterator<Item = RouterId>) -> BTreeSet<u32> {
        names.filter_map(|name| self.told(name).asn).collect()
    }

    fn nations(&self, names: impl Iterator<Item = RouterId>) -> BTreeSet<String> {
        names.filter_map(|name| self.told(name).nation).map(str::to_owned).collect()
    }
}

impl<'a> Told<'a> {
    fn of(cut: &'a Cut, router: u32, detail: Detail) -> Self {
        let Some(own) = cut.whole().by_index(router) else { return Self::default() };
        let (asn, nation) = (Some(own.asn), Some(own.nation.as_str()));
        match detail {
            Detail::Border if !cut.at_border(router) => Self::default(),
            Detail::Router | Detail::Border => Self { router: Some(own.id), asn, nation },
            Detail::As => Self { router: None, asn, nation },
            Detail::Nation => Self { nation, ..Self::default() },
            Detail::Hash | Detail::Presence | Detail::None => Self::default(),
        }
    }
}

/// Compares with what is shown of the truth, each true path once, the router nearest the attacker first.
/// `None` is a gap, which found nothing.
pub fn score_shown(
    truth: &BTreeSet<Vec<RouterId>>,
    said: Option<&Finding>,
    sight: &Sight<'_>,
) -> Score {
    let mut all = Truth::default();
    truth.iter().for_each(|path| all.add(path, sight));
    let said = said.map_or_else(Said::default, |finding| Said::of(finding, sight));
    let paths = match &said.as_paths {
        Some(systems) => all.as_paths.level(systems),
        None => all.paths.level(&said.paths),
    };
    Score {
        levels: Levels {
            router: all.routers.level(&said.routers),
            edge: all.edges.level(&said.edges),
            r#as: all.asns.level(&said.asns),
            nation: all.nations.level(&said.nations),
            source: all.sources.level(&said.sources),
        },
        paths: Paths { truth: paths.truth, exact: paths.found, wrong: paths.wrong },
    }
}

/// True things, and what is shown of them: each thing shown with those true ones that it names.
#[derive(Debug)]
struct Pairs<T, S> {
    truth: BTreeSet<T>,
    shown: BTreeMap<S, BTreeSet<T>>,
}

impl<T, S> Default for Pairs<T, S> {
    fn default() -> Self {
        Self { truth: BTreeSet::new(), shown: BTreeMap::new() }
    }
}

impl<T: Ord + Clone, S: Ord> Pairs<T, S> {
    fn show(&mut self, shown: S, named: Option<T>) {
        self.shown.entry(shown).or_default().extend(named);
    }

    fn level(&self, said: &BTreeSet<S>) -> Level {
        let right = said.iter().filter_map(|s| self.shown.get(s));
        let found: BTreeSet<&T> = right.clone().flatten().collect();
        Level::counted(self.truth.len(), found.len(), said.len() - right.count())
    }
}

/// The truth at all levels.
#[derive(Debug, Default)]
struct Truth {
    routers: Pairs<(RouterId, u16), (RouterId, u16)>,
    edges: Pairs<Edge, Edge>,
    asns: Pairs<u32, u32>,
    nations: Pairs<String, String>,
    sources: Pairs<RouterId, RouterId>,
    paths: Pairs<Vec<RouterId>, Vec<RouterId>>,
    as_paths: Pairs<Vec<u32>, Vec<u32>>,
}

impl Truth {
    fn add(&mut self, path: &[RouterId], sight: &Sight<'_>) {
        let (whole, shown) = (sight.cut.whole(), sight.cut.project(path));
        let names: Vec<RouterId> = shown.iter().map(|(_, name)| *name).collect();
        self.add_hops(path, (&shown, &names), sight);
        let own = path.iter().filter_map(|id| whole.router(*id));
        self.asns.truth.extend(own.clone().map(|r| r.asn));
        self.nations.truth.extend(own.map(|r| r.nation.clone()));
        for asn in sight.asns(names.iter().copied()) {
            self.asns.show(asn, Some(asn));
        }
        for nation in sight.nations(names.iter().copied()) {
            self.nations.show(nation.clone(), Some(nation));
        }
        self.sources.truth.extend(path.first());
        if let (Some(first), Some((at, name))) = (path.first(), shown.first()) {
            let named = *at == 0 && sight.names(*name, *first);
            self.sources.show(*name, named.then_some(*first));
        }
        let systems = whole.as_path(path);
        self.as_paths.truth.insert(systems.clone());
        self.as_paths.show(sight.cut.shown().as_path(&names), Some(systems));
        self.paths.truth.insert(path.to_vec());
        self.paths.show(names, Some(path.to_vec()));
    }

    /// Routers and links, each at its distance.
    fn add_hops(
        &mut self,
        path: &[RouterId],
        (shown, names): (&[(usize, RouterId)], &[RouterId]),
        sight: &Sight<'_>,
    ) {
        let edges: Vec<Edge> = path_edges(path).collect();
        self.routers.truth.extend(edges.iter().map(|e| (e.from, e.distance)));
        self.edges.truth.extend(&edges);
        for (rank, edge) in path_edges(names).enumerate() {
            let (at, name) = shown[rank];
            let own = sight.names(name, path[at]);
            self.routers.show((name, edge.distance), own.then_some((path[at], edges[at].distance)));
            let beside = match shown.get(rank + 1) {
                Some((next, name)) => *next == at + 1 && sight.names(*name, path[*next]),
                None => at + 1 == path.len(),
            };
            self.edges.show(edge, (own && beside).then_some(edges[at]));
        }
    }
}

/// What a finding says.
#[derive(Debug, Default)]
struct Said {
    routers: BTreeSet<(RouterId, u16)>,
    edges: BTreeSet<Edge>,
    asns: BTreeSet<u32>,
    nations: BTreeSet<String>,
    sources: BTreeSet<RouterId>,
    paths: BTreeSet<Vec<RouterId>>,
    as_paths: Option<BTreeSet<Vec<u32>>>,
}

impl Said {
    fn of(finding: &Finding, sight: &Sight<'_>) -> Self {
        match finding {
            Finding::Paths(graph) => {
                let names = || graph.edges.iter().map(|e| e.from);
                Self {
                    routers: graph.routers(),
                    edges: graph.edges.clone(),
                    asns: sight.asns(names()),
                    nations: sight.nations(names()),
                    sources: graph.paths.iter().filter_map(|p| p.first().copied()).collect(),
                    paths: graph.paths.clone(),
                    as_paths: None,
                }
            }
            Finding::Ingress { routers } => Self {
                sources: routers.clone(),
                asns: sight.asns(routers.iter().copied()),
                nations: sight.nations(routers.iter().copied()),
                ..Self::default()
            },
            Finding::AsPaths { paths } => {
                let asns: BTreeSet<u32> = paths.iter().flatten().copied().collect();
                let known = sight.cut.shown().routers().iter().filter(|r| asns.contains(&r.asn));
                let nations = known.map(|r| r.nation.clone()).collect();
                Self { asns, nations, as_paths: Some(paths.clone()), ..Self::default() }
            }
            Finding::Classes { .. } => Self::default(),
        }
    }
}

#[cfg(test)]
#[path = "shown_tests.rs"]
mod tests;
