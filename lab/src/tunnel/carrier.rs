//! The thread that moves frames between TAP interfaces and other hosts, sealed and opened by WireGuard.
//!
//! It takes packets from addresses of its peers only, and frames of a link only from the host at its other end.
//! What does not authenticate, or comes a second time, is dropped and counted.

use super::frame::{HEADER, LONGEST, unwrap, wrap};
use super::half::Half;
use anyhow::{Context, Result};
use boringtun::noise::{Tunn, TunnResult};
use boringtun::x25519::PublicKey;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{setsockopt, sockopt::RcvBufForce};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Bytes that the cipher adds, at most.
const SEAL: usize = 32;
/// Packets taken from one place before others have their turn.
const BATCH: usize = 64;
/// How often the protocol's timers are looked at, and how long the thread sleeps at most.
const TICK: Duration = Duration::from_millis(100);
/// Bytes of packets that may wait in the socket.
const WAITING: usize = 32 << 20;

/// One end of a link: the file of a TAP interface.
#[derive(Debug)]
pub struct Tap {
    /// The link's number, which both ends know it by.
    pub link: u32,
    /// The host at its other end.
    pub far: IpAddr,
    /// Frames.
    pub file: File,
}

/// A host at the other end of tunnels.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    /// Where it is.
    pub address: SocketAddr,
    /// Its key for this run.
    pub key: PublicKey,
}

/// What came of packets, since the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Peers that proved who they are.
    pub joined: u64,
    /// Frames sent.
    pub sealed: u64,
    /// Frames received.
    pub opened: u64,
    /// Datagrams that did not authenticate, came twice, came from elsewhere, or held no frame of a link of that peer.
    pub refused: u64,
    /// Frames that socket or interface did not take.
    pub lost: u64,
}

#[derive(Debug, Default)]
struct Counters([AtomicU64; 5]);

#[derive(Debug, Clone, Copy)]
enum What {
    Joined,
    Sealed,
    Opened,
    Refused,
    Lost,
}

impl Counters {
    fn add(&self, what: What) {
        self.0[what as usize].fetch_add(1, Ordering::Relaxed);
    }

    fn tally(&self) -> Tally {
        let [joined, sealed, opened, refused, lost] =
            self.0.each_ref().map(|n| n.load(Ordering::Relaxed));
        Tally { joined, sealed, opened, refused, lost }
    }
}

/// Tunnels that carry. Dropped, they end, and their interfaces go.
#[derive(Debug)]
pub struct Carrier {
    counters: Arc<Counters>,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Opens the socket at which other hosts' packets come in; they may come before the carrier starts.
///
/// # Errors
/// When address or port are taken, or not this host's.
pub fn listen(near: SocketAddr) -> Result<UdpSocket> {
    let socket = UdpSocket::bind(near)
        .with_context(|| format!("cannot listen on UDP {near} for tunnels (tunnel_port)"))?;
    socket.set_nonblocking(true)?;
    // Without the privilege the system's own size must do.
    let _ = setsockopt(&socket, RcvBufForce, &WAITING);
    Ok(socket)
}

impl Carrier {
    /// Starts to carry, in a thread of its own.
    ///
    /// # Errors
    /// When an interface leads to nobody, or there is no thread to be had.
    pub fn start(socket: UdpSocket, half: &Half, peers: &[Peer], taps: Vec<Tap>) -> Result<Self> {
        let near = socket.local_addr()?;
        let session = |(at, peer): (usize, &Peer)| Session {
            address: peer.address,
            begins: near < peer.address,
            joined: false,
            tunn: Tunn::new(
                half.secret(),
                peer.key,
                None,
                None,
                u32::try_from(at).unwrap_or(0),
                None,
            ),
        };
        let sessions: Vec<Session> = peers.iter().enumerate().map(session).collect();
        let mut ends = vec![];
        for Tap { link, far, file } in taps {
            let peer = peers.iter().position(|peer| peer.address.ip() == far);
            ends.push(End { link, peer: peer.with_context(|| format!("no key of {far}"))?, file });
        }
        let (counters, end) = (Arc::new(Counters::default()), Arc::new(AtomicBool::new(false)));
        let shared = Shared { socket, counters: counters.clone() };
        let work = Work {
            at: peers.iter().enumerate().map(|(at, peer)| (peer.address, at)).collect(),
            links: ends.iter().enumerate().map(|(at, end)| (end.link, at)).collect(),
            sessions,
            ends,
            shared,
            end: end.clone(),
            clear: vec![0; HEADER + LONGEST].into(),
            sealed: vec![0; HEADER + LONGEST + SEAL].into(),
        };
        let thread = thread::Builder::new().name("tunnels".into()).spawn(move || work.carry())?;
        Ok(Self { counters, end, thread: Some(thread) })
    }

    /// What came of packets so far.
    pub fn tally(&self) -> Tally {
        self.counters.tally()
    }

