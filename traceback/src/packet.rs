//! IP packets as bytes, checked once.
//!
//! [`Packet::parse`] proves every length; accessors after it cannot fail. Holds the fields that a
//! router or a scheme reads and writes. Slots for marks are in [`crate::slot`], reserved room in
//! [`crate::room`], the part of a packet that nobody on the way changes in [`crate::invariant`].

mod parse;

pub use parse::{MAX_EXTENSIONS, Malformed, proto};

use crate::checksum;
use parse::{Head, Part};
use std::hint::select_unpredictable;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A lawful IPv4 or IPv6 packet over some bytes (Ethernet padding behind it is allowed).
#[derive(Debug, Clone, Copy)]
pub struct Packet<T> {
    pub(crate) bytes: T,
    head: Head,
}

/// Why a TTL is never lowered from 0.
const SPENT: &str = "invariant: callers drop packets whose TTL is spent";

impl<T: AsRef<[u8]>> Packet<T> {
    /// Checks `bytes` as an IP packet.
    ///
    /// # Errors
    /// [`Malformed`] names the first thing that is wrong.
    #[inline]
    pub fn parse(bytes: T) -> Result<Self, Malformed> {
        let head = match bytes.as_ref().first().ok_or(Malformed::Truncated)? >> 4 {
            4 => parse::v4(bytes.as_ref())?,
            6 => parse::v6(bytes.as_ref())?,
            _ => return Err(Malformed::Version),
        };
        Ok(Self { bytes, head })
    }

    /// All bytes that were parsed.
    pub fn into_bytes(self) -> T {
        self.bytes
    }

    /// The packet's own bytes, without what follows it in the frame.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes.as_ref()[..self.total_len()]
    }

    /// Bytes of the packet itself.
    #[inline]
    pub fn total_len(&self) -> usize {
        self.head.total as usize
    }

    /// Whether this is IPv6.
    #[inline]
    pub fn is_v6(&self) -> bool {
        self.head.v6
    }

    /// Whether the packet is a fragment, the first one included.
    #[inline]
    pub fn is_fragment(&self) -> bool {
        match self.head.part {
            Part::Said => self.word(6) & 0x3fff != 0,
            Part::Whole => false,
            Part::First | Part::Later => true,
        }
    }

    /// Whether the transport header is in another packet (a fragment that is not the first).
    #[inline]
    pub fn lacks_transport(&self) -> bool {
        match self.head.part {
            Part::Said => self.word(6) & 0x1fff != 0,
            Part::Whole | Part::First => false,
            Part::Later => true,
        }
    }

    /// Transport protocol, behind all extension headers.
    #[inline]
    pub fn protocol(&self) -> u8 {
        self.head.proto
    }

    /// Time to live, or hop limit.
    #[inline]
    pub fn ttl(&self) -> u8 {
        self.byte(if self.head.v6 { 7 } else { 8 })
    }

    /// Sender's address as the packet claims it.
    #[inline]
    pub fn source(&self) -> IpAddr {
        if self.head.v6 { self.address6(8) } else { self.address4(12) }
    }

    /// Receiver's address.
    #[inline]
    pub fn destination(&self) -> IpAddr {
        if self.head.v6 { self.address6(24) } else { self.address4(16) }
    }

    /// Sender's and receiver's address of IPv4 as numbers: a router compares these for every packet, and
    /// an [`IpAddr`] would have to be put together first.
    #[inline]
    pub(crate) fn addresses4(&self) -> Option<(u32, u32)> {
        if self.head.v6 {
            return None;
        }
        // One check of the length for all bytes.
        let b = &self.bytes.as_ref()[12..20];
        let number = |at: usize| u32::from_be_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]]);
        Some((number(0), number(4)))
    }

    /// Bytes behind the IP header and its extensions: transport header and payload.
    #[inline]
    pub fn transport(&self) -> &[u8] {
        &self.as_bytes()[self.transport_offset()..]
    }

    /// Offset of the transport header from the first byte of the IP header.
    pub fn transport_offset(&self) -> usize {
        self.head.l4 as usize
    }

    /// Source and destination port of TCP and UDP; type and code of ICMP, then 0; else zeros.
    #[inline]
    pub fn ports(&self) -> (u16, u16) {
        let [a, b, c, d] = self.opened().0;
        (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
    }

    /// Bytes behind the transport header; all of [`Self::transport`] where the protocol is unknown
    /// or the header is in another fragment.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        self.opened().1
    }

    /// [`Self::ports`] as they stand in the packet, and [`Self::payload`].
    #[inline(always)]
    pub(crate) fn opened(&self) -> ([u8; 4], &[u8]) {
        let l4 = self.transport();
        if self.lacks_transport() {
            return ([0; 4], l4);
        }
        let (ports, header) = match (self.head.proto, l4) {
            (proto::UDP, [a, b, c, d, ..]) => ([*a, *b, *c, *d], 8),
            (proto::TCP, [a, b, c, d, rest @ ..]) => {
                let words = rest.get(8).map_or(0, |byte| byte >> 4);
                ([*a, *b, *c, *d], 4 * usize::from(words))
            }
            (proto::ICMP | proto::ICMP6, [kind, code, ..]) => ([*kind, *code, 0, 0], 8),
            (proto::UDP | proto::ICMP | proto::ICMP6, _) => ([0; 4], 8),
            _ => ([0; 4], 0),
        };
        (ports, l4.get(header..).unwrap_or_default())
    }

    /// "Don't fragment" of IPv4; true for IPv6, whose routers never fragment.
    #[inline]
    pub fn df(&self) -> bool {
        self.head.v6 || self.byte(6) & 0x40 != 0
    }

    /// Says what parsing found: a whole fixed header. Who says so once spares every access after it a look of its
    /// own.
    #[inline(always)]
    pub(crate) fn has_header(&self) {
        assert!(self.bytes.as_ref().len() >= 20, "invariant: shorter ones are no packets");
    }

    #[inline]
    pub(crate) fn byte(&self, at: usize) -> u8 {
        self.bytes.as_ref()[at]
    }

    #[inline]
    pub(crate) fn word(&self, at: usize) -> u16 {
        let b = self.bytes.as_ref();
        u16::from_be_bytes([b[at], b[at + 1]])
    }

    #[inline]
    fn address4(&self, at: usize) -> IpAddr {
        let b = self.bytes.as_ref();
        Ipv4Addr::new(b[at], b[at + 1], b[at + 2], b[at + 3]).into()
    }

    fn address6(&self, at: usize) -> IpAddr {
        let mut octets = [0; 16];
        octets.copy_from_slice(&self.bytes.as_ref()[at..at + 16]);
        Ipv6Addr::from(octets).into()
    }
}

