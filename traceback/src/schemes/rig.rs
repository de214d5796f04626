//! Maps and cases for the tests of schemes.

use crate::case::{Budget, Case, Filter, Sample, Window};
use crate::invariant::Key;
use crate::map::{Map, MapRouter};
use crate::scheme::RouterId;
use std::net::Ipv4Addr;

/// A map of routers with these identities; links join positions.
pub(super) fn map(ids: &[u32], links: &[(u32, u32)]) -> Map {
    let router = |id: &u32| MapRouter {
        id: RouterId(*id),
        name: format!("r{id}"),
        asn: 64_512,
        nation: "XA".into(),
        aliases: vec![],
    };
    Map::new(ids.iter().map(router).collect(), links.to_vec()).unwrap()
}

/// A line of routers, the first nearest the attacker.
pub(super) fn line(ids: &[u32]) -> Map {
    let last = u32::try_from(ids.len()).unwrap();
    map(ids, &(1..last).map(|i| (i - 1, i)).collect::<Vec<_>>())
}

/// A case over a map; its last router is the gateway.
pub(super) fn case(map: Map, samples: Vec<Sample>) -> Case {
    let gateway = map.routers().last().map_or(RouterId(1), |r| r.id);
    let victim = Ipv4Addr::new(198, 18, 0, 2).into();
    let filter = Filter { victim, protocol: None, source_port: None, port: None };
    let (window, key, budget) = (Window::ALWAYS, Key(1, 2), Budget::default());
    let beyond = Default::default();
    Case { gateway, filter, window, samples, key, map, budget, beyond }
}
