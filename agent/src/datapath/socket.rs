//! A safe AF_PACKET socket: whole Ethernet frames in and out of one interface, or in from all.
//!
//! The socket listens to nothing until all its options are set: it is made with protocol 0 and starts
//! when it is bound, so no frame of a foreign interface, no own frame and no frame that the filter
//! refuses is ever counted. Needs CAP_NET_RAW, and CAP_NET_ADMIN to force buffers.

use std::ffi::CString;
use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// Frames handed to the kernel in one call at most.
pub const BATCH: usize = 64;

/// One instruction of a classic BPF program, as `tcpdump -dd` prints it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// Instructions to skip where a comparison holds.
    pub jt: u8,
    /// Instructions to skip where it does not.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

/// What a socket is to hear, and how.
#[derive(Debug, Clone, Copy)]
pub struct Opening<'a> {
    /// Interface by name; `None` listens on all of the current namespace and cannot send.
    pub interface: Option<&'a str>,
    /// EtherType in host order; 3 (`ETH_P_ALL`) for every frame, 0 for none (a socket that only sends).
    pub ethertype: u16,
    /// Leaves out frames that this host sends.
    pub ignore_outgoing: bool,
    /// Receive buffer in bytes, beyond the host's limit if need be; `None` keeps the default.
    pub receive_buffer: Option<usize>,
    /// Classic BPF program that a frame must pass; empty takes all.
    pub filter: &'a [Instruction],
    /// Hands frames to the driver without a queue of the host's in between.
    pub bypass_queue: bool,
}

/// Every EtherType.
pub const ALL_ETHERTYPES: u16 = 3;

impl Default for Opening<'_> {
    fn default() -> Self {
        Self {
            interface: None,
            ethertype: ALL_ETHERTYPES,
            ignore_outgoing: true,
            receive_buffer: None,
            filter: &[],
            bypass_queue: false,
        }
    }
}

/// Frames since the last time this was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Frames that passed the filter, those dropped included.
    pub packets: u32,
    /// Frames that found no room in the receive buffer.
    pub drops: u32,
}

/// An open packet socket. Never blocks, except in [`Self::recv`] for as long as the caller says.
#[derive(Debug)]
pub struct PacketSocket {
    fd: OwnedFd,
}

impl PacketSocket {
    /// Opens a socket in the network namespace of the calling thread.
    ///
    /// # Errors
    /// What the kernel says, with the option that it refused: no such interface, or no privilege.
    pub fn open(opening: &Opening<'_>) -> io::Result<Self> {
        let socket = Self::prepare(opening)?;
        socket.bind(opening)?;
        Ok(socket)
    }

    /// A socket with all its options that hears nothing until it is bound.
    pub(super) fn prepare(opening: &Opening<'_>) -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: takes no pointers.
        let raw = check(unsafe { libc::socket(libc::AF_PACKET, kind, 0) }, "open a packet socket")?;
        // SAFETY: the kernel just gave us this descriptor, and nobody else holds it.
        let socket = Self { fd: unsafe { OwnedFd::from_raw_fd(raw) } };
        if opening.ignore_outgoing {
            socket.set(
                libc::SOL_PACKET,
                libc::PACKET_IGNORE_OUTGOING,
                &1_i32,
                "leave out own frames",
            )?;
        }
        if opening.bypass_queue {
            socket.set(libc::SOL_PACKET, libc::PACKET_QDISC_BYPASS, &1_i32, "bypass the queue")?;
        }
        if let Some(bytes) = opening.receive_buffer {
            // The kernel doubles what it is asked for.
            let half = i32::try_from(bytes / 2).unwrap_or(i32::MAX);
            socket.set(libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &half, "set the receive buffer")?;
        }
        socket.attach(opening.filter)?;
        Ok(socket)
    }

