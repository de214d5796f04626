//! A collector with keys of its own, agents that speak raw messages, and agents with an uplink.
#![allow(clippy::unwrap_used, reason = "a test stops where something is not as expected")]
#![allow(dead_code, reason = "each test program uses a part of this")]

use ashiato_agent::uplink::{Command, Uplink, UplinkConfig, UplinkHandle};
use ashiato_collector::authority::{Authority, Tls};
use ashiato_collector::client::Operator;
use ashiato_collector::identity::Identity;
use ashiato_collector::server::{Collector, Config};
use ashiato_collector::wire::{
    self, FromAgent, ToAgent, agents_client::AgentsClient, from_agent, to_agent,
};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Status, Streaming};
use traceback::RouterId;
use traceback::case::{Case, Filter, Window};
use traceback::invariant::Key;
use traceback::map::{Map, MapRouter};
use traceback::report::{Counters, Report, Role};

/// No step of a test takes longer than this.
pub(crate) const LONG: Duration = Duration::from_secs(20);

pub(crate) struct Rig {
    pub(crate) dir: PathBuf,
    pub(crate) authority: Authority,
    pub(crate) config: Config,
}

impl Rig {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let (pid, n) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(format!("ashiato-collector-test-{pid}-{n}"));
        let authority = Authority::new(Duration::from_secs(3600)).unwrap();
        let local = "127.0.0.1".parse().unwrap();
        let tls = authority.write(&dir, &Identity::Collector, &[local]).unwrap();
        let config = Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            tls,
            store: dir.join("store.db"),
            map: None,
            store_limit_bytes: None,
            ask_timeout_ms: 300,
            cut_timeout_ms: 5000,
            exchange: None,
        };
        Self { dir, authority, config }
    }

    pub(crate) async fn start(&self) -> Collector {
        Collector::start(&self.config).await.unwrap()
    }

    pub(crate) fn keys(&self, who: &str) -> Tls {
        let (dir, who) = (self.dir.join("keys"), Identity::parse(who).unwrap());
        let name = who.to_string().replace('/', "-");
        let file = |ending: &str| dir.join(format!("{name}.{ending}"));
        if file("key").exists() {
            return Tls { ca: dir.join("ca.pem"), cert: file("pem"), key: file("key") };
        }
        self.authority.write(&dir, &who, &[]).unwrap()
    }

    pub(crate) async fn operator(&self, address: SocketAddr) -> Operator {
        Operator::connect(address, &self.keys("operator/test")).await.unwrap()
    }

    pub(crate) async fn channel(&self, address: SocketAddr, who: &str) -> Channel {
        channel(address, &self.keys(who)).await.unwrap()
    }

    pub(crate) fn uplink(
        &self,
        address: SocketAddr,
        n: u32,
    ) -> (UplinkHandle, mpsc::Receiver<Command>) {
        self.uplink_of(address, n, "none")
    }

    pub(crate) fn uplink_of(
        &self,
        address: SocketAddr,
        n: u32,
        scheme: &str,
    ) -> (UplinkHandle, mpsc::Receiver<Command>) {
        let tls = self.keys(&format!("router/{}", RouterId(n)));
        Uplink::connect(uplink_config(address, n, scheme, tls)).unwrap()
    }

    pub(crate) fn uplink_as(
        &self,
        address: SocketAddr,
        n: u32,
        tls: Tls,
    ) -> (UplinkHandle, mpsc::Receiver<Command>) {
        Uplink::connect(uplink_config(address, n, "none", tls)).unwrap()
    }

    /// The configuration as a file for the program.
    pub(crate) fn config_file(&self) -> PathBuf {
        let path = self.dir.join("collector.json");
        std::fs::write(&path, serde_json::to_vec(&self.config).unwrap()).unwrap();
        path
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn uplink_config(address: SocketAddr, n: u32, scheme: &str, tls: Tls) -> UplinkConfig {
    UplinkConfig {
        collector: address,
        server_name: "collector".into(),
        ca: tls.ca,
        cert: tls.cert,
        key: tls.key,
        agent: "a".into(),
        scheme: scheme.into(),
        role: Role::Router,
        router: RouterId(n),
        epoch: 7,
    }
}

pub(crate) async fn channel(
    address: SocketAddr,
    tls: &Tls,
) -> Result<Channel, tonic::transport::Error> {
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let config = ClientTlsConfig::new()
        .domain_name("collector")
        .ca_certificate(Certificate::from_pem(read(&tls.ca)))
        .identity(tonic::transport::Identity::from_pem(read(&tls.cert), read(&tls.key)));
    Endpoint::from_shared(format!("https://{address}"))?.tls_config(config)?.connect().await
}

pub(crate) fn hello(n: u32) -> wire::Hello {
    wire::Hello {
        agent: "a".into(),
        version: "test".into(),
        scheme: "none".into(),
        role: wire::Role::Router.into(),
        router: RouterId(n).to_string(),
        epoch: 7,
        protocol: wire::PROTOCOL,
    }
}

pub(crate) fn report(n: u32) -> Report {
    Report {
        scheme: "none".into(),
        router: RouterId(n),
        role: Role::Router,
        window: Window::ALWAYS,
        counters: Counters { forwarded: 5, ..Counters::default() },
        lost: 0,
        footprint: 100,
        ledger: None,
        latency: vec![],
    }
}

pub(crate) fn case() -> Case {
    let router = |n: u32| MapRouter {
        id: RouterId(n),
        name: format!("r{n}"),
        asn: 64496,
        nation: "XA".into(),
        aliases: vec![],
    };
    Case {
        gateway: RouterId(1),
        filter: Filter {
            victim: "198.18.0.1".parse().unwrap(),
            protocol: None,
            source_port: None,
            port: None,
        },
        window: Window::ALWAYS,
        samples: vec![],
        key: Key(1, 2),
        map: Map::new(vec![router(1), router(2)], vec![(0, 1)]).unwrap(),
        budget: traceback::case::Budget::default(),
        beyond: Default::default(),
    }
}

/// An agent that says whatever a test wants.
pub(crate) struct Raw {
    pub(crate) outward: mpsc::Sender<FromAgent>,
    pub(crate) inward: Streaming<ToAgent>,
}

impl Raw {
    pub(crate) async fn connect(channel: Channel, hello: wire::Hello) -> Result<Self, Status> {
        let (outward, stream) = mpsc::channel(64);
        let first = FromAgent { kind: Some(from_agent::Kind::Hello(hello)) };
        outward.send(first).await.unwrap();
        let mut client = AgentsClient::new(channel);
        let inward = client.connect(ReceiverStream::new(stream)).await?.into_inner();
        Ok(Self { outward, inward })
    }

    pub(crate) async fn say(&self, kind: from_agent::Kind) {
        self.outward.send(FromAgent { kind: Some(kind) }).await.unwrap();
    }

    pub(crate) async fn send(&self, seq: u64, report: Vec<u8>) {
        self.say(from_agent::Kind::Envelope(wire::Envelope { epoch: 7, seq, report })).await;
    }

    pub(crate) async fn hear(&mut self) -> to_agent::Kind {
        let message = tokio::time::timeout(LONG, self.inward.message()).await.expect("silence");
        message.unwrap().expect("end").kind.unwrap()
    }

    /// Reads until everything up to this number is acknowledged; returns refusals on the way.
    pub(crate) async fn acked(&mut self, through: u64) -> Vec<(u64, String)> {
        let mut refusals = vec![];
        loop {
            match self.hear().await {
                to_agent::Kind::Ack(ack) if ack.through >= through => return refusals,
                to_agent::Kind::Refused(refused) => refusals.push((refused.seq, refused.reason)),
                _ => {}
            }
        }
    }
}

/// The program `serve`, killed when dropped.
pub(crate) struct Program {
    pub(crate) child: Child,
    pub(crate) listen: SocketAddr,
}

impl Program {
    pub(crate) fn start(config: &Path, listen: &str) -> Self {
        let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_ashiato-collector"))
            .args(["serve", "--die-with-parent", "--listen", listen, "--config"])
            .arg(config)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: serde_json::Value = serde_json::from_str(&line).expect("a ready line");
        assert_eq!(ready["event"], "ready");
        Self { child, listen: ready["listen"].as_str().unwrap().parse().unwrap() }
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
