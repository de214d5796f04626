//! What a world is: it gives each scheme of a plan its turn and says what happened.

use crate::tape::Tape;
use ashiato_collector::exchange::Joined;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use traceback::case::{Case, Gap};
use traceback::graph::Finding;
use traceback::report::Counters;
use traceback::{Nanos, RouterId};

/// A place where plans run. A scheme's turn is [`World::traffic`], then [`World::reconstruct`]; what
/// the turn's truth is gets sealed between the two.
pub trait World {
    /// Sends the plan's packets past agents that run the scheme at this position of the plan, and
    /// returns when the last one has arrived or is known to be lost.
    ///
    /// # Errors
    /// When the world cannot run; what was made stays for its own removal.
    fn traffic(&mut self, scheme: usize) -> anyhow::Result<Traffic>;

    /// Lets the collector rebuild the paths of a case from reports and answers, and ends the turn.
    ///
    /// # Errors
    /// As above.
    fn reconstruct(&mut self, scheme: usize, case: &Case) -> anyhow::Result<Outcome>;

    /// Removes everything that the world made, and says how many objects are left. Called once, also
    /// after an error.
    ///
    /// # Errors
    /// When removal itself fails.
    fn remove(&mut self) -> anyhow::Result<u64>;

    /// What each host that takes part permits, by its name; empty where no policy is asked.
    fn permitted(&self) -> BTreeMap<String, serde_json::Value> {
        BTreeMap::new()
    }
}

/// What was sent, passed and arrived, from sources outside the agents under test.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Packets that left each sender, by flow, as the sender's ledger says.
    pub sent: BTreeMap<u32, u64>,
    /// Packets that taps saw reach each router, by router's position and flow.
    pub taps: BTreeMap<(usize, u32), u64>,
    /// Packets that reached each receiving host, by flow.
    pub arrived: BTreeMap<u32, u64>,
    /// Packets that reached the victim, in order.
    pub tape: Tape,
    /// Packets of ours seen where none may be.
    pub leaked: u64,
    /// Packets that links lost because the plan says so.
    pub lost: u64,
    /// Ways that packets took, in worlds that see them; `None` where the plan's are what they took.
    pub followed: Option<Followed>,
    /// From the first departure to the last arrival, in seconds of the run's clock.
    pub seconds: f64,
    /// Times from sender to victim in nanoseconds; `None` in the simulator, which has no clock.
    pub delays: Option<Histogram<u64>>,
    /// What links did to packets, for each way of those that have conditions or faults.
    pub carried: Vec<Carried>,
    /// What became of the plan's faults, in its order.
    pub faults: Vec<Happened>,
    /// The plan's time 0 on the run's clock, which reports count from.
    pub zero: Nanos,
}

/// What one way of a link did to the plan's packets.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Carried {
    /// The link, by position.
    pub link: usize,
    /// 0: from its first end; 1: from its second.
    pub side: usize,
    /// Packets that came.
    pub packets: u64,
    /// Lost as the plan's share of losses says.
    pub lost: u64,
    /// Found its queue full.
    pub full: u64,
    /// Came while it was cut.
    pub cut: u64,
    /// Times in nanoseconds from one end to the other, of one packet in [`Self::sampled_1_in`].
    pub delays: Vec<u64>,
    /// One packet in so many was timed; 0: none.
    pub sampled_1_in: u64,
    /// Bytes of IP packets that came out while [`Self::busy`] went by.
    pub bytes: u64,
    /// From the first packet that came out to the last, in nanoseconds.
    pub busy: u64,
}

/// What became of one fault in one turn. Times count from the plan's zero.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Happened {
    /// When it began; `None` where it did not.
    pub began: Option<Nanos>,
    /// When it ended; `None` where it lasted.
    pub ended: Option<Nanos>,
    /// Packets that it cost, where that can be told.
    pub packets_lost: Option<u64>,
    /// From its end until all was as before.
    pub recovered: Option<Nanos>,
    /// Why it did not happen, or what is not known of it.
    pub why: Option<String>,
}

impl Happened {
    /// What two hosts know of one fault together: each makes the part of it that befalls its own nodes.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        let began = [self.began, other.began].into_iter().flatten().min();
        let lost = [self.packets_lost, other.packets_lost].into_iter().flatten();
        Self {
            began,
            ended: self.ended.max(other.ended),
            packets_lost: lost.reduce(|a, b| a + b),
            recovered: self.recovered.max(other.recovered),
            why: self.why.or(other.why).filter(|_| began.is_none()),
        }
    }
}

