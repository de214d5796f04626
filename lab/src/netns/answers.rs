//! The part of an actor that stands for a reflector: it listens on its host's link and sends what [`Reflector`] says.
//!
//! What it sends goes the way of everything that actors send: under the lease, past the gate, no faster than its share
//! of the run's pace.

use super::actor::Actor;
use super::lease::{End, Lease};
use super::straits::longest_wait;
use crate::clock::nanos;
use crate::plan::{Plan, slow_departure};
use crate::reflect::Reflector;
use crate::traffic::{self, Tag};
use anyhow::{Context, Result};
use ashiato_agent::datapath::socket::{Opening, PacketSocket};
use std::time::{Duration, Instant};
use traceback::Nanos;
use traceback::packet::Packet;
use traceback::router::ETHERNET;

/// Receive buffer: what comes while an answer waits for its turn.
const BUFFER: usize = 8 << 20;
/// Longest frame that is looked at; our packets are shorter.
const FRAME: usize = 2 << 10;
/// How long nothing may come once all was due before what is missing counts as lost: senders on a busy host are late.
const QUIET: Duration = Duration::from_secs(5);
/// How long it listens at most before it looks after its lease.
const NAP: Duration = Duration::from_millis(20);

/// A reflector that listens.
#[derive(Debug)]
pub(super) struct Ear {
    reflector: Reflector,
    socket: PacketSocket,
    frame: Vec<u8>,
    /// Packets that it did not answer.
    refused: u64,
}

impl Ear {
    /// That of a host, from now on; `None` where the plan has it answer nothing.
    ///
    /// # Errors
    /// When the kernel does not let it listen.
    pub(super) fn open(plan: &Plan, host: usize, interface: &str) -> Result<Option<Self>> {
        let Some(reflector) = Reflector::of(plan, host) else { return Ok(None) };
        let (interface, receive_buffer) = (Some(interface), Some(BUFFER));
        let socket =
            PacketSocket::open(&Opening { interface, receive_buffer, ..Opening::default() })
                .context("a reflector cannot listen")?;
        Ok(Some(Self { reflector, socket, frame: vec![0; FRAME], refused: 0 }))
    }

    /// Packets that it did not answer, and those for which it had no room.
    pub(super) fn refused(&self) -> u64 {
        self.refused + self.socket.statistics().map_or(0, |all| u64::from(all.drops))
    }

    /// What the next packet sets off, if one comes soon and sets off anything.
    fn next(&mut self, plan: &Plan) -> Result<Option<(u32, std::ops::Range<u64>)>> {
        let Some(len) = self.socket.recv(&mut self.frame, NAP).context("cannot listen")? else {
            return Ok(None);
        };
        let packet = self.frame.get(ETHERNET..len.min(FRAME)).map(Packet::parse);
        let Some(Ok(packet)) = packet else { return Ok(None) };
        let answers = self.reflector.answers(plan, &packet);
        self.refused += u64::from(answers.is_err());
        Ok(answers.ok())
    }
}

impl Actor<'_> {
    /// Answers what comes, until everything is answered that the plan has by then (of its slow beginning, or in all), or
    /// nothing more comes for a while after the last of it was due. At once where the host stands for no reflector.
    pub(super) fn answer(
        &mut self,
        lease: &Lease,
        zero: Instant,
        slow: bool,
    ) -> Result<Result<(), End>> {
        let (due, last) = self.due(slow);
        let end = zero + Duration::from_nanos(last.0) + longest_wait(self.plan);
        let mut heard = Instant::now();
        while self.sent.values().sum::<u64>() < due && Instant::now() < end.max(heard) + QUIET {
            if let Err(end) = lease.sleep_until(Instant::now()) {
                return Ok(Err(end));
            }
            let Some(ear) = &mut self.ear else { break };
            let Some((flow, numbers)) = ear.next(self.plan)? else { continue };
            heard = Instant::now();
            let at = Nanos(nanos(heard.saturating_duration_since(zero)));
            for seq in numbers {
                if let Err(end) = self.send_one(lease, zero, at, Tag { flow, seq })? {
                    return Ok(Err(end));
                }
            }
        }
        Ok(Ok(()))
    }

    /// Answers that the plan has, and when the last packet is due that is to be answered.
    fn due(&self, slow: bool) -> (u64, Nanos) {
        let mut due = (0, Nanos(0));
        let answers = |f: &&crate::plan::Flow| f.from == self.host && f.reflects.is_some();
        for flow in self.plan.flows.iter().filter(answers) {
            let packets = if slow { self.plan.caution.slow(flow) } else { flow.packets };
            let departs = if slow { slow_departure } else { traffic::departure };
            let last = departs(flow, packets.saturating_sub(1));
            due = (due.0 + packets, due.1.max(last));
        }
        due
    }
}
