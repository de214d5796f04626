//! Routers and hosts, and the topology that they make with links.

use super::{HostLink, Link, yes};
use crate::plan::{Conduct, HostKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Routers, hosts and links.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Topology {
    /// Routers, in the order of their 16-bit index.
    pub routers: Vec<Router>,
    /// Hosts, each on a link of its own to one router.
    pub hosts: Vec<Host>,
    /// Links between routers.
    #[serde(default)]
    pub links: Vec<Link>,
}

/// A router.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Router {
    /// A word for the router.
    pub id: String,
    /// The domain it belongs to; may be left out where there is one domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Its AS number, one of its domain's; may be left out where the domain has one.
    #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
    pub asn: Option<u32>,
    /// Whether an agent marks or logs here; otherwise the router only forwards.
    #[serde(default = "yes")]
    pub deployed: bool,
    /// What its owner makes of it.
    #[serde(default)]
    pub conduct: Conduct,
    /// Another router, whose name it writes into packets instead of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poses_as: Option<String>,
    /// Whether it translates the sources of packets that it sends on to its own address.
    #[serde(default)]
    pub nat: bool,
}

/// A host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// A word for the host.
    pub id: String,
    /// The router it is linked to.
    pub router: String,
    /// What it is for.
    pub kind: HostKind,
    /// Conditions of its link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<HostLink>,
}
