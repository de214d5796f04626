//! One network namespace, with its interfaces and routes.

use crate::netns::names::path_of;
use std::net::IpAddr;
use std::path::PathBuf;

/// One network namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Space {
    /// Its name under [`crate::netns::names::NETNS_DIR`].
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
