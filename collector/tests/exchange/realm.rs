//! Domains with a collector each, agents of SPIE on their routers, and packets that walk from one to the other.
//!
//! Every domain has a router in its middle, where its hosts are, and one at the border to each neighbour.

use crate::rig::{LONG, Rig, report};
use ashiato_agent::uplink::{Command, UplinkHandle};
use ashiato_collector::authority::Tls;
use ashiato_collector::client::Operator;
use ashiato_collector::exchange::http::{Desk, Given, Listening, PostError, post};
use ashiato_collector::exchange::letter::{self, Letter};
use ashiato_collector::exchange::tls::Pins;
use ashiato_collector::exchange::{
    Begin, Bounds, Config, Exhibit, Inquiry, Mode, Neighbour, Peer, Reply, Right, Searched, Subject,
};
use ashiato_collector::identity::Identity;
use ashiato_collector::server::Collector;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::time::timeout;
use traceback::case::{Budget, Case, Filter, Sample, Window};
use traceback::disclose::{Detail, Policy, Tlp};
use traceback::invariant::Key;
use traceback::map::{Map, MapRouter};
use traceback::packet::Packet;
use traceback::report::Report;
use traceback::scheme::Hop;
use traceback::vantage::{Draws, Setting, Vantage};
use traceback::{Nanos, RouterId, checksum, schemes};

const KEY: Key = Key(1, 2);
/// All packets of a test come at this time.
const AT: u64 = 5;

/// All domains of a test.
pub(crate) struct Realm {
    pub(crate) lands: Vec<Land>,
    links: Vec<(usize, usize)>,
}

/// One domain.
pub(crate) struct Land {
    pub(crate) id: String,
    pub(crate) rig: Rig,
    pub(crate) address: SocketAddr,
    pub(crate) collector: Option<Collector>,
    pub(crate) policy: Policy,
    keys: Tls,
    vantages: BTreeMap<RouterId, Arc<Mutex<Box<dyn Vantage>>>>,
    handles: Vec<UplinkHandle>,
}

impl Realm {
    /// Domains `xa`, `xb` and so on, with these links between them.
    pub(crate) fn new(count: usize, links: &[(usize, usize)]) -> Self {
        let lands = (0..count).map(Land::new).collect();
        let mut realm = Self { lands, links: links.to_vec() };
        for at in 0..count {
            let config = realm.config(at);
            let land = &mut realm.lands[at];
            land.rig.config.exchange = Some(config);
            land.rig.config.ask_timeout_ms = 5_000;
        }
        realm
    }

    pub(crate) fn exchange(&mut self, at: usize) -> &mut Config {
        self.lands[at].rig.config.exchange.as_mut().unwrap()
    }

    pub(crate) fn near(&self, at: usize) -> Vec<usize> {
        let ends = self.links.iter().flat_map(|&(a, b)| [(a, b), (b, a)]);
        ends.filter(|(a, _)| *a == at).map(|(_, b)| b).collect()
    }

