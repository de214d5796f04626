//! Enrolment: this machine makes its own key and gets a certificate for it by a token, once.
//!
//! The key never leaves the machine. What stands in the folder afterwards, `ca.pem`, `own.pem` and
//! `own.key`, is what `ashiato host` and configurations of agents name. Enrolling again, with a new token,
//! replaces all three: that is how a machine comes back after a new installation. Before a certificate ends,
//! [`renew`] gets the next one with it, for the same key or a new one; where to ask stands in `authority`.

use anyhow::{Context, Result, bail};
use rcgen::{CertificateParams, KeyPair};
use serde::Deserialize;
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::allow_attributes_without_reason,
    clippy::too_many_lines,
    reason = "generated code"
)]
mod wire {
    tonic::include_proto!("ashiato.enrolment.v1");
}

/// Time to connect, and for the answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The file that says where the authority listens.
const DESK: &str = "authority";
/// How far this machine's clock may be behind the authority's.
const SLACK_S: u64 = 60;

/// The token's file, as `ashiato-collector token` prints it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Token {
    address: SocketAddr,
    name: String,
    secret: String,
    made: u64,
    ends: u64,
    ca: String,
}

/// Enrols with a token's file; the name that the certificate is for.
///
/// # Errors
/// What is wrong with token, clock, connection or folder. Files of an earlier enrolment stay then.
pub fn enrol(token: &Path, dir: &Path) -> Result<String> {
    let text = fs::read(token).with_context(|| format!("cannot read {}", token.display()))?;
    let token: Token = serde_json::from_slice(&text)
        .with_context(|| format!("{} is no token of `ashiato-collector token`", token.display()))?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    check_clock(&token, now.as_secs())?;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .context("cannot make a folder")?;
    let key = KeyPair::generate().context("cannot make a key")?;
    let request = CertificateParams::default().serialize_request(&key)?.pem()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let asked = wire::EnrolRequest { secret: token.secret.clone(), request_pem: request };
    // The key lies on the disk before the token is spent.
    let (own_key, own) = (dir.join("own.key"), dir.join("own.pem"));
    let aside = put_aside(&own_key, &key.serialize_pem(), 0o600)?;
    let certificate = runtime.block_on(ask(&token, asked)).inspect_err(|_| {
        // It is of no use to anybody.
        let _ = fs::remove_file(&aside);
    })?;
    let certificate = put_aside(&own, &certificate, 0o644)?;
    let ca = put_aside(&dir.join("ca.pem"), &token.ca, 0o644)?;
    let desk = put_aside(&dir.join(DESK), &format!("{}\n", token.address), 0o644)?;
    let ready =
        [(aside, own_key), (certificate, own), (ca, dir.join("ca.pem")), (desk, dir.join(DESK))];
    put_in_place(&ready)?;
    Ok(token.name)
}

/// How a certificate is to be renewed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Renewal {
    /// Where the authority listens; as at enrolment where left out.
    pub authority: Option<SocketAddr>,
    /// Whether a new key is made.
    pub rotate: bool,
    /// Nothing is done while the certificate is good for longer than this.
    pub within: Option<Duration>,
}

/// Renews the certificate of a folder by itself; when the one that is there afterwards ends, in seconds since the
/// Unix epoch, and whether it is new.
///
/// # Errors
/// What is wrong with files, clock, connection, or with the certificate in the authority's eyes. The files stay then.
pub fn renew(dir: &Path, how: &Renewal) -> Result<(u64, bool)> {
    let read = |name: &str| {
        let path = dir.join(name);
        fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}: enrol first, with a token", path.display()))
    };
    let (cert, own_key, ca) = (read("own.pem")?, read("own.key")?, read("ca.pem")?);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let ends = end_of(&cert)?;
    let left = ends.saturating_sub(now.as_secs());
    if left == 0 {
        bail!(
            "by this machine's clock its certificate has ended: set the clock if it is wrong, else get a token"
        );
    }
    if how.within.is_some_and(|within| left > within.as_secs()) {
        return Ok((ends, false));
    }
    let address = match how.authority {
        Some(address) => address,
        None => read(DESK)?.trim().parse().context("the file `authority` holds no address")?,
    };
    let key = match how.rotate {
        true => KeyPair::generate(),
        false => KeyPair::from_pem(&own_key),
    };
    let key = key.context("no key to renew for")?;
    let request_pem = CertificateParams::default().serialize_request(&key)?.pem()?;
    // A new key lies on the disk before it is the one enrolled.
    let aside = put_aside(&dir.join("own.key"), &key.serialize_pem(), 0o600)?;
    let own = tonic::transport::Identity::from_pem(&cert, &own_key);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let asked = wire::RenewRequest { request_pem };
    let new = runtime.block_on(ask_again(address, &ca, own, asked)).inspect_err(|_| {
        let _ = fs::remove_file(&aside);
    })?;
    let ends = end_of(&new)?;
    let new = put_aside(&dir.join("own.pem"), &new, 0o644)?;
    put_in_place(&[(aside, dir.join("own.key")), (new, dir.join("own.pem"))])?;
    Ok((ends, true))
}

