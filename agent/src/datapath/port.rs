//! One port of a userspace router: rings over a socket that hears its interface alone, or a pnet
//! channel over it, the simplest that works.

use super::outgoing::{Flushed, Outgoing};
use super::ring::receive::ReceiveRing;
use super::ring::send::{self, SendRing};
use super::socket::{ALL_ETHERTYPES, Instruction, Opening, PacketSocket};
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::socket::{getsockopt, sockopt};
use pnet::datalink::{self, ChannelType, DataLinkReceiver, NetworkInterface};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd};
use std::time::Duration;

/// Receive buffer of a pnet channel: a tenth of a second of small frames at a million a second.
const BUFFER: usize = 16 << 20;
/// Longest frame of a pnet channel: a merged one of 64 KiB and its Ethernet header.
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

/// How frames come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// By rings in shared memory, with so many MiB for what comes in; where the kernel gives none, as
    /// [`Self::Pnet`].
    Ring(u8),
    /// By pnet's channel: two system calls for each frame. Sending takes one for a batch.
    Pnet,
}

/// An open port.
pub struct Port {
    inlet: Inlet,
    /// The inlet's own socket, for polling and statistics, and for sending what no ring takes.
    socket: PacketSocket,
    /// Frames that were put into the inlet since it was opened, and those that found no room since
    /// they were last asked for.
    stored: u64,
    drops: u64,
    /// The interface's index.
    pub index: u32,
}

enum Inlet {
    Ring(ReceiveRing, SendRing),
    Pnet(Box<dyn DataLinkReceiver>),
}

impl Port {
    /// Opens an interface of the calling thread's network namespace.
    ///
    /// # Errors
    /// No such interface, or no privilege.
    pub fn open(name: &str, channel: Channel) -> io::Result<Self> {
        let index = u32::try_from(super::socket::interface_index(name)?)
            .expect("invariant: interface_index gives positive numbers");
        let (inlet, socket) = match channel {
            Channel::Ring(mib) => ring(name, mib).or_else(|e| {
                tracing::warn!("{name} goes without rings, at less than half their rate: {e}");
                pnet(name, index)
            })?,
            Channel::Pnet => pnet(name, index)?,
        };
        Ok(Self { inlet, socket, stored: 0, drops: 0, index })
    }

    /// The next frame that waits and can be read, if any.
    pub fn receive(&mut self) -> Option<&[u8]> {
        match &mut self.inlet {
            Inlet::Ring(ring, _) => ring.receive(),
            Inlet::Pnet(channel) => channel.next().ok(),
        }
    }

    /// Sends what is gathered with few calls of the kernel: pnet makes two for each frame.
    pub fn flush(&mut self, outgoing: &mut Outgoing) -> Flushed {
        outgoing.flush(|frames| match self.send(frames) {
            Ok(sent) => sent,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.patient(frames),
            Err(_) => 0,
        })
    }

    fn send(&mut self, frames: &[&[u8]]) -> io::Result<usize> {
        match &mut self.inlet {
            // A batch goes one way or the other as a whole, so that frames stay in order.
            Inlet::Ring(_, ring) if frames.iter().all(|f| f.len() <= send::LONGEST) => {
                ring.send_batch(frames)
            }
            _ => self.socket.send_batch(frames),
        }
    }

    /// A second try, when the interface's queue has drained or patience has ended.
    fn patient(&mut self, frames: &[&[u8]]) -> usize {
        let fd = match &self.inlet {
            Inlet::Ring(_, ring) => ring.as_fd(),
            Inlet::Pnet(_) => self.socket.as_fd(),
        };
        let _ = poll(&mut [PollFd::new(fd, PollFlags::POLLOUT)], PATIENCE);
        self.send(frames).unwrap_or(0)
    }

    /// Notes which frames have come in by now.
    pub fn note(&mut self) {
        let Ok(now) = self.socket.statistics() else { return };
        let drops = u64::from(now.drops);
        self.stored += u64::from(now.packets).saturating_sub(drops);
        self.drops += drops;
    }

    /// Whether frames that came in before the last note have not been received: a ring holds them
    /// back until a block is full or late.
    pub fn owes(&self) -> bool {
        match &self.inlet {
            Inlet::Ring(ring, _) => ring.taken() < self.stored,
            // What has come in can be read.
            Inlet::Pnet(_) => false,
        }
    }

    /// Frames that found no room since the last call.
    pub fn drops(&mut self) -> u64 {
        self.note();
        if let Inlet::Ring(ring, _) = &mut self.inlet {
            self.drops += ring.torn();
        }
        std::mem::take(&mut self.drops)
    }

    /// Takes the pending error of a socket whose interface went down, which inlets leave there, so
    /// that polling it rests again.
    pub fn clear_error(&self) {
        // What the error was does not matter: netlink says what became of the interface.
        let _ = getsockopt(&self.socket, sockopt::SocketError);
    }
}

fn ring(name: &str, mib: u8) -> io::Result<(Inlet, PacketSocket)> {
    let opening = opening(name);
    let socket = PacketSocket::prepare(&opening)?;
    let inlet = Inlet::Ring(ReceiveRing::attach(&socket, mib)?, SendRing::open(name)?);
    socket.bind(&opening)?;
    Ok((inlet, socket))
}

fn pnet(name: &str, index: u32) -> io::Result<(Inlet, PacketSocket)> {
    let opening = Opening { receive_buffer: Some(BUFFER), ..opening(name) };
    let socket = PacketSocket::open(&opening)?;
    let channel = socket.as_fd().try_clone_to_owned()?;
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
        datalink::Channel::Ethernet(_, rx) => Ok((Inlet::Pnet(rx), socket)),
        _ => Err(io::Error::other("pnet gave no Ethernet channel")),
    }
}

fn opening(name: &str) -> Opening<'_> {
    Opening {
        interface: Some(name),
        ethertype: ALL_ETHERTYPES,
        filter: &UNTAGGED,
        bypass_queue: true,
        ..Opening::default()
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
