//! Taps: what reached each router, counted by the kernel, outside the agents under test.
//!
//! A tap is a packet socket with a filter for one flow and a buffer that nobody reads. The kernel
//! counts what passes the filter whether or not it finds room, so a tap loses nothing and costs the
//! filter's few instructions for each packet. Frames that pass the kernel's stack by are counted by
//! [`super::wires`] instead.

use super::layout::Layout;
use super::space::within;
use super::straits::{Tally, since};
use super::wires::Wires;
use crate::plan::{Flow, Node, Plan, Room, RoomKind};
use crate::resolve::ways;
use crate::traffic;
use crate::world::Carried;
use anyhow::{Context, Result, bail};
use ashiato_agent::datapath::socket::{Instruction, Opening, PacketSocket};
use std::collections::BTreeMap;
use std::sync::Arc;
use traceback::room::MAGIC;
use traceback::router::ETHERNET;

/// Taps of all routers.
#[derive(Debug)]
pub(crate) enum Taps {
    /// Packet sockets.
    Sockets(Sockets),
    /// The wires.
    Wires(Wired),
}

/// Taps that are wires.
#[derive(Debug)]
pub(crate) struct Wired {
    wires: Arc<Wires>,
    /// What they had counted before.
    passed: BTreeMap<(usize, u32), u64>,
    tallies: Vec<Tally>,
    lost: u64,
}

/// Taps that are packet sockets.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    flows: BTreeMap<(usize, u32), PacketSocket>,
    /// For each router, every packet of the plan's, whatever its flow; one socket for each version
    /// of IP.
    all: BTreeMap<usize, [PacketSocket; 2]>,
    /// What they had counted at the last look, by flow, and in all by router: the kernel begins anew then.
    by_flow: BTreeMap<(usize, u32), u64>,
    by_router: BTreeMap<usize, u64>,
}

/// What taps counted.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    /// Packets by router and flow.
    pub flows: BTreeMap<(usize, u32), u64>,
    /// Packets at routers that are on no way of their flow.
    pub astray: u64,
    /// Packets that links lost.
    pub lost: u64,
    /// Packets' ways as numbers (see [`super::followed`]), where the plan leaves them open.
    pub followed: Vec<u64>,
    /// What special links did.
    pub carried: Vec<Carried>,
}

impl Taps {
    /// Opens the taps of all routers.
    ///
    /// # Errors
    /// Names the router whose tap does not open.
    pub(crate) fn open(plan: &Plan, layout: &Layout, wires: Option<&Arc<Wires>>) -> Result<Self> {
        Ok(match wires {
            Some(wires) => {
                let (passed, tallies) = (wires.counts()?, wires.tallies()?);
                let lost = wires.lost()?;
                Self::Wires(Wired { wires: wires.clone(), passed, tallies, lost })
            }
            None => Self::Sockets(Sockets::open(plan, layout)?),
        })
    }

    /// Packets that links have lost by now.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub(crate) fn lost(&self) -> Result<u64> {
        match self {
            Self::Sockets(_) => Ok(0),
            Self::Wires(wired) => wired.lost(),
        }
    }

    /// Packets by router and flow so far, those at routers that are on no way of their flow, and those that links lost.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub(crate) fn look(&mut self, plan: &Plan) -> Result<Counted> {
        match self {
            Self::Sockets(sockets) => sockets.look(),
            Self::Wires(wired) => wired.look(plan),
        }
    }

    /// Reads all counts and closes the taps.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub(crate) fn read(self, plan: &Plan) -> Result<Counted> {
        match self {
            Self::Sockets(mut sockets) => sockets.look(),
            Self::Wires(wired) => wired.read(plan),
        }
    }
}

impl Wired {
    fn lost(&self) -> Result<u64> {
        Ok(self.wires.lost()? - self.lost)
    }

