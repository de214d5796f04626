//! What a plan, or a host's share of it, becomes on one host: a namespace for every node, an interface
//! for every end of a link. A link between two nodes of this host is a veth pair, one that leaves it a
//! tunnel between the two hosts: sealed ([`crate::tunnel`]), or bare (VXLAN).
//!
//! Pure: names, numbers and addresses only. [`super::build`] makes the objects.

mod middle;

use super::names::{PREFIX, path_of, short, unique};
use crate::plan::{Node, Plan, RoutePlan};
use crate::scenario::spec::Datapath;
use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;

/// UDP port of tunnels that are only tried out: not that of real ones.
const TRIAL_PORT: u16 = 47_890;
/// The collector's address, on the loopback of the run's control namespace.
pub const CONTROL: &str = "10.255.0.1";
/// Length of its network, whose addresses are those of domains' collectors.
const CONTROL_LEN: u8 = 24;

/// What of a plan stands on a host.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// The nodes.
    pub nodes: BTreeSet<Node>,
    /// Links to nodes elsewhere, by position in the plan.
    pub tunnels: BTreeMap<usize, Tunnel>,
}

/// A link that leaves the host: frames of it travel in UDP between the hosts' own addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tunnel {
    /// The link's number in 24 bits: of a VXLAN, its network identifier.
    pub vni: u32,
    /// UDP port at both ends.
    pub port: u16,
    /// This host's address.
    pub near: IpAddr,
    /// The other's.
    pub far: IpAddr,
    /// Whether frames are encrypted and authenticated.
    pub sealed: bool,
}

/// Every namespace of a run on this host: routers in the plan's order, then hosts, then the one from
/// which collector and agents speak.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The spaces.
    pub spaces: Vec<Space>,
    /// Links between nodes of this host in the plan's order, as positions of spaces and ports.
    pub wires: Vec<[Socket; 2]>,
    /// Links that leave it.
    pub tunnels: Vec<(Socket, Tunnel)>,
    /// How agents meet packets.
    pub datapath: Datapath,
    at: BTreeMap<Node, usize>,
    routers: usize,
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
    /// Its name under [`super::names::NETNS_DIR`].
    pub name: String,
    /// Whether this is no new namespace but the one that the host itself is in.
    pub own: bool,
    /// Interfaces beside the loopback, in the order of the plan's links.
    pub ports: Vec<Port>,
    /// Address of the loopback interface besides 127.0.0.1: a router's identity.
    pub loopback: Option<IpAddr>,
    /// Length of its network, all of whose addresses are the space's own.
    pub loopback_len: u8,
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
    /// Which of its ends this is: 0 or 1.
    pub side: usize,
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
    side: usize,
    /// Whether its interface needs an index that the host's own do not have.
    apart: bool,
}

impl Space {
    /// The file that names the namespace.
    pub fn path(&self) -> PathBuf {
        // Not `/proc/self`, which says something else to each process.
        if self.own { own_path() } else { path_of(&self.name) }
    }

