//! What a plan becomes on one host: a namespace for every node, an interface for every end of a link.
//!
//! Pure: names, numbers and addresses only. [`super::build`] makes the objects.

use crate::plan::{Node, Plan, RoutePlan};
use crate::scenario::spec::Datapath;
use anyhow::{Context, bail};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;

/// Where `ip netns` and everybody else look for named namespaces.
pub const NETNS_DIR: &str = "/run/netns";
/// What the name of each of our namespaces begins with. A name alone proves nothing: see
/// [`crate::journal`].
pub const PREFIX: &str = "ash-";
/// The collector's address, on the loopback of the run's control namespace.
pub const CONTROL: &str = "10.255.0.1";

/// Every namespace of a run: routers in the plan's order, then hosts, then the control namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The spaces.
    pub spaces: Vec<Space>,
    /// Links in the plan's order, as positions of spaces and ports.
    pub wires: Vec<[Socket; 2]>,
    /// How agents meet packets.
    pub datapath: Datapath,
    routers: usize,
    hosts: usize,
    /// Position of the space through which all links run.
    middle: Option<usize>,
}

/// One end of a wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Socket {
    /// Position in [`Layout::spaces`].
    pub space: usize,
    /// Position in [`Space::ports`].
    pub port: usize,
}

/// One network namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Space {
    /// Its name under [`NETNS_DIR`].
    pub name: String,
    /// Interfaces beside the loopback, in the order of the plan's links.
    pub ports: Vec<Port>,
    /// Address of the loopback interface besides 127.0.0.1: a router's identity.
    pub loopback: Option<IpAddr>,
    /// Whether the kernel forwards here.
    pub forwards: bool,
    /// Routes beyond the links themselves.
    pub routes: Vec<Route>,
    /// Whether the kernel spreads packets over equal next hops by addresses and ports.
    pub spreads: bool,
}

/// One interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Name: `p0`, `p1` and so on.
    pub name: String,
    /// Interface index, chosen by us so that nobody needs to look it up.
    pub index: u32,
    /// Link-layer address: locally administered, readable in captures.
    pub mac: [u8; 6],
    /// Address.
    pub address: IpAddr,
    /// Prefix length.
    pub len: u8,
    /// Largest IP packet.
    pub mtu: u16,
    /// Position of the link in the plan.
    pub link: usize,
    /// Address at the other end.
    pub peer: IpAddr,
}

/// One route through a gateway, or through several that are equally near.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Destination network.
    pub net: IpAddr,
    /// Prefix length.
    pub len: u8,
    /// Interface indices and next hops.
    pub hops: Vec<(u32, IpAddr)>,
}

/// What the two ends of a link do not share.
struct Wire {
    address: IpAddr,
    peer: IpAddr,
    len: u8,
    mtu: u16,
    link: usize,
}

impl Space {
    /// The file that names the namespace.
    pub fn path(&self) -> PathBuf {
        path_of(&self.name)
    }

    /// The port on a link of the plan.
    pub fn port_on(&self, link: usize) -> Option<&Port> {
        self.ports.iter().find(|p| p.link == link)
    }

    /// Whether anything here speaks IPv6.
    pub fn v6(&self) -> bool {
        self.ports.iter().any(|p| p.address.is_ipv6())
    }
}

/// The file that names a namespace.
pub fn path_of(name: &str) -> PathBuf {
    PathBuf::from(NETNS_DIR).join(name)
}

/// What stands for a run in the names of its namespaces: the last six letters of its id, which are
/// its random part.
pub fn short(run: &str) -> String {
    let letters: Vec<char> = run.chars().filter(char::is_ascii_alphanumeric).collect();
    letters[letters.len().saturating_sub(6)..].iter().map(char::to_ascii_lowercase).collect()
}

