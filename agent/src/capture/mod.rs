//! The datapath over capture files: what a router would have done to a capture, and what an observer
//! learns from one. Needs no privilege.
//!
//! [`mark`] passes every packet of a file through one router's step, TTL included, into a new file;
//! [`observe`] makes a report that a collector takes for a ledger. Times are those of the capture.
//! [`file`](mod@file) reads pcap and pcapng; [`link`] finds the IP packet in a frame.

pub mod file;
pub mod link;

use file::{Broken, Frame};
use serde::Serialize;
use std::io::{Read, Write};
use traceback::case::Window;
use traceback::packet::{Malformed, Packet};
use traceback::report::{Counters, Report, Role};
use traceback::scheme::Hop;
use traceback::vantage::Vantage;
use traceback::{Nanos, Place, RouterId};

/// What was in a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// Frames of the file.
    pub frames: u64,
    /// Lawful IP packets.
    pub packets: u64,
    /// Frames that hold no IP packet, or whose link type is unknown.
    pub not_ip: u64,
    /// Packets of which the capture kept only a part.
    pub cut_off: u64,
    /// Packets whose headers make no sense.
    pub malformed: u64,
    /// Packets whose TTL was spent; they stay as they are.
    pub expired: u64,
    /// What marking did.
    #[serde(flatten)]
    pub harms: traceback::vantage::Harms,
}

impl Counts {
    /// Finds the IP packet of a frame, or counts why there is none.
    fn packet<'a>(&mut self, frame: Frame<'a>) -> Option<Packet<&'a mut [u8]>> {
        self.frames += 1;
        let Some(at) = link::ip_offset(frame.link, frame.bytes) else {
            self.not_ip += 1;
            return None;
        };
        match Packet::parse(&mut frame.bytes[at..]) {
            Ok(packet) => {
                self.packets += 1;
                return Some(packet);
            }
            Err(Malformed::Truncated) => self.cut_off += 1,
            Err(_) => self.malformed += 1,
        }
        None
    }
}

/// Passes a capture through a router: marks or logs, and lowers the TTL. Frames without an IP packet,
/// and everything else in the file, are copied as they are.
///
/// # Errors
/// Where the file breaks off or is no capture; what came before is in `output` and in the counts.
pub fn mark(
    input: impl Read,
    output: impl Write,
    place: Place,
    vantage: &mut dyn Vantage,
) -> (Counts, Result<(), Broken>) {
    let mut counts = Counts::default();
    let done = file::walk(input, Some(output), |frame| {
        let at = frame.at;
        let Some(mut packet) = counts.packet(frame) else { return };
        if packet.ttl() <= 1 {
            counts.expired += 1;
            return;
        }
        let degree = place.degree;
        let hop = Hop { at, me: place.id, degree, ttl: packet.ttl(), edge: 1, ..Hop::default() };
        vantage.forward(hop, &mut packet);
        packet.decrement_ttl();
    });
    counts.harms = vantage.harms();
    (counts, done)
}

/// Lets an observer see a capture, and makes its report in the name of the victim's gateway.
///
/// # Errors
/// As [`mark`]; the report holds what came before.
pub fn observe(
    input: impl Read,
    scheme: &str,
    gateway: RouterId,
    vantage: &mut dyn Vantage,
) -> (Counts, Report, Result<(), Broken>) {
    let mut counts = Counts::default();
    let mut window = Window { from: Nanos(u64::MAX), to: Nanos(0) };
    let done = file::walk(input, None::<std::io::Empty>, |frame| {
        let at = frame.at;
        window = Window { from: window.from.min(at), to: window.to.max(at) };
        if let Some(packet) = counts.packet(Frame { bytes: &mut *frame.bytes, ..frame }) {
            let Ok(packet) = Packet::parse(packet.as_bytes()) else { return };
            vantage.see(at, &packet);
        }
    });
    counts.harms = vantage.harms();
    let footprint = vantage.footprint() as u64;
    let ledger = vantage.cut();
    let report = Report {
        scheme: scheme.to_owned(),
        router: gateway,
        role: Role::Observer,
        window: Window { from: window.from.min(window.to), to: window.to },
        counters: Counters {
            received: counts.frames,
            local: counts.not_ip,
            malformed: counts.malformed + counts.cut_off,
            harms: counts.harms,
            ..Counters::default()
        },
        lost: vantage.lost(),
        footprint,
        ledger,
        latency: vec![],
    };
    (counts, report, done)
}
