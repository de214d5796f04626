//! The links of a router.

use crate::scheme::RouterId;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// The other end of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Far {
    /// The router there; `None` where the link leads to hosts.
    pub neighbour: Option<RouterId>,
    /// Whether that router belongs to another autonomous system.
    pub border: bool,
    /// Whether that router takes no part in any scheme.
    pub legacy: bool,
    /// Whether packets from there are forwarded and nothing else, since the router's domain does not show it
    /// to them.
    pub silent: bool,
    /// Rank of the neighbour among all of the router's, where its ports do not show all of them: routers that
    /// act under a common name have common neighbours.
    pub link: Option<u16>,
}

/// Ranks of the neighbours at some ports among all of them, ordered by identity; 0 for hosts.
pub fn ranks(ports: &[Far]) -> Vec<u16> {
    let known: BTreeSet<RouterId> = ports.iter().filter_map(|far| far.neighbour).collect();
    let rank = |far: &Far| known.iter().position(|id| Some(*id) == far.neighbour).unwrap_or(0);
    let rank = |far: &Far| far.link.unwrap_or(u16::try_from(rank(far)).unwrap_or(u16::MAX));
    ports.iter().map(rank).collect()
}

/// One side of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Who is at the other end.
    pub far: Far,
    /// The router's own addresses on the link.
    pub addresses: Vec<IpAddr>,
    /// Largest IP packet that the link takes, in bytes.
    pub mtu: u16,
}
