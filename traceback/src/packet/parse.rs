//! Lengths proved, headers walked: what an IP packet is made of.

use crate::checksum;

/// What parsing found, so that nobody looks twice. Offsets count bytes from the IP header, in few bits, since each
/// router that a packet is lent to gets a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub v6: bool,
    pub proto: u8,
    pub part: Part,
    /// IPv4: header length with options. IPv6: 40 and the extension headers walked.
    pub l4: u32,
    pub total: u32,
}

/// Whether a packet is a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// As flags and offset of IPv4 say, which marks may change on the way.
    Said,
    /// None, whatever they say.
    Whole,
    /// The first, with the transport header.
    First,
    /// Another.
    Later,
}

/// Why bytes are no packet that a router forwards. An attacker can send these at line rate, so they
/// are counted, never logged one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// Fewer bytes than the headers or lengths claim.
    #[error("packet is shorter than its own lengths say")]
    Truncated,
    /// The version nibble is neither 4 nor 6, or contradicts the EtherType.
    #[error("IP version is neither 4 nor 6")]
    Version,
    /// IPv4 header length below 20 bytes or beyond the total length.
    #[error("IPv4 header length is impossible")]
    HeaderLength,
    /// IPv4 header checksum is wrong (RFC 1812 section 5.2.2 drops such packets).
    #[error("IPv4 header checksum is wrong")]
    Checksum,
    /// More IPv6 extension headers than [`MAX_EXTENSIONS`].
    #[error("too many IPv6 extension headers")]
    Extensions,
}

/// IPv6 extension headers walked before a packet is refused. Source: ours; RFC 8504 section 5.3
/// lets hosts set such limits.
pub const MAX_EXTENSIONS: usize = 8;

/// Protocol numbers that the testbed names.
pub mod proto {
    /// ICMP for IPv4.
    pub const ICMP: u8 = 1;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// ICMP for IPv6.
    pub const ICMP6: u8 = 58;
    pub(crate) const HOP_BY_HOP: u8 = 0;
    pub(crate) const ROUTING: u8 = 43;
    pub(crate) const FRAGMENT: u8 = 44;
    pub(crate) const DESTINATION: u8 = 60;
}

#[inline]
pub(super) fn v4(bytes: &[u8]) -> Result<Head, Malformed> {
    if bytes.len() < 20 {
        return Err(Malformed::Truncated);
    }
    let l4 = u32::from(bytes[0] & 0x0f) * 4;
    let total = u32::from(u16::from_be_bytes([bytes[2], bytes[3]]));
    if l4 < 20 || l4 > total {
        return Err(Malformed::HeaderLength);
    }
    if total as usize > bytes.len() {
        return Err(Malformed::Truncated);
    }
    if !checksum::is_right(&bytes[..l4 as usize]) {
        return Err(Malformed::Checksum);
    }
    Ok(Head { v6: false, proto: bytes[9], part: Part::Said, l4, total })
}

pub(super) fn v6(bytes: &[u8]) -> Result<Head, Malformed> {
    if bytes.len() < 40 {
        return Err(Malformed::Truncated);
    }
    let total = 40 + u32::from(u16::from_be_bytes([bytes[4], bytes[5]]));
    let bytes = bytes.get(..total as usize).ok_or(Malformed::Truncated)?;
    let mut head = Head { v6: true, proto: bytes[6], part: Part::Whole, l4: 40, total };
    for _ in 0..MAX_EXTENSIONS {
        let at = head.l4 as usize;
        let len = match head.proto {
            _ if head.part == Part::Later => return Ok(head),
            proto::HOP_BY_HOP | proto::ROUTING | proto::DESTINATION => {
                8 + 8 * u32::from(*bytes.get(at + 1).ok_or(Malformed::Truncated)?)
            }
            proto::FRAGMENT => 8,
            _ => return Ok(head),
        };
        if head.l4 + len > total {
            return Err(Malformed::Truncated);
        }
        if head.proto == proto::FRAGMENT {
            let offset = u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]) & 0xfff8;
            head.part = if offset == 0 { Part::First } else { Part::Later };
        }
        (head.proto, head.l4) = (bytes[at], head.l4 + len);
    }
    Err(Malformed::Extensions)
}
