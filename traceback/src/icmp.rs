//! Error messages of a router: time exceeded, no route, too big (RFC 792, RFC 4443).
//!
//! Built into a caller's buffer; whether one may be sent at all is decided here too (RFC 1812
//! section 4.3.2.7, RFC 4443 section 2.4).

use crate::checksum;
use crate::packet::{Packet, proto};
use std::net::IpAddr;

/// What went wrong with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// TTL or hop limit spent.
    TimeExceeded,
    /// No route to the destination.
    NoRoute,
    /// Larger than the next link takes, whose MTU is this.
    TooBig(u16),
}

/// Longest quotation of the offending packet. Source: RFC 1812 section 4.3.2.3 (576 bytes in all);
/// RFC 4443 allows more, which nobody needs.
const QUOTE: usize = 576 - 28;

/// Writes the whole answering IP packet into `out` and says whether one may be sent.
///
/// `from` is the router's address on the link where `cause` came in.
pub fn answer<T: AsRef<[u8]>>(
    out: &mut Vec<u8>,
    cause: &Packet<T>,
    problem: Problem,
    from: IpAddr,
) -> bool {
    out.clear();
    if !may_answer(cause) {
        return false;
    }
    match (from, cause.source()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            answer4(out, cause.as_bytes(), problem, [from.octets(), to.octets()]);
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            answer6(out, cause.as_bytes(), problem, [from.octets(), to.octets()]);
        }
        _ => return false,
    }
    true
}

/// No errors about errors, later fragments, or packets from or to many or nobody.
fn may_answer<T: AsRef<[u8]>>(cause: &Packet<T>) -> bool {
    let (kind, _) = cause.ports();
    let kind = kind.to_be_bytes()[0];
    let is_error = match cause.protocol() {
        proto::ICMP => !matches!(kind, 0 | 8 | 13 | 14),
        proto::ICMP6 => kind < 128,
        _ => false,
    };
    let single = |a: IpAddr| match a {
        IpAddr::V4(a) => !a.is_multicast() && !a.is_broadcast() && !a.is_unspecified(),
        IpAddr::V6(a) => !a.is_multicast() && !a.is_unspecified(),
    };
    !is_error
        && !cause.lacks_transport()
        && single(cause.source())
        && single(cause.destination())
        && !cause.source().is_loopback()
}

fn answer4(out: &mut Vec<u8>, cause: &[u8], problem: Problem, [from, to]: [[u8; 4]; 2]) {
    let quote = &cause[..cause.len().min(QUOTE)];
    let (kind, code, rest) = match problem {
        Problem::TimeExceeded => (11, 0, 0),
        Problem::NoRoute => (3, 0, 0),
        Problem::TooBig(mtu) => (3, 4, u32::from(mtu)),
    };
    let total = u16::try_from(28 + quote.len()).unwrap_or(u16::MAX);
    out.extend([0x45, 0xc0]);
    out.extend(total.to_be_bytes());
    out.extend([0, 0, 0, 0, 64, proto::ICMP, 0, 0]);
    out.extend(from);
    out.extend(to);
    let check = checksum::of(out);
    out[10..12].copy_from_slice(&check.to_be_bytes());
    out.extend([kind, code, 0, 0]);
    out.extend(rest.to_be_bytes());
    out.extend(quote);
    let check = checksum::of(&out[20..]);
    out[22..24].copy_from_slice(&check.to_be_bytes());
}

fn answer6(out: &mut Vec<u8>, cause: &[u8], problem: Problem, [from, to]: [[u8; 16]; 2]) {
    let quote = &cause[..cause.len().min(QUOTE)];
    let (kind, code, rest) = match problem {
        Problem::TimeExceeded => (3, 0, 0),
        Problem::NoRoute => (1, 0, 0),
        Problem::TooBig(mtu) => (2, 0, u32::from(mtu)),
    };
    let len = u16::try_from(8 + quote.len()).unwrap_or(u16::MAX);
    out.extend([0x60, 0, 0, 0]);
    out.extend(len.to_be_bytes());
    out.extend([proto::ICMP6, 64]);
    out.extend(from);
    out.extend(to);
    out.extend([kind, code, 0, 0]);
    out.extend(rest.to_be_bytes());
    out.extend(quote);
    let pseudo = checksum::sum(&out[8..40]) + u32::from(len) + u32::from(proto::ICMP6);
    let check = !checksum::fold(pseudo + checksum::sum(&out[40..]));
    out[42..44].copy_from_slice(&check.to_be_bytes());
}
