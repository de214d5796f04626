//! The collector as a running program: configuration, start, end.

use crate::agents::Agents;
use crate::authority::{Tls, beside};
use crate::commit::Committer;
use crate::exchange::{self, Exchange, Logs, Service};
use crate::hub::Hub;
use crate::operator::Operator;
use crate::store::{Store, StoreError};
use crate::wire::{self, MAX_MESSAGE};
use serde::{Deserialize, Serialize};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use traceback::map::Map;

/// How often a silent connection is probed, and how long it may take to answer.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// What a collector needs to know; a file of these keys, TOML or JSON, is its configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where to listen.
    #[serde(default = "default_listen")]
    pub listen: SocketAddr,
    /// Keys.
    pub tls: Tls,
    /// The store's file.
    pub store: PathBuf,
    /// Routers and links; where given, agents of other routers are refused.
    #[serde(default)]
    pub map: Option<PathBuf>,
    /// Most bytes that the store may take.
    #[serde(default)]
    pub store_limit_bytes: Option<u64>,
    /// Time that a router has for an answer.
    #[serde(default = "default_ask_timeout_ms")]
    pub ask_timeout_ms: u64,
    /// Time that agents have to report what they hold.
    #[serde(default = "default_cut_timeout_ms")]
    pub cut_timeout_ms: u64,
    /// The domain that it speaks for, where it does.
    #[serde(default)]
    pub exchange: Option<exchange::Config>,
}

fn default_listen() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 4750).into()
}

fn default_ask_timeout_ms() -> u64 {
    2_000
}

fn default_cut_timeout_ms() -> u64 {
    10_000
}

/// Why a collector does not start or breaks off.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file makes no sense.
    #[error("{path}: {what}")]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The address cannot be had.
    #[error("cannot listen on {listen}: {source}; choose another address or end who holds it")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// TLS or HTTP/2.
    #[error("transport: {}", chain(.0))]
    Transport(#[from] tonic::transport::Error),
    /// The server's task broke off.
    #[error("the server broke off: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl Config {
    /// Reads a configuration: JSON where the name ends in `.json`, else TOML.
    ///
    /// # Errors
    /// [`ServeError::Read`] and [`ServeError::File`].
    pub fn read(path: &Path) -> Result<Self, ServeError> {
        let text = read(path)?;
        let bad = |what: String| ServeError::File { path: path.into(), what };
        let mut config: Self = if path.extension().is_some_and(|e| e == "json") {
            serde_json::from_str(&text).map_err(|e| bad(e.to_string()))?
        } else {
            toml::from_str(&text).map_err(|e| bad(e.to_string()))?
        };
        config.tls.rebase(path);
        config.store = beside(path, &config.store);
        config.map = config.map.map(|map| beside(path, &map));
        if let Some(exchange) = &mut config.exchange {
            exchange.rebase(path);
        }
        Ok(config)
    }
}

/// Reads a map as JSON.
///
/// # Errors
/// [`ServeError::Read`] and [`ServeError::File`].
pub fn read_map(path: &Path) -> Result<Map, ServeError> {
    serde_json::from_str(&read(path)?)
        .map_err(|e| ServeError::File { path: path.into(), what: e.to_string() })
}

pub(crate) fn read(path: &Path) -> Result<String, ServeError> {
    std::fs::read_to_string(path).map_err(|source| ServeError::Read { path: path.into(), source })
}

/// A collector at work. Dropping it ends it without waiting; [`Self::stop`] waits.
#[derive(Debug)]
pub struct Collector {
    listen: SocketAddr,
    hub: Arc<Hub>,
    stop: Option<oneshot::Sender<()>>,
    server: JoinHandle<Result<(), tonic::transport::Error>>,
    writer: thread::JoinHandle<()>,
    exchange: Option<Exchange>,
}

