//! Maps: routers, their AS and nation, and the links between them.

use crate::scheme::{Place, RouterId};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// One router as a map shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MapRouter {
    /// Loopback: the router's identity.
    pub id: RouterId,
    /// Name for people.
    pub name: String,
    /// Autonomous system.
    pub asn: u32,
    /// Nation, two letters.
    pub nation: String,
    /// Interface addresses.
    #[serde(default)]
    pub aliases: Vec<IpAddr>,
}

/// Routers and undirected links; a router's position is its index.
///
/// Neighbours lie in one list after the other and identities in a sorted one, so that a map of 200,000 routers
/// takes a few megabytes beside its names, and searches go by position ([`Self::linked`]) without look-ups.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Flat", into = "Flat")]
pub struct Map {
    routers: Vec<MapRouter>,
    links: Vec<(u32, u32)>,
    /// Positions by identity, in rising order.
    by_id: Vec<(RouterId, u32)>,
    /// By position: where its neighbours start in the next list; one more for the end of the last.
    starts: Vec<u32>,
    /// Positions of neighbours, rising for each router.
    ends: Vec<u32>,
}

/// Why routers and links are no map.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadMap {
    /// More routers or links than a position can name.
    #[error("a map holds at most 2147483647 routers and links, not {0}")]
    TooLarge(usize),
    /// Two routers share a loopback.
    #[error("router {0} appears twice")]
    Duplicate(RouterId),
    /// A link names a router that is not there, or joins a router to itself.
    #[error("link {0}-{1} does not join two routers of the map")]
    Link(u32, u32),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Flat {
    routers: Vec<MapRouter>,
    links: Vec<(u32, u32)>,
}

impl Map {
    /// Builds the look-ups. Links that appear twice count once.
    ///
    /// # Errors
    /// [`BadMap`] names the router or link at fault.
    pub fn new(routers: Vec<MapRouter>, links: Vec<(u32, u32)>) -> Result<Self, BadMap> {
        let most = routers.len().max(links.len());
        let count = u32::try_from(routers.len()).map_err(|_| BadMap::TooLarge(most))?;
        if most > i32::MAX as usize {
            return Err(BadMap::TooLarge(most));
        }
        let mut by_id: Vec<_> = routers.iter().map(|r| r.id).zip(0..).collect();
        by_id.sort_unstable();
        if let Some(twice) = by_id.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(BadMap::Duplicate(twice[0].0));
        }
        if let Some(&(a, b)) = links.iter().find(|(a, b)| a.max(b) >= &count || a == b) {
            return Err(BadMap::Link(a, b));
        }
        let mut ways: Vec<(u32, u32)> = links.iter().flat_map(|&(a, b)| [(a, b), (b, a)]).collect();
        ways.sort_unstable();
        ways.dedup();
        let mut starts = Vec::with_capacity(routers.len() + 1);
        let mut rest = (0_u32..).zip(&ways).peekable();
        let mut next = 0;
        for router in 0..count {
            starts.push(next);
            while let Some((at, _)) = rest.next_if(|(_, (from, _))| *from == router) {
                next = at + 1;
            }
        }
        starts.push(next);
        let ends = ways.into_iter().map(|(_, to)| to).collect();
        Ok(Self { routers, links, by_id, starts, ends })
    }

    /// The part whose routers `keeps`, by index, with the links among them that `joins`.
    pub fn part(&self, keeps: impl Fn(u32) -> bool, joins: impl Fn(u32, u32) -> bool) -> Self {
        let kept: Vec<u32> =
            (0..).zip(&self.routers).map(|(at, _)| at).filter(|at| keeps(*at)).collect();
        let place = |at: u32| u32::try_from(kept.binary_search(&at).ok()?).ok();
        let links = self.links.iter().filter(|(a, b)| joins(*a, *b));
        let links = links.filter_map(|(a, b)| Some((place(*a)?, place(*b)?))).collect();
        let routers = kept.iter().map(|at| self.routers[*at as usize].clone()).collect();
        Self::new(routers, links).expect("invariant: a part of a map is a map")
    }

    /// All routers, by index.
    pub fn routers(&self) -> &[MapRouter] {
        &self.routers
    }

    /// Undirected links as pairs of indices.
    pub fn links(&self) -> &[(u32, u32)] {
        &self.links
    }

    /// A router by identity.
    pub fn router(&self, id: RouterId) -> Option<&MapRouter> {
        self.by_index(self.index(id)?)
    }

    /// A router by index.
    pub fn by_index(&self, index: impl Into<u32>) -> Option<&MapRouter> {
        self.routers.get(index.into() as usize)
    }

    /// A router's index.
    pub fn index(&self, id: RouterId) -> Option<u32> {
        let at = self.by_id.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        Some(self.by_id[at].1)
    }

    /// Indices of the routers linked with the one at `index`, in rising order; none where there is no such router.
    pub fn linked(&self, index: u32) -> &[u32] {
        let at = index as usize;
        match (self.starts.get(at), self.starts.get(at + 1)) {
            (Some(from), Some(to)) => &self.ends[*from as usize..*to as usize],
            _ => &[],
        }
    }

    /// Identities of the routers linked with `id`.
    pub fn neighbours(&self, id: RouterId) -> impl Iterator<Item = RouterId> + '_ {
        let list = self.index(id).map_or(&[][..], |i| self.linked(i));
        list.iter().map(|i| self.routers[*i as usize].id)
    }

    /// The autonomous systems that a path of routers leads through, in order; routers that are not on
    /// the map belong to none.
    pub fn as_path(&self, path: &[RouterId]) -> Vec<u32> {
        let mut systems: Vec<u32> =
            path.iter().filter_map(|id| Some(self.router(*id)?.asn)).collect();
        systems.dedup();
        systems
    }

    /// The place of a router, as its agent needs it; `None` where the map does not have it, or not among the
    /// first 65,536, which are as many as the 16 bits of [`Place::index`] name.
    pub fn place(&self, id: RouterId) -> Option<Place> {
        let index = self.index(id)?;
        let degree = u16::try_from(self.linked(index).len()).unwrap_or(u16::MAX);
        let asn = self.by_index(index)?.asn;
        Some(Place { id, index: u16::try_from(index).ok()?, degree, asn })
    }
}

