//! The daemon of a host that takes part: calls its director, obeys for one run, and calls again.

use super::keys::Own;
use super::part::Part;
use super::placement;
use super::wire::{
    self, FromHost, KEEPALIVE, MAX_MESSAGE, PROTOCOL, director_client::DirectorClient, from_host,
    to_host,
};
use crate::clock::unix_ns;
use crate::exit::Exit;
use crate::journal::{lock, state_dir};
use crate::netns::Heart;
use crate::netns::own::cut_off;
use crate::process::Process;
use crate::safety::Site as Policy;
use crate::{interrupt, reap};
use anyhow::{Context, Result, anyhow};
use ashiato_collector::authority::Tls;
use ashiato_collector::client::client_tls;
use ashiato_collector::server::chain;
use serde::{Deserialize, Serialize};
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Streaming;
use tonic::transport::Endpoint;

/// Time to connect.
const CONNECT: Duration = Duration::from_secs(5);
/// Pause after the first failure to connect, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(3));
/// How long a daemon that is there for one run waits for it to begin.
const JOIN: Duration = Duration::from_secs(180);
/// How often the main thread looks around while no order comes.
const LOOK: Duration = Duration::from_millis(20);

/// What a host's owner says: a TOML file. No message from outside widens it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the director listens.
    pub director: SocketAddr,
    /// This host's address for tunnels.
    pub underlay: IpAddr,
    /// Its keys; paths start at this file's folder.
    pub tls: Tls,
    /// Whether this host is a container that stands for one node itself.
    #[serde(default)]
    pub in_place: bool,
    /// Whether this host loses its default routes when the daemon starts, for good. For containers, to
    /// which old engines give one even on internal networks.
    #[serde(default)]
    pub cut_off: bool,
    /// Where logs of runs go.
    #[serde(default = "logs")]
    pub folder: PathBuf,
}

fn logs() -> PathBuf {
    "/var/lib/ashiato/runs".into()
}

impl Config {
    /// What is enough to take part with the keys of an enrolment.
    pub fn enrolled(director: SocketAddr, underlay: IpAddr, keys: &Path) -> Self {
        let key = |name: &str| keys.join(name);
        let tls = Tls { ca: key("ca.pem"), cert: key("own.pem"), key: key("own.key") };
        Self { director, underlay, tls, in_place: false, cut_off: false, folder: logs() }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`Exit::Usage`] names the file, and the line and key that is wrong.
    pub fn read(path: &Path) -> Result<Self> {
        let mut config: Self = placement::read(path)?;
        config.tls.rebase(path);
        Ok(config)
    }
}

/// What the daemon says of itself to [`check`].
#[derive(Debug, Serialize, Deserialize)]
struct Health {
    process: Process,
    connected: bool,
}

const HEALTH: &str = "host.json";

/// Whether a daemon of this host's state folder lives and has its director on the line.
///
/// # Errors
/// [`Exit::HostNotReady`] where not.
pub fn check() -> Result<()> {
    let path = state_dir()?.join(HEALTH);
    let health = fs::read(&path).ok().and_then(|t| serde_json::from_slice::<Health>(&t).ok());
    match health {
        Some(health) if health.process.is_alive() && health.connected => Ok(()),
        Some(health) if health.process.is_alive() => {
            Err(Exit::HostNotReady.refuse("the daemon runs, and has no director on the line"))
        }
        _ => Err(Exit::HostNotReady.refuse("no daemon runs here")),
    }
}

