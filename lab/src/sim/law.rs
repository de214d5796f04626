//! Packets that nobody carries: each is drawn, once, from the exact law of what arrives over its path.
//!
//! `draws = "law"` in a scenario. Frames are built as always and come to the victim as always, on the same times; what
//! routers would have written into them is drawn from [`traceback::arrivals`], equal in distribution to routers that
//! draw for themselves. Taps and counters count every packet at every router of its path. What a router
//! did to a packet is not known, so harms stay 0. Schemes without a law and plans with trouble are refused.

use super::{HOP, Network, schedule};
use crate::exit::Exit;
use crate::interrupt;
use crate::plan::{Flow, Node, Plan, StartMark};
use crate::run;
use crate::traffic;
use crate::world::Traffic;
use anyhow::{Context, Result};
use traceback::arrivals::{Arrivals, Arrived};
use traceback::invariant::mix2;
use traceback::packet::Packet;
use traceback::scheme::Hop;
use traceback::schemes::AnyScheme;
use traceback::slot::Slot;
use traceback::{Nanos, Place};

/// Refuses a plan whose packets do not follow a law that is known.
///
/// # Errors
/// [`Exit::Usage`] with the first thing that stands against it.
pub(super) fn check(plan: &Plan) -> Result<()> {
    let refuse = |why: String| {
        let mend = "draws = \"keyed\" carries packets past routers one by one";
        Err(Exit::Usage.refuse(format!("draws = \"law\" cannot be had: {why}: {mend}")))
    };
    if let Some(trouble) = plan.troubles().first() {
        return refuse(trouble.clone());
    }
    if !plan.shows_all() {
        return refuse("domains do not show all of their routers".into());
    }
    for flow in &plan.flows {
        if flow.mark != StartMark::Clean {
            return refuse(format!("{} starts with marks of many kinds", flow.traffic));
        }
        if usize::from(flow.ttl) <= flow.path.len() {
            return refuse(format!("packets of {} run out of TTL", flow.traffic));
        }
    }
    for number in 0..plan.schemes.len() {
        let scheme = run::scheme(plan, number)?;
        let Some(flow) = plan.flows.first() else { continue };
        let route = Network::new(plan, scheme.as_ref())?.route(plan, flow)?;
        if scheme.arrivals(&route, Arrived { mark: 0, ttl: flow.ttl }).is_none() {
            let id = scheme.card().id;
            return refuse(format!(
                "{id} has none, as its step is more than one question to chance"
            ));
        }
    }
    Ok(())
}

/// Brings every packet of the plan to where it goes, with a mark drawn from its flow's law.
pub(super) fn traffic(
    plan: &Plan,
    scheme: &dyn AnyScheme,
    network: &mut Network,
) -> Result<Traffic> {
    let laws = of_flows(plan, scheme, network)?.context("a law that was checked")?;
    let mut traffic = Traffic::default();
    let mut ip = vec![];
    for (at, tag) in schedule(plan) {
        interrupt::check()?;
        let flow = &plan.flows[tag.flow as usize];
        traffic::build(&mut ip, plan, flow, tag.seq);
        let mut packet = Packet::parse(&mut ip[..]).ok().context("our own packet parses")?;
        let random = mix2(plan.seed, mix2(flow.id.into(), tag.seq));
        let arrived = laws[tag.flow as usize].pick(random);
        let (slot, sent) = sent(&packet, scheme);
        if arrived.mark != sent.mark {
            slot.write(&mut packet, arrived.mark);
        }
        packet.set_ttl(arrived.ttl);
        count(network, flow);
        let hops = flow.path.len() as u64 + 1;
        let at = Nanos(at.0 + hops * HOP.0);
        network.tally.arrived(flow.id);
        if flow.to == network.victim {
            let packet = Packet::parse(&ip[..]).ok().context("our own packet parses")?;
            network.observer.see(at, &packet);
            traffic.tape.push(at, &ip);
        }
    }
    network.tally.tell(&mut traffic);
    traffic.seconds = traffic.tape.last().map_or(0.0, |at| at.0 as f64 / 1e9);
    Ok(traffic)
}

/// What arrives of each flow of a plan, all of whose packets start alike, past routers that draw for themselves;
/// `None` where the scheme has no law.
///
/// # Errors
/// Where the plan's paths do not follow its links.
pub fn laws(plan: &Plan, scheme: &dyn AnyScheme) -> Result<Option<Vec<Arrivals>>> {
    of_flows(plan, scheme, &Network::new(plan, scheme)?)
}

fn of_flows(
    plan: &Plan,
    scheme: &dyn AnyScheme,
    network: &Network,
) -> Result<Option<Vec<Arrivals>>> {
    let law = |flow: &Flow| {
        let mut ip = vec![];
        traffic::build(&mut ip, plan, flow, 0);
        let packet = Packet::parse(&ip[..]).ok().context("our own packet parses")?;
        let (_, sent) = sent(&packet, scheme);
        Ok(scheme.arrivals(&network.route(plan, flow)?, sent))
    };
    plan.flows.iter().map(law).collect()
}

/// A packet's mark and TTL, and where its mark lies.
pub fn sent<T: AsRef<[u8]>>(packet: &Packet<T>, scheme: &dyn AnyScheme) -> (Slot, Arrived) {
    let slot = scheme.card().slot(packet.is_v6());
    (slot, Arrived { mark: slot.read(packet).unwrap_or(0), ttl: packet.ttl() })
}

/// Notes a packet at its sender and at every router of its path.
fn count(network: &mut Network, flow: &Flow) {
    network.tally.sent(flow.id);
    for (others, router) in flow.path.iter().enumerate() {
        network.tally.passed(flow.id, others, *router);
        let counters = &mut network.routers[*router].counters;
        counters.received += 1;
        counters.forwarded += 1;
    }
}

impl Network {
    /// The routers of a flow's path, each with what it knows of the flow's packets but their TTL.
    fn route(&self, plan: &Plan, flow: &Flow) -> Result<Vec<(Place, Hop)>> {
        let mut link = plan.hosts[flow.from].link;
        let mut route = vec![];
        for (i, router) in flow.path.iter().enumerate() {
            let next = flow.path.get(i + 1).map_or(Node::Host(flow.to), |r| Node::Router(*r));
            let ports = &self.ports[*router];
            let leads =
                |l: &&usize| plan.links[**l].seen_from(Node::Router(*router)).1.node == next;
            let out = *ports.iter().find(leads).context("a path follows links")?;
            let port = |link| ports.iter().position(|l| *l == link).map(u16::try_from);
            let (Some(Ok(from)), Some(Ok(to))) = (port(link), port(out)) else {
                anyhow::bail!("a path follows links")
            };
            let router = &self.routers[*router];
            route.push((router.place(), router.hop((from, to), 0, Nanos(0))));
            link = out;
        }
        Ok(route)
    }
}
