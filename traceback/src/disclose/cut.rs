//! A map cut by what its domains let their routers write into packets.
//!
//! Every router gets the name under which it acts, and says at which of its ports it acts at all:
//!
//! | detail | who acts | under which name |
//! |---|---|---|
//! | router | every router | its own |
//! | border | routers with a link to another domain | its own |
//! | as | the router where a packet enters the system | the system's, an alias |
//! | nation | the router where a packet enters the domain | the nation's, an alias |
//! | hash | every router | a keyed hash, an alias |
//! | presence, none | nobody | - |
//!
//! The disclosed map is what anybody outside gets: a node for every name, and a link wherever a packet that
//! one of them marked may be marked next by the other. A row of routers that stay silent is thus a link.
//! Paths are projected in the same way, so what is shown of a true path is a path of the disclosed map.

use super::Detail;
use super::show::aliases;
use crate::invariant::Key;
use crate::map::{BadMap, Map, MapRouter};
use crate::scheme::{Place, RouterId};
use std::collections::{BTreeMap, BTreeSet};

/// What one domain lets its routers write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estate {
    /// How much of them is shown.
    pub detail: Detail,
    /// Makes their aliases.
    pub key: Key,
}

/// Where systems' and nations' aliases lie; those of routers lie above them.
pub(super) const SYSTEMS: u32 = 0xf000_0000;
const NATIONS: u32 = 0xf400_0000;
const MEMBER_BITS: u32 = 0x03ff_ffff;

/// A map and what is shown of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Cut {
    whole: Map,
    /// What is shown, where that is not the whole.
    shown: Option<Map>,
    /// By router: its domain.
    homes: Vec<usize>,
    estates: Vec<Estate>,
    /// By router: its node of the disclosed map.
    nodes: Vec<Option<u32>>,
}

/// Who is at the other end of a router's port, as the router may know and write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beyond {
    /// The name; `None` where hosts are, 0 where a router is that has no name here.
    pub name: Option<RouterId>,
    /// Rank of that name among the node's neighbours; `None` where it has none.
    pub link: Option<u16>,
    /// Whether packets that come in there are forwarded and nothing else.
    pub silent: bool,
}

impl Cut {
    /// Cuts a map. `homes` has the position in `estates` of every router's domain.
    ///
    /// # Errors
    /// Where two aliases fall together, or homes and estates are not the map's.
    pub fn new(map: Map, homes: Vec<usize>, estates: Vec<Estate>) -> Result<Self, BadMap> {
        let known = |home: &usize| *home < estates.len();
        if homes.len() != map.routers().len() || !homes.iter().all(known) {
            return Err(BadMap::TooLarge(homes.len()));
        }
        let mut cut = Self { shown: None, whole: map, homes, estates, nodes: vec![] };
        if cut.is_whole() {
            cut.nodes = (0..).map(Some).take(cut.homes.len()).collect();
            return Ok(cut);
        }
        let routers = cut.name_nodes();
        let links = cut.links();
        cut.shown = Some(Map::new(routers, links)?);
        Ok(cut)
    }

    /// Whether everything is shown.
    pub fn is_whole(&self) -> bool {
        self.estates.iter().all(|e| e.detail == Detail::Router)
    }

    /// The disclosed map.
    pub fn shown(&self) -> &Map {
        self.shown.as_ref().unwrap_or(&self.whole)
    }

    /// The map that was cut.
    pub fn whole(&self) -> &Map {
        &self.whole
    }

    /// The detail of a router's domain.
    pub fn detail(&self, router: u32) -> Detail {
        self.estates[self.homes[router as usize]].detail
    }

    /// The node of the disclosed map that a router stands behind, where there is one.
    pub fn node(&self, router: u32) -> Option<&MapRouter> {
        self.shown().by_index((*self.nodes.get(router as usize)?)?)
    }

