//! Room that a sender reserved for records of 16 bits, one for each hop.
//!
//! Nothing changes length on the way. Three places, in the order they are looked for:
//!
//! ```text
//! IPv4 option            IPv6 hop-by-hop option     UDP payload, behind the invariant's 24 bytes
//! 158 | len | used | flags | balance | record 0 | record 1 | ...      (first byte 0x3e in IPv6)
//! ```
//! `len` counts all bytes of the option in IPv4 and in the payload, and those behind itself in IPv6.
//! Bit 0 of `flags` says that a router found no room left. `balance` takes back what any other word of the
//! room gains, in ones' complement arithmetic, so that the room's sum stays what it was: no checksum over it
//! has to be repaired, whether it is finished, still left to a network card, or absent. An IPv4 option holds
//! 17 records at most; longer paths use the payload, which is recognised only behind [`MAGIC`].
//!
//! Source: option numbers 158 and 0x3e are the experimental ones of RFC 4727; a word that keeps a checksum
//! right is RFC 6296's idea (section 2.6).

use crate::checksum;
use crate::invariant::PAYLOAD;
use crate::packet::{Packet, proto};

/// First bytes of the payload of every packet that the testbed's own actors send.
pub const MAGIC: [u8; 4] = *b"ASHI";
/// Option number in IPv4 and in a payload.
pub const OPTION4: u8 = 158;
/// Option number in IPv6: skip if unknown, may change on the way.
pub const OPTION6: u8 = 0x3e;
/// Records that an IPv4 option holds at most.
pub const MAX_OPTION4: usize = 17;
/// Bytes before the first record.
pub const HEAD: usize = 6;
const FULL: u8 = 1;

/// Where the room of one packet lies, in bytes from the IP header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    /// The `used` byte.
    used: usize,
    /// Capacity in records.
    records: usize,
}

impl Place {
    /// The option at `at`, which is `len` bytes long as IPv4 counts them.
    fn of(at: usize, len: usize) -> Self {
        Self { used: at + 2, records: (len - HEAD) / 2 }
    }

    fn balance(self) -> usize {
        self.used + 2
    }

    fn record(self, n: usize) -> usize {
        self.used + HEAD - 2 + 2 * n
    }
}

impl<T: AsRef<[u8]>> Packet<T> {
    /// Records written so far, two bytes each, oldest first; empty where there is no room.
    pub fn records(&self) -> &[u8] {
        let Some(place) = find(self) else { return &[] };
        let used = usize::from(self.byte(place.used)).min(place.records);
        &self.as_bytes()[place.record(0)..place.record(used)]
    }

    /// The first two records as one word, written or not; `None` where there is no room for them.
    pub fn room_word(&self) -> Option<u32> {
        let place = find(self).filter(|p| p.records >= 2)?;
        let [first, second] = [0, 1].map(|n| u32::from(self.word(place.record(n))));
        Some(first << 16 | second)
    }

    /// Where the first two records end, in bytes from the packet's beginning.
    pub(crate) fn room_end(&self) -> Option<usize> {
        find(self).filter(|p| p.records >= 2).map(|p| p.record(2))
    }

