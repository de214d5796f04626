//! Conditions of links and faults, from the words of a file to positions and numbers.

use crate::plan::{Conditions, Failure, Fault, LinkPlan, Node, RouterPlan, USUAL_QUEUE};
use crate::scenario::spec::{self, Change, Cut, Direction};
use crate::scenario::{Problems, Spec};
use crate::units::Quantity;

/// Conditions of a link between routers: from `a`, then from `b`.
pub(super) fn of_link(link: &spec::Link) -> [Conditions; 2] {
    let (there, back) = (link.there(), link.there().under(link.back.as_ref()));
    let plain = Some(link.loss);
    // What the link loses both ways stands in the link itself.
    [there, back]
        .map(|way| conditions(Direction { loss: way.loss.filter(|l| Some(*l) != plain), ..way }))
}

/// Conditions of a host's link, whose `a` is the router.
pub(super) fn of_host(host: &spec::Host) -> [Conditions; 2] {
    let Some(link) = &host.link else { return [Conditions::default(); 2] };
    let there = link.there();
    [there.under(link.back.as_ref()), there].map(conditions)
}

fn conditions(way: Direction) -> Conditions {
    let usual = |rate: &_| if *rate > 0 { u64::from(USUAL_QUEUE) } else { 0 };
    let rate_bps = way.rate.map_or(0, |r| r.amount());
    let queue = way.queue.map_or_else(|| usual(&rate_bps), |q| q.bytes());
    Conditions {
        loss_ppm: way.loss.map(|l| ppm(l.amount())),
        rate_bps,
        queue_bytes: u32::try_from(queue).unwrap_or(u32::MAX),
        delay: way.delay.map_or(traceback::Nanos(0), |d| d.nanos()),
        jitter: way.jitter.map_or(traceback::Nanos(0), |j| j.nanos()),
    }
}

fn ppm(amount: u64) -> u32 {
    u32::try_from(amount).unwrap_or(u32::MAX)
}

/// Changes of routes in the order of their times: the file's own, and those that cut links bring.
pub(super) fn changes(spec: &Spec) -> Vec<Change> {
    let mut changes = spec.change.clone();
    for fault in spec.fault.iter().filter(|f| f.reroute == Some(true)) {
        let Some([a, b]) = fault.link.as_deref() else { continue };
        let change = |at, up| Change { at, a: a.clone(), b: b.clone(), up };
        changes.push(change(fault.at, false));
        let end = fault.lasts.map(|lasts| Quantity::of(fault.at.amount() + lasts.amount()));
        changes.extend(end.map(|end| change(end, true)));
    }
    changes.sort_by_key(|c| c.at.amount());
    changes
}

/// Faults of the plan.
pub(super) fn faults(
    spec: &Spec,
    routers: &[RouterPlan],
    links: &[LinkPlan],
    problems: &mut Problems<'_>,
) -> Vec<Fault> {
    let named = Named { spec, routers, links };
    let mut faults = vec![];
    for (i, fault) in spec.fault.iter().enumerate() {
        let what = named.failure(fault);
        let idle = |r: &usize| !routers[*r].works();
        if let Failure::Kill { router } | Failure::Clock { router, .. } = what
            && idle(&router)
        {
            let why = format!("no agent works at router \"{}\"", routers[router].name);
            problems.add(format!("fault.{i}"), why, "name one that takes part");
        }
        let (at, lasts) = (fault.at.nanos(), fault.lasts.map(|l| l.nanos()));
        faults.push(Fault { id: fault.id.clone(), at, lasts, what });
    }
    faults
}

struct Named<'s> {
    spec: &'s Spec,
    routers: &'s [RouterPlan],
    links: &'s [LinkPlan],
}

impl Named<'_> {
    fn failure(&self, fault: &spec::Fault) -> Failure {
        if let Some(nodes) = &fault.link {
            return self.of_link(fault, self.link(nodes));
        }
        if let Some(router) = &fault.kill {
            return Failure::Kill { router: self.router(router) };
        }
        if let Some(clock) = &fault.clock {
            let (router, step_ns) = (self.router(&clock.agent), clock.step.nanos());
            return Failure::Clock { router, step_ns };
        }
        if let Some(slow) = &fault.slow {
            let routers = self.working(|r| r.domain == slow.domain);
            return Failure::Slow { routers, delay: slow.delay.nanos() };
        }
        if let Some(Cut::Line(_)) = &fault.cut {
            let chosen = |r: &RouterPlan| {
                fault.domain.as_ref().is_none_or(|d| r.domain == *d)
                    && fault.router.as_ref().is_none_or(|id| r.name == *id)
            };
            return Failure::Line { routers: self.working(chosen) };
        }
        Failure::DiskFull
    }

    fn of_link(&self, fault: &spec::Fault, link: usize) -> Failure {
        match (fault.loss, fault.delay, fault.rate) {
            (Some(loss), _, _) => Failure::Loss { link, ppm: ppm(loss.amount()) },
            (_, Some(delay), _) => Failure::Delay { link, delay: delay.nanos() },
            (_, _, Some(rate)) => Failure::Rate { link, bps: rate.amount() },
            (None, None, None) => Failure::Cut { link },
        }
    }

    fn working(&self, wanted: impl Fn(&RouterPlan) -> bool) -> Vec<usize> {
        let here = |i: &usize| {
            let router = &self.routers[*i];
            router.works() && !router.is_crooked() && wanted(router)
        };
        (0..self.routers.len()).filter(here).collect()
    }

    fn router(&self, id: &str) -> usize {
        let found = self.routers.iter().position(|r| r.name == id);
        found.expect("invariant: the scenario's check knows every router")
    }

    fn link(&self, nodes: &[String]) -> usize {
        let node = |id: &String| {
            let router = self.routers.iter().position(|r| r.name == *id).map(Node::Router);
            let host = self.spec.topology.hosts.iter().position(|h| h.id == *id).map(Node::Host);
            router.or(host)
        };
        let ends: Vec<_> = nodes.iter().map(node).collect();
        let joins = |l: &LinkPlan| {
            let (a, b) = (Some(l.a.node), Some(l.b.node));
            ends == [a, b] || ends == [b, a]
        };
        let found = self.links.iter().position(joins);
        found.expect("invariant: the scenario's check knows every link")
    }
}
