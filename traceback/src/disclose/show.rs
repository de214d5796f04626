//! A stretch of a path as its domain tells it.

use super::terms::{Field, Terms, Treatment};
use super::{Detail, Shown};
use crate::invariant::Key;
use crate::map::{Map, MapRouter};
use crate::scheme::RouterId;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

/// Where aliases lie: reserved addresses (240.0.0.0/4) that no router has. The upper half stands for routers,
/// the lower one for systems.
const ALIASES: u32 = 0xf800_0000;
/// Bits of an alias.
const ALIAS_BITS: u32 = 0x07ff_ffff;

/// What a domain knows of itself: its own routers, and what lies next to them.
#[derive(Debug, Clone)]
pub struct Grounds<'a> {
    map: &'a Map,
    asns: BTreeSet<u32>,
    key: Key,
    /// Made when somebody asks: most answers name no alias.
    aliases: OnceLock<BTreeMap<RouterId, RouterId>>,
}

impl<'a> Grounds<'a> {
    /// Those of the domain with these AS numbers. The map holds its routers and those next to them; `key` is
    /// the domain's own, and makes its aliases.
    pub fn new(map: &'a Map, asns: impl IntoIterator<Item = u32>, key: Key) -> Self {
        Self { map, asns: asns.into_iter().collect(), key, aliases: OnceLock::new() }
    }

    fn own(&self, router: RouterId) -> Option<&MapRouter> {
        self.map.router(router).filter(|r| self.asns.contains(&r.asn))
    }

    fn aliases(&self) -> &BTreeMap<RouterId, RouterId> {
        let own = || self.map.routers().iter().filter(|r| self.asns.contains(&r.asn));
        self.aliases.get_or_init(|| aliases(self.key, own().map(|r| r.id)))
    }

    /// Whether a router is the domain's.
    pub fn owns(&self, router: RouterId) -> bool {
        self.own(router).is_some()
    }

    /// Whether a router of the domain has a link to another domain.
    pub fn at_border(&self, router: RouterId) -> bool {
        self.owns(router) && self.map.neighbours(router).any(|n| !self.owns(n))
    }

    /// A router's alias.
    pub fn alias(&self, router: RouterId) -> Option<RouterId> {
        self.aliases().get(&router).copied()
    }

    /// The router behind an alias.
    pub fn behind(&self, alias: RouterId) -> Option<RouterId> {
        self.aliases().iter().find(|(_, own)| **own == alias).map(|(router, _)| *router)
    }

    /// Tells a stretch of a path, that nearest the source first. Routers of others count as hops that are not
    /// shown.
    pub fn show(&self, terms: &Terms, path: &[RouterId]) -> Vec<Shown> {
        let detail = terms.shown();
        let counted = terms.treatment(Field::Hops) == Treatment::Pass;
        let mut row: Vec<Shown> = vec![];
        for router in path {
            let hop = self.hop(detail, *router).unwrap_or(Shown::Hidden { hops: Some(1) });
            join(&mut row, hop);
        }
        let told = |shown| match shown {
            // Who tells nothing tells no numbers either.
            Shown::Hidden { .. } if !counted || detail == Detail::None => {
                Shown::Hidden { hops: None }
            }
            shown => shown,
        };
        row.into_iter().map(told).collect()
    }

    fn hop(&self, detail: Detail, router: RouterId) -> Option<Shown> {
        let own = self.own(router)?;
        match detail {
            Detail::Router => Some(Shown::Router { id: router }),
            Detail::Border => self.at_border(router).then_some(Shown::Router { id: router }),
            Detail::As => Some(Shown::As { asn: own.asn }),
            Detail::Nation => Some(Shown::Nation { nation: own.nation.clone() }),
            Detail::Hash => Some(Shown::Alias { id: self.alias(router)? }),
            Detail::Presence => Some(Shown::Present),
            Detail::None => None,
        }
    }
}

/// Adds a hop, which is the same as the last one where both stand for many.
fn join(row: &mut Vec<Shown>, hop: Shown) {
    match (row.last_mut(), hop) {
        (Some(Shown::Hidden { hops: Some(n) }), Shown::Hidden { hops: Some(more) }) => {
            *n = n.saturating_add(more);
        }
        (Some(Shown::Router { .. } | Shown::Alias { .. }), hop) => row.push(hop),
        (Some(last), hop) if *last == hop => {}
        (_, hop) => row.push(hop),
    }
}

/// Aliases of a domain's routers: keyed hashes of their names, which nobody without the key can guess or
/// undo. Two that fall together are parted in the order of names, so all who know the routers agree.
pub fn aliases(
    key: Key,
    routers: impl IntoIterator<Item = RouterId>,
) -> BTreeMap<RouterId, RouterId> {
    let words = [key.0.to_be_bytes(), key.1.to_be_bytes()].concat();
    let mut mac =
        Hmac::<Sha256>::new_from_slice(&words).expect("invariant: HMAC takes keys of any length");
    mac.update(b"ashiato alias");
    let mut taken = BTreeSet::new();
    let mut aliases = BTreeMap::new();
    for router in routers.into_iter().collect::<BTreeSet<_>>() {
        let mut alias = hash(mac.clone(), router);
        while !taken.insert(alias) {
            alias = alias.wrapping_add(1) & ALIAS_BITS;
        }
        aliases.insert(router, RouterId(ALIASES | alias));
    }
    aliases
}

/// Whether a name is an alias, or a system's, and no router's.
#[cfg(test)]
pub(crate) fn is_alias(name: RouterId) -> bool {
    name.0 >= super::cut::SYSTEMS
}

/// Whether a name is a router's alias, which its domain resolves.
pub fn is_hashed(name: RouterId) -> bool {
    name.0 >= ALIASES
}

fn hash(mut mac: Hmac<Sha256>, router: RouterId) -> u32 {
    mac.update(&router.0.to_be_bytes());
    let bytes = mac.finalize().into_bytes();
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) & ALIAS_BITS
}

#[cfg(test)]
#[path = "show_tests.rs"]
mod tests;
