//! Room that a sender reserved for records of 16 bits, one for each hop.
//!
//! Nothing changes length on the way. Three places, in the order they are looked for:
//!
//! ```text
//! IPv4 option            IPv6 hop-by-hop option     UDP payload, behind the invariant's 24 bytes
//! 158 | len | used | flags | record 0 | record 1 | ...      (first byte 0x3e in IPv6)
//! ```
//! `len` counts all bytes of the option in IPv4 and in the payload, and those behind itself in IPv6.
//! Bit 0 of `flags` says that a router found no room left. An IPv4 option holds 18 records at most;
//! longer paths use the payload, which is recognised only behind [`MAGIC`].
//!
//! Source: option numbers 158 and 0x3e are the experimental ones of RFC 4727.

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
pub const MAX_OPTION4: usize = 18;
/// Bytes before the first record.
pub const HEAD: usize = 4;
const FULL: u8 = 1;

/// Where the room of one packet lies, in bytes from the IP header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    /// The `used` byte.
    used: usize,
    /// Capacity in records.
    records: usize,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Option4,
    HopByHop,
    Payload,
}

impl<T: AsRef<[u8]>> Packet<T> {
    /// Records written so far, two bytes each, oldest first; empty where there is no room.
    pub fn records(&self) -> &[u8] {
        let Some(place) = find(self) else { return &[] };
        let used = usize::from(self.byte(place.used)).min(place.records);
        &self.as_bytes()[place.used + 2..place.used + 2 + 2 * used]
    }

    /// The first two records as one word, written or not; `None` where there is no room for them.
    pub fn room_word(&self) -> Option<u32> {
        let place = find(self).filter(|p| p.records >= 2)?;
        let at = place.used + 2;
        Some(u32::from(self.word(at)) << 16 | u32::from(self.word(at + 2)))
    }

    /// Whether a router found no room left.
    pub fn records_overflowed(&self) -> bool {
        find(self).is_some_and(|p| self.byte(p.used + 1) & FULL != 0)
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Packet<T> {
    /// Appends a record and repairs the checksum that covers it; sets the overflow bit where the
    /// room is full. Does nothing where there is none.
    pub fn push_record(&mut self, record: u16) {
        let Some(place) = find(self) else { return };
        let used = usize::from(self.byte(place.used));
        let flags = self.byte(place.used + 1);
        let counters = place.used;
        if used >= place.records {
            self.patch(place.kind, counters, [self.byte(place.used), flags | FULL]);
            return;
        }
        let count = u8::try_from(used + 1).unwrap_or(u8::MAX);
        self.patch(place.kind, counters, [count, flags]);
        self.patch(place.kind, counters + 2 + 2 * used, record.to_be_bytes());
    }

    /// Writes the first two records and repairs the checksum that covers them. Does nothing where
    /// there is no room for them.
    pub fn set_room_word(&mut self, value: u32) {
        let Some(place) = find(self).filter(|p| p.records >= 2) else { return };
        let [a, b, c, d] = value.to_be_bytes();
        self.patch(place.kind, place.used + 2, [a, b]);
        self.patch(place.kind, place.used + 4, [c, d]);
    }

    fn patch(&mut self, kind: Kind, at: usize, new: [u8; 2]) {
        let old = [self.byte(at), self.byte(at + 1)];
        self.bytes.as_mut()[at..at + 2].copy_from_slice(&new);
        match kind {
            Kind::HopByHop => {}
            Kind::Option4 => self.repair_at(10, at, old, new),
            Kind::Payload => {
                let check = self.transport_offset() + 6;
                // Zero means "no checksum" in UDP, which is never repaired; a repaired sum of zero
                // is sent as 0xffff (RFC 768).
                if self.word(check) != 0 {
                    self.repair_at(check, at, old, new);
                    if self.word(check) == 0 {
                        self.bytes.as_mut()[check..check + 2].copy_from_slice(&[0xff, 0xff]);
                    }
                }
            }
        }
    }

    /// Repairs the checksum at `check` for two bytes changed at `at`, which may lie across words.
    fn repair_at(&mut self, check: usize, at: usize, old: [u8; 2], new: [u8; 2]) {
        let swap = |w: [u8; 2]| if (at - check).is_multiple_of(2) { w } else { [w[1], w[0]] };
        let (old, new) = (u16::from_be_bytes(swap(old)), u16::from_be_bytes(swap(new)));
        let repaired = checksum::repair(self.word(check), old, new);
        self.bytes.as_mut()[check..check + 2].copy_from_slice(&repaired.to_be_bytes());
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
            return Some(Place { used: at + 2, records: (len - HEAD) / 2, kind: Kind::Option4 });
        }
        at += len;
    }
    None
}

fn find_hop_by_hop(bytes: &[u8]) -> Option<Place> {
    let (at, option) =
        options6(bytes).find(|(_, o)| o.first() == Some(&OPTION6) && o.len() >= HEAD)?;
    Some(Place { used: at + 2, records: (option.len() - HEAD) / 2, kind: Kind::HopByHop })
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
    let used = packet.transport_offset() + packet.transport_header() + PAYLOAD + 2;
    Some(Place { used, records: (len - HEAD) / 2, kind: Kind::Payload })
}