    /// The place as which a router acts, where it does.
    pub fn place(&self, router: u32) -> Option<Place> {
        self.shown().place(self.node(router)?.id)
    }

    /// Whether a router acts on packets that come from another one, or from a host.
    pub fn acts(&self, router: u32, from: Option<u32>) -> bool {
        let asn = |r: u32| self.whole.by_index(r).map(|r| r.asn);
        match self.detail(router) {
            Detail::Router | Detail::Hash => true,
            Detail::Border => self.node(router).is_some(),
            Detail::As => from.is_none_or(|from| asn(from) != asn(router)),
            Detail::Nation => from.is_none_or(|from| !self.at_home(from, router)),
            Detail::Presence | Detail::None => false,
        }
    }

    /// Who is at the other end of a router's port to another router, or to hosts.
    pub fn beyond(&self, router: u32, other: Option<u32>) -> Beyond {
        let silent = !self.acts(router, other);
        let Some(other) = other else { return Beyond { name: None, link: Some(0), silent } };
        let own = self.nodes[router as usize];
        let node = self.nodes[other as usize].filter(|node| Some(*node) != own);
        let Some(node) = node else {
            return Beyond { name: Some(RouterId(0)), link: None, silent };
        };
        Beyond {
            name: self.shown().by_index(node).map(|n| n.id),
            link: self.rank(own, node),
            silent,
        }
    }

    /// Whether every router acts on every packet, so that a TTL tells how many did.
    pub fn skips_nobody(&self) -> bool {
        self.estates.iter().all(|e| matches!(e.detail, Detail::Router | Detail::Hash))
    }

    /// Whether routers act wherever packets come in from hosts.
    pub fn opens_everywhere(&self) -> bool {
        let opens = [Detail::Router, Detail::As, Detail::Nation, Detail::Hash];
        self.estates.iter().all(|e| opens.contains(&e.detail))
    }

    /// What is shown of a path, that nearest the source first: names of those who act, each with its position
    /// in the path. Names of the disclosed map stand for themselves.
    pub fn project(&self, path: &[RouterId]) -> Vec<(usize, RouterId)> {
        let mut shown = vec![];
        let mut before = None;
        for (at, id) in path.iter().enumerate() {
            match self.whole.index(*id) {
                Some(router) => {
                    let name = self.node(router).filter(|_| self.acts(router, before));
                    shown.extend(name.map(|node| (at, node.id)));
                    before = Some(router);
                }
                None => {
                    shown.extend(self.shown().index(*id).map(|_| (at, *id)));
                    before = None;
                }
            }
        }
        shown
    }

    /// The name that a router is shown by; `None` where it is hidden, whose packets carry names of others.
    pub fn name(&self, router: RouterId) -> Option<RouterId> {
        self.node(self.whole.index(router)?).map(|node| node.id)
    }

    /// Names the nodes, in the order of their first routers.
    fn name_nodes(&mut self) -> Vec<MapRouter> {
        let hashed = self.hashed();
        let mut nodes: Vec<MapRouter> = vec![];
        let mut by_name: BTreeMap<RouterId, u32> = BTreeMap::new();
        for (router, at) in self.whole.routers().iter().zip(0..) {
            let node = self.node_of(router, at, &hashed).map(|node| {
                let next = u32::try_from(nodes.len()).unwrap_or(u32::MAX);
                *by_name.entry(node.id).or_insert_with(|| {
                    nodes.push(node);
                    next
                })
            });
            self.nodes.push(node);
        }
        nodes
    }