    /// Waits until so many peers have proved who they are; whether they did.
    pub fn await_peers(&self, peers: usize, patience: Duration) -> bool {
        let end = Instant::now() + patience;
        while self.tally().joined < peers as u64 {
            if Instant::now() > end {
                return false;
            }
            thread::sleep(Duration::from_millis(2));
        }
        true
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Session {
    address: SocketAddr,
    /// Whether this side says the first word.
    begins: bool,
    joined: bool,
    tunn: Tunn,
}

struct End {
    link: u32,
    /// Position of its peer.
    peer: usize,
    file: File,
}

struct Shared {
    socket: UdpSocket,
    counters: Arc<Counters>,
}

impl Shared {
    /// Sends what the protocol has to say; whether there was anything.
    fn say(&self, to: SocketAddr, result: TunnResult<'_>) -> bool {
        match result {
            TunnResult::WriteToNetwork(bytes) => {
                if self.socket.send_to(bytes, to).is_err() {
                    self.counters.add(What::Lost);
                }
                true
            }
            _ => false,
        }
    }
}

struct Work {
    sessions: Vec<Session>,
    at: BTreeMap<SocketAddr, usize>,
    ends: Vec<End>,
    /// Positions of ends by their links.
    links: BTreeMap<u32, usize>,
    shared: Shared,
    end: Arc<AtomicBool>,
    clear: Box<[u8]>,
    sealed: Box<[u8]>,
}

impl Work {
    fn carry(mut self) {
        for session in self.sessions.iter_mut().filter(|session| session.begins) {
            let first = session.tunn.format_handshake_initiation(&mut self.sealed, false);
            self.shared.say(session.address, first);
        }
        let mut ticked = Instant::now();
        let mut ready = vec![];
        while !self.end.load(Ordering::Relaxed) {
            self.wait(&mut ready);
            if ready.first() == Some(&true) {
                self.take_in();
            }
            for end in (0..self.ends.len()).filter(|end| ready.get(end + 1) == Some(&true)) {
                self.take_out(end);
            }
            if ticked.elapsed() >= TICK {
                ticked = Instant::now();
                self.tick();
            }
        }
    }

    /// Sleeps until something comes; the socket first, then every end.
    fn wait(&self, ready: &mut Vec<bool>) {
        let files = self.ends.iter().map(|end| end.file.as_fd());
        let all = std::iter::once(self.shared.socket.as_fd()).chain(files);
        let mut all: Vec<PollFd<'_>> = all.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        let most = PollTimeout::try_from(TICK).unwrap_or(PollTimeout::ZERO);
        ready.clear();
        if poll(&mut all, most).is_ok_and(|n| n > 0) {
            ready.extend(all.iter().map(|fd| fd.any() == Some(true)));
        }
    }

    /// Datagrams of other hosts.
    fn take_in(&mut self) {
        for _ in 0..BATCH {
            let Ok((length, from)) = self.shared.socket.recv_from(&mut self.sealed) else { return };
            let Some(&peer) = self.at.get(&from) else {
                self.shared.counters.add(What::Refused);
                continue;
            };
            let session = &mut self.sessions[peer];
            match session.tunn.decapsulate(Some(from.ip()), &self.sealed[..length], &mut self.clear)
            {
                TunnResult::WriteToTunnelV4(packet, _) => {
                    deliver(packet, peer, &self.links, &mut self.ends, &self.shared.counters);
                }
                TunnResult::Err(_) | TunnResult::WriteToTunnelV6(..) => {
                    self.shared.counters.add(What::Refused);
                }
                TunnResult::Done => {}
                said @ TunnResult::WriteToNetwork(_) => {
                    let mut more = self.shared.say(from, said);
                    while more {
                        let next = session.tunn.decapsulate(None, &[], &mut self.clear);
                        more = self.shared.say(from, next);
                    }
                }
            }
            if !session.joined && session.tunn.time_since_last_handshake().is_some() {
                session.joined = true;
                self.shared.counters.add(What::Joined);
            }
        }
    }

    /// Frames of a node.
    fn take_out(&mut self, at: usize) {
        let end = &mut self.ends[at];
        let session = &mut self.sessions[end.peer];
        for _ in 0..BATCH {
            let Ok(length) = end.file.read(&mut self.clear[HEADER..]) else { return };
            let packet = &mut self.clear[..HEADER + length];
            wrap(packet, end.link);
            let sealed = session.tunn.encapsulate(packet, &mut self.sealed);
            self.shared.say(session.address, sealed);
            self.shared.counters.add(What::Sealed);
        }
    }

    fn tick(&mut self) {
        for session in &mut self.sessions {
            let said = session.tunn.update_timers(&mut self.sealed);
            self.shared.say(session.address, said);
        }
    }
}

fn deliver(
    packet: &[u8],
    from: usize,
    links: &BTreeMap<u32, usize>,
    ends: &mut [End],
    counters: &Counters,
) {
    let end = unwrap(packet).and_then(|(link, frame)| Some((*links.get(&link)?, frame)));
    let Some((at, frame)) = end.filter(|(at, _)| ends[*at].peer == from) else {
        counters.add(What::Refused);
        return;
    };
    match ends[at].file.write_all(frame) {
        Ok(()) => counters.add(What::Opened),
        Err(_) => counters.add(What::Lost),
    }
}