/// Takes part in runs that this host's policy lets in, until interrupted; in `once`, in one.
///
/// # Errors
/// Where keys cannot be read; what goes wrong in a run is said to its director.
pub fn serve(config: &Config, policy: &Path, once: bool) -> Result<()> {
    interrupt::watch()?;
    let state = state_dir()?;
    drop(lock(&state)?);
    // What a killed daemon left would be in the way of the next run.
    let swept = reap::sweep(&state, false, false)?;
    if !swept.runs.is_empty() {
        eprintln!("host: removed {} objects of earlier runs", swept.removed.len());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("no threads")?;
    if config.cut_off {
        cut_off()?;
    }
    let endpoint = endpoint(config)?;
    Policy::read(policy)?;
    loop {
        let give_up = once.then(|| Instant::now() + JOIN);
        let Some((line, say)) = call(&runtime, &endpoint, config, &state, give_up)? else {
            return Ok(());
        };
        // As it is now: a policy that was changed counts from the next run on, and so does a new key.
        let (policy, me) = (Policy::read(policy)?, Own::read(&config.tls)?);
        let took_part = attend((config, &policy, &me), &line, say);
        note(&state, false)?;
        if interrupt::check().is_err() || (once && took_part) {
            return Ok(());
        }
    }
}

fn endpoint(config: &Config) -> Result<Endpoint> {
    let tls = client_tls(&config.tls, "director").map_err(|e| Exit::Usage.refuse(e))?;
    let endpoint = Endpoint::from_shared(format!("https://{}", config.director))?;
    let endpoint = endpoint.connect_timeout(CONNECT).tcp_nodelay(true);
    let endpoint = endpoint.http2_keep_alive_interval(KEEPALIVE).keep_alive_timeout(KEEPALIVE);
    let bad = |e| Exit::Usage.refuse(format!("keys {}: {}", config.tls.cert.display(), chain(&e)));
    endpoint.tls_config(tls).map_err(bad)
}

/// One call to the director.
struct Line {
    orders: Receiver<to_host::Kind>,
    heart: Heart,
}

type Say = UnboundedSender<FromHost>;

/// Calls until the director takes it; `None` once interrupted.
fn call(
    runtime: &Runtime,
    endpoint: &Endpoint,
    config: &Config,
    state: &Path,
    give_up: Option<Instant>,
) -> Result<Option<(Line, Say)>> {
    let (mut pause, mut said) = (PAUSES.0, String::new());
    loop {
        note(state, false)?;
        let why = match runtime.block_on(join(endpoint)) {
            Ok((inbound, say)) => {
                eprintln!("host: the director at {} is on the line", config.director);
                note(state, true)?;
                let (pass, orders) = mpsc::channel();
                let heart = Heart::lent();
                runtime.spawn(hear(inbound, pass, heart.clone()));
                return Ok(Some((Line { orders, heart }, say)));
            }
            Err(why) => plainly(format!("{why:#}")),
        };
        if why != said {
            eprintln!("host: cannot reach the director at {}: {why}", config.director);
            said = why;
        }
        if give_up.is_some_and(|end| Instant::now() > end) {
            let director = config.director;
            let why = format!("no director at {director} within {JOIN:?}: {said}");
            return Err(Exit::HostNotReady.refuse(why));
        }
        let end = Instant::now() + pause;
        while Instant::now() < end {
            if interrupt::check().is_err() {
                return Ok(None);
            }
            std::thread::sleep(LOOK);
        }
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// A wrong clock breaks TLS in words of its own; they are the same at each try, without the time.
fn plainly(why: String) -> String {
    match why.split_once(": verification time") {
        Some((what, _)) => format!("{what}: set this host's clock if it is wrong, else enrol anew"),
        None => why,
    }
}

async fn join(endpoint: &Endpoint) -> Result<(Streaming<wire::ToHost>, Say)> {
    let channel = endpoint.connect().await.map_err(|e| anyhow!("{}", chain(&e)))?;
    let (say, stream) = unbounded_channel();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let _ = say.send(FromHost::of(from_host::Kind::Hello(wire::Hello {
        protocol: PROTOCOL,
        version: env!("CARGO_PKG_VERSION").into(),
        clock_unix_ns: unix_ns(),
        kernel: kernel.trim().into(),
    })));
    let mut client = DirectorClient::new(channel)
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE);
    let joined = client.join(UnboundedReceiverStream::from(stream)).await;
    let inbound = joined.map_err(|status| anyhow!("it says: {}", status.message()))?;
    Ok((inbound.into_inner(), say))
}

/// Passes orders on, and beats at once. The end of the line ends the run.
async fn hear(mut inbound: Streaming<wire::ToHost>, pass: Sender<to_host::Kind>, heart: Heart) {
    let why = loop {
        match inbound.message().await {
            Ok(Some(wire::ToHost { kind: Some(to_host::Kind::Beat(_)) })) => heart.beat(),
            Ok(Some(wire::ToHost { kind: Some(order) })) => {
                let ends = matches!(order, to_host::Kind::Strike(_));
                if pass.send(order).is_err() {
                    return;
                }
                // After the order is there to be read: whoever finds the heart still knows that it was told to end.
                if ends {
                    heart.end(Exit::Stopped, "the director ends the run");
                }
            }
            Ok(Some(wire::ToHost { kind: None })) => {}
            Ok(None) => break "the director hung up".to_owned(),
            Err(status) => break format!("the director is gone: {}", status.message()),
        }
    };
    heart.end(Exit::Stopped, why);
}

/// Obeys until the run is over or the line is dead; whether there was a run.
fn attend(own: (&Config, &Policy, &Own), line: &Line, say: Say) -> bool {
    let mut part = Part::new(own, line.heart.clone(), say);
    let (mut took_part, mut next) = (false, None);
    loop {
        match next.take().map_or_else(|| line.orders.recv_timeout(LOOK), Ok) {
            Ok(order) => {
                took_part = true;
                if !part.obey(order) {
                    break;
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        let Err(error) = interrupt::check().and_then(|()| part.tend()) else { continue };
        next = line.orders.try_recv().ok();
        // A run that its director ends has not failed here, unless something worse was seen meanwhile.
        let ends = matches!(next, Some(to_host::Kind::Strike(_))) && interrupt::check().is_ok();
        if ends && Exit::of(&error) == Exit::Stopped {
            continue;
        }
        part.fail(&error);
        if interrupt::check().is_err() {
            break;
        }
    }
    let left = part.strike();
    left.iter().for_each(|object| eprintln!("host: left: {object}"));
    // The last words are said when the director hangs up in turn.
    drop(part);
    let end = Instant::now() + CONNECT;
    while line.orders.recv_timeout(LOOK) != Err(RecvTimeoutError::Disconnected)
        && Instant::now() < end
    {}
    took_part
}

/// Notes for [`check`] how things are.
fn note(state: &Path, connected: bool) -> Result<()> {
    let (path, part) = (state.join(HEALTH), state.join(".host.json"));
    let text = serde_json::to_vec(&Health { process: Process::me(), connected })?;
    let written = fs::write(&part, text).and_then(|()| fs::rename(&part, &path));
    written.with_context(|| format!("cannot write {}", path.display()))
}
