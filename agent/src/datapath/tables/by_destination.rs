//! Whether a packet's destination and the port by which it came in decide alone where the kernel sends it.

use rtnetlink::packet_route::route::{RouteAttribute, RouteHeader, RouteMessage, RouteType};
use rtnetlink::packet_route::rule::{RuleAttribute, RuleMessage};

/// Whether a route holds for all packets to its destinations, and sends them one way.
pub(super) fn is_by_destination(route: &RouteMessage) -> bool {
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
pub(super) fn chooses_by_destination(rule: &RuleMessage) -> bool {
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

#[cfg(test)]
mod tests {
    use super::super::tests::route;
    use super::*;
    use rtnetlink::packet_route::route::RouteNextHop;

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
}
