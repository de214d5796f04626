//! World `sim`: one process, no privilege, no packet leaves it.
//!
//! It carries real frames through the same routers, vantages and codecs as the agent, one packet after
//! the other in order of departure; where links make packets wait, in order of time instead ([`flight`]).
//! Links take [`HOP`] and what the plan says, and routers change their routes between two packets. Where a plan asks for it, packets are drawn from the law of
//! their path instead ([`law`]).

mod deaths;
mod flight;
mod inquiry;
mod law;
mod nat;
mod straits;

use crate::conduct;
use crate::imitate::Imitator;
use crate::interrupt;
use crate::plan::{DrawKind, Node, Plan};
use crate::resolve::ways;
use crate::run;
use crate::traffic::{self, Tag};
use crate::world::{Arrival, Outcome, Traffic, World};
use anyhow::{Context, Result};
use deaths::Deaths;
use std::collections::BinaryHeap;
use std::sync::Arc;
use straits::Straits;
use traceback::Nanos;
use traceback::case::Case;
use traceback::disclose::Cut;
use traceback::invariant::Invariant;
use traceback::packet::Packet;
use traceback::router::{ETHERNET, Router, Verdict, ethertype};
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
            let mut frame = vec![];
            for (at, tag) in schedule(&self.plan) {
                interrupt::check()?;
                let from = launch(&self.plan, &mut imitator, at, tag, &mut frame, &mut traffic);
                network.keep_time(&self.plan, at);
                network.keep_agents(at);
                network.carry(&self.plan, at, from, &mut frame, &mut traffic);
            }
        }
        traffic.seconds = traffic.tape.last().map_or(0.0, |a| a.at.0 as f64 / 1e9);
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

/// Makes the frame of a packet that leaves now; the host that sends it.
fn launch(
    plan: &Plan,
    imitator: &mut Imitator,
    at: Nanos,
    tag: Tag,
    frame: &mut Vec<u8>,
    traffic: &mut Traffic,
) -> usize {
    let flow = &plan.flows[tag.flow as usize];
    frame.resize(ETHERNET, 0);
    let mut ip = frame.split_off(ETHERNET);
    traffic::build(&mut ip, plan, flow, tag.seq);
    imitator.forge(flow, at, &mut ip);
    frame[12..14].copy_from_slice(&ethertype(&ip));
    frame.append(&mut ip);
    *traffic.sent.entry(flow.id).or_default() += 1;
    flow.from
}

