//! Which host stands for which nodes of a plan: a TOML file that the director's owner writes.
//!
//! ```toml
//! listen = "192.0.2.1:7401"     # hosts call here; agents report to the next port
//! tls = { ca = "keys/ca.pem", cert = "keys/director.pem", key = "keys/director.key" }
//! [[host]]
//! name = "lab-a"                # as its certificate says
//! underlay = "192.0.2.11"       # where tunnels of other hosts lead to
//! nodes = ["r1", "r2", "victim"]
//! ```
//! Every node has one host; nothing is placed by itself.

use crate::exit::Exit;
use crate::netns::headquarters::{Ground, RID};
use crate::netns::layout::{Share, Tunnel};
use crate::plan::{Node, Plan};
use anyhow::{Context, Result};
use ashiato_collector::authority::Tls;
use ashiato_collector::identity::Identity;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

/// A whole file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Placement {
    /// Where the director listens for hosts.
    pub listen: SocketAddr,
    /// Where the collector listens for agents; the next port where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collector: Option<SocketAddr>,
    /// Whether tunnels between hosts are sealed.
    #[serde(default)]
    pub tunnels: Tunnels,
    /// Their UDP port: 51820 for sealed ones, 4789 for bare ones, where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tunnel_port: Option<u16>,
    /// What summaries call this world.
    #[serde(default)]
    pub world: Word,
    /// The director's keys; paths start at this file's folder.
    pub tls: Tls,
    /// Who is enrolled, as `authority serve` keeps it: where given, hosts need the very key that they
    /// enrolled with, so that a revoked one is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enrolled: Option<PathBuf>,
    /// The hosts.
    #[serde(rename = "host")]
    pub hosts: Vec<Host>,
}

/// What summaries call the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    /// Machines.
    #[default]
    Hosts,
    /// Containers on one machine.
    Compose,
}

impl Word {
    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Hosts => "hosts",
            Self::Compose => "compose",
        }
    }
}

/// One host and its nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// Its word, as in its certificate.
    pub name: String,
    /// Its address for tunnels.
    pub underlay: IpAddr,
    /// Words of its nodes in the scenario.
    pub nodes: Vec<String>,
    /// Port at its underlay address on which its domain's collector listens for agents, where it runs there; else
    /// the director runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collector: Option<u16>,
}

/// How frames travel between hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tunnels {
    /// Encrypted and authenticated.
    #[default]
    Sealed,
    /// In plain VXLAN: for containers on one machine.
    Bare,
}

impl Tunnels {
    /// The port that people expect: WireGuard's usual one, IANA's for VXLAN.
    const fn port(self) -> u16 {
        match self {
            Self::Sealed => 51_820,
            Self::Bare => 4789,
        }
    }
}

impl Placement {
    /// Reads a file and finds its keys from its folder.
    ///
    /// # Errors
    /// [`Exit::Usage`] names the file, and the line and key that is wrong.
    pub fn read(path: &Path) -> Result<Self> {
        let mut placement: Self = read(path)?;
        placement.tls.rebase(path);
        let folder = path.parent().unwrap_or(path);
        placement.enrolled = placement.enrolled.map(|enrolled| folder.join(enrolled));
        Ok(placement)
    }

    /// Where agents report to.
    pub fn collector(&self) -> SocketAddr {
        let next = SocketAddr::new(self.listen.ip(), self.listen.port().wrapping_add(1).max(1));
        self.collector.unwrap_or(next)
    }

    /// Where a plan's collectors listen: one beside the other on this machine, or on hosts of their domains.
    ///
    /// # Errors
    /// [`Exit::Usage`] names a host that cannot run one.
    pub(crate) fn grounds(&self, plan: &Plan, shares: &[Share]) -> Result<Vec<Ground>> {
        let first = self.collector().port();
        let on =
            |first: u16, at: u16| SocketAddr::new(self.collector().ip(), first.saturating_add(at));
        let ground = |at: u16| Ground { desk: on(first, at), office: on(RID, at), here: true };
        let mut grounds: Vec<Ground> = (0..).map(ground).take(plan.collectors()).collect();
        for (host, share) in self.hosts.iter().zip(shares) {
            let Some(port) = host.collector else { continue };
            let why = |what: &str| {
                Exit::Usage.refuse(format!("host {}: a collector of its own: {what}", host.name))
            };
            let desk = only_domain(plan, share).ok_or_else(|| {
                why("all its nodes must be of one domain, in a plan whose domains ask each other")
            })?;
            let on = |port| SocketAddr::new(host.underlay, port);
            let own = Ground { desk: on(port), office: on(RID), here: false };
            if !std::mem::replace(&mut grounds[desk], own).here {
                return Err(why("another host has it already"));
            }
        }
        Ok(grounds)
    }

