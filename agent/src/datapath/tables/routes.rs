//! The kernel's routes as a table of prefixes and ports.

use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteNextHop,
    RouteNextHopFlags, RouteType, RouteVia,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use traceback::fib::{Fib, NextHop};

/// What the kernel does with a prefix.
#[derive(Debug, Clone)]
struct Choice {
    net: IpAddr,
    len: u8,
    metric: u32,
    /// None refuses the prefix; several are equally good.
    next: Vec<NextHop>,
}

pub(super) fn routes(messages: &[RouteMessage], ports: &[u32]) -> Fib {
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
    use super::super::tests::route;
    use super::*;

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