/// When a certificate (PEM) ends, in seconds since the Unix epoch.
fn end_of(pem: &str) -> Result<u64> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).context("no certificate")?;
    let certificate = pem.parse_x509().context("no certificate")?;
    Ok(u64::try_from(certificate.validity().not_after.timestamp()).unwrap_or(0))
}

/// A wrong clock breaks TLS with words that nobody understands; so it is said before.
fn check_clock(token: &Token, now: u64) -> Result<()> {
    let (behind, late) = (token.made.saturating_sub(now), now.saturating_sub(token.ends));
    if behind > SLACK_S {
        bail!(
            "this machine's clock is at least {behind} s behind the authority's, which made this \
             token later than that: set the clock (timedatectl set-ntp true), then try again"
        );
    }
    if late > 0 {
        bail!(
            "by this machine's clock the token ended {late} s ago: set the clock if it is wrong, \
             else get a new token"
        );
    }
    Ok(())
}

async fn ask(token: &Token, asked: wire::EnrolRequest) -> Result<String> {
    let mut desk = reach(token.address, tls_of(&token.ca)).await?;
    answered(desk.enrol(asked).await)
}

async fn ask_again(
    address: SocketAddr,
    ca: &str,
    own: tonic::transport::Identity,
    asked: wire::RenewRequest,
) -> Result<String> {
    let mut desk = reach(address, tls_of(ca).identity(own)).await?;
    answered(desk.renew(asked).await)
}

fn tls_of(ca: &str) -> ClientTlsConfig {
    ClientTlsConfig::new().domain_name("authority").ca_certificate(Certificate::from_pem(ca))
}

type Authority = wire::enrolment_client::EnrolmentClient<Channel>;

async fn reach(address: SocketAddr, tls: ClientTlsConfig) -> Result<Authority> {
    let endpoint = Endpoint::from_shared(format!("https://{address}"))?;
    let endpoint = endpoint.connect_timeout(PATIENCE).timeout(PATIENCE).tls_config(tls)?;
    let channel = endpoint.connect().await.with_context(|| {
        format!("cannot reach the authority at {address}: does `authority serve` run there?")
    })?;
    Ok(Authority::new(channel))
}

fn answered(reply: Result<tonic::Response<wire::EnrolReply>, tonic::Status>) -> Result<String> {
    match reply {
        Ok(reply) => Ok(reply.into_inner().certificate_pem),
        Err(status) => bail!("the authority refuses: {}", status.message()),
    }
}

/// Moves files that were put aside to where they belong.
fn put_in_place(ready: &[(PathBuf, PathBuf)]) -> Result<()> {
    for (from, to) in ready {
        fs::rename(from, to).with_context(|| format!("cannot write {}", to.display()))?;
    }
    Ok(())
}

/// Writes what is to become a file beside it.
fn put_aside(path: &Path, text: &str, mode: u32) -> Result<PathBuf> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let aside = PathBuf::from(name);
    // What a broken enrolment left has the wrong mode perhaps.
    let _ = fs::remove_file(&aside);
    let open = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&aside);
    open.and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {}", aside.display()))?;
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_clock_is_called_one() {
        let address = "127.0.0.1:1".parse().unwrap();
        let [name, secret, ca] = [const { String::new() }; 3];
        let token = Token { address, name, secret, made: 1_000_000, ends: 1_003_600, ca };
        assert!(check_clock(&token, 1_000_010).is_ok());
        assert!(check_clock(&token, 999_970).is_ok());
        let behind = check_clock(&token, 5).unwrap_err().to_string();
        assert!(behind.contains("clock is at least 999995 s behind"), "{behind}");
        let late = check_clock(&token, 1_003_700).unwrap_err().to_string();
        assert!(late.contains("ended 100 s ago"), "{late}");
    }
}