impl TryFrom<Flat> for Map {
    type Error = BadMap;
    fn try_from(flat: Flat) -> Result<Self, BadMap> {
        Self::new(flat.routers, flat.links)
    }
}

impl From<Map> for Flat {
    fn from(map: Map) -> Self {
        Self { routers: map.routers, links: map.links }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(ids: &[u32], links: &[(u32, u32)]) -> Result<Map, BadMap> {
        let router = |id: &u32| MapRouter {
            id: RouterId(*id),
            name: String::new(),
            asn: 1,
            nation: "XA".into(),
            aliases: vec![],
        };
        Map::new(ids.iter().map(router).collect(), links.to_vec())
    }

    #[test]
    fn neighbours_are_those_of_either_end_once() {
        let map = map(&[9, 5, 7, 1], &[(2, 0), (0, 2), (0, 1), (2, 1)]).unwrap();
        assert_eq!(map.linked(0), [1, 2]);
        assert_eq!(
            (map.linked(3), map.linked(4), map.linked(u32::MAX)),
            (&[][..], &[][..], &[][..])
        );
        let near: Vec<RouterId> = map.neighbours(RouterId(7)).collect();
        assert_eq!(near, [RouterId(9), RouterId(5)]);
        assert_eq!((map.index(RouterId(1)), map.index(RouterId(2))), (Some(3), None));
        assert_eq!(map.place(RouterId(5)).map(|p| (p.index, p.degree)), Some((1, 2)));
    }

    #[test]
    fn what_is_no_map_is_refused() {
        assert_eq!(map(&[3, 4, 3], &[]), Err(BadMap::Duplicate(RouterId(3))));
        for (a, b) in [(0, 0), (0, 2), (u32::MAX, 1)] {
            assert_eq!(map(&[3, 4], &[(a, b)]), Err(BadMap::Link(a, b)));
        }
    }

    #[test]
    fn a_map_may_have_more_routers_than_places_have_numbers() {
        let ids: Vec<u32> = (0..70_000).collect();
        let map = map(&ids, &[(69_999, 65_536)]).unwrap();
        assert_eq!(map.linked(69_999), [65_536]);
        assert!(map.place(RouterId(65_535)).is_some() && map.place(RouterId(65_536)).is_none());
    }
}
