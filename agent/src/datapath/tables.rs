//! A router's tables as the kernel holds them: routes, addresses, links, neighbours.
//!
//! [`Tables::of`] is a pure function of one dump of the kernel's tables, so that what is tested is
//! what runs. Only the main routing table counts; rules and other tables are not followed. Where the
//! kernel refuses (unreachable, blackhole, prohibit) or would leave by an interface that is not a
//! port of this router, the prefix is refused rather than left to a shorter one.

use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteNextHop,
    RouteNextHopFlags, RouteType, RouteVia,
};
use rtnetlink::packet_route::rule::{RuleAttribute, RuleMessage};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use traceback::Place;
use traceback::fib::{Fib, NextHop};
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

/// What the kernel does with a prefix.
#[derive(Debug, Clone)]
struct Choice {
    net: IpAddr,
    len: u8,
    metric: u32,
    /// None refuses the prefix; several are equally good.
    next: Vec<NextHop>,
}

fn routes(messages: &[RouteMessage], ports: &[u32]) -> Fib {
    let mut choices: Vec<Choice> = messages.iter().filter_map(|m| choice(m, ports)).collect();
    // The table keeps the last one of a prefix: the one with the lowest metric, as in the kernel.
    choices.sort_by_key(|c| std::cmp::Reverse(c.metric));
    let mut fib = Fib::default();
    for Choice { net, len, next, .. } in choices {
        match next.split_first() {
            Some((first, also)) => {
                fib.insert(net, len, *first);
                also.iter().for_each(|next| fib.insert_also(net, len, *next));
            }
            None => fib.refuse(net, len),
        }
    }
    fib
}

/// Whether a route holds for all packets to its destinations, and sends them one way.
fn is_by_destination(route: &RouteMessage) -> bool {
    let RouteHeader { tos, source_prefix_length, kind, .. } = route.header;
    let (mut hops, mut group) = (0, false);
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Oif(_) => hops += 1,
            RouteAttribute::MultiPath(all) => hops += all.len(),
            // What an object of next hops holds is told with the route, unless a switch forbids that.
            RouteAttribute::NhId(_) => group = true,
            _ => {}
        }
    }
    let told = kind != RouteType::Unicast || !group || hops > 0;
    tos == 0 && source_prefix_length == 0 && hops <= 1 && told
}

/// Whether a rule looks at a packet's destination and port of arrival at most.
fn chooses_by_destination(rule: &RuleMessage) -> bool {
    use RuleAttribute::{
        Destination, Goto, Iifname, L3MDev, Priority, Protocol, SuppressIfGroup, SuppressPrefixLen,
        Table,
    };
    let looks = |attribute: &RuleAttribute| {
        matches!(attribute, Destination(_) | Iifname(_) | L3MDev(_))
            // These say what follows.
            || matches!(attribute, Goto(_) | Priority(_) | Protocol(_) | Table(_))
            || matches!(attribute, SuppressIfGroup(_) | SuppressPrefixLen(_))
    };
    rule.header.tos == 0 && rule.header.src_len == 0 && rule.attributes.iter().all(looks)
}

fn choice(message: &RouteMessage, ports: &[u32]) -> Option<Choice> {
    let RouteHeader { table, kind, flags, destination_prefix_length: len, .. } = message.header;
    let mut main = u32::from(table);
    let mut net = match u8::from(message.header.address_family) {
        AF_INET => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        AF_INET6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => return None,
    };
    let mut metric = 0;
    let mut multipath = &[][..];
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Table(t) => main = *t,
            RouteAttribute::Destination(to) => net = address(to)?,
            RouteAttribute::Priority(m) => metric = *m,
            RouteAttribute::MultiPath(hops) => multipath = hops,
            _ => {}
        }
    }
    if main != u32::from(RouteHeader::RT_TABLE_MAIN) {
        return None;
    }
    let next = match kind {
        RouteType::Unicast if flags.contains(RouteFlags::Dead) => {
            return None;
        }
        RouteType::Unicast if multipath.is_empty() => {
            next_hop(&message.attributes, None, ports).into_iter().collect()
        }
        RouteType::Unicast => multipath.iter().flat_map(|hop| alive(hop, ports)).collect(),
        RouteType::BlackHole | RouteType::Unreachable | RouteType::Prohibit => vec![],
        _ => return None,
    };
    Some(Choice { net, len, metric, next })
}

/// One of several next hops, as often as its weight says; not at all where it is dead.
fn alive(hop: &RouteNextHop, ports: &[u32]) -> Vec<NextHop> {
    if hop.flags.contains(RouteNextHopFlags::Dead) {
        return vec![];
    }
    let next = next_hop(&hop.attributes, Some(hop.interface_index), ports);
    next.map_or(vec![], |next| vec![next; usize::from(hop.hops) + 1])
}

fn next_hop(
    attributes: &[RouteAttribute],
    mut interface: Option<u32>,
    ports: &[u32],
) -> Option<NextHop> {
    let mut via = None;
    for attribute in attributes {
        match attribute {
            RouteAttribute::Oif(index) => interface = Some(*index),
            RouteAttribute::Gateway(gateway) => via = Some(address(gateway)?),
            RouteAttribute::Via(RouteVia::Inet(a)) => via = Some(IpAddr::V4(*a)),
            RouteAttribute::Via(RouteVia::Inet6(a)) => via = Some(IpAddr::V6(*a)),
            _ => {}
        }
    }
    let port = ports.iter().position(|p| Some(*p) == interface)?;
    Some(NextHop { port: u16::try_from(port).ok()?, via })
}

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

