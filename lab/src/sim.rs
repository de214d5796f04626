//! World `sim`: one process, no privilege, no packet leaves it.
//!
//! It carries real packets through the same routers, vantages and codecs as the agent, one after the other
//! in order of departure; where links make packets wait, in order of time instead ([`flight`]).
//! Links take [`HOP`] and what the plan says, and routers change their routes between two packets. Where a
//! plan asks for it, packets are drawn from the law of their path instead ([`law`]).

mod answers;
mod build;
mod deaths;
mod flight;
mod inquiry;
pub mod law;
mod nat;
mod straits;
mod tally;
mod travel;

use crate::imitate::Imitator;
use crate::interrupt;
use crate::plan::{DrawKind, Node, Plan};
use crate::reflect::Reflector;
use crate::run;
use crate::traffic::{self, Tag};
use crate::world::{Outcome, Traffic, World};
use anyhow::{Context, Result};
use deaths::Deaths;
use std::collections::BinaryHeap;
use std::sync::Arc;
use straits::Straits;
use tally::Tally;
use traceback::Nanos;
use traceback::case::Case;
use traceback::invariant::Invariant;
use traceback::packet::Packet;
use traceback::router::Router;
use traceback::vantage::Vantage;

/// Time from one node to the next.
pub const HOP: Nanos = Nanos(100_000);

/// The simulator.
pub struct Sim {
    plan: Arc<Plan>,
    /// What the turn under way has built.
    turn: Option<Network>,
}

impl Sim {
    /// A simulator of a plan.
    pub fn new(plan: Arc<Plan>) -> Self {
        Self { plan, turn: None }
    }

    /// Refuses a plan whose packets follow no law that is known, where it wants them drawn from one.
    ///
    /// # Errors
    /// [`crate::exit::Exit::Usage`] with the first thing that stands against it.
    pub fn suits(plan: &Plan) -> Result<()> {
        if plan.draws == DrawKind::Law { law::check(plan) } else { Ok(()) }
    }
}

impl World for Sim {
    fn traffic(&mut self, scheme: usize) -> Result<Traffic> {
        let chosen = run::scheme(&self.plan, scheme)?;
        let mut network = Network::new(&self.plan, chosen.as_ref())?;
        if self.plan.draws == DrawKind::Law {
            law::check(&self.plan)?;
            let traffic = law::traffic(&self.plan, chosen.as_ref(), &mut network)?;
            self.turn = Some(network);
            return Ok(traffic);
        }
        let mut imitator = Imitator::new(&self.plan, chosen.as_ref())?;
        let mut traffic = Traffic::default();
        if self.plan.is_timed() {
            network.fly(&self.plan, &mut imitator, &mut traffic)?;
        } else {
            let mut bytes = vec![];
            for (at, tag) in schedule(&self.plan) {
                interrupt::check()?;
                let mut moving = network.launch(&self.plan, &mut imitator, at, tag, bytes)?;
                network.keep_time(&self.plan, at);
                network.keep_agents(at);
                let host = self.plan.flows[tag.flow as usize].from;
                network.carry(
                    &self.plan,
                    Leg::of_host(&self.plan, host, at),
                    &mut moving,
                    &mut traffic,
                );
                bytes = moving.packet.into_bytes();
            }
        }
        network.tally.tell(&mut traffic);
        traffic.seconds = traffic.tape.last().map_or(0.0, |at| at.0 as f64 / 1e9);
        traffic.carried = network.straits.carried();
        traffic.faults = straits::happened(&self.plan, &traffic.carried);
        self.turn = Some(network);
        Ok(traffic)
    }

    fn reconstruct(&mut self, scheme: usize, case: &Case) -> Result<Outcome> {
        let chosen = run::scheme(&self.plan, scheme)?;
        let network = self.turn.take().context("traffic comes before reconstruction")?;
        network.reconstruct(&self.plan, scheme, chosen.as_ref(), case)
    }

    fn remove(&mut self) -> Result<u64> {
        self.turn = None;
        Ok(0)
    }
}

/// Every packet of the plan that leaves of itself in order of departure; ties by flow.
pub fn schedule(plan: &Plan) -> impl Iterator<Item = (Nanos, Tag)> + '_ {
    use std::cmp::Reverse;
    let first = |f: &crate::plan::Flow| {
        (f.packets > 0 && f.reflects.is_none())
            .then(|| Reverse((traffic::departure(f, 0), Tag { flow: f.id, seq: 0 })))
    };
    let mut heap: BinaryHeap<_> = plan.flows.iter().filter_map(first).collect();
    std::iter::from_fn(move || {
        let Reverse((at, tag)) = heap.pop()?;
        let flow = &plan.flows[tag.flow as usize];
        if tag.seq + 1 < flow.packets {
            let next = Tag { seq: tag.seq + 1, ..tag };
            heap.push(Reverse((traffic::departure(flow, next.seq), next)));
        }
        Some((at, tag))
    })
}

/// A packet under way.
struct Moving {
    /// Parsed when it left: what happens to it on its way changes nothing that parsing finds.
    packet: Packet<Vec<u8>>,
    /// Which of the plan's it is; `None` for what routers send.
    tag: Option<Tag>,
    /// Its hashes, where a router made them.
    known: Option<Invariant>,
    /// Routers that it reached.
    passed: usize,
}

impl Moving {
    /// `None` where the bytes are no packet.
    fn new(bytes: Vec<u8>, tag: Option<Tag>) -> Option<Self> {
        let packet = Packet::parse(bytes).ok()?;
        Some(Self { packet, tag, known: None, passed: 0 })
    }
}

/// Where a packet is: on a link, since when, coming from whom.
#[derive(Debug, Clone, Copy)]
struct Leg {
    at: Nanos,
    from: Node,
    link: usize,
}

impl Leg {
    /// From a host onto its link.
    fn of_host(plan: &Plan, host: usize, at: Nanos) -> Self {
        Self { at, from: Node::Host(host), link: plan.hosts[host].link }
    }
}

/// Routers and the victim's observer during one turn.
struct Network {
    routers: Vec<Router>,
    ports: Vec<Vec<usize>>,
    observer: Box<dyn Vantage>,
    victim: usize,
    /// By host.
    reflectors: Vec<Option<Reflector>>,
    scheme: String,
    /// Of the plan's epochs, how many have begun.
    epoch: usize,
    straits: Straits,
    deaths: Deaths,
    tally: Tally,
}

/// Where a packet comes out of a link, and when.
#[derive(Debug, Clone, Copy)]
struct Landing {
    at: Nanos,
    link: usize,
    to: Node,
}
