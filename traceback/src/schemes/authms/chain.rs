//! Keys of one router, one for each interval, and the keyed hash.
//!
//! ```text
//! K_j = H(K_j+1):  K_0 <- K_1 <- ... <- K_127, which derives from secret and router
//! ```
//! Who knows a key can compute all earlier ones and none of the later. `H` and the hash of packets are
//! SipHash-1-3 with keys of 128 bits: two different messages under one key never mean the same, since those
//! of `H` are one byte long and those of packets fourteen.
//!
//! Source: song2001 section 5; the construction is that of TESLA (Perrig et al., S&P 2000).

use crate::invariant::mix2;
use crate::scheme::RouterId;
use siphasher::sip::SipHasher13;
use std::hash::Hasher;

/// Keys of a chain. Behind the last one a router marks nothing.
pub const INTERVALS: usize = 128;

/// A key of 128 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key(pub u64, pub u64);

/// Why a router hashes a packet: a link differs from its reverse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It writes.
    Writes,
    /// It completes what the router before it wrote.
    Completes,
}

impl Key {
    /// The key of the interval before.
    #[must_use]
    pub fn before(self) -> Self {
        let half = |which: u8| {
            let mut hasher = SipHasher13::new_with_keys(self.0, self.1);
            hasher.write(&[which]);
            hasher.finish()
        };
        Self(half(0), half(1))
    }

    /// What a router puts into a packet: 8 bits of the hash of digest, router, function and role.
    pub fn hash(self, digest: u64, role: Role, function: u8, router: RouterId) -> u8 {
        let [a, b, c, d] = router.0.to_le_bytes();
        let mut message = [0; 14];
        message[..8].copy_from_slice(&digest.to_le_bytes());
        message[8..].copy_from_slice(&[a, b, c, d, function, u8::from(role == Role::Completes)]);
        let mut hasher = SipHasher13::new_with_keys(self.0, self.1);
        hasher.write(&message);
        (hasher.finish() & 0xff) as u8
    }
}

/// The keys of one router, the first interval's first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    /// By interval.
    pub keys: [Key; INTERVALS],
}

impl Chain {
    /// The chain of a router.
    pub fn of(secret: u64, router: RouterId) -> Self {
        let id = u64::from(router.0);
        let last = Key(mix2(secret, id), mix2(!secret, id)).before();
        let mut keys = [last; INTERVALS];
        for j in (1..INTERVALS).rev() {
            keys[j - 1] = keys[j].before();
        }
        Self { keys }
    }

    /// The key of an interval, while the chain lasts.
    pub fn key(&self, interval: u64) -> Option<Key> {
        self.keys.get(usize::try_from(interval).ok()?).copied()
    }
}
