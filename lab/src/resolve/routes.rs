//! Routes of fewest hops; where several neighbours are as near, the one that the file names first.

use super::Nodes;
use super::addresses::Addresses;
use crate::plan::{End, LinkPlan, Node, RoutePlan};
use crate::scenario::net_of;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Every router's table, and the way to every router that has a host.
pub(super) struct Routes {
    /// By router.
    pub(super) tables: Vec<Vec<RoutePlan>>,
    /// Further next hops of the same routes, equally near, by router.
    pub(super) also: Vec<Vec<RoutePlan>>,
    /// Next router and link on the way, by router, for each destination router.
    next: BTreeMap<usize, Vec<Vec<Step>>>,
}

#[derive(Debug, Clone, Copy)]
struct Step {
    router: usize,
    link: usize,
}

impl Routes {
    /// Finds them all, without the links that are down.
    pub(super) fn find(nodes: &Nodes, addresses: &Addresses, down: &BTreeSet<usize>) -> Self {
        let count = nodes.router_domains.len();
        let mut neighbours = vec![vec![]; count];
        let links = nodes.link_routers.iter().enumerate();
        for (link, (a, b)) in links.filter(|(link, _)| !down.contains(link)) {
            neighbours[*a].push(Step { router: *b, link });
            neighbours[*b].push(Step { router: *a, link });
        }
        neighbours.iter_mut().for_each(|n| n.sort_by_key(|s| (s.router, s.link)));
        let mut next = BTreeMap::new();
        for to in &nodes.host_routers {
            next.entry(*to).or_insert_with(|| towards(*to, &neighbours));
        }
        let (mut tables, mut also) = (vec![vec![]; count], vec![vec![]; count]);
        for host in &addresses.hosts {
            let link = &addresses.links[host.link];
            for (router, table) in tables.iter_mut().enumerate() {
                if router == host.router {
                    table.push(route(link, host.link, None));
                    continue;
                }
                for (nth, step) in next[&host.router][router].iter().enumerate() {
                    let via = end(&addresses.links[step.link], step.router).address;
                    let table = if nth == 0 { &mut *table } else { &mut also[router] };
                    table.push(route(link, step.link, Some(via)));
                }
            }
        }
        Self { tables, also, next }
    }

    /// Routers from one to another, both included; `None` where no links lead there.
    pub(super) fn path(&self, from: usize, to: usize) -> Option<Vec<usize>> {
        let next = self.next.get(&to)?;
        let mut path = vec![from];
        let mut at = from;
        while at != to {
            at = next[at].first()?.router;
            path.push(at);
        }
        Some(path)
    }
}

/// The first steps of every router on its nearest ways to `to`.
fn towards(to: usize, neighbours: &[Vec<Step>]) -> Vec<Vec<Step>> {
    let mut distance = vec![usize::MAX; neighbours.len()];
    distance[to] = 0;
    let mut queue = VecDeque::from([to]);
    while let Some(at) = queue.pop_front() {
        for step in &neighbours[at] {
            if distance[step.router] == usize::MAX {
                distance[step.router] = distance[at] + 1;
                queue.push_back(step.router);
            }
        }
    }
    let nearer = |at: usize| {
        let here = distance[at];
        let nearer = |s: &&Step| here != usize::MAX && distance[s.router] < here;
        neighbours[at].iter().filter(nearer).copied().collect()
    };
    (0..neighbours.len()).map(nearer).collect()
}

fn route(to: &LinkPlan, link: usize, via: Option<std::net::IpAddr>) -> RoutePlan {
    RoutePlan { net: net_of(to.a.address, to.len).network(), len: to.len, link, via }
}

fn end(link: &LinkPlan, router: usize) -> End {
    if link.a.node == Node::Router(router) { link.a } else { link.b }
}