    /// What people call it.
    pub fn shown(&self) -> &str {
        if self.own { "the host's own namespace" } else { &self.name }
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

fn own_path() -> PathBuf {
    PathBuf::from(format!("/proc/{}/ns/net", std::process::id()))
}

impl Layout {
    /// Lays a whole plan out under a run's id.
    ///
    /// # Errors
    /// When the plan contradicts itself: a link or route that names no node of it.
    pub fn of(plan: &Plan, run: &str, datapath: Datapath) -> anyhow::Result<Self> {
        let mut layout = Self::empty(datapath);
        let mut names = BTreeSet::new();
        layout.place(plan, |_| true, |word, kind, at| unique(&mut names, run, word, kind, at));
        if datapath == Datapath::Xdp || plan.meddles() {
            layout.push_middle(unique(&mut names, run, "wires", 'w', 0));
        }
        let control = CONTROL.parse().expect("invariant: CONTROL is an address");
        let name = unique(&mut names, run, "ctl", 'c', 0);
        layout.push(name, Some(control), false);
        if let Some(space) = layout.spaces.last_mut() {
            // Every domain's collector has an address of its own there.
            space.loopback_len = CONTROL_LEN;
        }
        layout.connect(plan, &BTreeMap::new())?;
        Ok(layout)
    }

    /// Lays a host's share of a plan out. Collector and agents speak from the host's own namespace;
    /// `in_place`, its one node stands there, too.
    ///
    /// # Errors
    /// As [`Self::of`], and where the share does not fit the plan or the host.
    pub fn part(
        plan: &Plan,
        run: &str,
        datapath: Datapath,
        share: &Share,
        in_place: bool,
    ) -> anyhow::Result<Self> {
        let wired = datapath.is_xdp() || plan.meddles();
        if wired && (in_place || share.tunnels.values().any(|tunnel| !tunnel.sealed)) {
            bail!(
                "links that lose, delay or translate, that follow packets, or that take XDP, are wires of the lab's own, \
                 and bare tunnels are none: say tunnels = \"sealed\" in the placement, and in_place = false"
            );
        }
        if in_place && share.tunnels.values().any(|tunnel| tunnel.sealed) {
            bail!(
                "this host stands for a node itself (in_place), where links are bare: say tunnels = \"bare\" in the \
                 placement, or in_place = false"
            );
        }
        if in_place && share.nodes.len() != 1 {
            bail!("this host stands for one node (in_place), not for {}", share.nodes.len());
        }
        let mut layout = Self::empty(datapath);
        let mut names = BTreeSet::new();
        let wanted = |node| share.nodes.contains(&node);
        layout.place(plan, wanted, |word, kind, at| match in_place {
            true => String::new(),
            false => unique(&mut names, run, word, kind, at),
        });
        if layout.at.len() < share.nodes.len() {
            bail!("the share names nodes that the plan does not have");
        }
        if let (true, Some(first)) = (wired, share.nodes.first()) {
            // Two hosts of a test may share one machine, but no node.
            let word = format!("wires-{}", plan.node_name(*first));
            layout.push_middle(unique(&mut names, run, &word, 'w', position(plan, *first)));
        }
        layout.push(String::new(), None, false);
        layout.connect(plan, &share.tunnels)?;
        Ok(layout)
    }

    /// Nothing but the host's own namespace: for who directs a run that stands elsewhere.
    pub fn nowhere() -> Self {
        let mut layout = Self::empty(Datapath::Afpacket);
        layout.push(String::new(), None, false);
        layout
    }

    /// Two spaces and one wire, to try out a host.
    pub fn trial(run: &str) -> Self {
        let mut layout = Self::empty(Datapath::Afpacket);
        let [a, b] = ["198.18.0.1", "198.18.0.2"].map(|a| a.parse().expect("invariant: a literal"));
        for (at, (address, peer)) in [(a, b), (b, a)].into_iter().enumerate() {
            layout.push(format!("{PREFIX}{}-trial{at}", short(run)), None, false);
            layout.add_port(
                at,
                at,
                Wire { address, peer, len: 30, mtu: 1500, link: 0, side: at, apart: false },
            );
        }
        layout.wires.push([0, 1].map(|space| Socket { space, port: 0 }));
        layout
    }

    /// A space with a tunnel that leads nowhere, to try out a host.
    pub fn trial_tunnel(run: &str) -> Self {
        let mut layout = Self::empty(Datapath::Afpacket);
        let [address, peer] =
            ["198.18.0.1", "198.18.0.2"].map(|a| a.parse().expect("invariant: a literal"));
        layout.push(format!("{PREFIX}{}-trial", short(run)), None, false);
        let wire = Wire { address, peer, len: 30, mtu: 1500, link: 0, side: 0, apart: true };
        layout.add_port(0, 0, wire);
        let local = IpAddr::from([127, 0, 0, 1]);
        let (vni, port, sealed) = (0xff_ffff, TRIAL_PORT, true);
        let tunnel = Tunnel { vni, port, near: local, far: local, sealed };
        layout.tunnels.push((Socket { space: 0, port: 0 }, tunnel));
        layout.push(String::new(), None, false);
        layout
    }

    fn empty(datapath: Datapath) -> Self {
        let (spaces, wires, tunnels, at) = (vec![], vec![], vec![], BTreeMap::new());
        Self { spaces, wires, tunnels, datapath, at, routers: 0, middle: None }
    }

    /// How many of the spaces are routers: the first ones.
    pub fn routers(&self) -> usize {
        self.routers
    }

    /// Whether a node of the plan stands here.
    pub fn holds(&self, node: Node) -> bool {
        self.at.contains_key(&node)
    }

    /// The space of a router that stands here.
    pub fn router(&self, i: usize) -> &Space {
        &self.spaces[self.at[&Node::Router(i)]]
    }

    /// The space of a host of the plan that stands here.
    pub fn host(&self, i: usize) -> &Space {
        &self.spaces[self.at[&Node::Host(i)]]
    }

    /// The spaces of all hosts that stand here.
    pub fn hosts(&self) -> impl Iterator<Item = &Space> {
        let hosts = self.at.iter().filter(|(node, _)| matches!(node, Node::Host(_)));
        hosts.map(|(_, at)| &self.spaces[*at])
    }

    /// Whether an agent's XDP program will sit at this router's interfaces.
    pub fn serves_by_xdp(&self, plan: &Plan, router: usize) -> bool {
        datapath_at(plan, router, self.datapath).is_some_and(Datapath::is_xdp)
    }

    /// The space where collector and agents run.
    pub fn control(&self) -> &Space {
        self.spaces.last().expect("invariant: the control space is always added")
    }

    /// Adds the nodes that are wanted, with the names that are given to their spaces.
    fn place(
        &mut self,
        plan: &Plan,
        wanted: impl Fn(Node) -> bool,
        mut name: impl FnMut(&str, char, usize) -> String,
    ) {
        let routers = plan.routers.iter().enumerate();
        for (i, router) in routers.filter(|(i, _)| wanted(Node::Router(*i))) {
            let id = std::net::Ipv4Addr::from(router.id);
            let by_kernel =
                datapath_at(plan, i, self.datapath).is_none_or(Datapath::kernel_forwards);
            self.at.insert(Node::Router(i), self.spaces.len());
            self.push(name(&router.name, 'r', i), Some(id.into()), by_kernel);
        }
        self.routers = self.spaces.len();
        let hosts = plan.hosts.iter().enumerate();
        for (i, host) in hosts.filter(|(i, _)| wanted(Node::Host(*i))) {
            self.at.insert(Node::Host(i), self.spaces.len());
            self.push(name(&host.name, 'h', i), None, false);
        }
    }

    /// Adds a space: a new one where it has a name, else the host's own.
    fn push(&mut self, name: String, loopback: Option<IpAddr>, forwards: bool) {
        let own = name.is_empty();
        let (ports, routes, spreads) = (vec![], vec![], false);
        let loopback_len = 32;
        self.spaces.push(Space {
            name,
            own,
            ports,
            loopback,
            loopback_len,
            forwards,
            routes,
            spreads,
        });
    }

    fn connect(&mut self, plan: &Plan, tunnels: &BTreeMap<usize, Tunnel>) -> anyhow::Result<()> {
        self.wire(plan, tunnels)?;
        self.route(plan)
    }

    fn wire(&mut self, plan: &Plan, tunnels: &BTreeMap<usize, Tunnel>) -> anyhow::Result<()> {
        for (link, wire) in plan.links.iter().enumerate() {
            let mut sockets = vec![];
            for (side, (end, other)) in [(wire.a, wire.b), (wire.b, wire.a)].into_iter().enumerate()
            {
                let nodes = plan.routers.len() + plan.hosts.len();
                let position = position(plan, end.node);
                if position >= nodes {
                    bail!("link {link} of the plan ends at a node that the plan does not have");
                }
                let Some(&space) = self.at.get(&end.node) else { continue };
                let (address, peer) = (end.address, other.address);
                let (len, mtu) = (wire.len, wire.mtu);
                let apart = tunnels.contains_key(&link);
                let port = Wire { address, peer, len, mtu, link, side, apart };
                sockets.push(Socket { space, port: self.add_port(space, position, port) });
            }
            match (&sockets[..], tunnels.get(&link)) {
                ([a, b], _) => self.wires.push([*a, *b]),
                ([end], Some(tunnel)) => self.tunnels.push((*end, *tunnel)),
                ([_], None) => bail!("link {link} leaves this host, and no tunnel is given for it"),
                _ => {}
            }
        }
        Ok(())
    }

    /// Adds a port to a space; `node` is the position of its node among all of the plan, so that no
    /// two hosts give the same link-layer address.
    fn add_port(&mut self, space: usize, node: usize, wire: Wire) -> usize {
        let Wire { address, peer, len, mtu, link, side, apart } = wire;
        let own = self.spaces[space].own;
        let ports = &mut self.spaces[space].ports;
        let port = ports.len();
        // The loopback has index 1; a host's own namespace has interfaces of its own. Kernels before 6.15 look
        // there for the index of a tunnel, too, wherever it is made.
        let first = if own || apart { 70_000 } else { 2 };
        let index = u32::try_from(port).unwrap_or(u32::MAX / 2) + first;
        let (name, mac) = (format!("p{port}"), mac(node, port));
        ports.push(Port { name, index, mac, address, len, mtu, link, side, peer });
        port
    }

    fn route(&mut self, plan: &Plan) -> anyhow::Result<()> {
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

/// How a router's agent meets packets in a run with this datapath; `None` where no agent works, so that the
/// kernel alone routes.
pub fn datapath_at(plan: &Plan, router: usize, chosen: Datapath) -> Option<Datapath> {
    let spec = &plan.routers[router];
    let own = match chosen {
        // No kernel twin wipes marks.
        _ if spec.wipes() => Datapath::Afpacket,
        // XDP does not see the kernel's own errors, which a domain may keep to itself.
        Datapath::Xdp | Datapath::XdpPass if plan.is_mute(router) => Datapath::Tc,
        other => other,
    };
    spec.works().then_some(own)
}

/// Position of a node among all of a plan: routers, then hosts.
fn position(plan: &Plan, node: Node) -> usize {
    match node {
        Node::Router(i) => i,
        Node::Host(i) => plan.routers.len() + i,
    }
}

fn same(a: IpAddr, b: IpAddr) -> bool {
    a.is_ipv4() == b.is_ipv4()
}

/// Locally administered, "AS" in letters, then node and port.
fn mac(node: usize, port: usize) -> [u8; 6] {
    let [.., s1, s0] = node.to_be_bytes();
    let [.., p1, p0] = port.to_be_bytes();
    [0x02, 0xa5, s1, s0, p1, p0]
}
