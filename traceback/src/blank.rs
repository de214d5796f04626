//! Packets without what no trace needs.
//!
//! Who asks about a packet shows it to others. What routers know it by ends with the first bytes of its payload
//! ([`crate::invariant`]); a mark may lie in room that its sender reserved behind them. What follows is what people
//! said to each other: zeros stand for it, so that lengths stay what they are.

use crate::invariant::PAYLOAD;
use crate::packet::Packet;
use crate::scheme::Card;
use crate::slot::Slot;

/// A packet as a scheme's routers know it, and how many bytes behind that are zeros now; `None` where the bytes are
/// no packet.
pub fn blank(card: &Card, bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let packet = Packet::parse(bytes).ok()?;
    let (all, payload) = (packet.as_bytes().len(), packet.payload().len());
    let slot = card.slot(packet.is_v6());
    let room = packet.room_end().filter(|_| slot == Slot::Room).unwrap_or(0);
    let end = (all - payload + payload.min(PAYLOAD)).max(room);
    let mut blank = packet.as_bytes().to_vec();
    blank[end..].fill(0);
    Some((blank, all - end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum;
    use crate::invariant::{Invariant, Key};
    use crate::schemes::{SCHEMES, find};

    fn udp(payload: &[u8]) -> Vec<u8> {
        let total = u8::try_from(28 + payload.len()).unwrap();
        let mut bytes =
            vec![0x45, 0, 0, total, 0, 0, 0, 0, 60, 17, 0, 0, 198, 19, 9, 9, 198, 18, 0, 10];
        let check = checksum::of(&bytes);
        bytes[10..12].copy_from_slice(&check.to_be_bytes());
        bytes.extend([1, 0, 2, 0, 0, total - 20, 0, 0]);
        bytes.extend(payload);
        bytes
    }

    #[test]
    fn what_routers_know_a_packet_by_stays() {
        let digest = |bytes: &[u8]| Invariant::of(&Packet::parse(bytes).unwrap(), Key(1, 2)).digest;
        for length in [0, 5, 24, 25, 100] {
            let bytes = udp(&vec![7; length]);
            for entry in SCHEMES {
                let (shown, hidden) = blank(&entry.card(), &bytes).unwrap();
                assert_eq!((shown.len(), hidden), (bytes.len(), length.saturating_sub(24)));
                assert_eq!(digest(&shown), digest(&bytes));
                assert_eq!(shown.iter().filter(|b| **b == 7).count(), length.min(24));
            }
        }
        assert_eq!(blank(&find("spie").unwrap().card(), &[0x45, 0]), None);
    }

    #[test]
    fn a_mark_behind_the_payloads_first_bytes_stays() {
        let mut payload = crate::room::MAGIC.to_vec();
        payload.resize(24, 1);
        payload.extend([crate::room::OPTION4, 12, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6]);
        payload.extend([9; 30]);
        let bytes = udp(&payload);
        let room = Card { v4: Slot::Room, ..find("spie").unwrap().card() };
        let (shown, hidden) = blank(&room, &bytes).unwrap();
        assert_eq!(Slot::Room.read(&Packet::parse(&shown[..]).unwrap()), Some(0x0102_0304));
        assert_eq!(hidden, 32);
        assert!(!shown[28..].contains(&9));
    }
}