    fn config(&self, at: usize) -> Config {
        let land = &self.lands[at];
        let words = |near: Vec<usize>| near.into_iter().map(|n| self.lands[n].id.clone()).collect();
        let peer = |n: usize| Peer {
            id: self.lands[n].id.clone(),
            address: self.lands[n].address,
            certificate: self.lands[n].keys.cert.clone(),
            prefixes: vec![prefix(n)],
            asns: vec![asn(n)],
            neighbours: words(self.near(n)),
            region: Default::default(),
        };
        let map = land.rig.dir.join("map.json");
        std::fs::write(&map, serde_json::to_vec(&self.map(at)).unwrap()).unwrap();
        let neighbour =
            |n: usize| Neighbour { id: self.lands[n].id.clone(), routers: vec![border(at, n)] };
        Config {
            domain: land.id.clone(),
            nation: "XX".into(),
            listen: land.address,
            certificate: land.keys.cert.clone(),
            key: land.keys.key.clone(),
            policy: land.rig.dir.join("policy.json"),
            map: Some(map),
            asns: vec![asn(at)],
            prefixes: vec![prefix(at)],
            book: land.rig.dir.join("exchange.db"),
            audit: land.rig.dir.join("exchange.ndjson"),
            neighbours: self.near(at).into_iter().map(neighbour).collect(),
            peers: (0..self.lands.len()).filter(|n| *n != at).map(peer).collect(),
            schemes: vec![Searched { id: "spie".into(), params: None }],
            packet_key: KEY,
            alias_key: Some(Key(7, at as u64)),
            alias_key_file: land.rig.dir.join("alias.key"),
            operators: rights(&["alice", "bob", "carol"]),
            zero_unix_ns: 0,
            directory: None,
            members: vec![],
            log_tls_secrets: false,
            bounds: Bounds { slack_ms: 0, patience_ms: 3_000, ..Bounds::default() },
        }
    }

    /// The domain's routers and those next to them.
    fn map(&self, at: usize) -> Map {
        let near = self.near(at);
        let router = |(id, owner): (RouterId, usize)| MapRouter {
            id,
            name: format!("r{id}"),
            asn: asn(owner),
            nation: "XX".into(),
            aliases: vec![],
        };
        let mut routers = vec![(hub(at), at)];
        let mut links = vec![];
        for n in near {
            let own = u32::try_from(routers.len()).unwrap();
            links.extend([(0, own), (own, own + 1)]);
            routers.extend([(border(at, n), at), (border(n, at), n)]);
        }
        Map::new(routers.into_iter().map(router).collect(), links).unwrap()
    }

    /// Writes the policies and starts collectors and agents.
    pub(crate) async fn start(&mut self) {
        for at in 0..self.lands.len() {
            self.start_one(at).await;
        }
    }

    pub(crate) async fn start_one(&mut self, at: usize) {
        let map = self.map(at);
        self.lands[at].write_policy();
        let collector = self.lands[at].rig.start().await;
        let listen = collector.listen();
        self.lands[at].collector = Some(collector);
        self.agents(at, &map, listen).await;
    }

    /// Agents of a domain's routers, which answer from their logs.
    pub(crate) async fn agents(&mut self, at: usize, map: &Map, listen: SocketAddr) {
        let spie = schemes::find("spie").unwrap();
        let land = &mut self.lands[at];
        let own = map.routers().iter().filter(|r| r.asn == asn(at)).map(|r| r.id);
        for id in own {
            let place = map.place(id).unwrap();
            let setting = Setting { place, key: KEY, draws: Draws::Keyed, filter: None };
            let vantage = spie.build(&spie.defaults()).unwrap().vantage(setting);
            let vantage = land.vantages.entry(id).or_insert(Arc::new(Mutex::new(vantage))).clone();
            let (handle, mut commands) = land.rig.uplink_of(listen, id.0, "spie");
            handle.report(Report { scheme: "spie".into(), ..report(id.0) });
            timeout(LONG, handle.drained()).await.unwrap();
            let agent = handle.clone();
            tokio::spawn(async move {
                while let Some(Command::Ask { id, query }) = commands.recv().await {
                    agent.reply(id, vantage.lock().unwrap().answer(&query));
                }
            });
            land.handles.push(handle);
        }
    }

    pub(crate) fn map_of(&self, at: usize) -> Map {
        self.map(at)
    }

    /// Lets packet `n` walk through these domains to a host of the last one.
    pub(crate) fn walk(&self, n: u32, domains: &[usize]) {
        let bytes = packet(n, *domains.last().unwrap());
        for (step, &at) in domains.iter().enumerate() {
            let before = step.checked_sub(1).map(|s| border(at, domains[s]));
            let after = domains.get(step + 1).map(|next| border(at, *next));
            for id in before.into_iter().chain([hub(at)]).chain(after) {
                let mut vantage = self.lands[at].vantages[&id].lock().unwrap();
                let mut bytes = bytes.clone();
                let mut packet = Packet::parse(bytes.as_mut_slice()).unwrap();
                let hop = Hop { at: Nanos(AT), me: id, ttl: 60, ..Hop::default() };
                vantage.forward(hop, &mut packet);
            }
        }
    }