    /// Frames that the link stage had no room for.
    fn stalled(&self) -> Result<u64> {
        let tallies = self.wires.tallies()?;
        let stalled = tallies.iter().zip(&self.tallies).map(|(now, before)| since(now, before)[4]);
        Ok(stalled.sum())
    }

    fn read(self, plan: &Plan) -> Result<Counted> {
        let stalled = self.stalled()?;
        if stalled > 0 {
            bail!(
                "the link stage had no room for {stalled} frames: this host is too slow for the \
                 plan's links; lower its rates"
            );
        }
        let carried = self.wires.carried(plan, &self.tallies)?;
        let followed = self.wires.followed(plan)?;
        Ok(Counted { followed, carried, ..self.look(plan)? })
    }

    fn look(&self, plan: &Plan) -> Result<Counted> {
        let mut counted = Counted { lost: self.lost()?, ..Counted::default() };
        let reach: Vec<_> = plan.flows.iter().map(|f| ways::reach(plan, f)).collect();
        for ((router, flow), count) in self.wires.counts()? {
            let count = count - self.passed.get(&(router, flow)).copied().unwrap_or(0);
            match reach.get(flow as usize) {
                // Of several ways, those that nobody took are no taps.
                Some(reach) if reach.contains(&router) => {
                    if count > 0 || plan.flows[flow as usize].path.contains(&router) {
                        counted.flows.insert((router, flow), count);
                    }
                }
                _ => counted.astray += count,
            }
        }
        Ok(counted)
    }
}

impl Sockets {
    /// Opens one tap for each router and flow that is to pass it, and one for the rest.
    fn open(plan: &Plan, layout: &Layout) -> Result<Self> {
        let mut taps = Self::default();
        let here = |(router, _): &(usize, _)| layout.holds(Node::Router(*router));
        for (router, spec) in plan.routers.iter().enumerate().filter(here) {
            let passing = plan.flows.iter().filter(|f| f.path.contains(&router));
            let opened = within(&layout.router(router).path(), || {
                let all = [tap(&program(plan, false, None))?, tap(&program(plan, true, None))?];
                let own = passing.map(|flow| {
                    let program = program(plan, is_v6(plan, flow), Some(flow.id));
                    Ok(((router, flow.id), tap(&program)?))
                });
                Ok((all, own.collect::<Result<Vec<_>>>()?))
            });
            let (all, own) = opened.with_context(|| format!("cannot tap router {}", spec.name))?;
            taps.all.insert(router, all);
            taps.flows.extend(own);
        }
        Ok(taps)
    }

    fn look(&mut self) -> Result<Counted> {
        let count = |socket: &PacketSocket| -> Result<u64> {
            Ok(socket.statistics().context("cannot read a tap")?.packets.into())
        };
        for (key, socket) in &self.flows {
            *self.by_flow.entry(*key).or_default() += count(socket)?;
        }
        for (router, sockets) in &self.all {
            for socket in sockets {
                *self.by_router.entry(*router).or_default() += count(socket)?;
            }
        }
        let of = |router: usize| {
            let known = self.by_flow.iter().filter(move |((at, _), _)| *at == router);
            known.map(|(_, packets)| packets).sum::<u64>()
        };
        let astray = self.by_router.iter().map(|(router, all)| all.saturating_sub(of(*router)));
        let astray = astray.sum();
        Ok(Counted { flows: self.by_flow.clone(), astray, ..Counted::default() })
    }
}

fn tap(filter: &[Instruction]) -> Result<PacketSocket> {
    // The smallest buffer that the kernel allows.
    Ok(PacketSocket::open(&Opening { receive_buffer: Some(0), filter, ..Opening::default() })?)
}

