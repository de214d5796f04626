//! Finishes transport checksums that a sender on this machine left to its network card.
//!
//! Over a virtual link the card never comes: the kernel hands packets on with the checksum field
//! holding only the pseudo-header's sum, and remembers to finish it. A raw socket loses that
//! reminder, so a router over raw sockets has to do it, or receivers drop the packet.

use traceback::checksum::{fold, sum};
use traceback::packet::{Packet, proto};

/// Finishes the checksum of an IP packet if it is unfinished.
///
/// A checksum is taken as unfinished when it equals the pseudo-header's sum. A finished one does so
/// by chance once in 65,536 packets; finishing it again gives the same value. Fragments are left
/// alone: kernels finish checksums before they fragment.
pub fn finish(bytes: &mut [u8]) {
    let Ok(packet) = Packet::parse(&*bytes) else { return };
    let at = match packet.protocol() {
        proto::UDP => 6,
        proto::TCP => 16,
        _ => return,
    };
    let (start, end) = (packet.transport_offset(), packet.as_bytes().len());
    if packet.is_fragment() || end < start + at + 2 {
        return;
    }
    let addresses = if packet.is_v6() { 8..40 } else { 12..20 };
    let length = u32::try_from(end - start).unwrap_or(u32::MAX);
    let pseudo = sum(&bytes[addresses]) + u32::from(packet.protocol()) + length;
    let field = start + at..start + at + 2;
    if bytes[field.clone()] != fold(pseudo).to_be_bytes() {
        return;
    }
    // The field itself is part of the sum, and holds the pseudo-header's sum already.
    let check = match !fold(sum(&bytes[start..end])) {
        0 => 0xffff,
        check => check,
    };
    bytes[field].copy_from_slice(&check.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use traceback::checksum;

    /// An IPv4 UDP packet with this checksum field.
    fn packet(check: u16) -> Vec<u8> {
        let mut p = b"\x45\0\0\x20\0\0\x40\0\x40\x11\0\0\xc6\x12\0\x01\xc6\x12\0\x02".to_vec();
        let header = checksum::of(&p);
        p[10..12].copy_from_slice(&header.to_be_bytes());
        p.extend(b"\x12\x34\0\x09\0\x0c\0\0abcd");
        p[26..28].copy_from_slice(&check.to_be_bytes());
        p
    }

    fn pseudo(p: &[u8]) -> u32 {
        sum(&p[12..20]) + 17 + 12
    }

    #[test]
    fn an_unfinished_checksum_becomes_valid() {
        let start = fold(pseudo(&packet(0)));
        let mut p = packet(start);
        finish(&mut p);
        assert_eq!(fold(pseudo(&p) + sum(&p[20..])), 0xffff);
        let finished = p.clone();
        finish(&mut p);
        assert_eq!(p, finished, "finishing twice changes nothing");
    }

    #[test]
    fn wrong_and_absent_checksums_stay() {
        for check in [0, 0xbad0] {
            let mut p = packet(check);
            finish(&mut p);
            assert_eq!(p, packet(check));
        }
    }
}
