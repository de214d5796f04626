//! `ashiato trace` and `ashiato poc` as people at a point of contact use them, against real collectors.
#![allow(clippy::unwrap_used, reason = "a test stops where something is not as expected")]

use ashiato_collector::authority::{Authority, Tls};
use ashiato_collector::exchange::{Bounds, Config, Neighbour, Peer, Right, Searched};
use ashiato_collector::identity::Identity;
use ashiato_collector::server::{self, Collector};
use serde_json::{Value, json};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use traceback::disclose::{Approval, Detail, Policy};
use traceback::invariant::Key;
use traceback::map::{Map, MapRouter};
use traceback::{RouterId, checksum};

fn ashiato(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ashiato")).args(args).output().unwrap()
}

fn out(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code().is_some(), "{error}");
    String::from_utf8_lossy(&output.stdout).into_owned() + &error
}

fn folder(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("ashiato-poc-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

#[test]
fn a_directory_is_signed_read_and_not_believed_when_it_was_changed() {
    let dir = folder("directory");
    let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let (key, list, signed) = (path("signer.key"), path("contacts.toml"), path("contacts.json"));
    let made = ashiato(&["manifest", "key", &key, "--role", "director", "--person", "Somebody"]);
    assert!(made.status.success(), "{}", out(&made));
    let text = "schema = \"ashiato.contacts/1\"\nissued = \"2026-11-01T00:00:00Z\"\n\
        [[contact]]\ndomain = \"xb\"\nprefixes = [\"198.18.1.0/24\"]\nvalid_until = \"2020-01-01T00:00:00Z\"\n\
        escalation = [\"isac-x\"]\n[[contact.desk]]\nrole = \"csirt\"\n\
        [[contact]]\ndomain = \"isac-x\"\nvalid_until = \"2100-01-01T00:00:00Z\"\n\
        [[contact.desk]]\nrole = \"csirt\"\nlanguages = [\"ja\"]\nreach = [\"desk@isac.example\"]\n";
    std::fs::write(&list, text).unwrap();
    let done = ashiato(&["poc", "sign", &list, "--key", &key, "--out", &signed]);
    assert!(done.status.success(), "{}", out(&done));
    // One entry has expired, so it is not all good.
    let verified = ashiato(&["poc", "verify", &signed]);
    assert_eq!(verified.status.code(), Some(9));
    assert!(out(&verified).contains("xb expired"), "{}", out(&verified));
    let shown = out(&ashiato(&["poc", "show", &signed, "--of", "198.18.1.7"]));
    assert!(shown.contains("turn to") && shown.contains("desk@isac.example"), "{shown}");
    assert_eq!(ashiato(&["poc", "show", &signed, "--of", "192.0.2.1"]).status.code(), Some(9));
    let strange = "00".repeat(32);
    assert_eq!(ashiato(&["poc", "list", &signed, "--signer", &strange]).status.code(), Some(5));
    let forged = std::fs::read_to_string(&signed).unwrap().replace("desk@", "evil@");
    std::fs::write(&signed, forged).unwrap();
    assert_eq!(ashiato(&["poc", "list", &signed]).status.code(), Some(5));
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_questionnaire_is_scored() {
    let dir = folder("readiness");
    let ready = dir.join("xb.toml").to_str().unwrap().to_owned();
    let answers = "schema = \"ashiato.readiness/1\"\ndomain = \"xb\"\n[answers]\nmay-log = true\n";
    std::fs::write(&ready, answers).unwrap();
    assert!(out(&ashiato(&["poc", "readiness", &ready])).contains("law 3/9"));
    std::fs::write(&ready, answers.replace("may-log", "may-fly")).unwrap();
    assert_eq!(ashiato(&["poc", "readiness", &ready]).status.code(), Some(2));
    std::fs::remove_dir_all(dir).unwrap();
}

/// A domain of one router, where the victim of `xa` or a source of `xb` is.
struct Land {
    id: &'static str,
    at: u8,
    dir: PathBuf,
    domain: Tls,
    own: Tls,
    listen: SocketAddr,
}

impl Land {
    fn new(root: &Path, id: &'static str, at: u8) -> Self {
        let dir = root.join(id);
        let authority = Authority::new(Duration::from_secs(3600)).unwrap();
        let issue = |who: &str| {
            let local = ["127.0.0.1".parse().unwrap()];
            let addresses = if who.starts_with("operator") { &[][..] } else { &local[..] };
            authority.write(&dir, &Identity::parse(who).unwrap(), addresses).unwrap()
        };
        let (own, domain) = (issue("collector"), issue(&format!("domain/{id}")));
        issue("operator/alice");
        issue("operator/bob");
        let listen = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        Self { id, at, dir, domain, own, listen }
    }

    fn prefix(&self) -> ipnet::IpNet {
        format!("198.18.{}.0/24", self.at).parse().unwrap()
    }

    fn file(&self, name: &str, content: &impl serde::Serialize) -> PathBuf {
        let path = self.dir.join(name);
        std::fs::write(&path, serde_json::to_vec(content).unwrap()).unwrap();
        path
    }

    fn peer(&self, other: &Self) -> Peer {
        Peer {
            id: other.id.into(),
            address: other.listen,
            certificate: other.domain.cert.clone(),
            prefixes: vec![other.prefix()],
            asns: vec![],
            neighbours: vec![self.id.into()],
            region: Default::default(),
        }
    }

    fn exchange(&self, other: &Self) -> Config {
        let (id, asn) = (RouterId(u32::from(self.at)), 64_496 + u32::from(self.at));
        let mut policy = Policy::plain(self.id, Detail::None, Detail::Router);
        policy.answers.approval = Approval::TwoPerson;
        let own = MapRouter { id, name: "r".into(), asn, nation: "XX".into(), aliases: vec![] };
        let map = Map::new(vec![own], vec![]).unwrap();
        Config {
            domain: self.id.into(),
            nation: "XX".into(),
            listen: self.listen,
            certificate: self.domain.cert.clone(),
            key: self.domain.key.clone(),
            policy: self.file("policy.json", &policy),
            map: Some(self.file("map.json", &map)),
            asns: vec![asn],
            prefixes: vec![self.prefix()],
            book: self.dir.join("exchange.db"),
            audit: self.dir.join("exchange.ndjson"),
            neighbours: vec![Neighbour { id: other.id.into(), routers: vec![id] }],
            peers: vec![self.peer(other)],
            schemes: vec![Searched { id: "spie".into(), params: None }],
            packet_key: Key(1, 2),
            alias_key: None,
            alias_key_file: self.dir.join("alias.key"),
            operators: ["alice", "bob"].map(|name| (name.to_owned(), Right::ALL.into())).into(),
            zero_unix_ns: 0,
            directory: None,
            members: vec![],
            log_tls_secrets: false,
            bounds: Bounds::default(),
        }
    }

    fn config(&self, other: &Self) -> server::Config {
        server::Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            tls: self.own.clone(),
            store: self.dir.join("reports.db"),
            map: None,
            store_limit_bytes: None,
            ask_timeout_ms: 500,
            cut_timeout_ms: 500,
            exchange: Some(self.exchange(other)),
        }
    }

    /// The word of the inquiry that waits for people here, once there is one.
    fn waiting(&self, collector: SocketAddr) -> String {
        let began = Instant::now();
        loop {
            let list = self.call(collector, "alice", &["trace", "list", "--format", "json"]);
            let list: Value = serde_json::from_slice(&list.stdout).unwrap_or_default();
            if let Some(word) = list["received"][0]["inquiry"]["id"].as_str() {
                return word.to_owned();
            }
            assert!(began.elapsed() < Duration::from_secs(40), "{list}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn call(&self, collector: SocketAddr, name: &str, args: &[&str]) -> Output {
        let keys = self.dir.to_str().unwrap();
        let desk =
            ["--collector", &collector.to_string(), "--keys", keys, "--as", name].map(String::from);
        let (first, rest) = args.split_first().unwrap();
        // `poc` takes the collector behind its own verb.
        let args: Vec<String> = match *first {
            "poc" => args.iter().map(ToString::to_string).chain(desk).collect(),
            _ => std::iter::once((*first).to_owned())
                .chain(desk)
                .chain(rest.iter().map(ToString::to_string))
                .collect(),
        };
        ashiato(&args.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

fn case(dir: &Path) -> String {
    let mut bytes = vec![0x45, 0, 0, 36, 0, 0, 0, 0, 60, 17, 0, 0, 198, 19, 9, 9, 198, 18, 1, 10];
    let check = checksum::of(&bytes);
    bytes[10..12].copy_from_slice(&check.to_be_bytes());
    bytes.extend([1, 0, 2, 0, 0, 16, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
    let case = json!({
        "gateway": "0.0.0.1", "window": { "from": 0, "to": 10 }, "key": [1, 2],
        "filter": { "victim": "198.18.1.10", "protocol": null, "source_port": null, "port": null },
        "samples": [{ "bytes": bytes, "at": 5 }],
    });
    let path = dir.join("case.json");
    std::fs::write(&path, case.to_string()).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn two_people_answer_by_hand_what_a_neighbour_asks() {
    let root = folder("trace");
    let (xa, xb) = (Land::new(&root, "xa", 1), Land::new(&root, "xb", 2));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let start = |config: server::Config| runtime.block_on(Collector::start(&config)).unwrap();
    let (at_a, at_b) = (start(xa.config(&xb)), start(xb.config(&xa)));
    let (a, b) = (at_a.listen(), at_b.listen());
    let case = case(&root);
    let ping = xa.call(a, "alice", &["poc", "ping", "xb"]);
    assert!(ping.status.success() && out(&ping).contains("EXERCISE"), "{}", out(&ping));
    let args =
        ["trace", "request", "--case", &case, "--exercise", "--patience", "40", "--format", "json"];
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| xa.call(a, "alice", &args));
        let word = xb.waiting(b);
        let list = out(&xb.call(b, "alice", &["trace", "list"]));
        assert!(list.contains("EXERCISE") && list.contains("2 must agree"), "{list}");
        let answer = xb.call(b, "alice", &["trace", "answer", &word, "--from", "inside"]);
        assert!(out(&answer).contains("1 more"), "{}", out(&answer));
        let again = xb.call(b, "alice", &["trace", "approve", &word]);
        assert_eq!(again.status.code(), Some(5), "{}", out(&again));
        let second = xb.call(b, "bob", &["trace", "approve", &word]);
        assert!(second.status.success(), "{}", out(&second));
        let asked = asked.join().unwrap();
        let joined: Value = serde_json::from_slice(&asked.stdout).unwrap();
        assert_eq!(joined["ways"][0]["stretches"][0]["domain"], "xb", "{joined}");
        assert_eq!(joined["ways"][0]["origin"]["from"], "inside");
        // Its own routers have no agents, which is said.
        assert!(joined["flags"].to_string().contains("blind"), "{joined}");
    });
    let told = out(&xb.call(b, "bob", &["trace", "told", "198.18.1.0/24"]));
    assert!(told.contains("\"told\"") && !told.contains("0.0.0.2"), "{told}");
    runtime.block_on(async {
        at_a.stop().await.unwrap();
        at_b.stop().await.unwrap();
    });
    std::fs::remove_dir_all(root).unwrap();
}
