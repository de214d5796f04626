//! Paths of autonomous systems: what schemes share that act at borders only.
//!
//! One router acts for each AS, the one where the packet comes in. To the victim an AS-level map, as BGP
//! tables give it, is a map like any other whose routers are ASes, so that the [`super::walk`] over a map
//! serves here too; AS numbers stand where routers' identities do.

use crate::case::{Case, Gap};
use crate::graph::Finding;
use crate::map::{Map, MapRouter};
use crate::scheme::{Card, Hop, Keeper, Names, RouterId};
use crate::slot::Slot;
use std::collections::{BTreeMap, BTreeSet};

/// What the cards of these schemes have in common.
pub const CARD: Card = Card {
    id: "",
    title: "",
    paper: "",
    v4: Slot::IdTosReserved,
    v6: Slot::Room,
    records: false,
    keeper: Keeper::Victim,
    names: Names::AsPaths,
    needs_map: true,
    groups_by_flow: false,
    draws: true,
    hashes: false,
    harms: "",
    state: "4 bytes for each border router",
};

/// Whether this router acts for its AS: the packet comes from hosts or from another AS.
pub fn enters(hop: &Hop) -> bool {
    hop.edge == 1 || hop.border == 1
}

/// The case as a victim sees it who knows ASes only.
///
/// # Errors
/// [`Gap::Nothing`] where the map does not show the gateway.
pub fn case_of(case: &Case) -> Result<Case, Gap> {
    let none = || Gap::Nothing { what: "a map that shows the gateway's AS".into() };
    let gateway = case.map.router(case.gateway).ok_or_else(none)?.asn;
    let (samples, map) = (vec![], map_of(&case.map).ok_or_else(none)?);
    Ok(Case { gateway: RouterId(gateway), samples, map, ..case.clone() })
}

/// ASes and the links between them.
fn map_of(map: &Map) -> Option<Map> {
    let ases: BTreeSet<u32> = map.routers().iter().map(|r| r.asn).collect();
    let index: BTreeMap<u32, u32> = ases.iter().copied().zip(0..).collect();
    let system = |asn: &u32| MapRouter {
        id: RouterId(*asn),
        name: format!("as{asn}"),
        asn: *asn,
        nation: String::new(),
        aliases: vec![],
    };
    let of = |router: u32| Some(*index.get(&map.by_index(router)?.asn)?);
    let links = map.links().iter().filter_map(|(a, b)| Some((of(*a)?, of(*b)?)));
    let links: BTreeSet<(u32, u32)> = links.filter(|(a, b)| a != b).collect();
    Map::new(ases.iter().map(system).collect(), links.into_iter().collect()).ok()
}

/// Paths of ASes, the one nearest the attacker first.
pub fn finding(paths: impl IntoIterator<Item = Vec<RouterId>>) -> Finding {
    let numbers = |path: Vec<RouterId>| path.into_iter().map(|id| id.0).collect();
    Finding::AsPaths { paths: paths.into_iter().map(numbers).collect() }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::schemes::rig;

    /// A case over a line of routers, two for each of these ASes, the first nearest the attacker.
    pub(in crate::schemes) fn case(ases: &[u32]) -> Case {
        let of = |i: u16| MapRouter {
            id: RouterId(u32::from(i) + 1),
            name: format!("r{i}"),
            asn: ases[usize::from(i / 2)],
            nation: "XA".into(),
            aliases: vec![],
        };
        let routers = u16::try_from(2 * ases.len()).unwrap();
        let links = (1..u32::from(routers)).map(|i| (i - 1, i)).collect();
        rig::case(Map::new((0..routers).map(of).collect(), links).unwrap(), vec![])
    }

    #[test]
    fn a_map_of_routers_becomes_one_of_systems() {
        let seen = case_of(&case(&[7, 5, 9])).unwrap();
        assert_eq!(seen.gateway, RouterId(9));
        let around: Vec<_> = seen.map.neighbours(RouterId(5)).collect();
        assert_eq!((seen.map.routers().len(), around), (3, vec![RouterId(7), RouterId(9)]));
        let unknown = Case { gateway: RouterId(99), ..case(&[7]) };
        assert!(matches!(case_of(&unknown), Err(Gap::Nothing { .. })));
    }
}
