//! What is yet to be written into the page that is open.
//!
//! A router that sets each cell as it comes waits for memory eight times a packet, while the work behind it stands
//! still; many at once are waited for at once. Nor does it look the page up each time.

use super::page::{Page, cells};
use super::{MAX_HASHES, Params};
use crate::scheme::Nanos;

/// Cells that are set together.
const TOGETHER: usize = 128;
const _: () = assert!(MAX_HASHES <= TOGETHER as u64);

/// The last packets that a log took, and what they need to know of the open page.
#[derive(Debug, Clone)]
pub(super) struct Late {
    /// Of which the first `waiting` are yet to be set.
    cells: [u32; TOGETHER],
    waiting: usize,
    /// Packets that these are of.
    packets: u64,
    /// When the last packet came.
    last: Nanos,
    /// Packets that the page takes yet; 0 where no page is open.
    left: u64,
    /// When it closes.
    until: Nanos,
    salt: u64,
}

impl Late {
    /// Where no page is open.
    pub(super) const NONE: Self = Self {
        cells: [0; TOGETHER],
        waiting: 0,
        packets: 0,
        last: Nanos(0),
        left: 0,
        until: Nanos(0),
        salt: 0,
    };

    /// Where one was just opened.
    pub(super) fn opened(page: &Page, params: &Params) -> Self {
        let life = params.epoch_ms.saturating_mul(1_000_000);
        let until = Nanos(page.window.0.0.saturating_add(life));
        Self { last: page.window.0, left: params.packets, until, salt: page.salt, ..Self::NONE }
    }

    /// Whether the open page takes a packet that comes now.
    #[inline]
    pub(super) fn is_open(&self, at: Nanos) -> bool {
        self.left > 0 && at < self.until
    }

    /// Whether there is room for its cells, too.
    #[inline]
    pub(super) fn has_room(&self, params: &Params, at: Nanos) -> bool {
        self.is_open(at) && self.waiting + params.hashes as usize <= TOGETHER
    }

    /// Takes a packet for which there is room.
    #[inline]
    pub(super) fn add(&mut self, params: &Params, at: Nanos, digest: u64) {
        let hashes = params.hashes as usize;
        let room = &mut self.cells[self.waiting..][..hashes];
        let cells = cells(params.bits, params.hashes, self.salt, digest);
        room.iter_mut().zip(cells).for_each(|(late, cell)| *late = cell);
        self.waiting += hashes;
        self.packets += 1;
        self.left -= 1;
        self.last = self.last.max(at);
    }

    /// The cells that are yet to be set.
    pub(super) fn cells(&self) -> &[u32] {
        &self.cells[..self.waiting]
    }

    /// When the last packet came.
    pub(super) fn last(&self) -> Nanos {
        self.last
    }

    /// Writes all of it into the page.
    pub(super) fn write(&mut self, page: &mut Page) {
        self.cells().iter().for_each(|cell| page.set(*cell));
        page.inserted += self.packets;
        page.window.1 = page.window.1.max(self.last);
        (self.waiting, self.packets) = (0, 0);
    }
}
