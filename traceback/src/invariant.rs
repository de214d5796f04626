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
use siphasher::sip::SipHasher13;
use std::hash::Hasher;

/// Payload bytes that count.
pub const PAYLOAD: usize = 24;

/// A 128-bit key of one run, shared by its agents and its collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Key(pub u64, pub u64);

/// Hashes over the unchanging part of one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invariant {
    /// SipHash-1-3 over all words under the run's key: the packet's identity.
    pub digest: u64,
    /// Mix of the words without the payload: the identity of its flow. Not keyed.
    pub flow: u64,
}

impl Invariant {
    /// Computes the hashes. Allocates nothing.
    pub fn of<T: AsRef<[u8]>>(packet: &Packet<T>, key: Key) -> Self {
        let (words, len) = words(packet);
        let mut sip = SipHasher13::new_with_keys(key.0, key.1);
        let mut flow = 0;
        for (i, word) in words[..len].iter().enumerate() {
            sip.write(&word.to_le_bytes());
            if i < len - PAYLOAD / 8 {
                flow = mix(flow ^ word);
            }
        }
        Self { digest: sip.finish(), flow }
    }
}

fn words<T: AsRef<[u8]>>(packet: &Packet<T>) -> ([u64; 8], usize) {
    let bytes = packet.as_bytes();
    let (from, addresses) = if packet.is_v6() { (8, 4) } else { (12, 1) };
    let mut words = [0; 8];
    for (word, chunk) in words.iter_mut().zip(bytes[from..from + addresses * 8].chunks_exact(8)) {
        *word = little(chunk);
    }
    let (sport, dport) = packet.ports();
    let ([a, b], [c, d]) = (sport.to_be_bytes(), dport.to_be_bytes());
    words[addresses] = u64::from_le_bytes([packet.protocol(), 0, 0, 0, a, b, c, d]);
    let payload = packet.payload();
    let payload = &payload[..payload.len().min(PAYLOAD)];
    for (word, chunk) in words[addresses + 1..].iter_mut().zip(payload.chunks(8)) {
        *word = little(chunk);
    }
    (words, addresses + 1 + PAYLOAD / 8)
}

fn little(chunk: &[u8]) -> u64 {
    let mut word = [0; 8];
    word[..chunk.len()].copy_from_slice(chunk);
    u64::from_le_bytes(word)
}

/// The finaliser of SplitMix64: a bijection whose output bits each depend on every input bit.
///
/// Source: Steele, Lea, Flood, OOPSLA 2014, `mix64` in the variant of Stafford (mix 13).
pub const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A hash of two words: `mix(a + golden * (b + 1))`. Equal in C and Rust.
pub const fn mix2(a: u64, b: u64) -> u64 {
    mix(a.wrapping_add(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(b.wrapping_add(1))))
}
