//! Enrolment: a token, once, becomes a certificate for a key that its owner made and keeps. Before that certificate
//! ends, it opens the door to the next one.
//!
//! ```text
//! DIR/tokens/DIGEST.json       one for each token that was made and not used: what it is for
//! DIR/enrolled/NAME.json       who has a certificate by a token, and of which key
//! ```
//! The identity of a machine is the key: a name has one key at a time. A new token for the same name, as
//! after a new installation, replaces the old key; [`revoke`] takes it away.

use crate::authority::{Authority, AuthorityError};
use crate::identity::Identity;
use crate::wire::enrolment::{
    EnrolReply, EnrolRequest, RenewRequest,
    enrolment_server::{Enrolment, EnrolmentServer},
};
use rcgen::KeyPair;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Certificate, Identity as Keys, Server, ServerTlsConfig};
use tonic::{Request, Response, Status};

/// What a new machine is given: a file. Who has it can enrol in the machine's name, once.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Where the authority listens.
    pub address: SocketAddr,
    /// Common name that the certificate will have.
    pub name: String,
    /// Opens the door, once.
    pub secret: String,
    /// When it was made, in seconds since the Unix epoch, by the authority's clock.
    pub made: u64,
    /// When it ends.
    pub ends: u64,
    /// The authority's certificate, in PEM.
    pub ca: String,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What the authority keeps of a token.
#[derive(Debug, Serialize, Deserialize)]
struct Promise {
    name: String,
    ends: u64,
}

/// Who has a certificate by a token.
#[derive(Debug, Serialize, Deserialize)]
struct Enrolled {
    name: String,
    /// SHA-256 of the public key, in hex.
    key: String,
    since: u64,
}

/// Makes a token for a name.
///
/// # Errors
/// When the folder is no authority's, or cannot be written.
pub fn token(
    dir: &Path,
    who: &Identity,
    address: SocketAddr,
    valid: Duration,
) -> Result<Token, AuthorityError> {
    let ca = Authority::certificate_in(dir)?;
    let secret = hex::encode(Sha256::digest(KeyPair::generate()?.serialize_der()));
    let made = now()?;
    let (name, ends) = (who.to_string(), made + valid.as_secs());
    let promise = Promise { name: name.clone(), ends };
    write(&tokens(dir).join(format!("{}.json", digest(secret.as_bytes()))), &promise)?;
    Ok(Token { address, name, secret, made, ends, ca })
}

/// Whether a certificate (DER) is that of the key which its name is enrolled with.
pub fn is_enrolled(folder: &Path, who: &Identity, certificate: &[u8]) -> bool {
    let key = Identity::key_of(certificate).map(|key| digest(&key));
    key.is_some() && enrolled_key(folder, who) == key
}

/// The key that a name is enrolled with: SHA-256 of the public key, in hex.
pub fn enrolled_key(folder: &Path, who: &Identity) -> Option<String> {
    let text = fs::read(record(folder, who)).ok()?;
    let enrolled: Enrolled = serde_json::from_slice(&text).ok()?;
    (enrolled.name == who.to_string()).then_some(enrolled.key)
}

/// Takes a name's certificate away; false where it had none.
///
/// # Errors
/// When the record stays.
pub fn revoke(dir: &Path, who: &Identity) -> Result<bool, AuthorityError> {
    let path = record(&enrolled(dir), who);
    match fs::remove_file(&path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(AuthorityError::Write { path, source }),
    }
}

/// The folder of an authority's that says who is enrolled.
pub fn enrolled(dir: &Path) -> PathBuf {
    dir.join("enrolled")
}

fn tokens(dir: &Path) -> PathBuf {
    dir.join("tokens")
}

fn record(folder: &Path, who: &Identity) -> PathBuf {
    folder.join(format!("{}.json", who.to_string().replace('/', "-")))
}

/// Takes requests until it is dropped; `ready` is told where it listens.
///
/// # Errors
/// When the folder is no authority's, or the address cannot be had.
pub async fn serve(
    dir: &Path,
    listen: SocketAddr,
    lifetime: Duration,
    ready: impl FnOnce(SocketAddr),
) -> Result<(), EnrolError> {
    let authority = Authority::open(dir, lifetime)?;
    let own = authority.issue(&Identity::Authority, &[listen.ip()])?;
    let tls = ServerTlsConfig::new()
        .identity(Keys::from_pem(own.cert, own.key))
        .client_ca_root(Certificate::from_pem(authority.certificate()))
        // Who comes with a token has none yet.
        .client_auth_optional(true);
    let listener = TcpListener::bind(listen).await.map_err(|e| EnrolError::Listen(listen, e))?;
    ready(listener.local_addr().map_err(|e| EnrolError::Listen(listen, e))?);
    let desk = Desk { authority, dir: dir.into(), one: Mutex::new(()) };
    Server::builder()
        .tls_config(tls)?
        .add_service(EnrolmentServer::new(desk))
        .serve_with_incoming(TcpIncoming::from(listener))
        .await?;
    Ok(())
}

