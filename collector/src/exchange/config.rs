//! The section `[exchange]` of a collector's configuration: who the domain is, and with whom it speaks.

use crate::authority::beside;
use crate::server::ServeError;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use traceback::RouterId;
use traceback::invariant::Key;

/// What a collector needs to know to speak for a domain.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The domain's word; its certificate is called `domain/WORD`.
    pub domain: String,
    /// Its nation, two letters.
    #[serde(default)]
    pub nation: String,
    /// Where other domains reach it. RFC 6546 gives port 4590 to this.
    #[serde(default = "default_listen")]
    pub listen: SocketAddr,
    /// The domain's certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// The domain's policy (TOML or JSON).
    pub policy: PathBuf,
    /// Routers and links of the domain; routers of others may be on it where they are linked with its own. The
    /// collector's own map, where left out.
    #[serde(default)]
    pub map: Option<PathBuf>,
    /// AS numbers of the domain: its routers on the map.
    pub asns: Vec<u32>,
    /// Addresses of the domain's hosts. It asks about packets to these, and nobody else may begin to.
    pub prefixes: Vec<IpNet>,
    /// File that inquiries are kept in.
    #[serde(default = "default_book")]
    pub book: PathBuf,
    /// File of the log of what was asked, answered, refused, told and withheld.
    #[serde(default = "default_audit")]
    pub audit: PathBuf,
    /// Domains next to this one, with the own routers that face each.
    #[serde(default)]
    pub neighbours: Vec<Neighbour>,
    /// Domains that this one speaks with.
    #[serde(default)]
    pub peers: Vec<Peer>,
    /// Schemes whose logs this domain searches.
    #[serde(default)]
    pub schemes: Vec<Searched>,
    /// The run's key, so that digests of packets can be computed.
    pub packet_key: Key,
    /// The domain's own key, under which its routers have their aliases; for runs, whose routers are told it.
    #[serde(default)]
    pub alias_key: Option<Key>,
    /// The file of that key, where it is not given: made at the first start, for nobody else to read.
    #[serde(default = "default_alias_key_file")]
    pub alias_key_file: PathBuf,
    /// What operators may do, by name; those who are not named may do nothing here.
    #[serde(default)]
    pub operators: BTreeMap<String, BTreeSet<Right>>,
    /// The run's zero, in nanoseconds since the Unix epoch: times in logs count from it.
    #[serde(default)]
    pub zero_unix_ns: u64,
    /// The signed directory of points of contact.
    #[serde(default)]
    pub directory: Option<Contacts>,
    /// Members for whom this domain relays questions, and whom it does not name to anybody (an ISAC).
    #[serde(default)]
    pub members: Vec<String>,
    /// Whether TLS secrets go to the file that SSLKEYLOGFILE names. For experiments whose traffic is examined.
    #[serde(default)]
    pub log_tls_secrets: bool,
    /// Times and numbers that keep it within bounds.
    #[serde(default)]
    pub bounds: Bounds,
}

/// What an operator may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Right {
    /// See what was asked here and begun here, and what has left.
    Read,
    /// Begin inquiries, and try whether others can be reached.
    Begin,
    /// Decide about inquiries of others.
    Decide,
}

impl Right {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Read, Self::Begin, Self::Decide];

    /// Its word in files.
    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Begin => "begin",
            Self::Decide => "decide",
        }
    }
}

/// A signed directory of points of contact.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contacts {
    /// Its file.
    pub file: PathBuf,
    /// Public keys (hex) of those who may sign it.
    pub signers: Vec<String>,
}

/// A domain next to this one.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Neighbour {
    /// Its word.
    pub id: String,
    /// Own routers that have a link with it.
    pub routers: Vec<RouterId>,
}

/// A domain that this one speaks with.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// Its word.
    pub id: String,
    /// Where it is reached.
    pub address: SocketAddr,
    /// Its certificate, of which the key is pinned.
    pub certificate: PathBuf,
    /// Addresses of its hosts: those it may ask about.
    #[serde(default)]
    pub prefixes: Vec<IpNet>,
    /// Its AS numbers.
    #[serde(default)]
    pub asns: Vec<u32>,
    /// Domains next to it, whom to ask where it does not answer.
    #[serde(default)]
    pub neighbours: Vec<String>,
    /// Between whom questions of this peer travel.
    #[serde(default)]
    pub region: traceback::disclose::Region,
}

/// A scheme whose logs are searched.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Searched {
    /// Its id.
    pub id: String,
    /// Its parameters; those of its paper, where left out.
    #[serde(default)]
    pub params: Option<Value>,
}

/// Times and numbers that keep an exchange within bounds.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bounds {
    /// Inquiries at work at a time; beyond it they are refused.
    pub inquiries: usize,
    /// Searches in the domain's own logs at a time; others wait.
    pub searches: usize,
    /// Connections at a time; others wait.
    pub connections: usize,
    /// Packets in one inquiry.
    pub packets: usize,
    /// Domains through which an inquiry may have come.
    pub hops: usize,
    /// Bytes of one document.
    pub document: usize,
    /// Time after which an answer is sent by callback, not in the response.
    pub prompt_ms: u64,
    /// Time that a peer has for an answer, where the operator does not say.
    pub patience_ms: u64,
    /// Time before and after a packet's that logs are searched for.
    pub slack_ms: u64,
    /// Difference between two clocks that is not worth a word.
    pub clock_ms: u64,
    /// Seconds that own cases are kept.
    pub keep_s: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            inquiries: 1024,
            searches: 16,
            connections: 2048,
            packets: 256,
            hops: 64,
            document: 4 << 20,
            prompt_ms: 1_000,
            patience_ms: 10_000,
            slack_ms: 30_000,
            clock_ms: 5_000,
            keep_s: 30 * 86_400,
        }
    }
}

impl Bounds {
    /// [`Self::prompt_ms`].
    pub fn prompt(&self) -> Duration {
        Duration::from_millis(self.prompt_ms)
    }
}

impl Config {
    /// Lets paths that are not absolute start at the folder of the file that names them.
    pub fn rebase(&mut self, file: &Path) {
        let own = [&mut self.certificate, &mut self.key, &mut self.policy];
        let kept = [&mut self.book, &mut self.audit, &mut self.alias_key_file];
        let others = self.peers.iter_mut().map(|peer| &mut peer.certificate);
        let directory = self.directory.iter_mut().map(|contacts| &mut contacts.file);
        let optional = self.map.iter_mut().chain(directory);
        for path in own.into_iter().chain(kept).chain(others).chain(optional) {
            *path = beside(file, path);
        }
    }
}

/// What is wrong with a file that the configuration names.
pub(super) fn bad(path: &Path, what: impl ToString) -> ServeError {
    ServeError::File { path: path.into(), what: what.to_string() }
}

fn default_listen() -> SocketAddr {
    ([127, 0, 0, 1], 4590).into()
}

fn default_book() -> PathBuf {
    "exchange.db".into()
}

fn default_alias_key_file() -> PathBuf {
    "alias.key".into()
}

fn default_audit() -> PathBuf {
    "exchange.ndjson".into()
}
