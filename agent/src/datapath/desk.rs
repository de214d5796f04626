//! How a datapath's thread and the thread that reports for it talk: requests in, events out.
//!
//! A [`Desk`] is the reporting side's end, a [`Counter`] the datapath's. Nothing is shared but
//! channels and a pipe that wakes a datapath which sleeps in `poll`.

use super::tables::Tables;
use crate::latency::Nanoseconds;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::mpsc as events;
use traceback::Nanos;
use traceback::case::{Answer, Query};
use traceback::report::Counters;

/// What a datapath is asked for.
#[derive(Debug)]
pub enum Request {
    /// The kernel's tables changed.
    Tables(Box<Tables>),
    /// Work off what waits in the sockets, then hand over everything since the last cut.
    Cut {
        /// Number that comes back with the event.
        id: u64,
        /// An empty histogram to go on with.
        fresh: Nanoseconds,
    },
    /// What was logged under these keys?
    Ask {
        /// Number that comes back with the event.
        id: u64,
        /// The question.
        query: Query,
    },
    /// End.
    Stop,
}

/// What a datapath says.
#[derive(Debug)]
pub enum Event {
    /// The answer to [`Request::Cut`].
    Cut {
        /// The request's number.
        id: u64,
        /// When.
        at: Nanos,
        /// What came together.
        share: Box<Share>,
    },
    /// The answer to [`Request::Ask`].
    Answer {
        /// The request's number.
        id: u64,
        /// What the vantage knows.
        answer: Answer,
    },
}

/// One vantage's account since its last cut.
#[derive(Debug, Clone)]
pub struct Share {
    /// Packets.
    pub counters: Counters,
    /// Observations that found no room.
    pub lost: u64,
    /// Memory that the ledger takes, in bytes.
    pub footprint: u64,
    /// The encoded ledger, where it travels.
    pub ledger: Option<Vec<u8>>,
    /// Times of the marking step.
    pub latency: Nanoseconds,
}

/// A neighbour's port and address.
pub type Neighbour = (u16, IpAddr);

/// The reporting side's end.
#[derive(Debug)]
pub struct Desk {
    /// Asks.
    pub bell: Bell,
    /// What the datapath says.
    pub events: events::Receiver<Event>,
    /// Neighbours that packets wait for.
    pub wanted: events::Receiver<Neighbour>,
}

/// Asks a datapath.
#[derive(Debug)]
pub struct Bell {
    requests: Sender<Request>,
    bell: PipeWriter,
}

/// The datapath's end.
#[derive(Debug)]
pub struct Counter {
    requests: Receiver<Request>,
    bell: PipeReader,
    events: events::Sender<Event>,
    wanted: events::Sender<Neighbour>,
}

/// Events under way at most; a datapath that gets no attention waits for it.
const EVENTS: usize = 64;
/// Neighbours that are asked for at once.
const WANTED: usize = 64;

/// Makes both ends.
///
/// # Errors
/// When the process has no file descriptor left.
pub fn pair() -> io::Result<(Desk, Counter)> {
    let (requests, inbox) = channel();
    let (reader, writer) = io::pipe()?;
    let (say, events) = events::channel(EVENTS);
    let (want, wanted) = events::channel(WANTED);
    let counter = Counter { requests: inbox, bell: reader, events: say, wanted: want };
    Ok((Desk { bell: Bell { requests, bell: writer }, events, wanted }, counter))
}

impl Bell {
    /// Asks; false where the datapath is gone.
    pub fn ask(&self, request: Request) -> bool {
        self.requests.send(request).is_ok() && (&self.bell).write_all(&[1]).is_ok()
    }

    /// A second end that can ask.
    ///
    /// # Errors
    /// When the process has no file descriptor left.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { requests: self.requests.clone(), bell: self.bell.try_clone()? })
    }
}

impl Counter {
    /// The next request; only after the pipe was readable, because it takes one byte from it.
    pub fn receive(&mut self) -> Request {
        let mut byte = [0];
        // A closed pipe or channel means that the reporting side is gone.
        if self.bell.read(&mut byte).is_ok_and(|n| n == 1) {
            return self.requests.recv().unwrap_or(Request::Stop);
        }
        Request::Stop
    }

    /// Says something; false where nobody listens.
    pub fn say(&self, event: Event) -> bool {
        self.events.blocking_send(event).is_ok()
    }

    /// Asks for a neighbour's address.
    pub fn want(&self, neighbour: Neighbour) {
        // Where too many are wanted already, the packet waits until the next one asks or is counted.
        let _ = self.wanted.try_send(neighbour);
    }
}

impl AsFd for Counter {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}
