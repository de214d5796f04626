//! What stays the same about a packet on its whole way, and the hashes made of it.
//!
//! The invariant covers addresses, protocol, ports and the first [`PAYLOAD`] bytes behind the
//! transport header. It leaves out what routers or marking schemes change: TOS, TTL, header
//! checksum, options, Identification, flags, fragment offset, flow label, hop-by-hop options; and
//! the transport checksum, which offload leaves unfinished. So every router on the path, and the
//! collector from a sampled packet, computes the same digest.
//!
//! ```text
//! IPv4, 5 words of 8 bytes            IPv6, 8 words
//! 0  source (4) | destination (4)     0-1 source, 2-3 destination
//! 1  protocol | 0 0 0 | ports (4)     4   protocol | 0 0 0 | ports (4)
//! 2-4 payload (24), zero-padded       5-7 payload (24), zero-padded
//! ```
//! Departs from SPIE's 28 bytes (snoeren2001 section 4.1) and from RFC 5475's raw ranges, both of
//! which hash the Identification field that marking schemes overwrite.

use crate::packet::Packet;

/// Payload bytes that count.
pub const PAYLOAD: usize = 24;

/// Words of the longest invariant, that of IPv6.
const WORDS: usize = 8;

/// A 128-bit key of one run, shared by its agents and its collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Key(pub u64, pub u64);

/// What a [`Key`] becomes before packets are hashed: a word for each word of the invariant and one
/// more for the second lane, and a word for draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// Words that are added to the invariant's.
    pub words: [u64; WORDS + 1],
    /// Keys the draws of routers.
    pub draws: u64,
}

impl Key {
    /// The words that hashing under this key needs.
    pub fn schedule(self) -> Schedule {
        let word = |i: u64| mix2(self.0, i) ^ mix2(self.1, i);
        let mut words = [0; WORDS + 1];
        (0..).zip(&mut words).for_each(|(i, w)| *w = word(i));
        Schedule { words, draws: word(WORDS as u64 + 1) }
    }
}

impl Schedule {
    /// NH of UMAC (RFC 4418 section 5.2.2) in two lanes, the second with the keys moved by one word;
    /// two different packets share one lane's sum with a chance of 2^-32 for a key they do not know.
    ///
    /// No pseudorandom function, which would take four times as long: who learns digests of packets
    /// of his own can solve for the key. Digests go only to those who hold it.
    #[inline]
    fn hash(&self, words: &[u64]) -> u64 {
        self.hash_from(0, words)
    }

    /// The part of the sum that words from this position on have in it.
    #[inline]
    fn hash_from(&self, first: usize, words: &[u64]) -> u64 {
        let lane = |keys: &[u64]| {
            words.iter().zip(keys).fold(0_u64, |sum, (word, key)| {
                let low = word.wrapping_add(*key) & 0xffff_ffff;
                let high = (word >> 32).wrapping_add(key >> 32) & 0xffff_ffff;
                sum.wrapping_add(low.wrapping_mul(high))
            })
        };
        let (here, next) = (lane(&self.words[first..]), lane(&self.words[first + 1..]));
        here.wrapping_add(next.wrapping_mul(GOLDEN))
    }
}

/// Hashes over the unchanging part of one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invariant {
    /// Hash of all words under the run's key: the packet's identity. Its bits are a sum's: who wants
    /// chance from it mixes it first, as all do with what they add ([`mix2`]).
    pub digest: u64,
    /// The same without the payload: the identity of its flow.
    pub flow: u64,
}

impl Invariant {
    /// What is known of a packet where nobody hashes.
    pub const NONE: Self = Self { digest: 0, flow: 0 };

    /// Computes the hashes of a single packet. For many, see [`Self::under`].
    pub fn of<T: AsRef<[u8]>>(packet: &Packet<T>, key: Key) -> Self {
        Self::under(packet, &key.schedule())
    }

    /// Computes the hashes. Allocates nothing.
    #[inline]
    pub fn under<T: AsRef<[u8]>>(packet: &Packet<T>, schedule: &Schedule) -> Self {
        let bytes = packet.as_bytes();
        let ([a, b, c, d], payload) = packet.opened();
        let payload = payload_words(payload);
        let what = u64::from_le_bytes([packet.protocol(), 0, 0, 0, a, b, c, d]);
        let (flow, at) = if packet.is_v6() {
            let [a, b, c, d] = [8, 16, 24, 32].map(|at| word(bytes, at));
            (schedule.hash(&[a, b, c, d, what]), 5)
        } else {
            (schedule.hash(&[word(bytes, 12), what]), 2)
        };
        Self { digest: flow.wrapping_add(schedule.hash_from(at, &payload)), flow }
    }
}

/// Eight bytes of a header.
#[inline]
fn word(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

/// What counts of the payload, zeros behind its end.
#[inline]
fn payload_words(payload: &[u8]) -> [u64; PAYLOAD / 8] {
    let mut bytes = [0; PAYLOAD];
    match payload.first_chunk() {
        Some(first) => bytes = *first,
        None => bytes[..payload.len()].copy_from_slice(payload),
    }
    [0, 8, 16].map(|at| word(&bytes, at))
}

/// The finaliser of SplitMix64: a bijection whose output bits each depend on every input bit.
///
/// Source: Steele, Lea, Flood, OOPSLA 2014, `mix64` in the variant of Stafford (mix 13).
#[inline]
pub const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// 2^64 divided by the golden ratio, odd.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// A hash of two words: `mix(a + golden * (b + 1))`. Equal in C and Rust.
#[inline]
pub const fn mix2(a: u64, b: u64) -> u64 {
    mix(a.wrapping_add(addend(b)))
}

/// What [`mix2`] adds for its second word, for programs that know it beforehand.
#[inline]
pub const fn addend(b: u64) -> u64 {
    GOLDEN.wrapping_mul(b.wrapping_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Words as packets of one flow have them, that differ in their number only.
    fn packet(number: u64) -> [u64; 5] {
        [0x0200_12c6_0100_12c6, 17 | 0x3500_0010 << 32, 0x4948_5341, number, 0]
    }

    #[test]
    fn packets_that_differ_little_have_digests_of_their_own() {
        let schedule = Key(1, 2).schedule();
        let numbers = (0..100_000).chain((0..64).map(|bit| 1 << bit)).chain([u64::MAX]);
        let numbers: BTreeSet<u64> = numbers.collect();
        let digests: BTreeSet<u64> = numbers.iter().map(|n| schedule.hash(&packet(*n))).collect();
        assert_eq!(digests.len(), numbers.len());
        assert_ne!(Key(1, 3).schedule().hash(&packet(7)), schedule.hash(&packet(7)));
    }

    #[test]
    fn what_is_mixed_from_digests_of_a_flow_is_uniform() {
        let schedule = Key(3, 4).schedule();
        let mut cells = [0_u32; 256];
        for number in 0..256_000 {
            let draw = mix2(schedule.hash(&packet(number)) ^ schedule.draws, 5) >> 56;
            cells[draw as usize] += 1;
        }
        let chi2: f64 = cells.iter().map(|n| (f64::from(*n) - 1000.0).powi(2) / 1000.0).sum();
        // 255 degrees of freedom: 330.5 is exceeded with a chance of 0.001.
        assert!(chi2 < 330.5, "{chi2}");
    }
}
