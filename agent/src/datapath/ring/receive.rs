//! A ring of blocks that the kernel fills with received frames (TPACKET_V3).
//!
//! The kernel hands over a block when the next frame does not fit, or when the block's time is up. A
//! reader is woken for a block, not for a frame; that is what makes it cheap, and it has two
//! prices. A lone frame waits until the time is up: [`EAGER`] or [`PATIENT`]. And frames may have come in
//! that cannot be read yet: whoever must not miss them compares [`ReceiveRing::taken`] with the
//! socket's statistics.

use super::super::socket::PacketSocket;
use super::Shared;
use std::io;
use std::mem::offset_of;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Longest frame that is kept whole; of a longer one, the kernel keeps the start.
pub const LONGEST: usize = BLOCK - BLOCK_HEADER - HEADROOM;

/// Bytes of a block. Smaller ones wake the reader more often: 16 KiB cost 110 ns of its time for a frame,
/// 64 KiB 50 ns, 256 KiB 40 ns.
const BLOCK: usize = 64 << 10;
/// Blocks for each MiB. Where frames are too few to fill a block in its time, each block still holds that
/// time, so for each MiB the reader may be late by 16 ms ([`EAGER`]) or 64 ms ([`PATIENT`]). At higher
/// rates a block holds 450 of the smallest frames, or 40 of 1500 bytes.
const BLOCKS: usize = (1 << 20) / BLOCK;
/// The kernel wants a size of frames that divides a block, but packs them tightly.
const FRAME: usize = 2 << 10;
/// Header of a block, as the kernel aligns it.
const BLOCK_HEADER: usize = 48;
/// What the kernel puts before a frame at most: its header, an address, room to align.
const HEADROOM: usize = 96;
/// Where a block's header says how much it holds, and whose it is.
const HEADER: usize = offset_of!(libc::tpacket_block_desc, hdr);
const OWNER: usize = HEADER + offset_of!(libc::tpacket_hdr_v1, block_status);

/// When the kernel hands over a block that is not full, in the first rings of a process.
pub const EAGER: Duration = Duration::from_millis(1);
/// The same in later rings. The kernel's timer fires in idle rings too, and took 7 to 10 us a time on
/// our virtual machine: 120 rings at 1 ms took more than one of two cores, at 4 ms, which is a tick,
/// a tenth of one.
pub const PATIENT: Duration = Duration::from_millis(4);
/// Rings of a process that may be eager.
const FIRST: u32 = 8;
/// Rings that this process has open.
static OPEN: AtomicU32 = AtomicU32::new(0);

/// A ring of received frames.
#[derive(Debug)]
pub struct ReceiveRing {
    shared: Shared,
    blocks: usize,
    /// The block that is read, or the next one that will be.
    block: usize,
    /// Whether the kernel has handed it over and not got it back.
    ours: bool,
    /// Frames left in it, and where the next one starts.
    left: u32,
    at: usize,
    taken: u64,
    torn: u64,
    _open: Open,
}

impl ReceiveRing {
    /// Gives a ring of so many MiB to a socket that is not bound yet.
    ///
    /// # Errors
    /// What the kernel says: no memory, or no such ring.
    pub fn attach(socket: &PacketSocket, mib: u8) -> io::Result<Self> {
        let open = Open::new();
        let late = if open.0 < FIRST { EAGER } else { PATIENT };
        let blocks = usize::from(mib) * BLOCKS;
        let number = |n: usize| u32::try_from(n).expect("invariant: rings are small");
        let request = libc::tpacket_req3 {
            tp_block_size: number(BLOCK),
            tp_block_nr: number(blocks),
            tp_frame_size: number(FRAME),
            tp_frame_nr: number(blocks * BLOCK / FRAME),
            tp_retire_blk_tov: u32::try_from(late.as_millis()).expect("invariant: a few"),
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        };
        let version = libc::tpacket_versions::TPACKET_V3 as i32;
        socket.set(libc::SOL_PACKET, libc::PACKET_VERSION, &version, "choose TPACKET_V3")?;
        socket.set(libc::SOL_PACKET, libc::PACKET_RX_RING, &request, "make a receive ring")?;
        let shared = Shared::map(socket, blocks * BLOCK)?;
        let start = Self {
            shared,
            blocks,
            block: 0,
            ours: false,
            left: 0,
            at: 0,
            taken: 0,
            torn: 0,
            _open: open,
        };
        Ok(start)
    }

    /// The next frame that can be read, in place.
    pub fn receive(&mut self) -> Option<&[u8]> {
        let found = loop {
            if self.left == 0 {
                self.give_back();
                if !self.take() {
                    return None;
                }
                continue;
            }
            match frame(self.block(), self.at) {
                Some(found) => break found,
                None => self.give_up(),
            }
        };
        self.left -= 1;
        self.taken += 1;
        self.at = found.1;
        Some(&self.block()[found.0])
    }

