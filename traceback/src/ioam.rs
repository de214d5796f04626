//! IOAM in an IPv6 hop-by-hop header: a trace that the source pre-allocates, and direct export.
//!
//! Nothing changes length on the way. Both options begin at a multiple of four bytes:
//!
//! ```text
//! 0x31 | len | 0 | 0 | namespace (16) | NodeLen (5) | flags (4) | RemainingLen (7)      trace
//!      | trace type (24) | 0 | room | newest node data | ... | oldest node data
//! 0x11 | len | 0 | 4 | namespace (16) | flags (8) | extension flags (8)                 direct export
//!      | trace type (24) | 0 | flow (32) | sequence (32)
//! node data: hop limit (8) | node id (24)
//! ```
//! `RemainingLen` counts what is left in units of four bytes; a node writes just before what is written
//! already and lowers it. Where nothing is left it sets the overflow flag, the first of four, and leaves the
//! data alone, as do all nodes after it. Nodes know one namespace and one trace type; other options they pass
//! on unread.
//!
//! Source: RFC 9197 sections 4.4 and 5.3, RFC 9326 section 3.2, RFC 9486 sections 3 and 4; checks as in
//! Linux's `ipv6_hop_ioam` (`net/ipv6/exthdrs.c`).

use crate::packet::Packet;
use crate::room::{Options, options6};

/// Hop-by-hop option that may change on the way: traces.
pub const CHANGING: u8 = 0x31;
/// Hop-by-hop option that stays as it is: direct export.
pub const CONSTANT: u8 = 0x11;
/// The one namespace that the testbed's nodes know.
pub const NAMESPACE: u16 = 1;
/// Node data of hop limit and node id, and nothing else.
pub const TRACE_TYPE: u32 = 0x80_0000;
/// Nodes for which one option has room at most: its length is a byte.
pub const MAX_NODES: u8 = 61;

/// Bytes of a trace before its node data, type and length included.
const TRACE_HEAD: usize = 12;
/// Bytes of a direct-export option with flow and sequence number.
pub const EXPORT: usize = 20;
/// IOAM option types. Source: IANA's registry.
const PREALLOCATED: u8 = 0;
const DIRECT_EXPORT: u8 = 4;
/// In the word that ends with `RemainingLen`: four bytes of data for each node; overflow.
const ONE_WORD: u16 = 1 << 11;
const OVERFLOW: u16 = 1 << 10;
const REMAINING: u16 = 0x7f;
/// Extension flags: flow id and sequence number are there.
const FLOW_AND_SEQUENCE: u8 = 0xc0;

/// Bytes of a trace option for so many nodes.
pub const fn trace_len(nodes: usize) -> usize {
    TRACE_HEAD + 4 * nodes
}

/// A trace option with room for up to [`MAX_NODES`] nodes and nothing written.
pub fn trace(nodes: usize) -> Vec<u8> {
    let nodes = u8::try_from(nodes).unwrap_or(MAX_NODES).min(MAX_NODES);
    let mut out = vec![CHANGING, 10 + 4 * nodes, 0, PREALLOCATED];
    out.extend(NAMESPACE.to_be_bytes());
    out.extend((ONE_WORD | u16::from(nodes)).to_be_bytes());
    out.extend((TRACE_TYPE << 8).to_be_bytes());
    out.resize(trace_len(nodes.into()), 0);
    out
}

/// A direct-export option that asks every node to report on this packet of a flow.
pub fn export(flow: u32, sequence: u32) -> Vec<u8> {
    let mut out = vec![CONSTANT, 18, 0, DIRECT_EXPORT];
    out.extend(NAMESPACE.to_be_bytes());
    out.extend([0, FLOW_AND_SEQUENCE]);
    out.extend((TRACE_TYPE << 8).to_be_bytes());
    out.extend(flow.to_be_bytes());
    out.extend(sequence.to_be_bytes());
    out
}

/// A trace option as it stands in a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace<'a> {
    /// What was written, the newest node first, four bytes each.
    pub nodes: &'a [u8],
    /// Whether a node found no room.
    pub overflowed: bool,
}

