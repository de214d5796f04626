//! A host's key for the tunnels of one run: made on the host, kept in memory, and shown to the others through the
//! director, signed with the key that the host enrolled with.
//!
//! ```text
//! "ashiato.tunnel/1" LF | what the run is (32) | public key, X25519 (32) | key and signature
//! ```
//! Under a manifest the others know the signing key by its hash, so a director who swaps halves is found out before
//! anything is sent. "What the run is" has the manifest's nonce in it: no half is good for another run.

use crate::exit::Exit;
use crate::safety::witness;
use anyhow::Result;
use boringtun::x25519::{PublicKey, StaticSecret};
use ring::rand::{SecureRandom, SystemRandom};
use std::fmt;
use std::path::Path;

/// First line of a half.
const MAGIC: &[u8] = b"ashiato.tunnel/1\n";
/// Bytes that are signed.
const SIGNED: usize = MAGIC.len() + 64;

/// A key of one run.
#[derive(Clone)]
pub struct Half {
    secret: StaticSecret,
}

impl fmt::Debug for Half {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Half").finish_non_exhaustive()
    }
}

impl Half {
    /// Makes one.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn make() -> Result<Self> {
        let mut bytes = [0; 32];
        let drawn = SystemRandom::new().fill(&mut bytes);
        drawn.map_err(|_| anyhow::anyhow!("the system gives no randomness for a key"))?;
        Ok(Self { secret: StaticSecret::from(bytes) })
    }

    /// The part that others may know.
    pub fn public(&self) -> PublicKey {
        PublicKey::from(&self.secret)
    }

    pub(super) fn secret(&self) -> StaticSecret {
        self.secret.clone()
    }

    /// That part, signed for a run with the host's own key.
    ///
    /// # Errors
    /// When that key cannot be read or is of another kind.
    pub fn show(&self, run: &[u8; 32], key: &Path) -> Result<Vec<u8>> {
        let key = witness::read_key(key)?;
        witness::sign([MAGIC, run, self.public().as_bytes()].concat(), &key)
    }
}

/// The public key that the host with this enrolled key (its hash in hex) shows for a run; without a hash, any host.
///
/// # Errors
/// [`Exit::Policy`] where it does not.
pub fn look(shown: &[u8], run: &[u8; 32], wanted: Option<&str>) -> Result<PublicKey> {
    let read = || {
        let (ours, key) =
            witness::hear(shown, SIGNED, wanted)?.strip_prefix(MAGIC)?.split_at_checked(32)?;
        (ours == run).then_some(PublicKey::from(<[u8; 32]>::try_from(key).ok()?))
    };
    let why = "its key for the tunnel is not signed by that host for this run";
    read().ok_or_else(|| Exit::Policy.refuse(why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{KeyPair, PublicKeyData};
    use sha2::{Digest, Sha256};

    #[test]
    fn a_swapped_key_is_found_out() {
        let dir = std::env::temp_dir().join(format!("ashiato-half-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let enrolled = KeyPair::generate().unwrap();
        let (path, other) = (dir.join("own.key"), dir.join("other.key"));
        std::fs::write(&path, enrolled.serialize_pem()).unwrap();
        std::fs::write(&other, KeyPair::generate().unwrap().serialize_pem()).unwrap();
        let pinned = hex::encode(Sha256::digest(enrolled.subject_public_key_info()));
        let (half, run) = (Half::make().unwrap(), [7; 32]);
        let shown = half.show(&run, &path).unwrap();
        assert_eq!(look(&shown, &run, Some(&pinned)).unwrap(), half.public());
        // Another run's, another host's, and one in which any bit was changed.
        assert!(look(&shown, &[8; 32], Some(&pinned)).is_err());
        let theirs = half.show(&run, &other).unwrap();
        assert!(look(&theirs, &run, Some(&pinned)).is_err());
        let refused = look(&theirs, &run, Some(&pinned)).unwrap_err();
        assert_eq!(Exit::of(&refused), Exit::Policy);
        for at in 0..shown.len() {
            let mut bad = shown.clone();
            bad[at] ^= 1;
            assert!(look(&bad, &run, Some(&pinned)).is_err(), "{at}");
            assert!(look(&shown[..at], &run, Some(&pinned)).is_err(), "{at}");
        }
        std::fs::remove_dir_all(dir).unwrap();
    }
}
