//! What a domain knows about itself and its peers while it runs.

use super::config::{Config, Peer, bad};
use super::{Exhibit, secret};
use crate::clock::Utc;
use crate::contact::signed::Signed;
use crate::contact::{Directory, Reach};
use crate::operator;
use crate::server::{ServeError, read, read_map};
use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use traceback::RouterId;
use traceback::blank::blank;
use traceback::disclose::{Exhibits, Grounds, Policy};
use traceback::invariant::Key;
use traceback::map::Map;
use traceback::packet::Packet;
use traceback::scheme::Keeper;
use traceback::schemes::AnyScheme;

/// A domain at work.
pub struct Domain {
    /// As configured.
    pub config: Config,
    /// What it tells whom.
    pub policy: Policy,
    /// Its routers and those next to them.
    pub map: Map,
    /// Those next to them, which are for others to ask.
    pub beyond: BTreeSet<RouterId>,
    /// Routers of each neighbour that have a link with own ones, in the order of their identities.
    gates: BTreeMap<String, Vec<RouterId>>,
    /// Schemes whose logs it searches, by id.
    pub schemes: BTreeMap<String, Arc<dyn AnyScheme>>,
    /// Domains that each domain is next to, its own included.
    pub around: BTreeMap<String, Vec<String>>,
    peers: BTreeMap<String, Peer>,
    /// The key under which its routers have their aliases.
    aliases: Key,
    /// Points of contact, where there is a directory.
    directory: Option<Directory>,
}

impl std::fmt::Debug for Domain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Domain").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Domain {
    /// Reads what the configuration names. `fallback` is the collector's own map.
    ///
    /// # Errors
    /// [`ServeError`] names the file and what is wrong with it.
    pub fn load(config: &Config, fallback: Option<&Map>) -> Result<Self, ServeError> {
        let map = match (&config.map, fallback) {
            (Some(path), _) => read_map(path)?,
            (None, Some(map)) => map.clone(),
            (None, None) => return Err(bad(Path::new("[exchange]"), "give a map of the domain")),
        };
        let policy = read_policy(&config.policy, &config.domain)?;
        let directory = config.directory.as_ref().map(|contacts| {
            if contacts.signers.is_empty() {
                return Err(bad(&contacts.file, "say by signers whose directory is relied on"));
            }
            Ok(Signed::read(&contacts.file, &contacts.signers)?.directory)
        });
        let aliases = match config.alias_key {
            Some(key) => key,
            None => secret::read_or_make(&config.alias_key_file)?,
        };
        let config = Config { alias_key: Some(aliases), ..config.clone() };
        Ok(Self { directory: directory.transpose()?, ..Self::new(&config, policy, map)? })
    }

    /// The domain of a configuration, whose files are at hand.
    ///
    /// # Errors
    /// [`ServeError`] says what of it does not fit the map.
    pub fn new(config: &Config, policy: Policy, map: Map) -> Result<Self, ServeError> {
        let own: BTreeSet<u32> = config.asns.iter().copied().collect();
        let others = map.routers().iter().filter(|r| !own.contains(&r.asn));
        let beyond: BTreeSet<RouterId> = others.map(|r| r.id).collect();
        let is_own = |id: &RouterId| map.index(*id).is_some() && !beyond.contains(id);
        let mut facing = config.neighbours.iter().flat_map(|n| &n.routers);
        if let Some(odd) = facing.find(|id| !is_own(id)) {
            let what = format!("neighbours: {odd} is no router of {} on its map", config.domain);
            return Err(bad(Path::new("[exchange]"), what));
        }
        let peers = config.peers.iter().map(|p| (p.id.clone(), p.clone())).collect();
        let mut around: BTreeMap<String, Vec<String>> =
            config.peers.iter().map(|p| (p.id.clone(), p.neighbours.clone())).collect();
        let next = config.neighbours.iter().map(|n| n.id.clone()).collect();
        around.insert(config.domain.clone(), next);
        let schemes = schemes(config)?;
        let aliases = config.alias_key.ok_or_else(|| {
            bad(Path::new("[exchange]"), "alias_key: the domain needs a key of its own")
        })?;
        Ok(Self {
            config: config.clone(),
            policy,
            gates: gates(config, &map, &beyond),
            map,
            beyond,
            schemes,
            around,
            peers,
            aliases,
            directory: None,
        })
    }

    /// Its word.
    pub fn id(&self) -> &str {
        &self.config.domain
    }

    /// A peer by its word.
    pub fn peer(&self, id: &str) -> Option<&Peer> {
        self.peers.get(id)
    }

    /// Peers, by their words.
    pub fn peers(&self) -> &BTreeMap<String, Peer> {
        &self.peers
    }

    /// Why nothing is sent to a peer, where its entry in the directory has expired.
    pub fn expired(&self, peer: &str, now: Utc) -> Option<String> {
        let entry = self.directory.as_ref()?.of(peer).filter(|entry| !entry.is_valid(now))?;
        let until = entry.valid_until;
        Some(format!("its entry in the directory expired at {until}; nothing was sent"))
    }

    /// Whom to turn to where a peer does not answer.
    pub fn escalate(&self, peer: &str, now: Utc) -> Vec<Reach> {
        self.directory.as_ref().map(|d| d.escalate(peer, now)).unwrap_or_default()
    }

    /// A packet as others are shown it, and how many of its bytes they are not; `None` where it is none.
    pub(super) fn exhibit(
        &self,
        scheme: &dyn AnyScheme,
        packet: &[u8],
        at_unix_ns: u64,
    ) -> Option<(Exhibit, usize)> {
        let (bytes, hidden) = match self.policy.exhibits {
            Exhibits::Needed => blank(&scheme.card(), packet)?,
            Exhibits::Whole => (Packet::parse(packet).ok()?.as_bytes().to_vec(), 0),
        };
        Some((Exhibit { bytes, at_unix_ns, gate: None }, hidden))
    }

    /// Its grounds, as policies show them.
    pub fn grounds(&self) -> Grounds<'_> {
        Grounds::new(&self.map, self.config.asns.iter().copied(), self.aliases)
    }

    /// Own routers that face a domain.
    pub fn facing(&self, domain: &str) -> &[RouterId] {
        let found = self.config.neighbours.iter().find(|n| n.id == domain);
        found.map_or(&[], |n| &n.routers)
    }

    /// Whose a router beyond is, and its place among those of its domain that have a link with own ones; `None` where
    /// it is nobody's that is known.
    pub fn gate(&self, router: RouterId) -> Option<(&str, u16)> {
        self.gates.iter().find_map(|(owner, routers)| {
            let at = routers.binary_search(&router).ok()?;
            Some((owner.as_str(), u16::try_from(at).ok()?))
        })
    }

    /// How many routers it has.
    pub fn routers(&self) -> usize {
        self.map.routers().len() - self.beyond.len()
    }

    /// Domains that a router faces, but for one.
    pub fn behind(&self, router: RouterId, but: &str) -> Vec<String> {
        let faces = self.config.neighbours.iter().filter(|n| n.routers.contains(&router));
        faces.map(|n| n.id.clone()).filter(|id| id != but).collect()
    }

    /// Whether packets to an address are the domain's own to ask about; also another domain's, by its word.
    pub fn may_ask(&self, domain: &str, address: IpAddr) -> bool {
        let prefixes: &[IpNet] = if domain == self.id() {
            &self.config.prefixes
        } else {
            self.peer(domain).map_or(&[], |p| &p.prefixes)
        };
        prefixes.iter().any(|net| net.contains(&address))
    }
}