/// A classic BPF program that accepts the plan's packets of one IP version, of one flow or of any: the
/// testbed's magic word and the flow's number, at the place where [`traffic::build`] puts them.
fn program(plan: &Plan, v6: bool, flow: Option<u32>) -> Vec<Instruction> {
    const LOAD_HALF: u16 = 0x28;
    const LOAD_WORD: u16 = 0x20;
    let payload = offset(plan, v6);
    let mut wanted = vec![
        (LOAD_HALF, 12, if v6 { 0x86dd } else { 0x0800 }),
        (LOAD_WORD, payload, u32::from_be_bytes(MAGIC)),
    ];
    wanted.extend(flow.map(|flow| (LOAD_WORD, payload + 4, flow)));
    let step = |code, jf, k| Instruction { code, jt: 0, jf, k };
    let mut steps = vec![];
    for (at, (load, offset, value)) in wanted.iter().enumerate() {
        // A mismatch jumps to the refusal, the last instruction.
        let rest = u8::try_from(2 * (wanted.len() - 1 - at) + 1).unwrap_or(u8::MAX);
        steps.extend([step(*load, 0, *offset), step(0x15, rest, *value)]);
    }
    steps.extend([step(0x06, 0, 1), step(0x06, 0, 0)]);
    steps
}

/// Where the payload of the plan's packets begins in a frame.
pub(crate) fn offset(plan: &Plan, v6: bool) -> u32 {
    let behind = |r: &mut Room| r.records = r.records_as(RoomKind::Option).unwrap_or(0);
    let mut room = plan.room;
    room.iter_mut().for_each(behind);
    let header = traffic::smallest(v6, room);
    // The smallest packet is headers and 24 bytes of payload.
    u32::from(header) - 24 + u32::try_from(ETHERNET).unwrap_or(14)
}

fn is_v6(plan: &Plan, flow: &Flow) -> bool {
    plan.hosts[flow.to].address.is_ipv6()
}

#[cfg(test)]
#[allow(clippy::too_many_lines, reason = "a plan spelled out is a list, not a thought")]
#[path = "../../tests/support/mod.rs"]
mod support;

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a program as the kernel would: true where it accepts.
    fn accepts(program: &[Instruction], frame: &[u8]) -> bool {
        let (mut at, mut value) = (0, 0);
        loop {
            let i = program[at];
            let k = i.k as usize;
            let load = |n: usize| {
                frame.get(k..k + n).map(|b| b.iter().fold(0, |v, b| v << 8 | u32::from(*b)))
            };
            at += 1;
            match i.code {
                0x28 | 0x20 => match load(if i.code == 0x28 { 2 } else { 4 }) {
                    Some(loaded) => value = loaded,
                    None => return false,
                },
                0x15 => at += usize::from(if value == i.k { i.jt } else { i.jf }),
                0x06 => return i.k > 0,
                code => panic!("unknown code {code:#x}"),
            }
        }
    }

    #[test]
    fn programs_know_their_flow() {
        for v6 in [false, true] {
            let room = |kind, records| Some(Room { kind, records, ..Room::default() });
            let ioam = Room { trace_nodes: 3, export: true, ..Room::default() };
            let both = Room { records: 3, ..ioam };
            let rooms = [room(RoomKind::Option, 3), room(RoomKind::Payload, 3)];
            for room in rooms.into_iter().chain([None, Some(ioam), Some(both)]) {
                let mut plan = support::line(3, v6, true);
                plan.room = room;
                plan.flows[0].size = 200;
                let mut ip = vec![];
                traffic::build(&mut ip, &plan, &plan.flows[0], 5);
                let mut frame = vec![0; 12];
                frame.extend(if v6 { [0x86, 0xdd] } else { [0x08, 0x00] });
                frame.extend(ip);
                assert!(accepts(&program(&plan, v6, Some(0)), &frame), "{v6} {room:?}");
                assert!(accepts(&program(&plan, v6, None), &frame));
                assert!(!accepts(&program(&plan, v6, Some(1)), &frame));
                assert!(!accepts(&program(&plan, !v6, None), &frame));
                assert!(!accepts(&program(&plan, v6, None), &frame[..40]));
            }
        }
    }
}