    /// Whether a router found no room left.
    pub fn records_overflowed(&self) -> bool {
        find(self).is_some_and(|p| self.byte(p.used + 1) & FULL != 0)
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Packet<T> {
    /// Appends a record; sets the overflow bit where the room is full. Does nothing where there is none.
    pub fn push_record(&mut self, record: u16) {
        let Some(place) = find(self) else { return };
        let used = usize::from(self.byte(place.used));
        let flags = self.byte(place.used + 1);
        if used >= place.records {
            self.patch(place, place.used, [self.byte(place.used), flags | FULL]);
            return;
        }
        let count = u8::try_from(used + 1).unwrap_or(u8::MAX);
        self.patch(place, place.used, [count, flags]);
        self.patch(place, place.record(used), record.to_be_bytes());
    }

    /// Writes the first two records. Does nothing where there is no room for them.
    pub fn set_room_word(&mut self, value: u32) {
        let Some(place) = find(self).filter(|p| p.records >= 2) else { return };
        let [a, b, c, d] = value.to_be_bytes();
        self.patch(place, place.record(0), [a, b]);
        self.patch(place, place.record(1), [c, d]);
    }

    /// Writes a word of the room and balances it.
    fn patch(&mut self, place: Place, at: usize, new: [u8; 2]) {
        let bytes = self.bytes.as_mut();
        let two = |at: usize| [bytes[at], bytes[at + 1]];
        let balance = place.balance();
        let balanced = checksum::repair(two(balance), two(at), new);
        bytes[at..at + 2].copy_from_slice(&new);
        bytes[balance..balance + 2].copy_from_slice(&balanced);
    }
}

fn find<T: AsRef<[u8]>>(packet: &Packet<T>) -> Option<Place> {
    let bytes = packet.as_bytes();
    if packet.is_v6() {
        if let Some(place) = find_hop_by_hop(bytes) {
            return Some(place);
        }
    } else if let Some(place) = find_option4(&bytes[..packet.transport_offset()]) {
        return Some(place);
    }
    find_payload(packet)
}

fn find_option4(header: &[u8]) -> Option<Place> {
    let mut at = 20;
    while at + 1 < header.len() {
        let len = match header[at] {
            0 => return None,
            1 => 1,
            _ => usize::from(header[at + 1]),
        };
        if header[at] != 1 && (len < 2 || at + len > header.len()) {
            return None;
        }
        if header[at] == OPTION4 && len >= HEAD {
            return Some(Place::of(at, len));
        }
        at += len;
    }
    None
}

fn find_hop_by_hop(bytes: &[u8]) -> Option<Place> {
    let (at, option) =
        options6(bytes).find(|(_, o)| o.first() == Some(&OPTION6) && o.len() >= HEAD)?;
    Some(Place::of(at, option.len()))
}

/// The options of a packet's hop-by-hop header, with type and length, each with its place in the
/// packet; none where the packet has no such header first. Ends before an option that is cut short.
pub(crate) fn options6(bytes: &[u8]) -> Options<'_> {
    let has = bytes[0] >> 4 == 6 && bytes[6] == proto::HOP_BY_HOP;
    let end = if has { bytes.get(41).map_or(0, |len| 48 + 8 * usize::from(*len)) } else { 0 };
    Options { bytes: bytes.get(..end).unwrap_or(&[]), at: 42 }
}

/// See [`options6`].
#[derive(Debug, Clone)]
pub(crate) struct Options<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Options<'a> {
    type Item = (usize, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let at = self.at;
        let [kind, len, ..] = self.bytes.get(at..)? else { return None };
        self.at += if *kind == 0 { 1 } else { 2 + usize::from(*len) };
        Some((at, self.bytes.get(at..self.at)?))
    }
}

fn find_payload<T: AsRef<[u8]>>(packet: &Packet<T>) -> Option<Place> {
    if packet.protocol() != proto::UDP || packet.is_fragment() {
        return None;
    }
    let payload = packet.payload();
    let [kind, len, ..] = payload.get(PAYLOAD..)? else { return None };
    let len = usize::from(*len);
    if !payload.starts_with(&MAGIC)
        || *kind != OPTION4
        || len < HEAD
        || PAYLOAD + len > payload.len()
    {
        return None;
    }
    Some(Place::of(packet.total_len() - payload.len() + PAYLOAD, len))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// UDP with room for three records in its payload.
    fn packet(check: [u8; 2]) -> Vec<u8> {
        let mut ip = vec![0x45, 0, 0, 64, 0, 1, 0x40, 0, 9, 17, 0, 0, 198, 18, 0, 2, 198, 18, 0, 3];
        let sum = checksum::of(&ip);
        ip[10..12].copy_from_slice(&sum.to_be_bytes());
        ip.extend([0x12, 0x34, 0, 9, 0, 44, check[0], check[1]]);
        ip.extend(MAGIC);
        ip.resize(20 + 8 + PAYLOAD, 7);
        ip.extend([OPTION4, 12, 0, 0]);
        ip.resize(64, 0);
        ip
    }

    #[test]
    fn no_sum_over_the_room_changes() {
        for values in [[0, 0], [0xffff, 0xffff], [0x1234, 0xff00], [0xffff, 0], [0, 1]] {
            for check in [[0, 0], [0xff, 0xff], [0x9a, 0xbc]] {
                let mut bytes = packet(check);
                let before = checksum::fold(checksum::sum(&bytes[20..]));
                let mut packet = Packet::parse(&mut bytes[..]).unwrap();
                packet.set_room_word(u32::from(values[0]) << 16 | u32::from(values[1]));
                values.iter().for_each(|value| packet.push_record(*value));
                assert_eq!(packet.records().len(), 4);
                packet.set_room_word(u32::from(values[1]) << 16 | u32::from(values[0]));
                (0..3).for_each(|_| packet.push_record(values[0]));
                assert!(packet.records_overflowed());
                assert_eq!(bytes[26..28], check);
                assert_eq!(checksum::fold(checksum::sum(&bytes[20..])), before);
            }
        }
    }
}
