//! A ring of slots that the kernel sends from (TPACKET_V2): one call for as many frames as are due.
//!
//! The kernel takes the header of a frame into a buffer of its own and leaves the rest in the ring;
//! over a virtual link it must copy that rest again, into a fresh page. A virtio header before the
//! frame says how long its header is: saying "all of it" saves the page, and is what makes this ring
//! faster than sendmmsg.

use super::super::socket::{BATCH, Opening, PacketSocket};
use super::Shared;
use std::io;
use std::mem::offset_of;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::Ordering;

/// Bytes of a ring.
pub const MEMORY: usize = SLOT * SLOTS;
/// Longest frame that goes by the ring.
pub const LONGEST: usize = SLOT - DATA - VIRTIO;

/// Slots: as many frames can be on their way through a network card's driver at once.
const SLOTS: usize = 2 * BATCH;
const SLOT: usize = 2 << 10;
/// Where the kernel looks for the bytes to send: behind its header, where an address would be.
const DATA: usize = libc::TPACKET2_HDRLEN - size_of::<libc::sockaddr_ll>();
/// `struct virtio_net_hdr`: flags, kind of segments, length of the header, and three words unused here.
const VIRTIO: usize = 10;
const HEADER_LENGTH: usize = 2;

/// A ring of frames to send by one interface, with a socket that hears nothing.
#[derive(Debug)]
pub struct SendRing {
    socket: PacketSocket,
    shared: Shared,
    /// The slot where the kernel goes on.
    next: usize,
}

impl SendRing {
    /// Opens a ring for an interface of the calling thread's network namespace.
    ///
    /// # Errors
    /// What the kernel says: no such interface, no privilege, no memory, or no such ring.
    pub fn open(interface: &str) -> io::Result<Self> {
        let opening = Opening {
            interface: Some(interface),
            ethertype: 0,
            bypass_queue: true,
            ..Opening::default()
        };
        let number = |n: usize| u32::try_from(n).expect("invariant: rings are small");
        let request = libc::tpacket_req {
            tp_block_size: number(MEMORY / 8),
            tp_block_nr: 8,
            tp_frame_size: number(SLOT),
            tp_frame_nr: number(SLOTS),
        };
        let socket = PacketSocket::prepare(&opening)?;
        let version = libc::tpacket_versions::TPACKET_V2 as i32;
        socket.set(libc::SOL_PACKET, libc::PACKET_VERSION, &version, "choose TPACKET_V2")?;
        socket.set(libc::SOL_PACKET, libc::PACKET_VNET_HDR, &1_i32, "send virtio headers")?;
        socket.set(libc::SOL_PACKET, libc::PACKET_TX_RING, &request, "make a send ring")?;
        let shared = Shared::map(&socket, MEMORY)?;
        socket.bind(&opening)?;
        Ok(Self { socket, shared, next: 0 })
    }

    /// Sends frames of [`LONGEST`] bytes at most in one call, and returns how many of the first went out.
    ///
    /// # Errors
    /// `WouldBlock` where the ring or the interface's queue is full, else what the kernel says, where
    /// not even the first went out.
    pub fn send_batch(&mut self, frames: &[&[u8]]) -> io::Result<usize> {
        let filled = frames.iter().take(SLOTS).enumerate();
        let filled = filled.take_while(|(n, frame)| self.fill(*n, frame)).count();
        if filled == 0 && !frames.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let said = self.socket.send(&[]);
        let sent = (0..filled).take_while(|n| self.is_sent(*n)).count();
        // The kernel stopped at the first of these and would go on there. They are the caller's again.
        for n in sent..filled {
            self.owner(n).store(libc::TP_STATUS_AVAILABLE, Ordering::Relaxed);
        }
        self.next = (self.next + sent) % SLOTS;
        match said {
            Err(e) if sent == 0 => Err(e),
            Ok(()) if sent == 0 && filled > 0 => Err(io::ErrorKind::WouldBlock.into()),
            _ => Ok(sent),
        }
    }

    /// Puts a frame into the n-th slot from where the kernel goes on; false where the slot is still in
    /// use or the frame does not fit.
    fn fill(&mut self, n: usize, frame: &[u8]) -> bool {
        let free = self.owner(n).load(Ordering::Acquire) == libc::TP_STATUS_AVAILABLE;
        if !free || frame.len() > LONGEST {
            return false;
        }
        let start = self.slot(n);
        // SAFETY: a slot that is available is ours until `send_batch` asks the kernel to send it; the
        // word that says so is not part of the slice.
        let slot = unsafe { self.shared.write(start + LENGTH, SLOT - LENGTH) };
        let all = u32::try_from(VIRTIO + frame.len()).expect("invariant: slots are small");
        slot[..4].copy_from_slice(&all.to_ne_bytes());
        let (header, data) = slot[DATA - LENGTH..].split_at_mut(VIRTIO);
        header.fill(0);
        let length = u16::try_from(frame.len()).expect("invariant: slots are small");
        header[HEADER_LENGTH..HEADER_LENGTH + 2].copy_from_slice(&length.to_ne_bytes());
        data[..frame.len()].copy_from_slice(frame);
        // Release: the kernel sees the frame before it sees the request.
        self.owner(n).store(libc::TP_STATUS_SEND_REQUEST, Ordering::Release);
        true
    }

    /// Whether the kernel took the frame: it is gone, or a driver holds it.
    fn is_sent(&self, n: usize) -> bool {
        let refused = libc::TP_STATUS_SEND_REQUEST | libc::TP_STATUS_WRONG_FORMAT;
        self.owner(n).load(Ordering::Acquire) & refused == 0
    }

    fn slot(&self, n: usize) -> usize {
        (self.next + n) % SLOTS * SLOT
    }

    fn owner(&self, n: usize) -> &std::sync::atomic::AtomicU32 {
        self.shared.owner(self.slot(n) + offset_of!(libc::tpacket2_hdr, tp_status))
    }
}

/// Where a slot's header holds the length of what follows.
const LENGTH: usize = offset_of!(libc::tpacket2_hdr, tp_len);

impl AsFd for SendRing {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