    /// Frames that left the ring since it was made.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Frames since the last call that the kernel announced and nobody could find.
    pub fn torn(&mut self) -> u64 {
        std::mem::take(&mut self.torn)
    }

    /// The block that is ours.
    fn block(&self) -> &[u8] {
        assert!(self.ours, "invariant: `receive` reads a block after `take` got it");
        // SAFETY: the kernel has handed it over, and gets it back in `give_back` only, which needs
        // `&mut self`: when this borrow has ended.
        unsafe { self.shared.read(self.block * BLOCK, BLOCK) }
    }

    /// Leaves the rest of a block whose lengths lead nowhere.
    fn give_up(&mut self) {
        let left = u64::from(std::mem::take(&mut self.left));
        self.torn += left;
        self.taken += left;
    }

    /// Takes over the next block, if the kernel is done with it.
    fn take(&mut self) -> bool {
        let owner = self.shared.owner(self.block * BLOCK + OWNER);
        // Acquire: what the kernel wrote into the block before this word is seen after it.
        if owner.load(Ordering::Acquire) & libc::TP_STATUS_USER == 0 {
            return false;
        }
        self.ours = true;
        let count = HEADER + offset_of!(libc::tpacket_hdr_v1, num_pkts);
        let first = HEADER + offset_of!(libc::tpacket_hdr_v1, offset_to_first_pkt);
        let word = |at| word(self.block(), at).expect("invariant: blocks are larger than headers");
        (self.left, self.at) = (word(count), word(first) as usize);
        true
    }

    /// Gives back the block that has been read, once.
    fn give_back(&mut self) {
        if !std::mem::take(&mut self.ours) {
            return;
        }
        let owner = self.shared.owner(self.block * BLOCK + OWNER);
        // Release: what we read was read before the kernel may write there.
        owner.store(libc::TP_STATUS_KERNEL, Ordering::Release);
        self.block = (self.block + 1) % self.blocks;
    }
}

/// Where the frame lies whose header starts at `at`, and where the header after it should be; `None`
/// where the header's lengths lead out of the block.
fn frame(block: &[u8], at: usize) -> Option<(Range<usize>, usize)> {
    let header = block.get(at..at.checked_add(size_of::<libc::tpacket3_hdr>())?)?;
    let field = |offset: usize| word(header, offset).map(|w| w as usize);
    let len = field(offset_of!(libc::tpacket3_hdr, tp_snaplen))?;
    let next = field(offset_of!(libc::tpacket3_hdr, tp_next_offset))?;
    let mac = header[offset_of!(libc::tpacket3_hdr, tp_mac)..].first_chunk()?;
    let start = at.checked_add(u16::from_ne_bytes(*mac).into())?;
    let end = start.checked_add(len)?;
    (end <= block.len()).then_some((start..end, at.checked_add(next)?))
}

/// The word at an offset, in the machine's order.
fn word(block: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*block.get(at..)?.first_chunk()?))
}

/// One ring's number among those of the process.
#[derive(Debug)]
struct Open(u32);

impl Open {
    fn new() -> Self {
        Self(OPEN.fetch_add(1, Ordering::Relaxed))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block with one frame's header at 48.
    fn block(next: u32, len: u32, mac: u16) -> Vec<u8> {
        let mut block = vec![0; 4096];
        block[48..52].copy_from_slice(&next.to_ne_bytes());
        block[60..64].copy_from_slice(&len.to_ne_bytes());
        block[72..74].copy_from_slice(&mac.to_ne_bytes());
        block
    }

    #[test]
    fn a_frame_is_found_where_its_header_says() {
        assert_eq!(frame(&block(160, 60, 82), 48), Some((130..190, 208)));
        assert_eq!(frame(&block(0, 4096 - 130, 82), 48), Some((130..4096, 48)), "to the end");
        assert_eq!(frame(&block(160, 0, 82), 48), Some((130..130, 208)), "an empty one");
    }

    #[test]
    fn lengths_that_lead_out_of_the_block_find_nothing() {
        assert_eq!(frame(&block(160, 4096 - 129, 82), 48), None, "one byte too long");
        assert_eq!(frame(&block(160, u32::MAX, u16::MAX), 48), None);
        assert_eq!(frame(&block(160, 60, u16::MAX), 48), None, "starts outside");
        for at in [4096 - 47, 4096, usize::MAX] {
            assert_eq!(frame(&block(160, 60, 82), at), None, "no header at {at}");
        }
    }
}
