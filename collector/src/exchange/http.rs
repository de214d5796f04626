//! RFC 6546: documents over HTTP, under TLS with certificates on both sides.

use super::config::Bounds;
use super::letter::MEDIA;
use super::tls::{HANDSHAKE, Pins};
use crate::server::ServeError;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, DATE, HOST, HeaderMap, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// The word by which a later answer is known.
const TOKEN: &str = "rid-callback-token";
/// Time for the head of a request, and for its body.
const READ: Duration = Duration::from_secs(10);

/// Longest time for a response: peers promise a later answer long before.
const RESPONSE: Duration = Duration::from_secs(60);

/// A document that came, and from whom.
#[derive(Debug)]
pub struct Arrival {
    /// The peer that TLS showed.
    pub peer: String,
    /// The document.
    pub body: Vec<u8>,
    /// The token of an answer that comes late.
    pub token: Option<String>,
    /// The sender's clock, where it said so.
    pub clock: Option<SystemTime>,
}

/// What is given back.
#[derive(Debug, Clone)]
pub struct Given {
    /// 200, 202, or what went wrong.
    pub status: StatusCode,
    /// The document, if there is one.
    pub body: Vec<u8>,
    /// The token of a later answer.
    pub token: Option<String>,
    /// The answerer's clock, where another than this host's.
    pub clock: Option<SystemTime>,
}

impl Given {
    /// A document.
    pub fn document(body: Vec<u8>) -> Self {
        Self { status: StatusCode::OK, body, token: None, clock: None }
    }

    /// No document.
    pub fn empty(status: StatusCode) -> Self {
        Self { status, body: vec![], token: None, clock: None }
    }

    /// The answer comes later, under this token.
    pub fn later(token: String) -> Self {
        Self { token: Some(token), ..Self::empty(StatusCode::ACCEPTED) }
    }
}

/// Who answers documents.
#[tonic::async_trait]
pub trait Desk: Send + Sync + 'static {
    /// Answers one.
    async fn take(&self, arrival: Arrival) -> Given;
}

/// Why a document did not arrive, or no proper response came.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PostError {
    /// No connection: the peer cannot have read anything.
    #[error("cannot reach {address}: {what}")]
    Connect {
        /// Where.
        address: SocketAddr,
        /// What went wrong.
        what: String,
    },
    /// The connection broke: the peer may have read it.
    #[error("the connection to {address} broke: {what}")]
    Broken {
        /// Where.
        address: SocketAddr,
        /// What went wrong.
        what: String,
    },
    /// The peer refused or failed.
    #[error("{address} says {status}: {what}")]
    Status {
        /// Where.
        address: SocketAddr,
        /// What it said.
        status: StatusCode,
        /// At length.
        what: String,
    },
}

