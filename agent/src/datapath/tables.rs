//! A router's tables as the kernel holds them: routes, addresses, links, neighbours.
//!
//! [`Tables::of`] is a pure function of one dump of the kernel's tables, so that what is tested is
//! what runs. Only the main routing table counts; rules and other tables are not followed. Where the
//! kernel refuses (unreachable, blackhole, prohibit) or would leave by an interface that is not a
//! port of this router, the prefix is refused rather than left to a shorter one.

mod by_destination;
mod routes;

use by_destination::{chooses_by_destination, is_by_destination};
use routes::routes;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use rtnetlink::packet_route::route::RouteMessage;
use rtnetlink::packet_route::rule::RuleMessage;
use std::collections::HashMap;
use std::net::IpAddr;
use traceback::Place;
use traceback::fib::Fib;
use traceback::router::{self, Far, Router};

/// An Ethernet address.
pub type Mac = [u8; 6];

/// One dump of the kernel's tables.
#[derive(Debug, Default)]
pub struct Dump {
    /// Links.
    pub links: Vec<LinkMessage>,
    /// Addresses of both versions.
    pub addresses: Vec<AddressMessage>,
    /// Routes of both versions, all tables.
    pub routes: Vec<RouteMessage>,
    /// Neighbours of both versions.
    pub neighbours: Vec<NeighbourMessage>,
    /// Rules of both versions; `None` where the kernel did not tell them.
    pub rules: Option<Vec<RuleMessage>>,
}

/// A port as the kernel describes its interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Link {
    /// Own Ethernet address.
    pub mac: Mac,
    /// Largest IP packet, in bytes.
    pub mtu: u16,
    /// Whether it is up.
    pub up: bool,
    /// Own addresses.
    pub addresses: Vec<IpAddr>,
}

/// What a router needs from the kernel.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tables {
    /// By port.
    pub links: Vec<Link>,
    /// All addresses of the namespace, those of the ports included.
    pub own: Vec<IpAddr>,
    /// Routes by port.
    pub fib: Fib,
    /// Neighbours whose Ethernet address is known, by port.
    pub neighbours: HashMap<(u16, IpAddr), Mac>,
    /// Neighbours that the kernel would ask again before it used them.
    pub stale: Vec<(u16, IpAddr)>,
    /// Whether a packet's destination and the port by which it came in decide where the kernel sends it, and
    /// nothing else does: no several next hops, no types of service, no sources.
    pub by_destination: bool,
}

impl Tables {
    /// Picks what concerns the ports with these interface indices, in the ports' order.
    pub fn of(dump: &Dump, ports: &[u32]) -> Self {
        let mut tables = Self { links: vec![Link::default(); ports.len()], ..Self::default() };
        let port = |index: u32| ports.iter().position(|p| *p == index);
        for link in &dump.links {
            if let Some(at) = port(link.header.index) {
                read_link(&mut tables.links[at], link);
            }
        }
        for message in &dump.addresses {
            let Some(address) = own_address(message) else { continue };
            tables.own.push(address);
            if let Some(at) = port(message.header.index) {
                tables.links[at].addresses.push(address);
            }
        }
        tables.fib = routes(&dump.routes, ports);
        tables.by_destination = dump.routes.iter().all(is_by_destination)
            && dump.rules.as_ref().is_some_and(|rules| rules.iter().all(chooses_by_destination));
        for message in &dump.neighbours {
            let Some(at) = port(message.header.ifindex).and_then(|p| u16::try_from(p).ok()) else {
                continue;
            };
            let Some((address, mac)) = neighbour(message) else { continue };
            tables.neighbours.insert((at, address), mac);
            if message.header.state == NeighbourState::Stale {
                tables.stale.push((at, address));
            }
        }
        tables
    }
}

impl Tables {
    /// A router at this place with these tables, whose ports' other ends stand in the same order.
    pub fn router(&self, place: Place, far: &[Far]) -> Router {
        let ports = self.links.iter().zip(far).map(|(link, far)| router::Port {
            far: *far,
            addresses: link.addresses.clone(),
            mtu: link.mtu,
        });
        Router::new(place, ports.collect(), &self.own, self.fib.clone())
    }
}

fn read_link(link: &mut Link, message: &LinkMessage) {
    link.up = message.header.flags.contains(LinkFlags::Up | LinkFlags::LowerUp);
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::Address(bytes) => {
                link.mac = bytes.as_slice().try_into().unwrap_or_default();
            }
            LinkAttribute::Mtu(mtu) => link.mtu = u16::try_from(*mtu).unwrap_or(u16::MAX),
            _ => {}
        }
    }
}

/// `Local` is the host's own address where the two differ, on point-to-point links.
fn own_address(message: &AddressMessage) -> Option<IpAddr> {
    let local = message.attributes.iter().find_map(|a| match a {
        AddressAttribute::Local(a) => Some(*a),
        _ => None,
    });
    local.or_else(|| {
        message.attributes.iter().find_map(|a| match a {
            AddressAttribute::Address(a) => Some(*a),
            _ => None,
        })
    })
}

fn neighbour(message: &NeighbourMessage) -> Option<(IpAddr, Mac)> {
    use NeighbourState::{Delay, Noarp, Permanent, Probe, Reachable, Stale};
    if !matches!(message.header.state, Reachable | Stale | Delay | Probe | Permanent | Noarp) {
        return None;
    }
    let (mut address, mut mac) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(a)) => {
                address = Some(IpAddr::V4(*a));
            }
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(a)) => {
                address = Some(IpAddr::V6(*a));
            }
            NeighbourAttribute::LinkLayerAddress(bytes) => mac = bytes.as_slice().try_into().ok(),
            _ => {}
        }
    }
    Some((address?, mac?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rtnetlink::packet_route::AddressFamily;
    use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteHeader, RouteType};

    pub(super) fn route(
        to: [u8; 4],
        len: u8,
        kind: RouteType,
        rest: Vec<RouteAttribute>,
    ) -> RouteMessage {
        let mut message = RouteMessage::default();
        message.header.address_family = AddressFamily::Inet;
        message.header.destination_prefix_length = len;
        message.header.table = RouteHeader::RT_TABLE_MAIN;
        message.header.kind = kind;
        message.attributes.push(RouteAttribute::Destination(RouteAddress::Inet(to.into())));
        message.attributes.extend(rest);
        message
    }

    #[test]
    fn rules_that_are_not_told_may_be_any() {
        let dump = |rules| Dump { rules, ..Dump::default() };
        assert!(Tables::of(&dump(Some(vec![])), &[7]).by_destination);
        assert!(!Tables::of(&dump(None), &[7]).by_destination);
    }
}
