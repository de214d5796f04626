//! A reflector of ours: it answers the packets of one plan and nothing else, and it is weak.
//!
//! A packet sets it off only if it carries the plan's cookie (the tag that every packet of a plan has, keyed for the
//! run), belongs to a flow that is to set this reflector off, comes in the name of the host that the answers
//! are for, and is the first with its number. The answers are the plan's: nothing in a packet chooses where they go, how many
//! they are or what they hold.

use crate::plan::{Flow, Plan};
use crate::scenario::streams::MOST_PACKETS;
use crate::traffic::{self, Tag};
use std::collections::BTreeMap;
use std::ops::Range;
use traceback::packet::Packet;

/// Answers to one packet at most, whatever a plan says.
pub const MOST_TIMES: u32 = 8;

/// Why a packet is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refused {
    /// It has no cookie of this run's, or that of a flow that sets nothing off here.
    Stranger,
    /// It names another sender than the one that the answers are for.
    OtherName,
    /// It was answered before.
    Again,
}

/// One reflector in one turn.
#[derive(Debug)]
pub struct Reflector {
    /// Flows that set it off, by number.
    flows: BTreeMap<u32, Answered>,
}

/// What one flow has set off.
#[derive(Debug)]
struct Answered {
    /// The flow of answers, by number.
    with: u32,
    times: u64,
    /// Whether the packet of each number was answered.
    seen: Vec<bool>,
}

impl Reflector {
    /// That of a host; `None` where the plan has it answer nothing.
    pub fn of(plan: &Plan, host: usize) -> Option<Self> {
        let answers = |flow: &Flow| {
            let reflects = flow.reflects.filter(|_| flow.from == host)?;
            let trigger = plan.flows.get(reflects.flow as usize)?;
            let times = reflects.times.min(MOST_TIMES).into();
            // Whatever a plan says, as above.
            let packets = trigger.packets.min(MOST_PACKETS);
            let seen = vec![false; usize::try_from(packets).ok()?];
            Some((reflects.flow, Answered { with: flow.id, times, seen }))
        };
        let flows: BTreeMap<_, _> = plan.flows.iter().filter_map(answers).collect();
        (!flows.is_empty()).then_some(Self { flows })
    }

    /// The answers to a packet that came: a flow and the numbers of its packets.
    ///
    /// # Errors
    /// Why there are none.
    pub fn answers<T: AsRef<[u8]>>(
        &mut self,
        plan: &Plan,
        packet: &Packet<T>,
    ) -> Result<(u32, Range<u64>), Refused> {
        let Tag { flow, seq } = traffic::tag(plan.key.0, packet).ok_or(Refused::Stranger)?;
        let answered = self.flows.get_mut(&flow).ok_or(Refused::Stranger)?;
        let target = plan.flows[answered.with as usize].to;
        if packet.source() != plan.hosts[target].address {
            return Err(Refused::OtherName);
        }
        let number = usize::try_from(seq).unwrap_or(usize::MAX);
        let seen = answered.seen.get_mut(number).ok_or(Refused::Stranger)?;
        if std::mem::replace(seen, true) {
            return Err(Refused::Again);
        }
        let first = seq * answered.times;
        Ok((answered.with, first..first + answered.times))
    }
}