/// Whether a namespace's name is one that `run` would give.
pub fn owns(run: &str, name: &str) -> bool {
    let rest = name.strip_prefix(PREFIX).and_then(|n| n.strip_prefix(short(run).as_str()));
    rest.is_some_and(|r| r.starts_with('-')) && !name.contains('/') && !name.contains("..")
}

impl Layout {
    /// Lays a plan out under a run's id.
    ///
    /// # Errors
    /// When the plan contradicts itself: a link or route that names no node of it.
    pub fn of(plan: &Plan, run: &str, datapath: Datapath) -> anyhow::Result<Self> {
        let (routers, hosts) = (plan.routers.len(), plan.hosts.len());
        let mut layout =
            Self { spaces: vec![], wires: vec![], datapath, routers, hosts, middle: None };
        let mut names = BTreeSet::new();
        for (i, router) in plan.routers.iter().enumerate() {
            let name = unique(&mut names, run, &router.name, 'r', i);
            let id = std::net::Ipv4Addr::from(router.id);
            let by_kernel = !router.works() || (datapath.kernel_forwards() && !router.wipes());
            layout.push(name, Some(id.into()), by_kernel);
        }
        for (i, host) in plan.hosts.iter().enumerate() {
            let name = unique(&mut names, run, &host.name, 'h', i);
            layout.push(name, None, false);
        }
        if datapath == Datapath::Xdp || plan.meddles() {
            layout.middle = Some(layout.spaces.len());
            let name = unique(&mut names, run, "wires", 'w', 0);
            layout.push(name, None, false);
        }
        let control = CONTROL.parse().expect("invariant: CONTROL is an address");
        let name = unique(&mut names, run, "ctl", 'c', 0);
        layout.push(name, Some(control), false);
        for space in &mut layout.spaces[..routers] {
            space.spreads = plan.spread.is_some();
        }
        layout.wire(plan)?;
        layout.route(plan)?;
        Ok(layout)
    }

    /// Two spaces and one wire, to try out a host.
    pub fn trial(run: &str) -> Self {
        let (datapath, routers, hosts) = (Datapath::Afpacket, 0, 2);
        let mut layout =
            Self { spaces: vec![], wires: vec![], datapath, routers, hosts, middle: None };
        let [a, b] = ["198.18.0.1", "198.18.0.2"].map(|a| a.parse().expect("invariant: a literal"));
        for (at, (address, peer)) in [(a, b), (b, a)].into_iter().enumerate() {
            layout.push(format!("{PREFIX}{}-trial{at}", short(run)), None, false);
            layout.add_port(at, Wire { address, peer, len: 30, mtu: 1500, link: 0 });
        }
        layout.wires.push([0, 1].map(|space| Socket { space, port: 0 }));
        layout
    }

    /// How many of the spaces are routers: the first ones.
    pub fn routers(&self) -> usize {
        self.routers
    }

    /// A router's space.
    pub fn router(&self, i: usize) -> &Space {
        &self.spaces[i]
    }

    /// A host's space.
    pub fn host(&self, i: usize) -> &Space {
        &self.spaces[self.routers + i]
    }

    /// The space through which all links run, where datapath or plan need one.
    pub fn middle(&self) -> Option<&Space> {
        self.middle.map(|at| &self.spaces[at])
    }

    /// Whether a space's interfaces are to poll before any program sits there: agents start later.
    pub fn polls(&self, space: usize) -> bool {
        let by_xdp = matches!(self.datapath, Datapath::Xdp | Datapath::XdpPass);
        by_xdp && self.middle.is_some() && space < self.routers
    }

    /// Whether an agent's XDP program will sit at this router's interfaces.
    pub fn serves_by_xdp(&self, plan: &Plan, router: usize) -> bool {
        let by_xdp = matches!(self.datapath, Datapath::Xdp | Datapath::XdpPass);
        by_xdp && plan.routers[router].works() && !plan.routers[router].wipes()
    }

    /// Index of an interface in the middle: of this link, on the side of its first or second end.
    pub fn middle_index(link: usize, end: u32) -> u32 {
        // The loopback has index 1.
        u32::try_from(link).unwrap_or(u32::MAX / 4) * 2 + end + 2
    }

