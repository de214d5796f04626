//! World `sim`: one process, no privilege, no packet leaves it.
//!
//! It carries real packets through the same routers, vantages and codecs as the agent, one after the other
//! in order of departure; where links make packets wait, in order of time instead ([`flight`]).
//! Links take [`HOP`] and what the plan says, and routers change their routes between two packets. Where a plan asks for it, packets are drawn from the law of
//! their path instead ([`law`]).

mod answers;
mod deaths;
mod flight;
mod inquiry;
pub mod law;
mod nat;
mod straits;
mod tally;

use crate::conduct;
use crate::imitate::Imitator;
use crate::interrupt;
use crate::plan::{DrawKind, Node, Plan};
use crate::reflect::Reflector;
use crate::resolve::ways;
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
use traceback::disclose::Cut;
use traceback::fib::NextHop;
use traceback::invariant::Invariant;
use traceback::packet::Packet;
use traceback::router::{Router, Verdict};
use traceback::schemes::AnyScheme;
use traceback::vantage::{Draws, Setting, Vantage};

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

impl Network {
    fn new(plan: &Plan, scheme: &dyn AnyScheme) -> Result<Self> {
        let cut = plan.acting(scheme)?;
        let map = cut.whole();
        let mut routers = vec![];
        for (i, spec) in plan.routers.iter().enumerate() {
            let place = map.place(spec.id).context("the map holds every router")?;
            let own = [std::net::Ipv4Addr::from(spec.id).into()];
            let mut router = Router::new(place, plan.acting_ports(i, &cut), &own, plan.fib(i));
            (router.spread, router.mute) = (plan.spread, plan.is_mute(i));
            if spec.works() {
                router.vantage = Some(vantage(plan, &cut, scheme, i)?);
            }
            routers.push(router);
        }
        let place = map.place(plan.gateway()).context("the map holds the gateway")?;
        let (key, draws) = (plan.key, draws(plan));
        let setting = Setting { place, key, draws, filter: Some(plan.case.filter) };
        let ports = (0..routers.len()).map(|i| plan.ports(Node::Router(i))).collect();
        let (observer, victim) = (scheme.vantage(setting), plan.case.victim);
        let reflectors = (0..plan.hosts.len()).map(|host| Reflector::of(plan, host)).collect();
        let (chosen, scheme) = (scheme, scheme.card().id.into());
        let (straits, deaths) = (Straits::of(plan), Deaths::of(plan, &cut, chosen)?);
        let (epoch, tally) = (0, Tally::of(plan));
        Ok(Self {
            routers,
            ports,
            observer,
            victim,
            reflectors,
            scheme,
            epoch,
            straits,
            deaths,
            tally,
        })
    }

    /// Gives routers the routes of the epoch in which a packet leaves.
    fn keep_time(&mut self, plan: &Plan, at: Nanos) {
        let epoch = ways::epoch(plan, at);
        if epoch == self.epoch {
            return;
        }
        self.epoch = epoch;
        for (i, router) in self.routers.iter_mut().enumerate() {
            router.reroute(match epoch.checked_sub(1) {
                Some(epoch) => plan.fib_of(i, &plan.epochs[epoch].routes[i]),
                // Where packets overtake one another, an earlier time may come again.
                None => plan.fib(i),
            });
        }
    }

    /// Makes a packet that leaves now, in place of other bytes.
    fn launch(
        &mut self,
        plan: &Plan,
        imitator: &mut Imitator,
        at: Nanos,
        tag: Tag,
        mut bytes: Vec<u8>,
    ) -> Result<Moving> {
        let flow = &plan.flows[tag.flow as usize];
        traffic::build(&mut bytes, plan, flow, tag.seq);
        imitator.forge(flow, at, &mut bytes);
        self.tally.sent(tag.flow);
        Moving::new(bytes, Some(tag)).context("our own packet parses")
    }

    /// Takes a packet to wherever it ends, with every answer it provokes.
    fn carry(&mut self, plan: &Plan, start: Leg, moving: &mut Moving, log: &mut Traffic) {
        let mut said = vec![];
        self.travel(plan, start, moving, log, &mut said);
        // Messages about messages would be sent, too; schemes make none.
        while let Some((leg, mut message)) = said.pop() {
            self.travel(plan, leg, &mut message, log, &mut said);
        }
    }

