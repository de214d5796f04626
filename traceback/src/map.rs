//! Maps: routers, their AS and nation, and the links between them.

use crate::scheme::{Place, RouterId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
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

/// Routers and undirected links; a router's position is its 16-bit index.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Flat", into = "Flat")]
pub struct Map {
    routers: Vec<MapRouter>,
    links: Vec<(u16, u16)>,
    by_id: BTreeMap<RouterId, u16>,
    neighbours: Vec<Vec<u16>>,
}

/// Why routers and links are no map.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadMap {
    /// More routers than a 16-bit index can name.
    #[error("a map holds at most 65535 routers, not {0}")]
    TooLarge(usize),
    /// Two routers share a loopback.
    #[error("router {0} appears twice")]
    Duplicate(RouterId),
    /// A link names a router that is not there, or joins a router to itself.
    #[error("link {0}-{1} does not join two routers of the map")]
    Link(u16, u16),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Flat {
    routers: Vec<MapRouter>,
    links: Vec<(u16, u16)>,
}

impl Map {
    /// Builds the look-ups. Links that appear twice count once.
    ///
    /// # Errors
    /// [`BadMap`] names the router or link at fault.
    pub fn new(routers: Vec<MapRouter>, links: Vec<(u16, u16)>) -> Result<Self, BadMap> {
        let count = u16::try_from(routers.len()).map_err(|_| BadMap::TooLarge(routers.len()))?;
        let mut by_id = BTreeMap::new();
        for (index, router) in (0..count).zip(&routers) {
            if by_id.insert(router.id, index).is_some() {
                return Err(BadMap::Duplicate(router.id));
            }
        }
        let mut neighbours = vec![vec![]; routers.len()];
        for &(a, b) in &links {
            if a >= count || b >= count || a == b {
                return Err(BadMap::Link(a, b));
            }
            neighbours[usize::from(a)].push(b);
            neighbours[usize::from(b)].push(a);
        }
        for list in &mut neighbours {
            list.sort_unstable();
            list.dedup();
        }
        Ok(Self { routers, links, by_id, neighbours })
    }

    /// All routers, by index.
    pub fn routers(&self) -> &[MapRouter] {
        &self.routers
    }

    /// Undirected links as pairs of indices.
    pub fn links(&self) -> &[(u16, u16)] {
        &self.links
    }

    /// A router by identity.
    pub fn router(&self, id: RouterId) -> Option<&MapRouter> {
        self.by_index(*self.by_id.get(&id)?)
    }

    /// A router by index.
    pub fn by_index(&self, index: u16) -> Option<&MapRouter> {
        self.routers.get(usize::from(index))
    }

    /// Identities of the routers linked with `id`.
    pub fn neighbours(&self, id: RouterId) -> impl Iterator<Item = RouterId> + '_ {
        let list = self.by_id.get(&id).map_or(&[][..], |i| &self.neighbours[usize::from(*i)]);
        list.iter().map(|i| self.routers[usize::from(*i)].id)
    }

    /// The autonomous systems that a path of routers leads through, in order; routers that are not on
    /// the map belong to none.
    pub fn as_path(&self, path: &[RouterId]) -> Vec<u32> {
        let mut systems: Vec<u32> =
            path.iter().filter_map(|id| Some(self.router(*id)?.asn)).collect();
        systems.dedup();
        systems
    }

    /// The place of a router, as its agent needs it.
    pub fn place(&self, id: RouterId) -> Option<Place> {
        let index = *self.by_id.get(&id)?;
        let degree = self.neighbours[usize::from(index)].len();
        let degree = u16::try_from(degree).unwrap_or(u16::MAX);
        Some(Place { id, index, degree, asn: self.by_index(index)?.asn })
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
