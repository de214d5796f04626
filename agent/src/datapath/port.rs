//! One port of a userspace router: a pnet channel over a socket that hears its interface alone.

use super::outgoing::{Flushed, Outgoing};
use super::socket::{ALL_ETHERTYPES, Instruction, Opening, PacketSocket};
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::socket::{getsockopt, sockopt};
use pnet::datalink::{self, Channel, ChannelType, DataLinkReceiver, NetworkInterface};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd};
use std::time::Duration;

/// Receive buffer: a tenth of a second of small frames at a million a second.
const BUFFER: usize = 16 << 20;
/// Longest frame: a merged one of 64 KiB and its Ethernet header.
const FRAME: usize = (64 << 10) + 64;
/// How long a full queue of the interface may hold up the router, in milliseconds.
const PATIENCE: u8 = 1;

/// Refuses frames with a VLAN tag: the kernel takes the tag out of the bytes, so the router would
/// take another network's frames for its own.
const UNTAGGED: [Instruction; 4] = [
    // Load SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT; accept where it is 0.
    Instruction { code: 0x30, jt: 0, jf: 0, k: 0xffff_f030 },
    Instruction { code: 0x15, jt: 0, jf: 1, k: 0 },
    Instruction { code: 0x06, jt: 0, jf: 0, k: u32::MAX },
    Instruction { code: 0x06, jt: 0, jf: 0, k: 0 },
];

/// An open port.
pub struct Port {
    rx: Box<dyn DataLinkReceiver>,
    /// The channel's own socket: for sending in batches, polling and statistics.
    socket: PacketSocket,
    /// The interface's index.
    pub index: u32,
}

impl Port {
    /// Opens an interface of the calling thread's network namespace.
    ///
    /// # Errors
    /// No such interface, or no privilege.
    pub fn open(name: &str) -> io::Result<Self> {
        let socket = PacketSocket::open(&Opening {
            interface: Some(name),
            ethertype: ALL_ETHERTYPES,
            receive_buffer: Some(BUFFER),
            filter: &UNTAGGED,
            bypass_queue: true,
            ..Opening::default()
        })?;
        let channel = socket.as_fd().try_clone_to_owned()?;
        let index = u32::try_from(super::socket::interface_index(name)?)
            .expect("invariant: interface_index gives positive numbers");
        let config = datalink::Config {
            // Sending goes past this buffer.
            write_buffer_size: 0,
            read_buffer_size: FRAME,
            read_timeout: Some(Duration::ZERO),
            channel_type: ChannelType::Layer2,
            promiscuous: false,
            // pnet's own socket would hear all interfaces until it is bound, and own frames after.
            socket_fd: Some(channel.into_raw_fd()),
            ..datalink::Config::default()
        };
        // pnet needs the index alone to bind; binding again to the same place changes nothing.
        let interface = NetworkInterface {
            name: name.to_owned(),
            description: String::new(),
            index,
            mac: None,
            ips: vec![],
            flags: 0,
        };
        match datalink::channel(&interface, config)? {
            Channel::Ethernet(_, rx) => Ok(Self { rx, socket, index }),
            _ => Err(io::Error::other("pnet gave no Ethernet channel")),
        }
    }

    /// The next frame that waits, if any.
    pub fn next(&mut self) -> Option<&[u8]> {
        self.rx.next().ok()
    }

    /// Sends what is gathered in one call of the kernel: pnet makes two calls for each frame.
    pub fn flush(&mut self, outgoing: &mut Outgoing) -> Flushed {
        outgoing.flush(|frames| match self.socket.send_batch(frames) {
            Ok(sent) => sent,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.patient(frames),
            Err(_) => 0,
        })
    }

    /// A second try, when the interface's queue has drained or patience has ended.
    fn patient(&self, frames: &[&[u8]]) -> usize {
        let mut wait = [PollFd::new(self.socket.as_fd(), PollFlags::POLLOUT)];
        let _ = poll(&mut wait, PATIENCE);
        self.socket.send_batch(frames).unwrap_or(0)
    }

    /// Frames that found no room since the last call.
    pub fn drops(&self) -> u64 {
        self.socket.statistics().map_or(0, |s| s.drops.into())
    }

    /// Takes the pending error of a socket whose interface went down, which pnet leaves there, so
    /// that polling it rests again.
    pub fn clear_error(&self) {
        // What the error was does not matter: netlink says what became of the interface.
        let _ = getsockopt(&self.socket, sockopt::SocketError);
    }
}

impl AsFd for Port {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl std::fmt::Debug for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Port").field("index", &self.index).finish_non_exhaustive()
    }
}
