//! Complete sets of marks for the tests of schemes whose marks are links: what is seen when every router
//! of every path has been heard in full.

use super::rig;
use crate::case::{Case, Evidence};
use crate::counts::Counts;
use crate::invariant::Invariant;
use crate::map::Map;
use crate::scheme::{Field, Hop, Place, RouterId, Scheme};

/// The router at the victim.
pub(super) const GATEWAY: RouterId = RouterId(0xc613_0001);

/// A random-looking router; different for different `n`.
pub(super) fn router(n: u32) -> RouterId {
    let x = n.wrapping_mul(0x9e37_79b1);
    RouterId(x ^ x >> 15)
}

/// Disjoint paths of so many hops, which share the gateway alone.
pub(super) fn paths(count: u32, hops: u32) -> Vec<Vec<RouterId>> {
    let path = |i: u32| (1..hops).map(|h| router(i * 64 + h)).chain([GATEWAY]).collect();
    (0..count).map(path).collect()
}

/// A map of these paths' links.
pub(super) fn map(paths: &[Vec<RouterId>]) -> Map {
    let mut ids: Vec<u32> = paths.iter().flatten().map(|id| id.0).collect();
    ids.sort_unstable();
    ids.dedup();
    let at = |id: &RouterId| ids.binary_search(&id.0).unwrap().try_into().unwrap();
    let links: Vec<_> =
        paths.iter().flat_map(|p| p.windows(2)).map(|w| (at(&w[0]), at(&w[1]))).collect();
    rig::map(&ids, &links)
}

/// A case about packets that came by these paths.
pub(super) fn case(map: Map) -> Case {
    Case { gateway: GATEWAY, ..rig::case(map, vec![]) }
}

/// What the victim has when every router has marked once with each of `draws`, and nobody after it
/// did: the others draw `u32::MAX`.
pub(super) fn complete<S: Scheme<Ledger = Counts>>(
    scheme: &S,
    paths: &[Vec<RouterId>],
    draws: std::ops::Range<u32>,
) -> Evidence<Counts> {
    let inv = Invariant::NONE;
    let mut ledger = Counts::default();
    for path in paths {
        let mut locals = vec![];
        for id in path {
            locals.push(scheme.local(&Place { id: *id, index: 0, degree: 2, asn: 0 }));
        }
        for (writer, draw) in (0..path.len()).flat_map(|w| draws.clone().map(move |d| (w, d))) {
            let mut mark = S::Mark::unpack(0x1f00);
            let mut ttl = 64;
            for (i, local) in locals.iter().enumerate() {
                let draw = if i == writer { draw } else { u32::MAX };
                let hop = Hop { me: path[i], draw, ttl, ..Hop::default() };
                mark = scheme.mark(local, &hop, &inv, mark).mark;
                ttl -= 1;
            }
            let hop = Hop { ttl, ..Hop::default() };
            scheme.observe(&hop, &inv, mark, &[], &mut ledger);
        }
    }
    let mut evidence = Evidence::default();
    evidence.ledgers.insert(GATEWAY, ledger);
    evidence
}