    /// Takes a packet from one leg of its way to the end; what schemes make routers say about it is put aside.
    fn travel(
        &mut self,
        plan: &Plan,
        mut leg: Leg,
        moving: &mut Moving,
        log: &mut Traffic,
        said: &mut Vec<(Leg, Moving)>,
    ) {
        while let Some(landing) = self.depart(plan, leg, moving, log) {
            let Some(next) = self.land(plan, landing, moving, log, said) else { return };
            leg = next;
        }
    }

    /// Puts a packet on a link; `None` where the link loses it.
    fn depart(
        &mut self,
        plan: &Plan,
        leg: Leg,
        moving: &Moving,
        log: &mut Traffic,
    ) -> Option<Landing> {
        let Leg { at, from, link } = leg;
        let Some(out) = self.straits.pass(plan, leg, moving) else {
            log.lost += 1;
            return None;
        };
        let at = Nanos(at.max(out).0 + HOP.0);
        Some(Landing { at, link, to: plan.links[link].seen_from(from).1.node })
    }

    /// Takes a packet in at the end of a link; the next leg of its way where there is one. What schemes
    /// make the router say about it is put aside.
    fn land(
        &mut self,
        plan: &Plan,
        landing: Landing,
        moving: &mut Moving,
        log: &mut Traffic,
        said: &mut Vec<(Leg, Moving)>,
    ) -> Option<Leg> {
        let Landing { at, link, to } = landing;
        let to = match to {
            Node::Host(to) => {
                self.arrive(at, to, moving, log);
                self.reflect(plan, Leg::of_host(plan, to, at), to, moving, said);
                return None;
            }
            Node::Router(to) => to,
        };
        if let Some(tag) = moving.tag {
            self.tally.passed(tag.flow, moving.passed, to);
        }
        moving.passed += 1;
        let port = self.ports[to].iter().position(|l| *l == link).unwrap_or(usize::MAX);
        let out = self.pass(plan, (to, port, at), moving)?;
        let leg = Leg { at, from: Node::Router(to), link: self.ports[to][usize::from(out)] };
        if let Some((port, _, message)) = self.routers[to].take_message() {
            let link = self.ports[to][usize::from(port)];
            said.extend(Moving::new(message, None).map(|message| (Leg { link, ..leg }, message)));
        }
        Some(leg)
    }

    /// Lets a router decide about a packet; the port by which it, or the answer that takes its place, leaves.
    fn pass(
        &mut self,
        plan: &Plan,
        (router, port, at): (usize, usize, Nanos),
        moving: &mut Moving,
    ) -> Option<u16> {
        let port = u16::try_from(port).unwrap_or(u16::MAX);
        let packet = moving.packet.lend();
        match self.routers[router].pass_on((port, at), packet, &mut moving.known) {
            Verdict::Send(&NextHop { port, .. }) => {
                if plan.routers[router].nat {
                    let mut bytes = moving.packet.as_bytes().to_vec();
                    nat::translate(plan.routers[router].id, &mut bytes);
                    (moving.packet, moving.known) = (Packet::parse(bytes).ok()?, None);
                }
                Some(port)
            }
            Verdict::Answer { packet, port, .. } => {
                // The offender is gone; its error message travels on in its place.
                *moving = Moving::new(packet.to_vec(), None)?;
                Some(port)
            }
            Verdict::Local | Verdict::Dropped => None,
        }
    }

    fn arrive(&mut self, at: Nanos, host: usize, moving: &Moving, log: &mut Traffic) {
        if let Some(tag) = moving.tag {
            self.tally.arrived(tag.flow);
        }
        if host != self.victim {
            return;
        }
        let Ok(packet) = Packet::parse(moving.packet.as_bytes()) else { return };
        self.observer.see(at, &packet);
        log.tape.push(at, packet.as_bytes());
    }
}

fn draws(plan: &Plan) -> Draws {
    match plan.draws {
        DrawKind::Keyed => Draws::Keyed,
        DrawKind::Kernel | DrawKind::Law => Draws::Seeded(plan.seed),
    }
}

/// The scheme at work at a router, as its owner lets it work.
fn vantage(
    plan: &Plan,
    cut: &Cut,
    scheme: &dyn AnyScheme,
    router: usize,
) -> Result<Box<dyn Vantage>> {
    let spec = &plan.routers[router];
    let place = match spec.poses_as {
        Some(other) => cut.whole().place(plan.routers[other].id),
        None => plan.acting_place(router, cut),
    };
    let place = place.context("the map holds every router")?;
    let setting = Setting { place, key: plan.key, draws: draws(plan), filter: None };
    Ok(conduct::of(spec.conduct, scheme, scheme.vantage(setting)))
}