    /// The space where collector and agents run.
    pub fn control(&self) -> &Space {
        self.spaces.last().expect("invariant: Layout::of always adds the control space")
    }

    /// Position of a node's space.
    pub fn position(&self, node: Node) -> usize {
        match node {
            Node::Router(i) => i,
            Node::Host(i) => self.routers + i,
        }
    }

    fn push(&mut self, name: String, loopback: Option<IpAddr>, forwards: bool) {
        let (ports, routes, spreads) = (vec![], vec![], false);
        self.spaces.push(Space { name, ports, loopback, forwards, routes, spreads });
    }

    fn wire(&mut self, plan: &Plan) -> anyhow::Result<()> {
        let limit = self.routers + self.hosts;
        for (link, wire) in plan.links.iter().enumerate() {
            let mut sockets = [Socket { space: 0, port: 0 }; 2];
            for (socket, (end, other)) in
                sockets.iter_mut().zip([(wire.a, wire.b), (wire.b, wire.a)])
            {
                let space = self.position(end.node);
                if space >= limit {
                    bail!("link {link} of the plan ends at a node that the plan does not have");
                }
                let (address, peer) = (end.address, other.address);
                let (len, mtu) = (wire.len, wire.mtu);
                let port = self.add_port(space, Wire { address, peer, len, mtu, link });
                *socket = Socket { space, port };
            }
            self.wires.push(sockets);
        }
        Ok(())
    }

    fn add_port(&mut self, space: usize, wire: Wire) -> usize {
        let Wire { address, peer, len, mtu, link } = wire;
        let ports = &mut self.spaces[space].ports;
        let port = ports.len();
        // The loopback has index 1.
        let index = u32::try_from(port).unwrap_or(u32::MAX - 2) + 2;
        let (name, mac) = (format!("p{port}"), mac(space, port));
        ports.push(Port { name, index, mac, address, len, mtu, link, peer });
        port
    }

    fn route(&mut self, plan: &Plan) -> anyhow::Result<()> {
        for (i, router) in plan.routers.iter().enumerate() {
            self.spaces[i].routes = self.routes_of(plan, i, &router.routes, &router.also)?;
        }
        for (i, host) in plan.hosts.iter().enumerate() {
            let at = self.position(Node::Host(i));
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
}

impl Layout {
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
            let port = self.spaces[router].port_on(route.link).with_context(|| {
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

/// Locally administered, "AS" in letters, then node and port.
fn mac(space: usize, port: usize) -> [u8; 6] {
    let [.., s1, s0] = space.to_be_bytes();
    let [.., p1, p0] = port.to_be_bytes();
    [0x02, 0xa5, s1, s0, p1, p0]
}

/// A name that is legal as a file, unlike every other, and short.
fn unique(taken: &mut BTreeSet<String>, run: &str, word: &str, kind: char, at: usize) -> String {
    let legal = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let word: String = word.chars().map(legal).take(40).collect();
    let mut name = format!("{PREFIX}{}-{word}", short(run));
    if word.is_empty() || taken.contains(&name) {
        name = format!("{PREFIX}{}-{word}.{kind}{at}", short(run));
    }
    taken.insert(name.clone());
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_legal_unique_and_owned() {
        let run = "01JABCDEFGHJKMNPQRSTVWXYZ0";
        let mut taken = BTreeSet::new();
        let first = unique(&mut taken, run, "a/../b", 'r', 0);
        assert_eq!(first, "ash-vwxyz0-a____b");
        assert_eq!(unique(&mut taken, run, "a/../b", 'h', 3), "ash-vwxyz0-a____b.h3");
        assert!(owns(run, &first));
        assert!(!owns(run, "ash-foo"));
        assert!(!owns(run, "ash-vwxyz0foo"));
        assert!(!owns("x", "ash-vwxyz0-r1"));
    }
}
