//! What keepers accumulate: the [`Ledger`] trait and the byte codec that all ledgers share.
//!
//! Laws (tested for every scheme): merging commutes, associates and has `Default` as unit; decoding
//! undoes encoding; decoding hostile bytes gives [`BadBytes`], never a panic or unbounded memory.

use crate::case::{Answer, Query};
use crate::scheme::Nanos;

/// Evidence that can be merged, shipped and asked.
pub trait Ledger: Default + Clone + PartialEq + std::fmt::Debug + Send + 'static {
    /// Adds what `other` saw.
    fn merge(&mut self, other: &Self);
    /// Appends the canonical encoding: equal ledgers give equal bytes.
    fn encode(&self, out: &mut Vec<u8>);
    /// Reads all of `bytes`.
    ///
    /// # Errors
    /// [`BadBytes`] where they are not an encoding.
    fn decode(bytes: &[u8]) -> Result<Self, BadBytes>;
    /// Bytes of memory that the evidence takes at its keeper.
    fn footprint(&self) -> usize;
    /// Observations that found no room, since the ledger was made.
    fn lost(&self) -> u64 {
        0
    }
    /// Finds or makes the entry under a key that a router's step needs ([`crate::scheme::Marked::need`]);
    /// 0 where there is no room, and in ledgers that have no such entries.
    fn cell(&mut self, _key: u64, _at: Nanos) -> u32 {
        0
    }
    /// Takes over the entries that a kernel twin made, keys with what [`Self::cell`] gives for them, in
    /// place of its own.
    fn adopt(&mut self, _entries: &mut dyn Iterator<Item = (u64, u32)>) {}
    /// Answers a question about what was logged; schemes that are never asked know nothing.
    fn answer(&self, query: &Query) -> Answer {
        Answer { values: vec![None; query.keys.len()] }
    }
}

/// The ledger of schemes that keep none.
impl Ledger for () {
    fn merge(&mut self, &(): &Self) {}
    fn encode(&self, _: &mut Vec<u8>) {}
    fn decode(bytes: &[u8]) -> Result<Self, BadBytes> {
        if bytes.is_empty() { Ok(()) } else { Err(BadBytes) }
    }
    fn footprint(&self) -> usize {
        0
    }
}

/// Bytes that are no encoding of what was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("bytes do not decode")]
pub struct BadBytes;

/// Reads integers from bytes; every method fails at the end instead of panicking.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// The next `n` bytes.
    ///
    /// # Errors
    /// [`BadBytes`] where fewer are left.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], BadBytes> {
        let (head, tail) = self.0.split_at_checked(n).ok_or(BadBytes)?;
        self.0 = tail;
        Ok(head)
    }

    /// A little-endian integer of `N` bytes.
    ///
    /// # Errors
    /// [`BadBytes`] where fewer are left.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], BadBytes> {
        self.take(N)?.try_into().map_err(|_| BadBytes)
    }

    /// One byte.
    ///
    /// # Errors
    /// [`BadBytes`] at the end.
    pub fn u8(&mut self) -> Result<u8, BadBytes> {
        Ok(self.array::<1>()?[0])
    }

    /// A little-endian `u16`.
    ///
    /// # Errors
    /// [`BadBytes`] at the end.
    pub fn u16(&mut self) -> Result<u16, BadBytes> {
        self.array().map(u16::from_le_bytes)
    }

    /// A little-endian `u64`.
    ///
    /// # Errors
    /// [`BadBytes`] at the end.
    pub fn u64(&mut self) -> Result<u64, BadBytes> {
        self.array().map(u64::from_le_bytes)
    }

    /// A variable-length integer (LEB128), in its shortest form only.
    ///
    /// # Errors
    /// [`BadBytes`] at the end, beyond 64 bits, or with a needless last byte.
    pub fn varint(&mut self) -> Result<u64, BadBytes> {
        let mut value = 0_u64;
        for shift in (0..70).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 || shift > 0 && byte == 0 {
                return Err(BadBytes);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(BadBytes)
    }

    /// Checks that nothing is left.
    ///
    /// # Errors
    /// [`BadBytes`] where something is.
    pub fn end(self) -> Result<(), BadBytes> {
        if self.0.is_empty() { Ok(()) } else { Err(BadBytes) }
    }
}

/// Appends a variable-length integer (LEB128).
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        out.push(if value == 0 { byte } else { byte | 0x80 });
        if value == 0 {
            return;
        }
    }
}