impl<'a> Trace<'a> {
    /// Reads a whole option; `None` where it is no trace that the testbed's nodes know.
    pub fn of(option: &'a [u8]) -> Option<Self> {
        let word = known_trace(option)?;
        let unused = TRACE_HEAD + 4 * usize::from(word & REMAINING);
        let end = option.len() - (option.len() - TRACE_HEAD) % 4;
        Some(Self { nodes: &option[unused..end], overflowed: word & OVERFLOW != 0 })
    }

    /// Node data as words, the oldest first: in the order of the way.
    pub fn in_order(&self) -> impl Iterator<Item = u32> + use<'a> {
        let word = |c: &[u8]| u32::from_be_bytes([c[0], c[1], c[2], c[3]]);
        self.nodes.chunks_exact(4).rev().map(word)
    }
}

/// The word of flags and remaining length, where an option is a trace that nodes here know.
fn known_trace(option: &[u8]) -> Option<u16> {
    let head = option.first_chunk::<TRACE_HEAD>()?;
    let word = u16::from_be_bytes([head[6], head[7]]);
    let known = head[0] == CHANGING
        && head[3] == PREALLOCATED
        && head[4..6] == NAMESPACE.to_be_bytes()
        && head[8..11] == TRACE_TYPE.to_be_bytes()[1..]
        && word >> 11 == ONE_WORD >> 11
        && TRACE_HEAD + 4 * usize::from(word & REMAINING) <= option.len();
    known.then_some(word)
}

/// Flow and sequence number, where an option asks for direct export in a way that nodes here know.
pub fn exported(option: &[u8]) -> Option<(u32, u32)> {
    let head = option.first_chunk::<EXPORT>()?;
    let known = head[0] == CONSTANT
        && head[3] == DIRECT_EXPORT
        && head[4..6] == NAMESPACE.to_be_bytes()
        && head[7] & FLOW_AND_SEQUENCE == FLOW_AND_SEQUENCE
        && head[8..11] == TRACE_TYPE.to_be_bytes()[1..];
    let word = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    known.then(|| (word(12), word(16)))
}

impl<T: AsRef<[u8]>> Packet<T> {
    /// The whole trace option; empty where there is none that nodes here know.
    pub fn trace_option(&self) -> &[u8] {
        find(options6(self.as_bytes()), |option| known_trace(option).is_some()).map_or(&[], |o| o.1)
    }

