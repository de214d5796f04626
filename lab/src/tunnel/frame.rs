//! What travels inside the cipher: WireGuard carries IP packets, so an Ethernet frame is put into one, with the
//! number of its link (GRE with a key, as RFC 7637 has it).
//!
//! ```text
//! IPv4 (20): 45 00 | length | 0 | DF | 64 | 47 | sum | 192.0.0.8 | 192.0.0.8
//! GRE   (8): 20 00 | 65 58 (a frame follows) | link (24) | 0
//! ```
//! The addresses say nothing, and are IPv4's dummy address (RFC 7600): both ends are known by their keys.

use traceback::checksum;

/// Bytes before a frame.
pub const HEADER: usize = 28;
/// The longest frame that an IP packet has room for.
pub const LONGEST: usize = u16::MAX as usize - HEADER;

const TEMPLATE: [u8; HEADER] = [
    0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 47, 0, 0, 192, 0, 0, 8, 192, 0, 0, 8, // IPv4
    0x20, 0, 0x65, 0x58, 0, 0, 0, 0, // GRE
];

/// Puts the header into the first [`HEADER`] bytes of a buffer whose other bytes are a frame.
pub fn wrap(packet: &mut [u8], link: u32) {
    let length = u16::try_from(packet.len()).unwrap_or(u16::MAX);
    let Some(head) = packet.first_chunk_mut::<HEADER>() else { return };
    *head = TEMPLATE;
    head[2..4].copy_from_slice(&length.to_be_bytes());
    let sum = checksum::of(&head[..20]);
    head[10..12].copy_from_slice(&sum.to_be_bytes());
    head[24..27].copy_from_slice(&link.to_be_bytes()[1..]);
}

/// The link and the frame, where it is such a packet.
pub fn unwrap(packet: &[u8]) -> Option<(u32, &[u8])> {
    let (head, frame) = packet.split_first_chunk::<HEADER>()?;
    let is_ours =
        head[..2] == TEMPLATE[..2] && head[9] == TEMPLATE[9] && head[20..24] == TEMPLATE[20..24];
    let link = u32::from_be_bytes([0, head[24], head[25], head[26]]);
    is_ours.then_some((link, frame))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_comes_out_as_it_went_in() {
        let mut packet = [[0xa5; HEADER].as_slice(), b"frame"].concat();
        wrap(&mut packet, 0x00ab_cdef);
        assert_eq!(unwrap(&packet), Some((0x00ab_cdef, b"frame".as_slice())));
        assert_eq!(usize::from(u16::from_be_bytes([packet[2], packet[3]])), packet.len());
        // A sum over a header with its own sum is none.
        assert_eq!(checksum::of(&packet[..20]), 0);
        for cut in 0..HEADER {
            assert_eq!(unwrap(&packet[..cut]), None);
        }
        for at in [0, 9, 20, 23] {
            let mut bad = packet.clone();
            bad[at] ^= 1;
            assert_eq!(unwrap(&bad), None, "{at}");
        }
    }
}
