//! Where a mark lives in a packet.
//!
//! A slot is a set of header bits that a scheme overloads. Reading gives the bits right-aligned in
//! a `u32`; writing repairs the IPv4 header checksum by RFC 1624. Room that the sender reserved for
//! longer records is not a slot of fixed width: see [`crate::room`].

use crate::packet::Packet;

/// Header bits that hold a mark. Most significant part first in the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Slot {
    /// No bits: logging schemes, the recorder, and the control.
    None,
    /// IPv4 Identification, 16 bits.
    Id,
    /// IPv4 reserved flag (1) and Identification (16): 17 bits.
    IdReserved,
    /// IPv4 TOS (8), reserved flag (1), Identification (16): 25 bits.
    IdTosReserved,
    /// IPv4 Identification (16), flags (3), fragment offset (13): 32 bits. Owns DF: no other code
    /// touches the flags of such a packet.
    IdFlagsOffset,
    /// IPv6 flow label, 20 bits. No checksum covers it.
    FlowLabel,
    /// The first two records of the room that the sender reserved ([`crate::room`]): 32 bits, for
    /// marks that no header field holds.
    Room,
    /// The next free node data of an IOAM trace ([`crate::ioam`]), IPv6 only: 32 bits that are written once and
    /// never changed. It reads as 0, whatever the nodes before wrote.
    IoamTrace,
    /// An IOAM direct-export option, IPv6 only: nothing is written.
    IoamExport,
}

impl Slot {
    /// Width in bits.
    pub const fn bits(self) -> u32 {
        match self {
            Self::None => 0,
            Self::Id => 16,
            Self::IdReserved => 17,
            Self::IdTosReserved => 25,
            Self::IdFlagsOffset => 32,
            Self::FlowLabel => 20,
            Self::Room | Self::IoamTrace => 32,
            Self::IoamExport => 0,
        }
    }

    /// Whether a mark here takes the place of what tells fragments apart, or of a whole fragment's
    /// identity: real fragments must be left alone.
    pub const fn breaks_fragments(self) -> bool {
        !matches!(
            self,
            Self::None | Self::FlowLabel | Self::Room | Self::IoamTrace | Self::IoamExport
        )
    }

    /// Whether packets of a version of IP can have the slot.
    pub const fn exists(self, v6: bool) -> bool {
        match self {
            Self::None | Self::Room => true,
            Self::FlowLabel | Self::IoamTrace | Self::IoamExport => v6,
            Self::Id | Self::IdReserved | Self::IdTosReserved | Self::IdFlagsOffset => !v6,
        }
    }

    /// Whether the slot exists in this packet.
    #[inline(always)]
    pub fn fits<T: AsRef<[u8]>>(self, packet: &Packet<T>) -> bool {
        match self {
            Self::Room => packet.room_word().is_some(),
            Self::IoamTrace => !packet.trace_option().is_empty(),
            Self::IoamExport => !packet.export_option().is_empty(),
            _ => self.exists(packet.is_v6()),
        }
    }

    /// What stands in the packet beside the mark: a whole IOAM option, or the records of reserved room.
    pub fn records<T: AsRef<[u8]>>(self, packet: &Packet<T>) -> &[u8] {
        match self {
            Self::IoamTrace => packet.trace_option(),
            Self::IoamExport => packet.export_option(),
            _ => packet.records(),
        }
    }

    /// The slot's bits, or `None` where the packet has no such slot.
    #[inline(always)]
    pub fn read<T: AsRef<[u8]>>(self, packet: &Packet<T>) -> Option<u32> {
        if !self.fits(packet) {
            return None;
        }
        let id = || u32::from(packet.word(4));
        let reserved = || u32::from(packet.word(6) >> 15) << 16;
        Some(match self {
            Self::None | Self::IoamTrace | Self::IoamExport => 0,
            Self::Room => packet.room_word()?,
            Self::Id => id(),
            Self::IdReserved => reserved() | id(),
            Self::IdTosReserved => u32::from(packet.byte(1)) << 17 | reserved() | id(),
            Self::IdFlagsOffset => id() << 16 | u32::from(packet.word(6)),
            Self::FlowLabel => u32::from(packet.word(0) & 0xf) << 16 | u32::from(packet.word(2)),
        })
    }

    /// Writes the low [`Self::bits`] of `value`, and says whether there was room for it; does nothing where
    /// the packet has no such slot.
    #[inline(always)]
    pub fn write<T: AsRef<[u8]> + AsMut<[u8]>>(self, packet: &mut Packet<T>, value: u32) -> bool {
        if !self.fits(packet) {
            return false;
        }
        let low = (value & 0xffff) as u16;
        let reserved = |word: u16| word & 0x7fff | ((value >> 16 & 1) as u16) << 15;
        match self {
            Self::None | Self::IoamExport => {}
            Self::Room => packet.set_room_word(value),
            Self::IoamTrace => return packet.push_node(value),
            Self::Id => packet.set_word4(4, low),
            Self::IdReserved => {
                packet.set_word4(4, low);
                packet.set_word4(6, reserved(packet.word(6)));
            }
            Self::IdTosReserved => {
                let tos = (value >> 17 & 0xff) as u16;
                packet.set_word4(0, packet.word(0) & 0xff00 | tos);
                packet.set_word4(4, low);
                packet.set_word4(6, reserved(packet.word(6)));
            }
            Self::IdFlagsOffset => {
                packet.set_word4(4, (value >> 16) as u16);
                packet.set_word4(6, low);
            }
            Self::FlowLabel => {
                let bytes = packet.bytes.as_mut();
                bytes[1] = bytes[1] & 0xf0 | (value >> 16 & 0xf) as u8;
                bytes[2..4].copy_from_slice(&low.to_be_bytes());
            }
        }
        true
    }
}