    /// The whole direct-export option; empty where there is none that nodes here know.
    pub fn export_option(&self) -> &[u8] {
        find(options6(self.as_bytes()), |option| exported(option).is_some()).map_or(&[], |o| o.1)
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Packet<T> {
    /// Writes node data into the trace and says whether there was room; sets the overflow flag where
    /// there was none. No checksum covers an IPv6 header.
    pub fn push_node(&mut self, data: u32) -> bool {
        let found = find(options6(self.as_bytes()), |option| known_trace(option).is_some());
        let Some((at, option)) = found else { return false };
        let word = u16::from_be_bytes([option[6], option[7]]);
        let left = word & REMAINING;
        let fits = word & OVERFLOW == 0 && left > 0;
        let bytes = self.bytes.as_mut();
        let after = if fits { word - 1 } else { word | OVERFLOW };
        bytes[at + 6..at + 8].copy_from_slice(&after.to_be_bytes());
        if fits {
            let node = at + TRACE_HEAD + 4 * usize::from(left - 1);
            bytes[node..node + 4].copy_from_slice(&data.to_be_bytes());
        }
        fits
    }
}

/// The first option of a kind, with its place in the packet; options out of line are not IOAM's.
fn find(mut options: Options<'_>, wanted: impl Fn(&[u8]) -> bool) -> Option<(usize, &[u8])> {
    options.find(|(at, option)| at % 4 == 0 && wanted(option))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An IPv6 packet whose hop-by-hop header holds two bytes of padding and an option.
    fn packet(option: &[u8]) -> Vec<u8> {
        let header = (4 + option.len()).next_multiple_of(8);
        let mut bytes = vec![0x60, 0, 0, 0];
        bytes.extend(u16::try_from(header).unwrap().to_be_bytes());
        bytes.extend([0, 64]);
        bytes.extend([0x20; 32]);
        bytes.extend([59, u8::try_from(header / 8 - 1).unwrap(), 1, 0]);
        bytes.extend(option);
        bytes.resize(40 + header, 0);
        bytes
    }

    fn push(bytes: &mut [u8], data: u32) -> bool {
        Packet::parse(bytes).unwrap().push_node(data)
    }

    /// Room of 12 bytes is that of three nodes; the fourth says so and changes nothing else. Linux writes
    /// the same bytes for `trace type 0x800000 ns 1 size 12`.
    #[test]
    fn golden_bytes_after_none_to_four_nodes() {
        let head = |word: u8, left: u8| vec![0x31, 22, 0, 0, 0, 1, word, left, 0x80, 0, 0, 0];
        let mut bytes = packet(&trace(3));
        assert_eq!(bytes[44..68], [head(8, 3), vec![0; 12]].concat());
        assert!(push(&mut bytes, 0x3f00_0001));
        assert_eq!(bytes[44..68], [head(8, 2), vec![0; 8], vec![63, 0, 0, 1]].concat());
        assert!(push(&mut bytes, 0x3e00_0102));
        let two = vec![62, 0, 1, 2, 63, 0, 0, 1];
        assert_eq!(bytes[44..68], [head(8, 1), vec![0; 4], two.clone()].concat());
        assert!(push(&mut bytes, 0x3dab_cdef));
        let three = [vec![61, 0xab, 0xcd, 0xef], two].concat();
        assert_eq!(bytes[44..68], [head(8, 0), three.clone()].concat());
        for _ in 0..2 {
            assert!(!push(&mut bytes, 0x3c00_0004));
            assert_eq!(bytes[44..68], [head(0x0c, 0), three.clone()].concat());
        }
        let packet = Packet::parse(&bytes[..]).unwrap();
        let trace = Trace::of(packet.trace_option()).unwrap();
        assert!(trace.overflowed);
        assert_eq!(trace.in_order().collect::<Vec<_>>(), [0x3f00_0001, 0x3e00_0102, 0x3dab_cdef]);
    }

    #[test]
    fn an_overflow_stays_even_where_room_is_left() {
        let mut bytes = packet(&trace(3));
        bytes[50] |= 4;
        assert!(!push(&mut bytes, 7));
        assert_eq!(bytes[50..52], [0x0c, 3]);
    }

    #[test]
    fn golden_bytes_of_a_direct_export() {
        let option = export(0x0102_0304, 9);
        let want = [0x11, 18, 0, 4, 0, 1, 0, 0xc0, 0x80, 0, 0, 0, 1, 2, 3, 4, 0, 0, 0, 9];
        assert_eq!(option, want);
        let bytes = packet(&option);
        let packet = Packet::parse(&bytes[..]).unwrap();
        assert_eq!(exported(packet.export_option()), Some((0x0102_0304, 9)));
        assert!(packet.trace_option().is_empty());
    }

    /// Other namespaces, types, lengths and places are nobody's business here.
    #[test]
    fn unknown_and_inconsistent_options_are_left_alone() {
        for (at, value) in [(1, 9), (3, 1), (5, 2), (6, 16), (7, 4), (8, 0xc0), (10, 1)] {
            let mut option = trace(3);
            option[at] = value;
            let mut bytes = packet(&option);
            let before = bytes.clone();
            assert!(!push(&mut bytes, 7), "{at}");
            assert_eq!(bytes, before, "{at}");
        }
        // Two bytes out of line.
        let mut bytes = packet(&trace(3));
        bytes.splice(42..44, []);
        bytes.extend([0, 0]);
        let before = bytes.clone();
        assert!(!push(&mut bytes, 7));
        assert_eq!(bytes, before);
    }

    #[test]
    fn the_longest_trace_fits_its_length_byte() {
        let mut bytes = packet(&trace(usize::from(MAX_NODES) + 9));
        (0..MAX_NODES).for_each(|i| assert!(push(&mut bytes, i.into())));
        assert!(!push(&mut bytes, 0));
    }
}
