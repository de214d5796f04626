//! What routes of the plan become: those of routers as it gives them, and one of each host to its gateway.

use super::{Layout, Route};
use crate::plan::{Node, Plan, RoutePlan};
use anyhow::Context;
use std::net::IpAddr;

impl Layout {
    pub(super) fn route(&mut self, plan: &Plan) -> anyhow::Result<()> {
        for (i, router) in plan.routers.iter().enumerate() {
            let Some(&at) = self.at.get(&Node::Router(i)) else { continue };
            self.spaces[at].routes = self.routes_of(plan, i, &router.routes, &router.also)?;
            self.spaces[at].spreads = plan.spread.is_some();
        }
        for (i, host) in plan.hosts.iter().enumerate() {
            let Some(&at) = self.at.get(&Node::Host(i)) else { continue };
            let port = self.spaces[at]
                .port_on(host.link)
                .with_context(|| format!("host {} is not on its own link", host.name))?;
            let index = port.index;
            // The testbed's ranges and nothing else: no host has a default route.
            let range = crate::scope::ranges().into_iter().find(|r| same(r.addr(), host.gateway));
            let range = range.expect("invariant: one range for each address family");
            let hops = vec![(index, host.gateway)];
            let route = Route { net: range.addr(), len: range.prefix_len(), hops };
            self.spaces[at].routes.push(route);
        }
        Ok(())
    }

    /// What routes of the plan become in a router's space; `also` are further next hops of theirs.
    ///
    /// # Errors
    /// Names a router with a route over a link that it is not on.
    pub fn routes_of(
        &self,
        plan: &Plan,
        router: usize,
        routes: &[RoutePlan],
        also: &[RoutePlan],
    ) -> anyhow::Result<Vec<Route>> {
        let hop = |route: &RoutePlan, via: IpAddr| {
            let port = self.router(router).port_on(route.link).with_context(|| {
                let name = &plan.routers[router].name;
                format!("router {name} has a route over a link it is not on")
            })?;
            Ok((port.index, via))
        };
        let mut made = vec![];
        for route in routes {
            let same = |r: &&RoutePlan| (r.net, r.len) == (route.net, route.len);
            let all = std::iter::once(route).chain(also.iter().filter(same));
            let hops = all.filter_map(|r| Some(hop(r, r.via?)));
            let hops = hops.collect::<anyhow::Result<Vec<_>>>()?;
            if !hops.is_empty() {
                made.push(Route { net: route.net, len: route.len, hops });
            }
        }
        Ok(made)
    }
}

fn same(a: IpAddr, b: IpAddr) -> bool {
    a.is_ipv4() == b.is_ipv4()
}
