//! Where things are: domains, routers with their routes, hosts, links.

#[cfg(doc)]
use super::Plan;
use super::disclosure::Contact;
use super::flow::is_usual;
use super::wire::Conditions;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr};
use traceback::RouterId;
use traceback::disclose::Policy;

/// A nation that takes part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Domain {
    /// Its word in the scenario.
    pub id: String,
    /// Two letters, user-assigned in shipped files.
    pub nation: String,
    /// AS numbers.
    pub asns: Vec<u32>,
    /// How much its routers show in what they write.
    pub disclosed: String,
    /// What it shows and tells; all of it where there is no policy.
    #[serde(default, skip_serializing_if = "is_usual")]
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    pub policy: Option<Policy>,
    /// The people who answer for it.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub contact: Option<Contact>,
}

/// A router.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RouterPlan {
    /// Its word in the scenario.
    pub name: String,
    /// Loopback: its identity everywhere.
    #[schemars(with = "Ipv4Addr")]
    pub id: RouterId,
    /// Autonomous system.
    pub asn: u32,
    /// The domain's nation.
    pub nation: String,
    /// The domain's word.
    pub domain: String,
    /// Whether an agent marks or logs here; otherwise the router only forwards.
    pub deployed: bool,
    /// What its owner makes of it.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub conduct: Conduct,
    /// Position of a router whose name it writes into packets instead of its own.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub poses_as: Option<usize>,
    /// Whether it translates sources of packets that it sends on to its own address.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub nat: bool,
    /// Its routes to every host's link and every router's loopback that needs one.
    pub routes: Vec<RoutePlan>,
    /// Further next hops of those routes, equally near, where packets are spread.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub also: Vec<RoutePlan>,
}

impl RouterPlan {
    /// Whether a process of the lab stands in for the agent here: its owner makes something else of it.
    pub fn is_crooked(&self) -> bool {
        let crooked = matches!(self.conduct, Conduct::Erases | Conduct::Denies);
        self.works() && (crooked || self.poses_as.is_some())
    }

    /// Whether its packets need a router in user space, whatever the datapath: no kernel twin wipes marks.
    pub fn wipes(&self) -> bool {
        self.works() && self.conduct == Conduct::Erases
    }

    /// Whether an agent really works here, whatever the plan's partners believe.
    pub fn works(&self) -> bool {
        self.deployed && self.conduct != Conduct::Silent
    }
}

/// What a router's owner makes of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Conduct {
    /// It does what its scheme says.
    #[default]
    Honest,
    /// It only forwards: no mark, no log, no answer, though the plan counts on it.
    Silent,
    /// It wipes the marks of the routers before it and writes none.
    Erases,
    /// It marks and logs, and answers every question with "never seen".
    Denies,
}

/// One route of one router.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RoutePlan {
    /// Destination network.
    pub net: IpAddr,
    /// Prefix length.
    pub len: u8,
    /// Position of the link in [`Plan::links`].
    pub link: usize,
    /// The next router's address on that link; `None` where the network is the link itself.
    pub via: Option<IpAddr>,
}

/// What a host is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HostKind {
    /// Complains.
    Victim,
    /// Sends attack traffic.
    Attacker,
    /// Sends or receives honest traffic.
    Client,
    /// Answers what attackers send it in the victim's name.
    Reflector,
}

/// A host, linked to one router.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HostPlan {
    /// Its word in the scenario.
    pub name: String,
    /// What it is for.
    pub kind: HostKind,
    /// Its address on its link.
    pub address: IpAddr,
    /// The router's address on that link.
    pub gateway: IpAddr,
    /// Position of its router.
    pub router: usize,
    /// Position of its link.
    pub link: usize,
}

/// One end of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct End {
    /// Which node.
    pub node: Node,
    /// Its address on the link.
    pub address: IpAddr,
}

/// A node by position.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Node {
    /// Position in [`Plan::routers`].
    Router(usize),
    /// Position in [`Plan::hosts`].
    Host(usize),
}

/// A link between two nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkPlan {
    /// One end.
    pub a: End,
    /// The other.
    pub b: End,
    /// Prefix length of the link's network.
    pub len: u8,
    /// Largest IP packet, in bytes.
    pub mtu: u16,
    /// Packets of a million that are lost on it.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub loss_ppm: u32,
    /// Conditions on the way from `a`, and on that from `b`.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub ways: [Conditions; 2],
}

impl LinkPlan {
    /// The two ends, `node`'s own first.
    pub fn seen_from(&self, node: Node) -> (End, End) {
        if self.a.node == node { (self.a, self.b) } else { (self.b, self.a) }
    }

    /// Conditions on the way from `a` (side 0) or from `b` (side 1), the share of losses spelled out.
    pub fn conditions(&self, side: usize) -> Conditions {
        let way = self.ways[side];
        Conditions { loss_ppm: Some(way.loss_ppm.unwrap_or(self.loss_ppm)), ..way }
    }

    /// The side of a node: 0 where it is `a`.
    pub fn side(&self, node: Node) -> usize {
        usize::from(self.a.node != node)
    }
}