    /// Every host's share of a plan. The tunnels of two runs with different ids differ.
    ///
    /// # Errors
    /// [`Exit::Usage`] names a node that has no host or several, or that the plan does not have.
    pub fn shares(&self, plan: &Plan, run: &str) -> Result<Vec<Share>> {
        let at = self.places(plan)?;
        let mut shares = vec![Share::default(); self.hosts.len()];
        for (node, host) in &at {
            shares[*host].nodes.insert(*node);
        }
        let first = vni(run);
        for (link, wire) in plan.links.iter().enumerate() {
            let host = |node| at.get(&node).copied().context("a link leads to no node");
            let (a, b) = (host(wire.a.node)?, host(wire.b.node)?);
            if a == b {
                continue;
            }
            let vni = u32::try_from(link).ok().filter(|link| *link < LINKS).map(|l| first + l);
            let many = || Exit::Usage.refuse(format!("over {LINKS} links in a plan over hosts"));
            let (vni, sealed) = (vni.ok_or_else(many)?, self.tunnels == Tunnels::Sealed);
            let port = self.tunnel_port.unwrap_or(self.tunnels.port());
            for (host, other) in [(a, b), (b, a)] {
                let [near, far] = [host, other].map(|h| self.hosts[h].underlay);
                shares[host].tunnels.insert(link, Tunnel { vni, port, near, far, sealed });
            }
        }
        Ok(shares)
    }

    /// The host of every node.
    fn places(&self, plan: &Plan) -> Result<BTreeMap<Node, usize>> {
        let routers = (0..plan.routers.len()).map(Node::Router);
        let nodes = routers.chain((0..plan.hosts.len()).map(Node::Host));
        let names: BTreeMap<&str, Node> = nodes.map(|n| (plan.node_name(n), n)).collect();
        let (mut at, mut faults) = (BTreeMap::new(), vec![]);
        for (i, host) in self.hosts.iter().enumerate() {
            if Identity::parse(&format!("host/{}", host.name)).is_none() {
                faults.push(format!("host {:?}: use letters, digits and dashes", host.name));
            }
            if self.hosts[..i].iter().any(|h| h.name == host.name || h.underlay == host.underlay) {
                faults.push(format!("host {}: its name or underlay is taken", host.name));
            }
            for word in &host.nodes {
                match names.get(word.as_str()) {
                    None => faults.push(format!("host {}: the plan has no node {word}", host.name)),
                    Some(node) if at.insert(*node, i).is_some() => {
                        faults.push(format!("node {word} is placed twice"));
                    }
                    Some(_) => {}
                }
            }
        }
        let homeless = names.iter().filter(|(_, n)| !at.contains_key(n)).map(|(word, _)| *word);
        faults.extend(homeless.map(|word| format!("node {word} has no host")));
        if faults.is_empty() {
            return Ok(at);
        }
        Err(Exit::Usage.refuse(format!("placement: {}", faults.join("; "))))
    }
}

/// Position of the domain that all nodes of a share are of, where domains have collectors of their own.
pub(super) fn only_domain(plan: &Plan, share: &Share) -> Option<usize> {
    let domains = plan.domains_of(&share.nodes);
    domains.first().copied().filter(|_| domains.len() == 1 && plan.exchange.is_some())
}

/// Reads a TOML file.
///
/// # Errors
/// [`Exit::Usage`] names the file, and the line and key that is wrong.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| Exit::Usage.refuse(format!("cannot read {}: {e}", path.display())))?;
    toml::from_str(&text).map_err(|e| Exit::Usage.refuse(format!("{}: {e}", path.display())))
}

/// Links of a plan that may have identifiers of their own.
const LINKS: u32 = 1 << 12;

/// The first identifier of a run's tunnels: 12 bits from its id, 12 for the link.
fn vni(run: &str) -> u32 {
    let digest = Sha256::digest(run);
    (u32::from(digest[0]) << 4 | u32::from(digest[1]) >> 4) << 12
}
