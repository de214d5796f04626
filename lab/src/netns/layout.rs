//! What a plan, or a host's share of it, becomes on one host: a namespace for every node, an interface
//! for every end of a link. A link between two nodes of this host is a veth pair, one that leaves it a
//! tunnel between the two hosts: sealed ([`crate::tunnel`]), or bare (VXLAN).
//!
//! Pure: names, numbers and addresses only. [`super::build`] makes the objects.

mod links;
mod middle;
mod routes;
mod share;
mod space;
mod trial;

pub use share::{Share, Tunnel};
pub use space::{Port, Route, Space};

use super::names::unique;
use crate::plan::{Node, Plan};
use crate::scenario::spec::Datapath;
use anyhow::bail;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// The collector's address, on the loopback of the run's control namespace.
pub const CONTROL: &str = "10.255.0.1";
/// Length of its network, whose addresses are those of domains' collectors.
const CONTROL_LEN: u8 = 24;

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