    fn node_of(
        &self,
        router: &MapRouter,
        at: u32,
        hashed: &BTreeMap<RouterId, RouterId>,
    ) -> Option<MapRouter> {
        let nation = router.nation.clone();
        let node = |id: u32, name, asn, nation| {
            Some(MapRouter { id: RouterId(id), name, asn, nation, aliases: vec![] })
        };
        match self.detail(at) {
            Detail::Router => Some(router.clone()),
            // Addresses of its inner links would tell of them.
            Detail::Border => {
                self.at_border(at).then(|| MapRouter { aliases: vec![], ..router.clone() })
            }
            Detail::As => {
                let asn = router.asn;
                node(SYSTEMS | asn & MEMBER_BITS, format!("as{asn}"), asn, nation)
            }
            Detail::Nation => {
                let letters = nation.bytes().fold(0, |word, b| word << 8 | u32::from(b));
                // Domains of one nation stay apart.
                let home = u32::try_from(self.homes[at as usize]).unwrap_or(0);
                let id = NATIONS | letters.wrapping_add(home << 16) & MEMBER_BITS;
                node(id, nation.to_lowercase(), 0, nation)
            }
            Detail::Hash => {
                let alias = hashed.get(&router.id)?;
                node(alias.0, format!("h{:07x}", alias.0 & 0x0fff_ffff), 0, String::new())
            }
            Detail::Presence | Detail::None => None,
        }
    }

    /// Aliases of the routers of domains that hash names, each under its domain's key.
    fn hashed(&self) -> BTreeMap<RouterId, RouterId> {
        let hides = |(_, estate): &(usize, &Estate)| estate.detail == Detail::Hash;
        let of = |(home, estate): (usize, &Estate)| {
            let own = self.whole.routers().iter().zip(&self.homes).filter(|(_, h)| **h == home);
            aliases(estate.key, own.map(|(router, _)| router.id))
        };
        self.estates.iter().enumerate().filter(hides).flat_map(of).collect()
    }

    fn at_home(&self, one: u32, other: u32) -> bool {
        self.homes[one as usize] == self.homes[other as usize]
    }

    /// Whether a router has a link to another domain.
    pub fn at_border(&self, router: u32) -> bool {
        self.whole.linked(router).iter().any(|other| !self.at_home(*other, router))
    }

    /// Links between nodes: those of their routers, and one between any two next to the same row of routers
    /// without a node.
    fn links(&self) -> Vec<(u32, u32)> {
        let mut links = BTreeSet::new();
        let mut add = |a: u32, b: u32| a != b && links.insert((a.min(b), a.max(b)));
        for &(a, b) in self.whole.links() {
            if let (Some(a), Some(b)) = (self.nodes[a as usize], self.nodes[b as usize]) {
                add(a, b);
            }
        }
        let mut seen = vec![false; self.nodes.len()];
        for start in 0..self.nodes.len() {
            let around: Vec<u32> = self.around(start, &mut seen).into_iter().collect();
            for (i, a) in around.iter().enumerate() {
                around[i + 1..].iter().for_each(|b| _ = add(*a, *b));
            }
        }
        links.into_iter().collect()
    }

    /// Nodes next to the row of nodeless routers that one is part of; none where that was seen before.
    fn around(&self, start: usize, seen: &mut [bool]) -> BTreeSet<u32> {
        let mut around = BTreeSet::new();
        let mut front = vec![start];
        while let Some(router) = front.pop() {
            if self.nodes[router].is_some() || std::mem::replace(&mut seen[router], true) {
                continue;
            }
            let near = self.whole.linked(u32::try_from(router).unwrap_or(u32::MAX));
            around.extend(near.iter().filter_map(|n| self.nodes[*n as usize]));
            front.extend(near.iter().map(|n| *n as usize));
        }
        around
    }

    /// Rank of a node among another's neighbours, by name.
    fn rank(&self, of: Option<u32>, node: u32) -> Option<u16> {
        let near = self.shown().linked(of?);
        near.binary_search(&node).ok()?;
        let name = |at: u32| self.shown().by_index(at).map(|n| n.id);
        u16::try_from(near.iter().filter(|at| name(**at) < name(node)).count()).ok()
    }
}

#[cfg(test)]
#[path = "cut_tests.rs"]
mod tests;
