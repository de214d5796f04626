//! Addresses: a loopback for each router, a network for each link, two addresses on it.

use super::{Nodes, conditions};
use crate::plan::{Conditions, End, HostPlan, LinkPlan, Node};
use crate::scenario::{Problems, Ranges, Spec, overlap};
use crate::units::Quantity;
use ipnet::{IpNet, IpSubnets};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use traceback::RouterId;

/// MTU of links to hosts.
const HOST_MTU: u16 = 1500;

/// Links and hosts with their addresses.
pub(super) struct Addresses {
    /// Links between routers in the scenario's order, then one for each host.
    pub(super) links: Vec<LinkPlan>,
    /// Hosts in the scenario's order.
    pub(super) hosts: Vec<HostPlan>,
}

/// A router's identity: its index counted from the first address behind 198.19.0.0.
pub(super) fn loopback(index: usize) -> RouterId {
    let base = u32::from(Ipv4Addr::new(198, 19, 0, 0));
    RouterId(base + 1 + u32::try_from(index).unwrap_or(u32::MAX - 1 - base))
}

/// Routers that the loopbacks' network names at most.
const MOST_ROUTERS: usize = (1 << 15) - 2;

impl Addresses {
    /// Assigns them, in the order of the file; `None` where a network is used up.
    pub(super) fn assign(
        spec: &Spec,
        nodes: &Nodes,
        ranges: &Ranges,
        problems: &mut Problems<'_>,
    ) -> Option<Self> {
        let topology = &spec.topology;
        if topology.routers.len() > MOST_ROUTERS {
            let what = format!("{} routers are too many", topology.routers.len());
            problems.add("topology.routers", what, format!("{MOST_ROUTERS} at most"));
            return None;
        }
        let mut pools = Pools::new(spec, ranges);
        let mut links = vec![];
        for (i, (link, (a, b))) in topology.links.iter().zip(&nodes.link_routers).enumerate() {
            let path = format!("topology.links.{i}");
            let net = pools.next(spec, nodes.router_domains[*a], &path, problems)?;
            let mtu = u16::try_from(link.mtu.bytes()).unwrap_or(u16::MAX);
            let loss = u32::try_from(link.loss.amount()).unwrap_or(u32::MAX);
            let joined = link_plan(net, [Node::Router(*a), Node::Router(*b)], mtu);
            links.push(LinkPlan { loss_ppm: loss, ways: conditions::of_link(link), ..joined });
        }
        let mut hosts = vec![];
        for (i, (host, router)) in topology.hosts.iter().zip(&nodes.host_routers).enumerate() {
            let path = format!("topology.hosts.{i}");
            let net = pools.next(spec, nodes.router_domains[*router], &path, problems)?;
            let link = link_plan(net, [Node::Router(*router), Node::Host(i)], HOST_MTU);
            hosts.push(HostPlan {
                name: host.id.clone(),
                kind: host.kind,
                address: link.b.address,
                gateway: link.a.address,
                router: *router,
                link: links.len(),
            });
            links.push(LinkPlan { ways: conditions::of_host(host), ..link });
        }
        Some(Self { links, hosts })
    }
}

fn link_plan(net: IpNet, [a, b]: [Node; 2], mtu: u16) -> LinkPlan {
    let end = |node, nth| End { node, address: nth_address(&net, nth) };
    LinkPlan {
        a: end(a, 1),
        b: end(b, 2),
        len: net.prefix_len(),
        mtu,
        loss_ppm: 0,
        ways: [Conditions::default(); 2],
    }
}

fn nth_address(net: &IpNet, nth: u8) -> IpAddr {
    match net.network() {
        IpAddr::V4(first) => Ipv4Addr::from(u32::from(first) + u32::from(nth)).into(),
        IpAddr::V6(first) => std::net::Ipv6Addr::from(u128::from(first) + u128::from(nth)).into(),
    }
}

/// Networks for links: one pool for each domain with a prefix, one for all others.
struct Pools {
    pools: BTreeMap<Option<usize>, IpSubnets>,
    reserved: Vec<IpNet>,
}

impl Pools {
    fn new(spec: &Spec, ranges: &Ranges) -> Self {
        let subnets = |net: IpNet| {
            net.subnets(ranges.link_len).expect("invariant: the check saw room for a link")
        };
        let read = |text: &String| text.parse::<IpNet>().ok();
        let mut pools = BTreeMap::from([(None, subnets(ranges.links))]);
        let mut reserved = vec![ranges.loopbacks, ranges.spoofed];
        reserved.extend(spec.traffic.iter().filter_map(|t| read(t.spoof.as_ref()?.pool.as_ref()?)));
        for (i, domain) in spec.domain.iter().enumerate() {
            if let Some(prefix) = domain.prefix.as_ref().and_then(read) {
                pools.insert(Some(i), subnets(prefix));
                reserved.push(prefix);
            }
        }
        Self { pools, reserved }
    }

    /// The next network for a link of a domain.
    fn next(
        &mut self,
        spec: &Spec,
        domain: usize,
        path: &str,
        problems: &mut Problems<'_>,
    ) -> Option<IpNet> {
        let own = Some(domain).filter(|d| self.pools.contains_key(&Some(*d)));
        let pool = self.pools.get_mut(&own).expect("invariant: there is a pool for all others");
        let net = match own {
            Some(_) => pool.next(),
            None => pool.find(|net| !self.reserved.iter().any(|r| overlap(net, r))),
        };
        if net.is_none() {
            let domain = &spec.domain[domain];
            let what = format!("no network is left for this link in domain \"{}\"", domain.id);
            let mend = "give the domain a larger prefix, or leave the prefix out";
            problems.add(path, what, mend);
        }
        net
    }
}
