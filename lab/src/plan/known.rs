//! What a domain may know of a plan: of the routers of others, those next to its own and those that show
//! themselves in packets. The rest are strangers without names and addresses.

use super::{Domain, Node, Plan};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use traceback::RouterId;
use traceback::disclose::{Policy, logs_only};
use traceback::map::BadMap;
use traceback::schemes;

impl Plan {
    /// The plan as far as domains let a host know it that stands for these nodes. Its routers do with it what they
    /// do with the whole plan, since no mark depends on names that are not shown.
    ///
    /// # Errors
    /// [`BadMap`] where the plan was tampered with.
    pub fn known_to(&self, nodes: &BTreeSet<Node>) -> Result<Self, BadMap> {
        let mut known = self.clone();
        if self.shows_all() {
            return Ok(known);
        }
        let domains = self.domains_of(nodes);
        let strangers = self.strangers(&domains)?;
        let strange =
            |node: Node| matches!(node, Node::Router(router) if strangers.contains(&router));
        let hidden = |link: usize| {
            [self.links[link].a, self.links[link].b].iter().any(|end| strange(end.node))
        };
        for at in &strangers {
            known.routers[*at].name = format!("stranger-{at}");
            // 0.0.0.0/8 names nobody (RFC 6890).
            known.routers[*at].id = RouterId(u32::try_from(*at).unwrap_or(u32::MAX) + 1);
        }
        let tables = known.routers.iter_mut().flat_map(|r| [&mut r.routes, &mut r.also]);
        let later = known.epochs.iter_mut().flat_map(|epoch| &mut epoch.routes);
        for route in tables.chain(later).flatten().filter(|route| hidden(route.link)) {
            route.via = route.via.map(nowhere);
        }
        for (_, link) in known.links.iter_mut().enumerate().filter(|(at, _)| hidden(*at)) {
            for end in [&mut link.a, &mut link.b] {
                // Hosts' addresses are where packets may go, which every host looks at.
                if matches!(end.node, Node::Router(_)) {
                    end.address = nowhere(end.address);
                }
            }
        }
        for host in &mut known.hosts {
            if strangers.contains(&host.router) {
                host.gateway = nowhere(host.gateway);
            }
        }
        known.domains = (0..self.domains.len()).map(|at| self.domain_known(at, &domains)).collect();
        Ok(known)
    }

    /// A domain as others know it: by the detail that it shows and tells; whole, where it is among `own`.
    fn domain_known(&self, at: usize, own: &BTreeSet<usize>) -> Domain {
        let domain = self.domains[at].clone();
        if own.contains(&at) {
            return domain;
        }
        let plain = |_| Policy::plain(&domain.id, domain.marks(), self.answers_of(at));
        Domain { policy: domain.policy.clone().map(plain), contact: None, ..domain }
    }

    /// Domains that nodes are of, by position.
    pub(crate) fn domains_of(&self, nodes: &BTreeSet<Node>) -> BTreeSet<usize> {
        let router = |node: &Node| match node {
            Node::Router(router) => *router,
            Node::Host(host) => self.hosts[*host].router,
        };
        nodes.iter().map(|node| self.domain_at(router(node))).collect()
    }

    /// Routers that these domains do not know.
    fn strangers(&self, domains: &BTreeSet<usize>) -> Result<BTreeSet<usize>, BadMap> {
        let own = |router: usize| domains.contains(&self.domain_at(router));
        let mut strangers: BTreeSet<usize> =
            (0..self.routers.len()).filter(|router| !own(*router)).collect();
        for link in &self.links {
            if let (Node::Router(a), Node::Router(b)) = (link.a.node, link.b.node) {
                for (near, far) in [(a, b), (b, a)] {
                    if own(near) {
                        strangers.remove(&far);
                    }
                }
            }
        }
        for chosen in &self.schemes {
            let scheme = schemes::find(&chosen.id).and_then(|s| s.build(&chosen.params).ok());
            let Some(scheme) = scheme.filter(|scheme| !logs_only(&**scheme)) else { continue };
            let cut = self.acting(&*scheme)?;
            strangers.retain(|router| cut.shown().index(self.routers[*router].id).is_none());
        }
        Ok(strangers)
    }
}

/// The address that says nothing.
fn nowhere(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}