/// Routers of peers that have a link with own ones.
fn gates(
    config: &Config,
    map: &Map,
    beyond: &BTreeSet<RouterId>,
) -> BTreeMap<String, Vec<RouterId>> {
    let linked = |id: &RouterId| map.neighbours(*id).any(|near| !beyond.contains(&near));
    let near: Vec<RouterId> = beyond.iter().copied().filter(linked).collect();
    let of = |peer: &Peer| -> Vec<RouterId> {
        let theirs = |id: &RouterId| map.router(*id).is_some_and(|r| peer.asns.contains(&r.asn));
        near.iter().copied().filter(theirs).collect()
    };
    config.peers.iter().map(|peer| (peer.id.clone(), of(peer))).collect()
}

/// Where a packet goes; `None` where the bytes are no packet.
pub(super) fn destination(exhibit: &Exhibit) -> Option<IpAddr> {
    Packet::parse(exhibit.bytes.as_slice()).ok().map(|p| p.destination())
}

fn read_policy(path: &Path, domain: &str) -> Result<Policy, ServeError> {
    let text = read(path)?;
    let policy: Policy = if path.extension().is_some_and(|e| e == "json") {
        serde_json::from_str(&text).map_err(|e| bad(path, e))?
    } else {
        toml::from_str(&text).map_err(|e| bad(path, e))?
    };
    policy.check().map_err(|e| bad(path, e))?;
    if policy.domain != domain {
        return Err(bad(path, format!("the policy is {}'s, not {domain}'s", policy.domain)));
    }
    Ok(policy)
}

fn schemes(config: &Config) -> Result<BTreeMap<String, Arc<dyn AnyScheme>>, ServeError> {
    let mut found = BTreeMap::new();
    for searched in &config.schemes {
        let params = searched.params.as_ref().map(ToString::to_string).unwrap_or_default();
        let scheme = operator::scheme(&searched.id, &params);
        let scheme = scheme.map_err(|e| bad(Path::new("[exchange]"), e))?;
        if scheme.card().keeper != Keeper::Routers {
            let what = format!("schemes: routers keep no log of {}", searched.id);
            return Err(bad(Path::new("[exchange]"), what));
        }
        found.insert(searched.id.clone(), scheme);
    }
    Ok(found)
}