/// The listening end; ends with all its connections when it is dropped.
#[derive(Debug)]
pub struct Listening {
    /// Where.
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Listening {
    /// Ends, and returns when the address is free.
    pub async fn stop(mut self) {
        self.task.abort();
        // It was told to break off.
        let _ = (&mut self.task).await;
    }

    /// Listens, and hands documents to the desk.
    ///
    /// # Errors
    /// [`ServeError`] where the address cannot be had, or the key does not fit the certificate.
    pub async fn start(
        listen: SocketAddr,
        pins: Pins,
        bounds: &Bounds,
        desk: Arc<dyn Desk>,
    ) -> Result<Self, ServeError> {
        let busy = |source| ServeError::Listen { listen, source };
        let server = pins.server().map_err(|e| super::config::bad(Path::new("[exchange]"), e))?;
        let listener = TcpListener::bind(listen).await.map_err(busy)?;
        let address = listener.local_addr().map_err(busy)?;
        let acceptor = TlsAcceptor::from(Arc::new(server));
        let room = Arc::new(Semaphore::new(bounds.connections));
        let line = Arc::new(Line { pins, desk, document: bounds.document });
        let task = tokio::spawn(accept(listener, acceptor, room, line));
        Ok(Self { address, task })
    }
}

/// What every connection shares.
struct Line {
    pins: Pins,
    desk: Arc<dyn Desk>,
    document: usize,
}

async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    room: Arc<Semaphore>,
    line: Arc<Line>,
) {
    // Dropped with this task, and every connection with it.
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = room.clone().acquire_owned().await else { return };
        let (tcp, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(e) => {
                tracing::warn!("exchange: cannot accept a connection: {e}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (acceptor, line) = (acceptor.clone(), line.clone());
        connections.spawn(async move {
            if let Err(why) = connection(tcp, acceptor, line).await {
                tracing::warn!("exchange: connection from {from}: {why}");
            }
            drop(place);
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(tcp: TcpStream, acceptor: TlsAcceptor, line: Arc<Line>) -> Result<(), String> {
    let _ = tcp.set_nodelay(true);
    let shaken = timeout(HANDSHAKE, acceptor.accept(tcp)).await;
    let tls = shaken.map_err(|_| "no handshake in time")?.map_err(|e| e.to_string())?;
    let der = tls.get_ref().1.peer_certificates().and_then(<[_]>::first).cloned();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let der = der.ok_or("no certificate")?;
    let peer = line.pins.who(&der, now.as_secs()).map_err(|e| format!("{e:?}"))?.to_owned();
    let answer = service_fn(|request| {
        let (line, peer) = (line.clone(), peer.clone());
        async move { Ok::<_, Infallible>(answer(request, line, peer).await) }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(READ);
    let served = http.serve_connection(TokioIo::new(tls), answer).await;
    served.map_err(|e| e.to_string())
}

async fn answer(
    request: Request<Incoming>,
    line: Arc<Line>,
    peer: String,
) -> Response<Full<Bytes>> {
    match (request.method(), request.uri().path()) {
        (&(Method::GET | Method::HEAD), "/") => return plain(StatusCode::NO_CONTENT, ""),
        (&Method::POST, "/") => {}
        (_, "/") => return plain(StatusCode::METHOD_NOT_ALLOWED, "POST documents, or GET /"),
        _ => return plain(StatusCode::NOT_FOUND, "documents go to /"),
    }
    if !is_document(request.headers()) {
        return plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, "documents are text/xml");
    }
    let Ok(token) = token_of(request.headers()) else {
        return plain(StatusCode::BAD_REQUEST, "RID-Callback-Token: 1 to 255 visible characters");
    };
    let clock = clock(request.headers());
    let body = timeout(READ, Limited::new(request.into_body(), line.document).collect()).await;
    let body = match body {
        Err(_) => return plain(StatusCode::REQUEST_TIMEOUT, "the document took too long"),
        Ok(Err(e)) if e.is::<LengthLimitError>() => {
            return plain(StatusCode::PAYLOAD_TOO_LARGE, "the document is too large");
        }
        Ok(Err(_)) => return plain(StatusCode::BAD_REQUEST, "the document broke off"),
        Ok(Ok(body)) => body.to_bytes().to_vec(),
    };
    let given = line.desk.take(Arrival { peer, body, token, clock }).await;
    let mut response = Response::new(Full::new(Bytes::from(given.body)));
    *response.status_mut() = given.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA));
    if let Some(token) = given.token.and_then(|t| HeaderValue::from_str(&t).ok()) {
        headers.insert(TOKEN, token);
    }
    if let Some(clock) = given.clock.and_then(http_date) {
        headers.insert(DATE, clock);
    }
    response
}

/// Posts a document to a peer, and returns what it gives back.
///
/// # Errors
/// [`PostError`], which says whether the peer can have read it.
pub async fn post(
    address: SocketAddr,
    tls: Arc<ClientConfig>,
    body: Vec<u8>,
    token: Option<&str>,
    bounds: &Bounds,
) -> Result<Given, PostError> {
    let no = |what: String| PostError::Connect { address, what };
    let broken = |what: String| PostError::Broken { address, what };
    let connected = async {
        let tcp = TcpStream::connect(address).await?;
        let _ = tcp.set_nodelay(true);
        TlsConnector::from(tls).connect(ServerName::from(address.ip()), tcp).await
    };
    let tls = timeout(HANDSHAKE, connected).await;
    let tls = tls.map_err(|_| no("no handshake in time".into()))?.map_err(|e| no(e.to_string()))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tls))
        .await
        .map_err(|e| no(e.to_string()))?;
    let driven = tokio::spawn(connection);
    let request = request(address, body, token).map_err(|e| no(e.to_string()))?;
    let came = async {
        let response = sender.send_request(request).await.map_err(|e| e.to_string())?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, bounds.document).collect().await;
        Ok((head, body.map_err(|e| e.to_string())?.to_bytes().to_vec()))
    };
    let came: Result<_, String> =
        timeout(RESPONSE, came).await.unwrap_or_else(|_| Err("no response".into()));
    driven.abort();
    let (head, body) = came.map_err(broken)?;
    let token = token_of(&head.headers).map_err(|()| broken("a token that is none".into()))?;
    let given = Given { status: head.status, body, token, clock: clock(&head.headers) };
    if matches!(given.status, StatusCode::OK | StatusCode::ACCEPTED) {
        return Ok(given);
    }
    let what = String::from_utf8_lossy(&given.body).chars().take(200).collect();
    Err(PostError::Status { address, status: given.status, what })
}

fn request(
    address: SocketAddr,
    body: Vec<u8>,
    token: Option<&str>,
) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
    let mut request = Request::post("/").header(HOST, address.to_string());
    request = request.header(CONTENT_TYPE, MEDIA);
    if let Some(token) = token {
        request = request.header(TOKEN, token);
    }
    if let Some(now) = http_date(SystemTime::now()) {
        request = request.header(DATE, now);
    }
    request.body(Full::new(Bytes::from(body)))
}

fn plain(status: StatusCode, why: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(why.to_owned())));
    *response.status_mut() = status;
    response
}

fn is_document(headers: &HeaderMap) -> bool {
    let named = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let kind = named.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case(MEDIA) || kind.eq_ignore_ascii_case("application/xml")
}

/// The token, if there is one; an error where it is not 1 to 255 visible characters.
fn token_of(headers: &HeaderMap) -> Result<Option<String>, ()> {
    let Some(token) = headers.get(TOKEN) else { return Ok(None) };
    let token = token.to_str().map_err(|_| ())?;
    let fits = (1..=255).contains(&token.len()) && token.bytes().all(|c| c.is_ascii_graphic());
    if fits { Ok(Some(token.to_owned())) } else { Err(()) }
}

fn clock(headers: &HeaderMap) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()
}

fn http_date(time: SystemTime) -> Option<HeaderValue> {
    HeaderValue::from_str(&httpdate::fmt_http_date(time)).ok()
}
