//! What a vantage hands to its collector, with a versioned codec.
//!
//! ```text
//! "ASHR" | version 1 | scheme (len, utf-8) | router (4) | role (1) | from (8) | to (8)
//!        | 14 counters, lost, footprint (varint) | ledger (0, or 1 + len + bytes) | latency (len + bytes)
//! ```
//! Integers are little-endian or LEB128. A report names its router; the transport proves its sender,
//! and the collector refuses a report in another's name.

use crate::case::Window;
use crate::ledger::{BadBytes, Reader, put_varint};
use crate::scheme::{Nanos, RouterId};
use crate::vantage::Harms;
use serde::{Deserialize, Serialize};

/// Packets that went in, out, or nowhere at one router.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counters {
    /// Frames received, those for this host included.
    pub received: u64,
    /// Packets sent on.
    pub forwarded: u64,
    /// Packets for the router itself, and frames that are not IP: left to the kernel.
    pub local: u64,
    /// Messages of the router's own: errors to packets' senders, and what a scheme makes it say.
    pub answered: u64,
    /// Dropped: headers that make no sense.
    pub malformed: u64,
    /// Dropped: no route or no neighbour.
    pub unroutable: u64,
    /// Dropped: TTL spent, or too large for the next link.
    pub expired: u64,
    /// Dropped: the host could not send or receive fast enough.
    pub overrun: u64,
    /// What marking did.
    #[serde(flatten)]
    pub harms: Harms,
}

impl Counters {
    /// Adds another count.
    pub fn add(&mut self, other: &Self) {
        self.received += other.received;
        self.forwarded += other.forwarded;
        self.local += other.local;
        self.answered += other.answered;
        self.malformed += other.malformed;
        self.unroutable += other.unroutable;
        self.expired += other.expired;
        self.overrun += other.overrun;
        self.harms.add(&other.harms);
    }

    /// Packets that did not get on.
    pub fn dropped(&self) -> u64 {
        self.malformed + self.unroutable + self.expired + self.overrun
    }

    fn fields(&mut self) -> [&mut u64; 15] {
        let Self {
            received,
            forwarded,
            local,
            answered,
            malformed,
            unroutable,
            expired,
            overrun,
            harms,
        } = self;
        let Harms { marked, fragments_skipped, df_set, ttl_changed, no_slot, no_room, merged } =
            harms;
        [
            received,
            forwarded,
            local,
            answered,
            malformed,
            unroutable,
            expired,
            overrun,
            marked,
            fragments_skipped,
            df_set,
            ttl_changed,
            no_slot,
            no_room,
            merged,
        ]
    }
}

/// Which step a vantage takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Forwards and marks or logs.
    Router,
    /// Watches what arrives at a victim.
    Observer,
}

/// One vantage's account of one stretch of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Scheme id.
    pub scheme: String,
    /// Router; for an observer, the victim's gateway.
    pub router: RouterId,
    /// Which step it took.
    pub role: Role,
    /// When.
    pub window: Window,
    /// Packets, since the last report.
    pub counters: Counters,
    /// Observations that found no room.
    pub lost: u64,
    /// Memory that the ledger takes, in bytes.
    pub footprint: u64,
    /// The ledger since the last report, in its scheme's encoding; `None` where it stays at home.
    pub ledger: Option<Vec<u8>>,
    /// HdrHistogram V2 bytes of the marking step in nanoseconds, since the last report; may be empty.
    pub latency: Vec<u8>,
}

const HEAD: &[u8; 5] = b"ASHR\x01";
/// Longest scheme id.
const MAX_ID: usize = 64;

impl Report {
    /// The report as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = HEAD.to_vec();
        put_bytes(&mut out, self.scheme.as_bytes());
        out.extend(self.router.0.to_le_bytes());
        out.push(match self.role {
            Role::Router => 0,
            Role::Observer => 1,
        });
        out.extend(self.window.from.0.to_le_bytes());
        out.extend(self.window.to.0.to_le_bytes());
        let mut counters = self.counters;
        for field in counters.fields() {
            put_varint(&mut out, *field);
        }
        put_varint(&mut out, self.lost);
        put_varint(&mut out, self.footprint);
        match &self.ledger {
            None => out.push(0),
            Some(bytes) => {
                out.push(1);
                put_bytes(&mut out, bytes);
            }
        }
        put_bytes(&mut out, &self.latency);
        out
    }

    /// Reads all of `bytes`.
    ///
    /// # Errors
    /// [`BadBytes`] where they are no report of this version.
    pub fn decode(bytes: &[u8]) -> Result<Self, BadBytes> {
        let mut read = Reader(bytes);
        if read.take(HEAD.len())? != HEAD {
            return Err(BadBytes);
        }
        let scheme = take_bytes(&mut read)?;
        if scheme.len() > MAX_ID {
            return Err(BadBytes);
        }
        let scheme = String::from_utf8(scheme.to_vec()).map_err(|_| BadBytes)?;
        let router = RouterId(read.array().map(u32::from_le_bytes)?);
        let role = match read.u8()? {
            0 => Role::Router,
            1 => Role::Observer,
            _ => return Err(BadBytes),
        };
        let window = Window { from: Nanos(read.u64()?), to: Nanos(read.u64()?) };
        let mut counters = Counters::default();
        for field in counters.fields() {
            *field = read.varint()?;
        }
        let (lost, footprint) = (read.varint()?, read.varint()?);
        let ledger = match read.u8()? {
            0 => None,
            1 => Some(take_bytes(&mut read)?.to_vec()),
            _ => return Err(BadBytes),
        };
        let latency = take_bytes(&mut read)?.to_vec();
        read.end()?;
        Ok(Self { scheme, router, role, window, counters, lost, footprint, ledger, latency })
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend(bytes);
}

fn take_bytes<'a>(read: &mut Reader<'a>) -> Result<&'a [u8], BadBytes> {
    let len = read.varint()?;
    read.take(usize::try_from(len).map_err(|_| BadBytes)?)
}