fn address(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(a) => Some(IpAddr::V4(*a)),
        RouteAddress::Inet6(a) => Some(IpAddr::V6(*a)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rtnetlink::packet_route::AddressFamily;

    fn route(to: [u8; 4], len: u8, kind: RouteType, rest: Vec<RouteAttribute>) -> RouteMessage {
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
    fn several_next_hops_share_by_weight() {
        let hop = |index, hops| {
            let mut hop = RouteNextHop::default();
            (hop.interface_index, hop.hops) = (index, hops);
            hop
        };
        let mut dead = hop(8, 9);
        dead.flags = RouteNextHopFlags::Dead;
        let hops = RouteAttribute::MultiPath(vec![hop(8, 0), dead, hop(7, 2)]);
        let fib = routes(&[route([198, 18, 0, 0], 16, RouteType::Unicast, vec![hops])], &[7, 8]);
        let ports = (0..4_u64).map(|quarter| {
            let hash = (quarter << 62) + 1;
            fib.spread("198.18.0.1".parse().unwrap(), || hash).unwrap().port
        });
        assert_eq!(ports.collect::<Vec<_>>(), [1, 0, 0, 0]);
    }

    fn lookup(messages: &[RouteMessage], to: &str) -> Option<u16> {
        routes(messages, &[7, 8]).lookup(to.parse().unwrap()).map(|n| n.port)
    }

    #[test]
    fn routes_tell_whether_the_destination_decides() {
        let route = |rest| route([198, 18, 0, 0], 16, RouteType::Unicast, rest);
        let hops = |n| RouteAttribute::MultiPath(vec![RouteNextHop::default(); n]);
        assert!(is_by_destination(&route(vec![RouteAttribute::Oif(7)])));
        assert!(is_by_destination(&route(vec![RouteAttribute::NhId(3), RouteAttribute::Oif(7)])));
        assert!(is_by_destination(&route(vec![hops(1)])));
        assert!(!is_by_destination(&route(vec![hops(2)])), "several next hops");
        assert!(!is_by_destination(&route(vec![RouteAttribute::NhId(3)])), "next hops untold");
        let mut service = route(vec![RouteAttribute::Oif(7)]);
        service.header.tos = 8;
        assert!(!is_by_destination(&service));
        let mut senders = route(vec![RouteAttribute::Oif(7)]);
        senders.header.source_prefix_length = 48;
        assert!(!is_by_destination(&senders));
    }

    #[test]
    fn rules_tell_whether_the_destination_decides() {
        let rule = |attributes: &[RuleAttribute]| {
            let mut rule = RuleMessage::default();
            rule.attributes = attributes.to_vec();
            rule
        };
        let main = [RuleAttribute::Table(254), RuleAttribute::Priority(32766)];
        assert!(chooses_by_destination(&rule(&main)));
        assert!(chooses_by_destination(&rule(&[RuleAttribute::Iifname("p0".into())])));
        let source = RuleAttribute::Source("198.18.1.0".parse().unwrap());
        for looks in [source, RuleAttribute::FwMark(1), RuleAttribute::Oifname("p1".into())] {
            assert!(!chooses_by_destination(&rule(std::slice::from_ref(&looks))), "{looks:?}");
        }
        let mut service = rule(&main);
        service.header.tos = 8;
        assert!(!chooses_by_destination(&service));
    }

    #[test]
    fn rules_that_are_not_told_may_be_any() {
        let dump = |rules| Dump { rules, ..Dump::default() };
        assert!(Tables::of(&dump(Some(vec![])), &[7]).by_destination);
        assert!(!Tables::of(&dump(None), &[7]).by_destination);
    }

    #[test]
    fn the_lowest_metric_wins() {
        let with = |oif, metric| {
            let rest = vec![RouteAttribute::Oif(oif), RouteAttribute::Priority(metric)];
            route([198, 18, 0, 0], 16, RouteType::Unicast, rest)
        };
        assert_eq!(lookup(&[with(7, 10), with(8, 20)], "198.18.0.1"), Some(0));
        assert_eq!(lookup(&[with(7, 20), with(8, 10)], "198.18.0.1"), Some(1));
    }

    #[test]
    fn refusals_shadow_shorter_prefixes() {
        let all = route([0, 0, 0, 0], 0, RouteType::Unicast, vec![RouteAttribute::Oif(7)]);
        let hole = route([198, 18, 0, 0], 16, RouteType::BlackHole, vec![]);
        let elsewhere =
            route([198, 19, 0, 0], 16, RouteType::Unicast, vec![RouteAttribute::Oif(99)]);
        let table = [all, hole, elsewhere];
        assert_eq!(lookup(&table, "198.18.0.1"), None, "blackhole");
        assert_eq!(lookup(&table, "198.19.0.1"), None, "leaves by an interface that is no port");
        assert_eq!(lookup(&table, "198.17.0.1"), Some(0));
    }

    #[test]
    fn other_tables_and_dead_routes_do_not_count() {
        let mut dead = route([198, 18, 0, 0], 16, RouteType::Unicast, vec![RouteAttribute::Oif(7)]);
        dead.header.flags = RouteFlags::Dead;
        let mut other =
            route([198, 18, 0, 0], 16, RouteType::Unicast, vec![RouteAttribute::Oif(7)]);
        other.attributes.push(RouteAttribute::Table(100));
        assert_eq!(lookup(&[dead, other], "198.18.0.1"), None);
    }
}