impl Collector {
    /// Starts on the current runtime, which must have several threads.
    ///
    /// # Errors
    /// [`ServeError`] names the file, address or store.
    pub async fn start(config: &Config) -> Result<Self, ServeError> {
        let map = config.map.as_deref().map(read_map).transpose()?.map(Arc::new);
        let tls = server_tls(&config.tls)?;
        let store = Store::open(&config.store, config.store_limit_bytes)?;
        let busy = |source| ServeError::Listen { listen: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(busy)?;
        let listen = listener.local_addr().map_err(busy)?;
        let hub = Arc::new(Hub::default());
        let (committer, writer) = Committer::start(store);
        let exchange = exchange(config, &hub, map.as_deref()).await?;
        let office = exchange.as_ref().map(Exchange::office);
        let domains = Service { office, hub: hub.clone() };
        let agents = Agents { hub: hub.clone(), committer, map: map.clone() };
        let operator = Operator {
            hub: hub.clone(),
            store: config.store.clone(),
            map,
            ask_timeout: Duration::from_millis(config.ask_timeout_ms),
            cut_timeout: Duration::from_millis(config.cut_timeout_ms),
            traces: Arc::new(Semaphore::new(2)),
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let services = (
            wire::agents_server::AgentsServer::new(agents),
            wire::operator_server::OperatorServer::new(operator),
            wire::exchange_server::ExchangeServer::new(domains),
        );
        let serving = Server::builder()
            .tls_config(tls)?
            .http2_keepalive_interval(Some(KEEPALIVE))
            .http2_keepalive_timeout(Some(KEEPALIVE))
            .add_service(services.0.max_decoding_message_size(MAX_MESSAGE))
            .add_service(services.1.max_decoding_message_size(MAX_MESSAGE))
            .add_service(services.2.max_decoding_message_size(MAX_MESSAGE))
            .serve_with_incoming_shutdown(
                TcpIncoming::from(listener).with_nodelay(Some(true)),
                async { drop(stopped.await) },
            );
        Ok(Self { listen, hub, stop: Some(stop), server: tokio::spawn(serving), writer, exchange })
    }

    /// Where it listens.
    pub fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// Where other domains reach it, where it speaks for one.
    pub fn exchange(&self) -> Option<SocketAddr> {
        self.exchange.as_ref().map(Exchange::address)
    }

    /// Who is connected.
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Ends all connections, and returns when everything that was taken in is stored.
    ///
    /// # Errors
    /// When the server had broken off.
    pub async fn stop(mut self) -> Result<(), ServeError> {
        self.hub.close();
        if let Some(exchange) = self.exchange.take() {
            exchange.stop().await;
        }
        if let Some(stop) = self.stop.take() {
            // A server that broke off no longer listens for this; it is awaited below.
            let _ = stop.send(());
        }
        let served = (&mut self.server).await;
        let writer = self.writer;
        // A panic of the writer was printed where it happened.
        let _ = tokio::task::spawn_blocking(move || writer.join()).await?;
        served?.map_err(ServeError::from)
    }

    /// Returns when the server breaks off by itself.
    ///
    /// # Errors
    /// Why.
    pub async fn broken(&mut self) -> Result<(), ServeError> {
        (&mut self.server).await?.map_err(ServeError::from)
    }
}

/// The exchange of a configuration, where it speaks for a domain.
async fn exchange(
    config: &Config,
    hub: &Arc<Hub>,
    map: Option<&Map>,
) -> Result<Option<Exchange>, ServeError> {
    let Some(own) = &config.exchange else { return Ok(None) };
    let patience = Duration::from_millis(config.ask_timeout_ms);
    let logs = Logs { hub: hub.clone(), store: config.store.clone(), patience };
    Exchange::start(own, logs, map).await.map(Some)
}

/// What a server shows and asks for: callers need a certificate of the same authority.
///
/// # Errors
/// [`ServeError::Read`].
pub fn server_tls(tls: &Tls) -> Result<ServerTlsConfig, ServeError> {
    let (cert, key, ca) = (read(&tls.cert)?, read(&tls.key)?, read(&tls.ca)?);
    Ok(ServerTlsConfig::new()
        .identity(Identity::from_pem(cert, key))
        .client_ca_root(Certificate::from_pem(ca))
        .timeout(KEEPALIVE))
}

/// An error with its causes; the transport names only the outermost.
pub fn chain(error: &tonic::transport::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}