/// A way and the packets that took it.
pub type Taken = (Vec<RouterId>, u64);

/// Ways of packets, each followed from router to router, outside the agents under test.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Followed {
    /// Ways by flow that the routes of one time lead along, from the sender's router to the receiver's.
    pub whole: BTreeMap<u32, Vec<Taken>>,
    /// The beginnings of such ways, of packets that got no further.
    pub cut: BTreeMap<u32, Vec<Taken>>,
    /// Packets by flow that took neither: under way while routers changed their routes one by one.
    pub mixed: BTreeMap<u32, u64>,
    /// Position in `whole` of every packet's way, by flow and number.
    #[serde(skip)]
    pub each: BTreeMap<u32, Vec<Option<usize>>>,
}

impl Followed {
    /// The whole way of one packet.
    pub fn way(&self, flow: u32, seq: u64) -> Option<&Vec<RouterId>> {
        let way = (*self.each.get(&flow)?.get(usize::try_from(seq).ok()?)?)?;
        self.whole.get(&flow)?.get(way).map(|(way, _)| way)
    }
}

/// What agents and collector made of it.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The answer.
    pub finding: Result<Finding, Gap>,
    /// Wall time of the reconstruction, answers of routers included, in seconds.
    pub reconstruct_s: f64,
    /// What routers counted, by identity.
    pub counters: BTreeMap<RouterId, Counters>,
    /// Memory of all ledgers at their keepers, in bytes.
    pub ledger_bytes: u64,
    /// Every report that the collector stored, encoded.
    pub reports: Vec<Vec<u8>>,
    /// Questions asked, by router.
    pub asked: BTreeMap<RouterId, u64>,
    /// Answers that came, by router.
    pub answered: BTreeMap<RouterId, u64>,
    /// Reports on their way to the collector.
    pub observations: Observations,
    /// Times of the marking step in nanoseconds, by router; empty in the simulator.
    pub latency: BTreeMap<RouterId, Histogram<u64>>,
    /// Cost of reading the clock twice, in nanoseconds, as agents measured it; 0 in the simulator.
    pub clock_cost_ns: u64,
    /// One packet in this many was timed.
    pub sampled_1_in: u64,
    /// What the kernel itself says a run of the program takes, in nanoseconds, on average; `None` where
    /// no program ran in the kernel.
    pub program_ns: Option<u64>,
    /// Agents whose clock is not the lab's, by the lab's judgement: by how many seconds it is fast.
    pub clocks: BTreeMap<RouterId, f64>,
    /// What domains were asked, and what they told, where they ask each other.
    pub joined: Option<Joined>,
    /// What domains' own machines spent by now, by domain, where it was measured.
    pub spent: Vec<Spent>,
}

/// What a domain's own machines spent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// Processor time of its collector, since that began.
    pub collector: Option<Duration>,
    /// Processor time of its agents in the turn.
    pub agents: Option<Duration>,
    /// Bytes of its collector's files.
    pub store_bytes: Option<u64>,
}

/// Reports, counted on both sides.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct Observations {
    /// Reports sent by agents.
    pub sent: u64,
    /// Stored by the collector.
    pub stored: u64,
    /// Missing by their sequence numbers, and observations that found no room in a ledger.
    pub lost: u64,
    /// Came twice; the second was dropped.
    pub duplicate: u64,
    /// Refused: did not decode, or came in another's name.
    pub refused: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_hosts_know_of_a_fault_is_one_story() {
        let half = |began, ended, packets_lost| Happened {
            began: Some(Nanos(began)),
            ended: Some(Nanos(ended)),
            packets_lost,
            ..Happened::default()
        };
        let both = half(5, 9, Some(3)).join(half(4, 10, Some(4)));
        assert_eq!(both, half(4, 10, Some(7)));
        // One that it does not befall knows nothing; where it befell nobody, the reason stays.
        let nothing = Happened { why: Some("the turn was over".into()), ..Happened::default() };
        assert_eq!(both.clone().join(nothing.clone()), both);
        assert_eq!(nothing.clone().join(Happened::default()), nothing);
    }
}
