//! The victim's consent: "still willing", once a second, along the data path back to every sender. Senders
//! that have not heard it for five seconds stop.
//!
//! The victim's host says it as its own [`witness`]: neither the director nor a router on the way can make one up.
//! ```text
//! "ashiato.beacon/1" LF | digest of the terms (32) | count (8, rising) | key and signature
//! ```

use super::manifest::Terms;
use super::witness;
use crate::clock::unix_ns;
use crate::exit::Exit;
use crate::netns::layout::Layout;
use crate::netns::within;
use crate::plan::{Node, Plan};
use anyhow::{Context, Result};
use rcgen::KeyPair;
use std::collections::BTreeSet;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// UDP port that senders listen on, inside their own namespaces.
pub const PORT: u16 = 7404;
/// How often the victim says so.
const EVERY: Duration = Duration::from_secs(1);
/// How long senders go on without it.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// Time before the first, in which the gate at the victim's own link opens.
const FIRST: Duration = Duration::from_millis(500);
/// How often threads look whether they are to end.
const NAP: Duration = Duration::from_millis(100);
/// First line of a beacon.
const MAGIC: &[u8] = b"ashiato.beacon/1\n";

/// Hosts of a plan that send, other than its victim.
fn senders(plan: &Plan) -> BTreeSet<usize> {
    let from = plan.flows.iter().filter(|f| f.packets > 0).map(|f| f.from);
    from.filter(|host| *host != plan.case.victim).collect()
}

/// The victim's voice. Dropped, it is silent.
#[derive(Debug)]
pub struct Willing(Arc<AtomicBool>);

impl Willing {
    /// Speaks from now on, if the victim stands here.
    ///
    /// # Errors
    /// Where its key or a socket cannot be had.
    pub fn begin(plan: &Plan, layout: &Layout, terms: &Terms, key: &Path) -> Result<Option<Self>> {
        let victim = plan.case.victim;
        if !layout.holds(Node::Host(victim)) {
            return Ok(None);
        }
        let key = witness::read_key(key)?;
        let address = plan.hosts[victim].address;
        let socket = within(&layout.host(victim).path(), || Ok(UdpSocket::bind((address, 0))?))
            .context("no socket for the beacon")?;
        let to = senders(plan).into_iter();
        let to = to.map(|host| SocketAddr::new(plan.hosts[host].address, PORT)).collect();
        let end = Arc::new(AtomicBool::new(false));
        let voice = Voice { socket, to, key, digest: terms.sum(), end: end.clone() };
        thread::Builder::new().name("beacon".into()).spawn(move || voice.speak())?;
        Ok(Some(Self(end)))
    }
}

impl Drop for Willing {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Voice {
    socket: UdpSocket,
    to: Vec<SocketAddr>,
    key: KeyPair,
    digest: [u8; 32],
    end: Arc<AtomicBool>,
}

impl Voice {
    fn speak(&self) {
        let mut due = Instant::now() + FIRST;
        while !self.end.load(Ordering::Relaxed) {
            if Instant::now() >= due {
                due += EVERY;
                // The clock rises from one beacon to the next, also over a restart.
                let Ok(beacon) = compose(&self.key, &self.digest, unix_ns()) else { return };
                for to in &self.to {
                    // One that does not leave is one that is not heard.
                    let _ = self.socket.send_to(&beacon, to);
                }
            }
            thread::sleep(NAP);
        }
    }
}

/// Senders' ears. Dropped, nobody listens.
#[derive(Debug)]
pub struct Ears {
    heard: Vec<(String, Arc<Mutex<Instant>>)>,
    end: Arc<AtomicBool>,
}

impl Ears {
    /// Listens at every sender that stands here; what was heard before counts no more.
    ///
    /// # Errors
    /// Where a socket cannot be had, or the terms do not name the victim's host.
    pub fn open(plan: &Plan, layout: &Layout, terms: &Terms) -> Result<Self> {
        let end = Arc::new(AtomicBool::new(false));
        let digest = terms.sum();
        let victim = terms.host_of(&plan.hosts[plan.case.victim].name);
        let key = &victim.context("the terms name no host for the victim")?.key;
        let mut heard = vec![];
        for host in senders(plan).into_iter().filter(|host| layout.holds(Node::Host(*host))) {
            let spec = &plan.hosts[host];
            let socket =
                within(&layout.host(host).path(), || Ok(UdpSocket::bind((spec.address, PORT))?))
                    .with_context(|| format!("cannot listen for the beacon at {}", spec.name))?;
            socket.set_read_timeout(Some(NAP))?;
            let last = Arc::new(Mutex::new(Instant::now()));
            let ear =
                Ear { socket, key: key.clone(), digest, last: last.clone(), end: end.clone() };
            thread::Builder::new().name("ear".into()).spawn(move || ear.listen())?;
            heard.push((spec.name.clone(), last));
        }
        Ok(Self { heard, end })
    }

    /// Fails where a sender has not heard the victim for too long.
    ///
    /// # Errors
    /// [`Exit::Stopped`].
    pub fn check(&self) -> Result<()> {
        let silent = self.heard.iter().find(|(_, last)| {
            last.lock().unwrap_or_else(PoisonError::into_inner).elapsed() > PATIENCE
        });
        match silent {
            Some((host, _)) => Err(Exit::Stopped.refuse(format!(
                "the victim's beacon was not heard at {host} for {PATIENCE:?}: it withdrew its consent, or \
                 the way back is cut"
            ))),
            None => Ok(()),
        }
    }
}

impl Drop for Ears {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
    }
}

struct Ear {
    socket: UdpSocket,
    key: String,
    digest: [u8; 32],
    last: Arc<Mutex<Instant>>,
    end: Arc<AtomicBool>,
}

impl Ear {
    fn listen(&self) {
        let (mut bytes, mut most) = ([0; 512], 0);
        while !self.end.load(Ordering::Relaxed) {
            let Ok(length) = self.socket.recv(&mut bytes) else { continue };
            // Anything else that comes here is noise of the experiment.
            let Some(count) = understand(&bytes[..length], &self.key, &self.digest) else {
                continue;
            };
            if count > most {
                most = count;
                *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            }
        }
    }
}

fn compose(key: &KeyPair, digest: &[u8; 32], count: u64) -> Result<Vec<u8>> {
    witness::sign([MAGIC, digest, &count.to_be_bytes()].concat(), key)
}

/// The count of a beacon that was signed with the key of this hash, under these terms.
pub fn understand(bytes: &[u8], wanted: &str, digest: &[u8; 32]) -> Option<u64> {
    let said = witness::hear(bytes, MAGIC.len() + digest.len() + 8, Some(wanted))?;
    let (terms, count) = said.strip_prefix(MAGIC)?.split_at_checked(digest.len())?;
    (terms == digest).then_some(u64::from_be_bytes(count.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::PublicKeyData;
    use sha2::{Digest, Sha256};

    #[test]
    fn only_the_victims_host_can_be_willing() {
        let (victim, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let name = |key: &KeyPair| hex::encode(Sha256::digest(key.subject_public_key_info()));
        let (keys, digest) = (name(&victim), [7; 32]);
        let good = compose(&victim, &digest, 9).unwrap();
        assert_eq!(understand(&good, &keys, &digest), Some(9));
        assert_eq!(understand(&good, &keys, &[8; 32]), None);
        assert_eq!(understand(&compose(&other, &digest, 9).unwrap(), &keys, &digest), None);
        for cut in 0..good.len() {
            assert_eq!(understand(&good[..cut], &keys, &digest), None, "{cut}");
        }
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert_eq!(understand(&bad, &keys, &digest), None, "{at}");
        }
    }
}