    /// Lets all routers of all domains log packet `n` to a host of one, as if it had gone in circles.
    pub(crate) fn everywhere(&self, n: u32, to: usize) {
        for (at, land) in self.lands.iter().enumerate() {
            let near = self.near(at).into_iter().map(|n| border(at, n));
            for id in near.chain([hub(at)]) {
                let mut vantage = land.vantages[&id].lock().unwrap();
                let mut bytes = packet(n, to);
                let mut packet = Packet::parse(bytes.as_mut_slice()).unwrap();
                let hop = Hop { at: Nanos(AT), me: id, ttl: 60, ..Hop::default() };
                vantage.forward(hop, &mut packet);
            }
        }
    }

    pub(crate) async fn operator(&self, at: usize, name: &str) -> Operator {
        let land = &self.lands[at];
        let listen = land.collector.as_ref().unwrap().listen();
        let keys = land.rig.keys(&format!("operator/{name}"));
        Operator::connect(listen, &keys).await.unwrap()
    }

    /// An inquiry as one domain puts it to another, about packet `n` to a host of the first.
    pub(crate) fn question(&self, from: usize, n: u32, id: &str) -> Inquiry {
        Inquiry {
            id: id.into(),
            origin: self.lands[from].id.clone(),
            asker: self.lands[from].id.clone(),
            purpose: "traceback".into(),
            tlp: Tlp::Amber,
            mode: Mode::Star,
            visited: vec![self.lands[from].id.clone()],
            deadline_ms: now_ms() + 20_000,
            exercise: false,
            subject: Subject::Packets {
                scheme: "spie".into(),
                towards: self.lands[from].id.clone(),
                packets: vec![Exhibit { bytes: packet(n, from), at_unix_ns: AT, gate: None }],
            },
        }
    }
}

/// An address of the loopback that nobody else listens on: ports that are only free now may soon be given to
/// another test.
pub(crate) fn own_address() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let (own, n) = (std::process::id() % 250, NEXT.fetch_add(1, Ordering::Relaxed));
    let [.., third, fourth] = n.to_be_bytes();
    ([127, 1 + u8::try_from(own).unwrap(), third, fourth], 4590).into()
}

impl Land {
    fn new(at: usize) -> Self {
        let rig = Rig::new();
        let id = word(at);
        let keys = rig.authority.write(&rig.dir, &Identity::Domain(id.clone()), &[]).unwrap();
        let address = own_address();
        let policy = Policy::plain(&id, Detail::None, Detail::Router);
        let (vantages, handles) = (BTreeMap::new(), vec![]);
        Self { id, rig, address, collector: None, policy, keys, vantages, handles }
    }

    pub(crate) fn write_policy(&self) {
        let text = serde_json::to_vec(&self.policy).unwrap();
        std::fs::write(self.rig.dir.join("policy.json"), text).unwrap();
    }

    pub(crate) fn audit(&self) -> PathBuf {
        self.rig.dir.join("exchange.ndjson")
    }

    /// Events of its log.
    pub(crate) fn events(&self) -> Vec<String> {
        let facts = ashiato_collector::evidence::facts(&self.audit()).unwrap();
        facts.into_iter().map(|fact| fact.event).collect()
    }
}

/// All rights for these operators.
pub(crate) fn rights(names: &[&str]) -> BTreeMap<String, BTreeSet<Right>> {
    names.iter().map(|name| ((*name).to_owned(), Right::ALL.into())).collect()
}

