//! A host's own keys, and those that it is handed for one run.

use super::wire::Assignment;
use crate::exit::Exit;
use crate::netns::headquarters::{Desk, Seat, Seats};
use anyhow::{Context, Result};
use ashiato_collector::authority::Tls;
use ashiato_collector::files::write_new;
use ashiato_collector::identity::Identity;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// Who this host is, by its certificate.
#[derive(Debug)]
pub(super) struct Own {
    /// Its name.
    pub name: String,
    /// SHA-256 of its public key, in hex.
    pub key: String,
}

impl Own {
    /// Reads the certificate.
    ///
    /// # Errors
    /// [`Exit::Usage`] where it is no host's.
    pub(super) fn read(tls: &Tls) -> Result<Self> {
        let shown = tls.cert.display();
        let pem = fs::read(&tls.cert)
            .map_err(|e| Exit::Usage.refuse(format!("cannot read {shown}: {e}")))?;
        let der = Identity::certificate_in(&pem).unwrap_or_default();
        match (Identity::of_certificate(&der), Identity::key_of(&der)) {
            (Some(Identity::Host(name)), Some(key)) => {
                Ok(Self { name, key: hex::encode(Sha256::digest(key)) })
            }
            _ => Err(Exit::Usage.refuse(format!("{shown} is no certificate of a host"))),
        }
    }
}

/// Lays the run's keys out where agents find them.
///
/// # Errors
/// When they cannot be written.
pub(super) fn lay_out(dir: &Path, given: &Assignment) -> Result<Seats> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).context("a folder for keys")?;
    let write = |name: String, text: &str| {
        let path = dir.join(name);
        write(&path, text).map(|()| path)
    };
    let mut desks = BTreeMap::new();
    for (at, desk) in &given.desks {
        let ca = write(format!("ca-{at}.pem"), &desk.ca)?;
        desks.insert(*at, Desk { collector: desk.collector, ca });
    }
    let mut seats = vec![];
    for (at, keys) in given.keys.iter().enumerate() {
        let ca = desks.get(&keys.desk).context("keys for a collector that is not told")?.ca.clone();
        let cert = write(format!("{at}.pem"), &keys.cert)?;
        let tls = Tls { ca, cert, key: write(format!("{at}.key"), &keys.key)? };
        seats.push(Seat { role: keys.role, router: keys.router, desk: keys.desk, tls });
    }
    Ok(Seats { desks, seats })
}

/// Writes a file that nobody else reads.
///
/// # Errors
/// When it is there already, or cannot be written.
pub(super) fn write(path: &Path, text: &str) -> Result<()> {
    write_new(path, text, 0o600).with_context(|| format!("cannot write {}", path.display()))
}