impl<T: AsRef<[u8]>> Packet<T> {
    /// The same packet for one who reads it.
    pub fn view(&self) -> Packet<&[u8]> {
        Packet { bytes: self.as_bytes(), head: self.head }
    }

    /// Takes flags and fragment offset of IPv4 for a mark ([`crate::slot::Slot::IdFlagsOffset`]) and
    /// the packet for whole, so that its transport header is found whatever they hold.
    #[inline]
    pub fn own_fragment_bits(&mut self) {
        if !self.head.v6 {
            self.head.part = Part::Whole;
        }
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Packet<T> {
    /// The same packet for one who writes into it, as if parsed anew: nothing that is written through this type
    /// changes lengths or protocol, and a right checksum stays right.
    #[inline]
    pub fn lend(&mut self) -> Packet<&mut [u8]> {
        Packet { bytes: self.bytes.as_mut(), head: self.head }
    }

    /// Lowers the TTL by one and repairs the header checksum.
    ///
    /// # Panics
    /// If the TTL is 0: a router answers such packets instead of forwarding them.
    #[inline]
    pub fn decrement_ttl(&mut self) {
        if self.head.v6 {
            let ttl = &mut self.bytes.as_mut()[7];
            *ttl = ttl.checked_sub(1).expect(SPENT);
            return;
        }
        let Some(head) = self.bytes.as_mut().first_chunk_mut::<20>() else { return };
        // The whole word, as others write and read it.
        let ttl = u16::from_le_bytes([head[8], head[9]]);
        assert!(ttl & 0xff > 0, "{SPENT}");
        let check = checksum::lowered([head[10], head[11]]);
        head[8..10].copy_from_slice(&(ttl - 1).to_le_bytes());
        head[10..12].copy_from_slice(&check);
    }

    /// Writes the TTL or hop limit.
    #[inline]
    pub fn set_ttl(&mut self, ttl: u8) {
        if self.head.v6 {
            self.bytes.as_mut()[7] = ttl;
        } else {
            let proto = self.byte(9);
            self.set_word4(8, u16::from_be_bytes([ttl, proto]));
        }
    }

    /// Sets "don't fragment" on IPv4; nothing to do on IPv6.
    #[inline]
    pub fn set_df(&mut self) {
        if !self.head.v6 {
            let word = self.word(6);
            self.set_word4(6, word | 0x4000);
        }
    }

    /// Writes an aligned word of the IPv4 header and repairs the header checksum.
    #[inline]
    pub(crate) fn set_word4(&mut self, at: usize, new: u16) {
        debug_assert!(!self.head.v6 && at.is_multiple_of(2) && at != 10);
        let Some(head) = self.bytes.as_mut().first_chunk_mut::<20>() else { return };
        let (old, new) = ([head[at], head[at + 1]], new.to_be_bytes());
        // No branch: whether a mark changes may be chance, which a processor cannot guess.
        let check = [head[10], head[11]];
        let check = select_unpredictable(old == new, check, checksum::repair(check, old, new));
        head[at..at + 2].copy_from_slice(&new);
        head[10..12].copy_from_slice(&check);
    }
}