/// Every packet of the plan in order of departure; ties by flow.
pub fn schedule(plan: &Plan) -> impl Iterator<Item = (Nanos, Tag)> + '_ {
    use std::cmp::Reverse;
    let first = |f: &crate::plan::Flow| {
        (f.packets > 0).then(|| Reverse((traffic::departure(f, 0), Tag { flow: f.id, seq: 0 })))
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

/// Where a frame is: on a link, since when, coming from whom; and its hashes, where a router made them.
#[derive(Debug, Clone, Copy)]
struct Leg {
    at: Nanos,
    from: Node,
    link: usize,
    known: Option<Invariant>,
}

impl Leg {
    /// From a host onto its link.
    fn of_host(plan: &Plan, host: usize, at: Nanos) -> Self {
        Self { at, from: Node::Host(host), link: plan.hosts[host].link, known: None }
    }
}

/// Routers and the victim's observer during one turn.
struct Network {
    routers: Vec<Router>,
    ports: Vec<Vec<usize>>,
    observer: Box<dyn Vantage>,
    victim: usize,
    scheme: String,
    /// Of the plan's epochs, how many have begun.
    epoch: usize,
    straits: Straits,
    deaths: Deaths,
}

/// Where a frame comes out of a link, and when.
#[derive(Debug, Clone, Copy)]
struct Landing {
    at: Nanos,
    link: usize,
    to: Node,
    known: Option<Invariant>,
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
        let (chosen, scheme) = (scheme, scheme.card().id.into());
        let (straits, deaths) = (Straits::of(plan), Deaths::of(plan, &cut, chosen)?);
        Ok(Self { routers, ports, observer, victim, scheme, epoch: 0, straits, deaths })
    }

    /// Gives routers the routes of the epoch in which a packet leaves.
    fn keep_time(&mut self, plan: &Plan, at: Nanos) {
        let epoch = ways::epoch(plan, at);
        if epoch == self.epoch {
            return;
        }
        self.epoch = epoch;
        for (i, router) in self.routers.iter_mut().enumerate() {
            router.fib = match epoch.checked_sub(1) {
                Some(epoch) => plan.fib_of(i, &plan.epochs[epoch].routes[i]),
                // Where packets overtake one another, an earlier time may come again.
                None => plan.fib(i),
            };
        }
    }

    /// Takes a frame from a host to wherever it ends, with every answer it provokes.
    fn carry(
        &mut self,
        plan: &Plan,
        at: Nanos,
        host: usize,
        frame: &mut Vec<u8>,
        log: &mut Traffic,
    ) {
        let mut said = vec![];
        let start = Leg::of_host(plan, host, at);
        self.travel(plan, start, frame, log, &mut said);
        // Messages about messages would be sent, too; schemes make none.
        while let Some((leg, mut message)) = said.pop() {
            self.travel(plan, leg, &mut message, log, &mut said);
        }
    }

    /// Takes a frame from one leg of its way to the end; what schemes make routers say about it is put aside.
    fn travel(
        &mut self,
        plan: &Plan,
        mut leg: Leg,
        frame: &mut Vec<u8>,
        log: &mut Traffic,
        said: &mut Vec<(Leg, Vec<u8>)>,
    ) {
        while let Some(landing) = self.depart(plan, leg, frame, log) {
            let Some(next) = self.land(plan, landing, frame, log, said) else { return };
            leg = next;
        }
    }

    /// Puts a frame on a link; `None` where the link loses it.
    fn depart(
        &mut self,
        plan: &Plan,
        leg: Leg,
        frame: &[u8],
        log: &mut Traffic,
    ) -> Option<Landing> {
        let Leg { at, from, link, known } = leg;
        let Some(out) = self.straits.pass(plan, leg, frame) else {
            log.lost += 1;
            return None;
        };
        let at = Nanos(at.max(out).0 + HOP.0);
        Some(Landing { at, link, to: plan.links[link].seen_from(from).1.node, known })
    }

    /// Takes a frame in at the end of a link; the next leg of its way where there is one. What schemes
    /// make the router say about it is put aside.
    fn land(
        &mut self,
        plan: &Plan,
        landing: Landing,
        frame: &mut Vec<u8>,
        log: &mut Traffic,
        said: &mut Vec<(Leg, Vec<u8>)>,
    ) -> Option<Leg> {
        let Landing { at, link, to, mut known } = landing;
        let to = match to {
            Node::Host(to) => {
                self.arrive(plan, at, to, frame, log);
                return None;
            }
            Node::Router(to) => to,
        };
        let parsed = Packet::parse(&frame[ETHERNET..]).ok();
        if let Some(tag) = parsed.and_then(|p| traffic::tag(plan.key.0, &p)) {
            *log.taps.entry((to, tag.flow)).or_default() += 1;
        }
        let port = self.ports[to].iter().position(|l| *l == link).unwrap_or(usize::MAX);
        let out = self.pass(plan, (to, port, at), frame, &mut known)?;
        let leg = Leg { at, from: Node::Router(to), link: self.ports[to][usize::from(out)], known };
        if let Some((port, _, message)) = self.routers[to].take_message() {
            let mut frame = vec![0; ETHERNET];
            frame[12..].copy_from_slice(&ethertype(&message));
            frame.extend(message);
            let link = self.ports[to][usize::from(port)];
            said.push((Leg { link, known: None, ..leg }, frame));
        }
        Some(leg)
    }

    /// Lets a router decide about a frame; the port by which it, or the answer that takes its place, leaves.
    fn pass(
        &mut self,
        plan: &Plan,
        (router, port, at): (usize, usize, Nanos),
        frame: &mut Vec<u8>,
        known: &mut Option<Invariant>,
    ) -> Option<u16> {
        let port = u16::try_from(port).unwrap_or(u16::MAX);
        match self.routers[router].forward_known((port, at), frame, known, &mut ()) {
            Verdict::Send { port, .. } => {
                if plan.routers[router].nat {
                    *known = None;
                    nat::translate(plan.routers[router].id, &mut frame[ETHERNET..]);
                }
                Some(port)
            }
            Verdict::Answer { packet, port, .. } => {
                // The offender is gone; its error message travels on in its place.
                *known = None;
                frame.truncate(ETHERNET);
                frame.extend_from_slice(packet);
                Some(port)
            }
            Verdict::Local | Verdict::Dropped => None,
        }
    }

    fn arrive(&mut self, plan: &Plan, at: Nanos, host: usize, frame: &[u8], log: &mut Traffic) {
        let Ok(packet) = Packet::parse(&frame[ETHERNET..]) else { return };
        if let Some(tag) = traffic::tag(plan.key.0, &packet) {
            *log.arrived.entry(tag.flow).or_default() += 1;
        }
        if host == self.victim {
            self.observer.see(at, &packet);
            log.tape.push(Arrival { at, bytes: packet.as_bytes().to_vec() });
        }
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
