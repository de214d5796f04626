//! The hash log that routers keep, as a kernel twin fills it.

use super::Nanos;

/// The hash log that a scheme keeps at a router, as a kernel twin fills it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogShape {
    /// Cells of one page, in bits.
    pub bits: u64,
    /// Packets after which a page closes.
    pub packets: u64,
    /// Longest life of an open page, in milliseconds.
    pub epoch_ms: u64,
}

/// One page that a kernel twin filled, or is still filling.
#[derive(Debug, Clone, Copy)]
pub struct LogPage<'a> {
    /// From its opening to its closing, or to now.
    pub window: (Nanos, Nanos),
    /// Its own hash family; also what it is known by.
    pub salt: u64,
    /// Packets in it.
    pub inserted: u64,
    /// Its cells, 64 to a word, the first in the lowest bit.
    pub words: &'a [u64],
}
