//! What of a plan stands on a host, and the links that leave it.

use crate::plan::Node;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

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
