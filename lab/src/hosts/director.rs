//! The director's end of the line to each host: takes calls, gives orders, waits for answers.

use super::home::Home;
use super::placement::Placement;
use super::wire::{
    self, FromHost, Hello, KEEPALIVE, MAX_MESSAGE, PROTOCOL, ToHost, director_server, from_host,
    to_host,
};
use crate::exit::Exit;
use crate::netns::lease::BEAT;
use anyhow::{Context, Result, anyhow};
use ashiato_collector::agents::identity;
use ashiato_collector::enrol::is_enrolled;
use ashiato_collector::identity::Identity;
use ashiato_collector::server::server_tls;
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

/// How long hosts may take to call.
const JOIN: Duration = Duration::from_secs(120);
/// How long a call may take to say hello.
const HELLO: Duration = Duration::from_secs(10);
/// How far a host's clock may be off before it is said.
const SKEW_S: f64 = 1.0;

/// What a host does, as the main thread learns it.
enum Event {
    Joined(UnboundedSender<Result<ToHost, Status>>, Hello),
    Said(from_host::Kind),
    Gone(String),
}

/// What became of packets so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Flown {
    /// They arrived where they should.
    pub arrived: u64,
    /// Links lost them on purpose.
    pub lost: u64,
}

/// The lines to all hosts. Dropped, it hangs up, and they remove everything.
#[derive(Debug)]
pub(super) struct Director {
    peers: Vec<Peer>,
    events: Receiver<(usize, Event)>,
    beat: Instant,
    // Last: its threads end with it.
    _runtime: Runtime,
}

#[derive(Debug, Default)]
struct Peer {
    name: String,
    orders: Option<UnboundedSender<Result<ToHost, Status>>>,
    inbox: VecDeque<from_host::Kind>,
    flown: Flown,
    failed: Option<wire::Failed>,
    gone: Option<String>,
}

