//! Keys of traceback messages: one for each router and epoch, disclosed when nobody accepts them any more.
//!
//! ```text
//! key(router, epoch) = HMAC-SHA-256(run's key, "key" | router | epoch)
//! time:   | epoch e: key e proves | epoch e + 1: late messages | from e + 2 on: key e is public, proves nothing new
//! ```
//! Departs from draft-ietf-itrace-04 section 2.8.4: disclosures are signed with a key of the run instead of a
//! certificate's, since operators of one testbed share the run's key and no public-key infrastructure.

use crate::invariant::Key;
use crate::scheme::{Nanos, RouterId};
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// Bytes of keys, codes and signatures.
pub const KEY: usize = 32;
/// Epochs in which messages under one key are accepted: its own, and the next for those under way.
pub const ACCEPTED: u64 = 2;

/// All keys of a run.
#[derive(Debug, Clone, Copy)]
pub struct Keys {
    /// The run's key.
    pub run: Key,
    /// Length of an epoch.
    pub length: Nanos,
}

impl Keys {
    /// The epoch of a time.
    pub fn epoch(self, at: Nanos) -> u64 {
        at.0 / self.length.0.max(1)
    }

    /// First and last instant of an epoch; the last is the next one's first.
    pub fn validity(self, epoch: u64) -> [Nanos; 2] {
        [epoch, epoch.saturating_add(1)].map(|e| Nanos(e.saturating_mul(self.length.0)))
    }

    /// A router's key of an epoch.
    pub fn key(self, router: RouterId, epoch: u64) -> [u8; KEY] {
        self.derive(b"key", router, &epoch.to_be_bytes())
    }

    /// The proof of a message.
    pub fn mac(self, router: RouterId, epoch: u64, message: &[u8]) -> [u8; KEY] {
        hmac(&self.key(router, epoch), &[message])
    }

    /// The signature of a list of disclosed keys.
    pub fn sign(self, router: RouterId, list: &[u8]) -> [u8; KEY] {
        self.derive(b"sign", router, list)
    }

    fn derive(self, what: &[u8], router: RouterId, more: &[u8]) -> [u8; KEY] {
        let run = [self.run.0.to_be_bytes(), self.run.1.to_be_bytes()].concat();
        hmac(&run, &[what, &router.0.to_be_bytes(), more])
    }
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; KEY] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("invariant: HMAC takes every key");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}