/// Listens in a domain's name, with another desk than a collector's.
pub(crate) async fn listen_as(realm: &Realm, at: usize, desk: Arc<dyn Desk>) -> Listening {
    let config = realm.lands[at].rig.config.exchange.as_ref().unwrap();
    let pins = Pins::load(config).unwrap();
    Listening::start(config.listen, pins, &config.bounds, desk).await.unwrap()
}

/// Puts a document to a domain in another's name, as that domain's collector would.
pub(crate) async fn put(
    realm: &Realm,
    (from, to): (usize, usize),
    body: Vec<u8>,
) -> Result<Given, PostError> {
    let config = realm.lands[from].rig.config.exchange.as_ref().unwrap();
    let tls = Pins::load(config).unwrap().client(&realm.lands[to].id).unwrap();
    post(realm.lands[to].address, Arc::new(tls), body, None, &config.bounds).await
}

/// Puts an inquiry to a domain in another's name; the reply, where it comes at once.
pub(crate) async fn ask(
    realm: &Realm,
    (from, to): (usize, usize),
    inquiry: &Inquiry,
) -> Option<Reply> {
    let body = letter::ask(inquiry, &realm.lands[to].id, Default::default());
    let given = put(realm, (from, to), body).await.unwrap();
    match Letter::read(&given.body, &realm.lands[to].id, &realm.lands[from].id) {
        Ok(Letter::Reply(reply)) => Some(reply),
        _ => None,
    }
}

pub(crate) fn word(at: usize) -> String {
    let letter = u8::try_from(at).ok().filter(|n| *n < 26).map(|n| char::from(b'a' + n));
    letter.map_or_else(|| format!("x{at}"), |letter| format!("x{letter}"))
}

pub(crate) fn hub(at: usize) -> RouterId {
    RouterId(0x0a00_0001 + (number(at) << 16))
}

/// The router of one domain at its border to another.
pub(crate) fn border(at: usize, to: usize) -> RouterId {
    RouterId(0x0a00_0100 + (number(at) << 16) + number(to))
}

fn number(at: usize) -> u32 {
    u32::try_from(at).unwrap()
}

fn asn(at: usize) -> u32 {
    64_500 + number(at)
}

fn prefix(at: usize) -> ipnet::IpNet {
    format!("198.18.{at}.0/24").parse().unwrap()
}

/// A UDP packet to a host of a domain, with a source that is a lie.
pub(crate) fn packet(n: u32, to: usize) -> Vec<u8> {
    let to = u8::try_from(to).unwrap();
    let mut bytes = vec![0x45, 0, 0, 36, 0, 0, 0, 0, 60, 17, 0, 0, 198, 19, 9, 9, 198, 18, to, 10];
    let check = checksum::of(&bytes);
    bytes[10..12].copy_from_slice(&check.to_be_bytes());
    bytes.extend([1, 0, 2, 0, 0, 16, 0, 0]);
    bytes.extend(n.to_be_bytes());
    bytes.extend(n.to_be_bytes());
    bytes
}

/// A case of a domain's about packets to one of its hosts.
pub(crate) fn begin(at: usize, packets: &[u32], mode: Mode) -> Begin {
    let sample = |n: &u32| Sample { bytes: packet(*n, at), at: Nanos(AT) };
    let case = Case {
        gateway: hub(at),
        filter: Filter {
            victim: format!("198.18.{at}.10").parse().unwrap(),
            protocol: None,
            source_port: None,
            port: None,
        },
        window: Window::ALWAYS,
        samples: packets.iter().map(sample).collect(),
        key: KEY,
        map: Map::default(),
        budget: Budget::default(),
        beyond: Default::default(),
    };
    let case = serde_json::to_value(&case).unwrap();
    let begin =
        serde_json::json!({ "scheme": "spie", "case": case, "mode": mode, "deadline_ms": 20_000 });
    serde_json::from_value(begin).unwrap()
}

pub(crate) fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}
