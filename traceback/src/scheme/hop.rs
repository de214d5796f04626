//! A packet's visit to a router: all that a scheme's step may know of time, place and chance.

use super::RouterId;
use serde::{Deserialize, Serialize};

/// A point in time: nanoseconds since the run's own zero.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Nanos(pub u64);

/// One packet's visit to one router, seen on arrival, before the TTL is lowered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Hop {
    /// When.
    pub at: Nanos,
    /// This router.
    pub me: RouterId,
    /// The neighbour that sent the packet; 0 where it is a host or unknown.
    pub from: RouterId,
    /// 32 random bits, fresh for each packet and router.
    pub draw: u32,
    /// The router that gets the packet next; 0 where it is a host or unknown.
    pub to: RouterId,
    /// What the ledger had for [`crate::scheme::Marked::need`]; 0 before it was asked, or where it has no room.
    pub cell: u32,
    /// Index of the ingress port, 0 ..
    pub port: u16,
    /// Links to other routers.
    pub degree: u16,
    /// Rank of `from` among the router's neighbours, ordered by identity, 0 ..; 0 for hosts.
    pub link: u16,
    /// TTL or hop limit on arrival.
    pub ttl: u8,
    /// 1 where the ingress port faces hosts, not routers.
    pub edge: u8,
    /// 1 where the packet comes from a router of another autonomous system.
    pub border: u8,
    /// 1 where the router that gets the packet next takes no part.
    pub legacy: u8,
    /// 1 where the packet is a fragment, whose Identification is its own.
    pub fragment: u8,
    /// 1 where the packet's destination asks for messages about its traffic ([`crate::Scheme::wants`]).
    pub wanted: u8,
}

impl Hop {
    /// Number of this hop from the sender, 1 for the first router, from the TTL alone: the sender
    /// started at the next of 64, 128 or 255. At the victim, [`hops_before`] is the path's length.
    pub fn number(&self) -> u8 {
        hops_before(self.ttl).saturating_add(1)
    }
}

/// Routers passed by a packet that arrives with this TTL.
///
/// Source: pint2020 section 4.2 numbers hops by TTL; the three initial values are those of common
/// systems. An attacker who lies about the TTL misleads every scheme that needs this.
pub fn hops_before(ttl: u8) -> u8 {
    match ttl {
        0..=64 => 64 - ttl,
        65..=128 => 128 - ttl,
        129..=255 => 255 - ttl,
    }
}
