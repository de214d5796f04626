//! A packet's travel: it leaves, goes over links and through routers, and ends, with every answer it provokes.

use super::{HOP, Landing, Leg, Moving, Network, nat};
use crate::imitate::Imitator;
use crate::plan::{Node, Plan};
use crate::resolve::ways;
use crate::traffic::{self, Tag};
use crate::world::Traffic;
use anyhow::{Context, Result};
use traceback::Nanos;
use traceback::fib::NextHop;
use traceback::packet::Packet;
use traceback::router::Verdict;

impl Network {
    /// Gives routers the routes of the epoch in which a packet leaves.
    pub(super) fn keep_time(&mut self, plan: &Plan, at: Nanos) {
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
    pub(super) fn launch(
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
    pub(super) fn carry(
        &mut self,
        plan: &Plan,
        start: Leg,
        moving: &mut Moving,
        log: &mut Traffic,
    ) {
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
    pub(super) fn depart(
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
    pub(super) fn land(
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