    /// The next frame, cut to the buffer; `None` where none came in time.
    ///
    /// Returns the frame's own length, which is more than the buffer's where it did not fit.
    ///
    /// # Errors
    /// What the kernel says: `NetworkDown` when the interface went down, once.
    pub fn recv(&self, buffer: &mut [u8], timeout: Duration) -> io::Result<Option<usize>> {
        if let Some(len) = self.try_recv(buffer)? {
            return Ok(Some(len));
        }
        if timeout.is_zero() || !self.wait(timeout)? {
            return Ok(None);
        }
        self.try_recv(buffer)
    }

    fn try_recv(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let to = buffer.as_mut_ptr().cast();
        // SAFETY: the kernel writes at most `buffer.len()` bytes to the slice's start; with MSG_TRUNC
        // the returned length may exceed that, the written bytes never do.
        let got = unsafe { libc::recv(self.raw(), to, buffer.len(), libc::MSG_TRUNC) };
        match usize::try_from(got) {
            Ok(len) => Ok(Some(len)),
            Err(_) => match io::Error::last_os_error() {
                e if e.kind() == io::ErrorKind::WouldBlock => Ok(None),
                e => Err(e),
            },
        }
    }

    fn wait(&self, timeout: Duration) -> io::Result<bool> {
        use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
        let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(self.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(n) => Ok(n > 0),
            Err(nix::errno::Errno::EINTR) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }

    /// Sends one whole frame by the bound interface.
    ///
    /// # Errors
    /// `WouldBlock` where the interface's queue is full; else what the kernel says.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        // SAFETY: the kernel reads `frame.len()` bytes from the slice.
        let sent = unsafe { libc::send(self.raw(), frame.as_ptr().cast(), frame.len(), 0) };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Sends frames in one call, [`BATCH`] at most, and returns how many went out.
    ///
    /// # Errors
    /// As [`Self::send`], where not even the first went out.
    pub fn send_batch(&self, frames: &[&[u8]]) -> io::Result<usize> {
        let count = frames.len().min(BATCH);
        // SAFETY: all-zero bytes are valid for these plain C structures.
        let (mut vectors, mut headers): ([libc::iovec; BATCH], [libc::mmsghdr; BATCH]) =
            unsafe { (mem::zeroed(), mem::zeroed()) };
        for (i, frame) in frames[..count].iter().enumerate() {
            let base = frame.as_ptr().cast_mut().cast();
            vectors[i] = libc::iovec { iov_base: base, iov_len: frame.len() };
            headers[i].msg_hdr.msg_iov = &raw mut vectors[i];
            headers[i].msg_hdr.msg_iovlen = 1;
        }
        let vlen = u32::try_from(count).expect("invariant: BATCH is small");
        // SAFETY: the first `count` headers point at vectors of this frame of the stack, and those at
        // slices that outlive the call; the kernel only reads through them.
        let sent = unsafe { libc::sendmmsg(self.raw(), headers.as_mut_ptr(), vlen, 0) };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }

    /// Frames that came in and were dropped since the last call: reading sets both to zero.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn statistics(&self) -> io::Result<Statistics> {
        let mut stats = libc::tpacket_stats { tp_packets: 0, tp_drops: 0 };
        let mut len = socklen::<libc::tpacket_stats>();
        let (to, name) = ((&raw mut stats).cast(), libc::PACKET_STATISTICS);
        // SAFETY: the kernel writes at most `len` bytes, the size of `stats`, and changes `len`.
        let done =
            unsafe { libc::getsockopt(self.raw(), libc::SOL_PACKET, name, to, &raw mut len) };
        check(done, "read packet statistics")?;
        Ok(Statistics { packets: stats.tp_packets, drops: stats.tp_drops })
    }

    fn attach(&self, filter: &[Instruction]) -> io::Result<()> {
        if filter.is_empty() {
            return Ok(());
        }
        let step = |i: &Instruction| libc::sock_filter { code: i.code, jt: i.jt, jf: i.jf, k: i.k };
        let mut program: Vec<_> = filter.iter().map(step).collect();
        let len = u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let fprog = libc::sock_fprog { len, filter: program.as_mut_ptr() };
        // The kernel copies the program while `program` lives.
        self.set(libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &fprog, "attach a filter")
    }