impl Director {
    /// Listens where the placement says.
    ///
    /// # Errors
    /// When keys or address cannot be had.
    pub(super) fn listen(placement: &Placement) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .context("no threads for hosts")?;
        let tls = server_tls(&placement.tls).map_err(|e| Exit::Usage.refuse(e))?;
        let (say, events) = mpsc::channel();
        let names: Vec<String> = placement.hosts.iter().map(|h| h.name.clone()).collect();
        let enrolled = placement.enrolled.clone();
        let service = Service { names: names.clone(), enrolled, say, seated: Arc::default() };
        let busy = |e: std::io::Error| {
            let why = format!("cannot listen for hosts on {}: {e}", placement.listen);
            Exit::HostNotReady.refuse(why)
        };
        let listener =
            runtime.block_on(tokio::net::TcpListener::bind(placement.listen)).map_err(busy)?;
        let server = Server::builder()
            .tls_config(tls)?
            .http2_keepalive_interval(Some(KEEPALIVE))
            .http2_keepalive_timeout(Some(KEEPALIVE))
            .add_service(
                director_server::DirectorServer::new(service)
                    .max_decoding_message_size(MAX_MESSAGE)
                    .max_encoding_message_size(MAX_MESSAGE),
            )
            .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
        runtime.spawn(async {
            if let Err(e) = server.await {
                tracing::error!("the server for hosts broke off: {e}");
            }
        });
        let peers = names.into_iter().map(|name| Peer { name, ..Peer::default() }).collect();
        Ok(Self { peers, events, beat: Instant::now(), _runtime: runtime })
    }

    /// Waits until every host has called.
    ///
    /// # Errors
    /// Names those that have not in time.
    pub(super) fn await_all(&mut self, home: &mut Home) -> Result<()> {
        let end = Instant::now() + JOIN;
        loop {
            self.tick(home)?;
            let absent: Vec<&str> =
                self.peers.iter().filter(|p| p.orders.is_none()).map(|p| p.name.as_str()).collect();
            if absent.is_empty() {
                return Ok(());
            }
            if Instant::now() > end {
                let names = absent.join(", ");
                return Err(Exit::HostNotReady.refuse(format!(
                    "waited {JOIN:?} for hosts to call; missing: {names}; `ashiato host` must run \
                     there and reach this address"
                )));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The hosts' names, in the placement's order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.peers.iter().map(|peer| peer.name.as_str())
    }

    /// Tells a host something.
    pub(super) fn tell(&self, host: usize, order: to_host::Kind) {
        if let Some(orders) = &self.peers[host].orders {
            // One that is gone shows when it is waited for.
            let _ = orders.send(Ok(ToHost::of(order)));
        }
    }

    /// Tells all hosts the same.
    pub(super) fn tell_all(&self, order: &to_host::Kind) {
        (0..self.peers.len()).for_each(|host| self.tell(host, order.clone()));
    }

    /// Waits until `take` has made one thing of what each host says.
    ///
    /// # Errors
    /// Names the host that is late, gone, or failed.
    pub(super) fn gather<T>(
        &mut self,
        home: &mut Home,
        what: &str,
        patience: Duration,
        mut take: impl FnMut(usize, from_host::Kind) -> Result<Option<T>>,
    ) -> Result<Vec<T>> {
        let end = Instant::now() + patience;
        let mut taken: Vec<Option<T>> = self.peers.iter().map(|_| None).collect();
        loop {
            self.tick(home)?;
            for (host, slot) in taken.iter_mut().enumerate().filter(|(_, slot)| slot.is_none()) {
                while let (None, Some(kind)) = (&slot, self.peers[host].inbox.pop_front()) {
                    let name = &self.peers[host].name;
                    *slot = take(host, kind).with_context(|| format!("host {name}"))?;
                }
            }
            let Some(late) = taken.iter().position(Option::is_none) else {
                return Ok(taken.into_iter().flatten().collect());
            };
            let late = &self.peers[late];
            if Instant::now() > end {
                return Err(anyhow!("waited {patience:?} for {what}; host {} is late", late.name));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// What became of packets so far, by what all hosts say.
    ///
    /// # Errors
    /// When the run is to end.
    pub(super) fn flown(&mut self, home: &mut Home) -> Result<Flown> {
        self.tick(home)?;
        let sum = |of: fn(&Flown) -> u64| self.peers.iter().map(|p| of(&p.flown)).sum();
        Ok(Flown { arrived: sum(|f| f.arrived), lost: sum(|f| f.lost) })
    }

    /// Has every host remove everything; what is left or not known, for people, and where each one's log of
    /// evidence ends.
    pub(super) fn strike(&mut self, patience: Duration) -> (Vec<String>, BTreeMap<String, String>) {
        self.tell_all(&to_host::Kind::Strike(wire::Strike {}));
        let end = Instant::now() + patience;
        let (mut left, mut logs) = (vec![], BTreeMap::new());
        for host in 0..self.peers.len() {
            let known = loop {
                self.listen_for_events();
                let peer = &mut self.peers[host];
                let struck = peer.inbox.drain(..).find_map(|kind| match kind {
                    from_host::Kind::Struck(struck) => Some((struck.left, struck.evidence)),
                    _ => None,
                });
                if struck.is_some() || peer.gone.is_some() || Instant::now() > end {
                    break struck;
                }
                if peer.orders.is_none() {
                    break Some((vec![], String::new()));
                }
                std::thread::sleep(Duration::from_millis(2));
            };
            let name = &self.peers[host].name;
            match known {
                Some((objects, evidence)) => {
                    left.extend(objects.iter().map(|o| format!("host {name}: {o}")));
                    logs.insert(name.clone(), evidence);
                }
                None => left.push(format!(
                    "host {name} does not say what it removed; run `ashiato gc` there"
                )),
            }
        }
        (left, logs)
    }

    /// Hears what came and beats when it is time. A host that failed or is gone ends the run, whether or not
    /// anything is expected of it.
    fn tick(&mut self, home: &mut Home) -> Result<()> {
        self.listen_for_events();
        home.pulse()?;
        for peer in &self.peers {
            if let Some(failed) = &peer.failed {
                return Err(failed.exit().refuse(format!("host {}: {}", peer.name, failed.why)));
            }
            if let Some(why) = &peer.gone {
                return Err(anyhow!("host {} is gone: {why}", peer.name));
            }
        }
        if self.beat.elapsed() >= BEAT {
            self.beat = Instant::now();
            self.tell_all(&to_host::Kind::Beat(wire::Beat {}));
        }
        Ok(())
    }

    fn listen_for_events(&mut self) {
        while let Ok((host, event)) = self.events.try_recv() {
            let peer = &mut self.peers[host];
            match event {
                Event::Joined(orders, hello) => {
                    remark(&peer.name, &hello);
                    peer.orders = Some(orders);
                }
                Event::Said(from_host::Kind::Arrived(wire::Arrived { packets, lost })) => {
                    peer.flown = Flown { arrived: packets, lost };
                }
                Event::Said(from_host::Kind::Failed(failed)) => {
                    peer.failed.get_or_insert(failed);
                }
                Event::Said(kind) => peer.inbox.push_back(kind),
                Event::Gone(why) => {
                    // Hangs up on this side, too.
                    peer.orders = None;
                    peer.gone = Some(why);
                }
            }
        }
    }

    /// Forgets what arrived, before a new turn.
    pub(super) fn forget_arrivals(&mut self) {
        self.peers.iter_mut().for_each(|p| p.flown = Flown::default());
    }
}

fn remark(name: &str, hello: &Hello) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let off = Duration::from_nanos(hello.clock_unix_ns).as_secs_f64() - now.as_secs_f64();
    tracing::info!("host {name}: version {}, kernel {}", hello.version, hello.kernel);
    if off.abs() > SKEW_S {
        tracing::warn!("host {name}: its clock is {off:+.1} s off; runs do not mind, people may");
    }
}

struct Service {
    names: Vec<String>,
    enrolled: Option<PathBuf>,
    say: Sender<(usize, Event)>,
    /// Who has called. A run takes one call of each.
    seated: Arc<Mutex<Vec<usize>>>,
}

#[tonic::async_trait]
impl director_server::Director for Service {
    type JoinStream = UnboundedReceiverStream<Result<ToHost, Status>>;

    async fn join(
        &self,
        request: Request<Streaming<FromHost>>,
    ) -> Result<Response<Self::JoinStream>, Status> {
        let host = self.host(&request)?;
        let mut inbound = request.into_inner();
        let first = tokio::time::timeout(HELLO, inbound.message())
            .await
            .map_err(|_| Status::deadline_exceeded("no Hello came; send it first"))??;
        let Some(from_host::Kind::Hello(hello)) = first.and_then(|m| m.kind) else {
            return Err(Status::invalid_argument("the first message must be a Hello"));
        };
        if hello.protocol != PROTOCOL {
            let theirs = hello.protocol;
            return Err(Status::failed_precondition(format!(
                "this director speaks protocol {PROTOCOL}, not {theirs}: install the same version"
            )));
        }
        let mut seated = self.seated.lock().unwrap_or_else(PoisonError::into_inner);
        if seated.contains(&host) {
            let why = format!("{} takes part in this run already", self.names[host]);
            return Err(Status::already_exists(why));
        }
        seated.push(host);
        drop(seated);
        let (orders, stream) = unbounded_channel();
        let _ = self.say.send((host, Event::Joined(orders, hello)));
        tokio::spawn(hear(host, inbound, self.say.clone()));
        Ok(Response::new(UnboundedReceiverStream::from(stream)))
    }
}

impl Service {
    /// Which host calls, if it may.
    fn host<T>(&self, request: &Request<T>) -> Result<usize, Status> {
        let denied = |why: String| Err(Status::permission_denied(why));
        let who = identity(request);
        let Some(Identity::Host(name)) = &who else {
            return denied("this needs the certificate of a host".into());
        };
        if let (Some(folder), Some(who)) = (&self.enrolled, &who) {
            let shown = request.peer_certs();
            let own = shown.as_ref().and_then(|certificates| certificates.first());
            if !own.is_some_and(|own| is_enrolled(folder, who, own)) {
                return denied(format!("{who} is not enrolled with this key, or was revoked"));
            }
        }
        match self.names.iter().position(|n| n == name) {
            Some(host) => Ok(host),
            None => denied(format!("{name} has no part in this run")),
        }
    }
}

/// Passes on what a host says, until it says no more.
async fn hear(host: usize, mut inbound: Streaming<FromHost>, say: Sender<(usize, Event)>) {
    let why = loop {
        match inbound.message().await {
            Ok(Some(FromHost { kind: Some(kind) })) => {
                if say.send((host, Event::Said(kind))).is_err() {
                    return;
                }
            }
            Ok(Some(FromHost { kind: None })) => {}
            Ok(None) => break "it hung up".to_owned(),
            Err(status) => break format!("the connection broke: {}", status.message()),
        }
    };
    let _ = say.send((host, Event::Gone(why)));
}
