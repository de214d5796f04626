//! Enrolment: this machine makes its own key and gets a certificate for it by a token, once.
//!
//! The key never leaves the machine. What stands in the folder afterwards, `ca.pem`, `own.pem` and
//! `own.key`, is what `ashiato host` and configurations of agents name. Enrolling again, with a new token,
//! replaces all three: that is rotation, and how a machine comes back after a new installation.

use anyhow::{Context, Result, bail};
use rcgen::{CertificateParams, KeyPair};
use serde::Deserialize;
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};

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
    for (from, to) in [(aside, own_key), (certificate, own), (ca, dir.join("ca.pem"))] {
        fs::rename(&from, &to).with_context(|| format!("cannot write {}", to.display()))?;
    }
    Ok(token.name)
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
    let tls = ClientTlsConfig::new()
        .domain_name("authority")
        .ca_certificate(Certificate::from_pem(&token.ca));
    let endpoint = Endpoint::from_shared(format!("https://{}", token.address))?;
    let endpoint = endpoint.connect_timeout(PATIENCE).timeout(PATIENCE).tls_config(tls)?;
    let channel = endpoint.connect().await.with_context(|| {
        let address = token.address;
        format!("cannot reach the authority at {address}: does `authority serve` run there?")
    })?;
    let mut client = wire::enrolment_client::EnrolmentClient::new(channel);
    match client.enrol(asked).await {
        Ok(reply) => Ok(reply.into_inner().certificate_pem),
        Err(status) => bail!("the authority refuses: {}", status.message()),
    }
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
