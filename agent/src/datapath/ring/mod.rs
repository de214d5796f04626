//! Rings of frames in memory that the kernel and this process share, so that frames change hands
//! without a system call for each.
//!
//! ```text
//! receive   | block 0 | block 1 | ... |   frames of any length packed into blocks (TPACKET_V3);
//!                                         the kernel hands over a block when it is full or late
//! send      | slot 0 | slot 1 | ... |     one short frame in each (TPACKET_V2), many to a call
//! ```
//! A word at the start of each block and slot says whose it is; whoever does not own one keeps its
//! hands off. Memory for each port, never swapped: as many MiB as are asked for to receive, [`send::MEMORY`] to send.
//!
//! Why these kinds of rings, with measurements: docs/decisions.md, "rings".

pub mod receive;
pub mod send;

use super::socket::PacketSocket;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicU32;

/// A socket's ring, mapped until this is dropped.
#[derive(Debug)]
struct Shared {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping belongs to the process, not to the thread that made it, and nobody else has it.
unsafe impl Send for Shared {}

impl Shared {
    /// Maps the ring that a socket was given.
    fn map(socket: &PacketSocket, len: usize) -> io::Result<Self> {
        let (access, fd) = (libc::PROT_READ | libc::PROT_WRITE, socket.as_fd().as_raw_fd());
        // SAFETY: a new mapping at an address that the kernel chooses touches no memory of ours.
        let got = unsafe { libc::mmap(ptr::null_mut(), len, access, libc::MAP_SHARED, fd, 0) };
        if got == libc::MAP_FAILED {
            let e = io::Error::last_os_error();
            return Err(io::Error::new(e.kind(), format!("cannot map a ring: {e}")));
        }
        let start = NonNull::new(got.cast()).ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Self { start, len })
    }

    /// The word at an offset that says who owns what lies around it.
    fn owner(&self, offset: usize) -> &AtomicU32 {
        assert!(
            offset.is_multiple_of(4) && offset < self.len,
            "invariant: rings keep to their parts"
        );
        // SAFETY: inside the mapping, which lives as long as `self`; aligned, because mappings start
        // at a page. The kernel and we touch ownership words in single accesses only.
        unsafe { AtomicU32::from_ptr(self.start.as_ptr().add(offset).cast()) }
    }

    /// The bytes of a part that the kernel has handed over.
    ///
    /// # Safety
    /// This process owns the part until the slice is gone, and nobody changes it meanwhile.
    unsafe fn read(&self, offset: usize, len: usize) -> &[u8] {
        self.check(offset, len);
        // SAFETY: inside the mapping; the caller upholds the rest.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().add(offset), len) }
    }

    /// The bytes of a part that the kernel has handed over, to be written.
    ///
    /// # Safety
    /// This process owns the part until the slice is gone; `&mut self` keeps others of us out.
    unsafe fn write(&mut self, offset: usize, len: usize) -> &mut [u8] {
        self.check(offset, len);
        // SAFETY: inside the mapping; the caller upholds the rest.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr().add(offset), len) }
    }

    fn check(&self, offset: usize, len: usize) {
        let inside = offset.checked_add(len).is_some_and(|end| end <= self.len);
        assert!(inside, "invariant: rings keep to their parts");
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: exactly what `map` got; every borrow of it ended with the borrow of `self`.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}