    /// Starts to hear and to send.
    pub(super) fn bind(&self, opening: &Opening<'_>) -> io::Result<()> {
        // SAFETY: all-zero bytes are a valid address structure.
        let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
        address.sll_family = u16::try_from(libc::AF_PACKET).expect("invariant: 17 fits");
        address.sll_protocol = opening.ethertype.to_be();
        address.sll_ifindex = match opening.interface {
            Some(name) => interface_index(name)?,
            None => 0,
        };
        let len = socklen::<libc::sockaddr_ll>();
        // SAFETY: the address lives during the call and `len` is its size.
        let done = unsafe { libc::bind(self.raw(), (&raw const address).cast(), len) };
        check(done, "bind a packet socket").map(|_| ())
    }

    pub(super) fn set<T>(&self, level: i32, name: i32, value: &T, what: &str) -> io::Result<()> {
        let from = std::ptr::from_ref(value).cast();
        // SAFETY: callers pass the plain C type that the option takes; it lives during the call.
        let done = unsafe { libc::setsockopt(self.raw(), level, name, from, socklen::<T>()) };
        check(done, what).map(|_| ())
    }

    fn raw(&self) -> i32 {
        self.fd.as_raw_fd()
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl From<PacketSocket> for OwnedFd {
    fn from(socket: PacketSocket) -> Self {
        socket.fd
    }
}

/// The index of an interface of the calling thread's network namespace.
///
/// # Errors
/// `NotFound` names the interface.
pub fn interface_index(name: &str) -> io::Result<i32> {
    let text = CString::new(name).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: `text` is a string with a final zero that lives during the call.
    let index = unsafe { libc::if_nametoindex(text.as_ptr()) };
    match i32::try_from(index) {
        Ok(index) if index > 0 => Ok(index),
        _ => {
            let message = format!("no interface {name} in this network namespace");
            Err(io::Error::new(io::ErrorKind::NotFound, message))
        }
    }
}

fn socklen<T>() -> libc::socklen_t {
    libc::socklen_t::try_from(size_of::<T>()).expect("invariant: socket options are small")
}

fn check(result: i32, what: &str) -> io::Result<i32> {
    if result >= 0 {
        return Ok(result);
    }
    let error = io::Error::last_os_error();
    let hint = match error.kind() {
        io::ErrorKind::PermissionDenied => " (needs CAP_NET_RAW and CAP_NET_ADMIN: run as root)",
        _ => "",
    };
    Err(io::Error::new(error.kind(), format!("cannot {what}: {error}{hint}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    /// `udp dst port 9` on loopback, as tcpdump -dd "ip and udp dst port N" shortened: no options.
    fn to_port(port: u32) -> [Instruction; 4] {
        let step = |code, jt, jf, k| Instruction { code, jt, jf, k };
        [step(0x28, 0, 0, 36), step(0x15, 0, 1, port), step(0x06, 0, 0, 65535), step(0x06, 0, 0, 0)]
    }

    #[test]
    fn a_filtered_socket_counts_what_it_never_reads() {
        if !nix::unistd::geteuid().is_root() {
            println!("skipped: needs root");
            return;
        }
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = receiver.local_addr().unwrap();
        let filter = to_port(to.port().into());
        let opening = Opening {
            interface: Some("lo"),
            receive_buffer: Some(0),
            filter: &filter,
            ..Opening::default()
        };
        let tap = PacketSocket::open(&opening).unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..1000 {
            sender.send_to(b"counted", to).unwrap();
        }
        let Statistics { packets, drops } = tap.statistics().unwrap();
        assert_eq!(packets, 1000);
        assert!(drops > 900, "the buffer is tiny, yet only {drops} were dropped");
        assert_eq!(tap.statistics().unwrap(), Statistics::default(), "reading resets");
    }

    #[test]
    fn a_missing_interface_is_named() {
        if !nix::unistd::geteuid().is_root() {
            println!("skipped: needs root");
            return;
        }
        let opening = Opening { interface: Some("nosuch0"), ..Opening::default() };
        let error = PacketSocket::open(&opening).unwrap_err();
        assert!(error.to_string().contains("nosuch0"), "{error}");
    }
}
