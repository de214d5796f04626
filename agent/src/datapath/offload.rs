//! Keeps the kernel from merging received frames (GRO, LRO) while a router works, and gives the
//! interface its settings back afterwards: a merged frame is larger than any link, and its mark would
//! stand for many packets.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// Numbers of `linux/ethtool.h`, which libc does not name.
const GET_FLAGS: u32 = 0x25;
const SET_FLAGS: u32 = 0x26;
const GET_GRO: u32 = 0x2b;
const SET_GRO: u32 = 0x2c;
const FLAG_LRO: u32 = 1 << 15;
const SIOCETHTOOL: libc::c_ulong = 0x8946;

#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

/// An interface whose frames come as they were sent, until this is dropped.
#[derive(Debug)]
pub struct Unmerged {
    name: String,
    socket: OwnedFd,
    gro: Option<u32>,
    flags: Option<u32>,
}

impl Unmerged {
    /// Switches merging off on an interface of the calling thread's network namespace.
    ///
    /// Interfaces that cannot merge are left as they are.
    ///
    /// # Errors
    /// When there is no socket to ask with.
    pub fn keep(name: &str) -> io::Result<Self> {
        use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
        let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
        let mut kept = Self { name: name.to_owned(), socket, gro: None, flags: None };
        if let Some(1) = kept.ethtool(GET_GRO, 0)
            && kept.ethtool(SET_GRO, 0).is_some()
        {
            kept.gro = Some(1);
        }
        if let Some(flags) = kept.ethtool(GET_FLAGS, 0)
            && flags & FLAG_LRO != 0
            && kept.ethtool(SET_FLAGS, flags & !FLAG_LRO).is_some()
        {
            kept.flags = Some(flags);
        }
        Ok(kept)
    }

    /// The answer's value; `None` where the interface refuses.
    fn ethtool(&self, command: u32, data: u32) -> Option<u32> {
        let mut value = Value { command, data };
        // SAFETY: all-zero bytes are a valid request structure.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        // The last byte stays zero: it ends the name.
        let room = request.ifr_name.len() - 1;
        for (to, from) in request.ifr_name[..room].iter_mut().zip(self.name.bytes()) {
            *to = libc::c_char::from_ne_bytes([from]);
        }
        request.ifr_ifru.ifru_data = (&raw mut value).cast();
        // SAFETY: the request points at `value`, the structure that these commands read and write;
        // both live during the call.
        let done = unsafe { libc::ioctl(self.socket.as_raw_fd(), SIOCETHTOOL, &raw mut request) };
        (done == 0).then_some(value.data)
    }
}

impl Drop for Unmerged {
    fn drop(&mut self) {
        if let Some(gro) = self.gro {
            self.ethtool(SET_GRO, gro);
        }
        if let Some(flags) = self.flags {
            self.ethtool(SET_FLAGS, flags);
        }
    }
}