/// Why enrolment cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnrolError {
    /// Keys.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The address cannot be had.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, io::Error),
    /// TLS or HTTP/2.
    #[error("transport: {}", crate::server::chain(.0))]
    Transport(#[from] tonic::transport::Error),
}

struct Desk {
    authority: Authority,
    dir: PathBuf,
    /// Two requests with one token must not both find it.
    one: Mutex<()>,
}

#[tonic::async_trait]
impl Enrolment for Desk {
    async fn enrol(&self, request: Request<EnrolRequest>) -> Result<Response<EnrolReply>, Status> {
        let asked = request.into_inner();
        let done = self.enrol_once(&asked);
        match &done {
            Ok((name, _)) => tracing::info!("enrolled {name}"),
            Err(status) => tracing::warn!("refused: {}", status.message()),
        }
        Ok(Response::new(EnrolReply { certificate_pem: done?.1 }))
    }

    async fn renew(&self, request: Request<RenewRequest>) -> Result<Response<EnrolReply>, Status> {
        let shown = request.peer_certs();
        let shown = shown.as_ref().and_then(|all| all.first());
        let done = self.renew_once(shown.map(AsRef::as_ref), &request.get_ref().request_pem);
        match &done {
            Ok((name, _)) => tracing::info!("renewed the certificate of {name}"),
            Err(status) => tracing::warn!("renewal refused: {}", status.message()),
        }
        Ok(Response::new(EnrolReply { certificate_pem: done?.1 }))
    }
}

impl Desk {
    fn enrol_once(&self, asked: &EnrolRequest) -> Result<(String, String), Status> {
        let _one = self.one.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let spent =
            || Status::permission_denied("no such token: it was used already, or never made");
        let path = tokens(&self.dir).join(format!("{}.json", digest(asked.secret.as_bytes())));
        let text = fs::read(&path).map_err(|_| spent())?;
        let promise: Promise = serde_json::from_slice(&text).map_err(|_| spent())?;
        let internal = |e: AuthorityError| Status::internal(e.to_string());
        let late = now().map_err(internal)?.saturating_sub(promise.ends);
        if late > 0 {
            let why =
                format!("the token ended {late} s ago by the authority's clock: get a new one");
            return Err(Status::permission_denied(why));
        }
        let who = Identity::parse(&promise.name).ok_or_else(spent)?;
        let (certificate, record) = self.certify(&who, &asked.request_pem)?;
        // Spent first: a token may be lost, and must not be used twice.
        fs::remove_file(&path).map_err(|e| Status::internal(e.to_string()))?;
        self.keep(&who, &record)?;
        Ok((promise.name, certificate))
    }

    /// TLS has looked at the certificate that is shown, its signature and its dates.
    fn renew_once(&self, shown: Option<&[u8]>, request: &str) -> Result<(String, String), Status> {
        let _one = self.one.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let who = shown.and_then(|der| Some((der, Identity::of_certificate(der)?)));
        let (shown, who) = who.ok_or_else(|| {
            Status::permission_denied(
                "renewal needs the caller's own certificate, while that is valid",
            )
        })?;
        if !is_enrolled(&enrolled(&self.dir), &who, shown) {
            let why =
                format!("{who} is not enrolled with this key, or was revoked: ask for a token");
            return Err(Status::permission_denied(why));
        }
        let (certificate, record) = self.certify(&who, request)?;
        self.keep(&who, &record)?;
        Ok((record.name, certificate))
    }

    fn certify(&self, who: &Identity, request: &str) -> Result<(String, Enrolled), Status> {
        let (certificate, key) = self
            .authority
            .certify(who, request)
            .map_err(|e| Status::invalid_argument(e.to_string()))?;
        let since = now().map_err(|e| Status::internal(e.to_string()))?;
        Ok((certificate, Enrolled { name: who.to_string(), key: digest(&key), since }))
    }

    fn keep(&self, who: &Identity, enrolled: &Enrolled) -> Result<(), Status> {
        let path = record(&self::enrolled(&self.dir), who);
        write(&path, enrolled).map_err(|e| Status::internal(e.to_string()))
    }
}

fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn now() -> Result<u64, AuthorityError> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map(|t| t.as_secs()).map_err(|_| AuthorityError::Clock)
}

/// Writes a file whole, over an older one.
fn write(path: &Path, value: &impl Serialize) -> Result<(), AuthorityError> {
    let bad = |source: io::Error| AuthorityError::Write { path: path.into(), source };
    let text = serde_json::to_vec(value).map_err(|e| bad(e.into()))?;
    let part = path.with_extension("part");
    let parent = path.parent().unwrap_or(path);
    fs::create_dir_all(parent).and_then(|()| fs::write(&part, text)).map_err(bad)?;
    fs::rename(&part, path).map_err(bad)
}
