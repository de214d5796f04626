//! Ways of packets where routes change or spread them: the truth, found by following tables.
//!
//! The simulator's routers look the same tables up packet by packet; that both agree is what a run's
//! ledgers and taps show.

use crate::plan::{Flow, Node, Plan, RoutePlan, Source, Way};
use crate::scenario::net_of;
use crate::traffic;
use std::collections::{BTreeMap, BTreeSet};
use traceback::Nanos;
use traceback::fib::Fib;
use traceback::packet::Packet;
use traceback::router::Spread;

/// Follows packets of a plan.
pub struct Walker<'p> {
    plan: &'p Plan,
    /// Every router's table, by epoch.
    tables: Vec<Vec<Fib>>,
    ports: Vec<Vec<usize>>,
}

impl<'p> Walker<'p> {
    /// One for this plan.
    pub fn new(plan: &'p Plan) -> Self {
        let routers = 0..plan.routers.len();
        let mut tables = vec![routers.clone().map(|r| plan.fib(r)).collect()];
        for epoch in &plan.epochs {
            tables.push(routers.clone().map(|r| plan.fib_of(r, &epoch.routes[r])).collect());
        }
        Self { plan, tables, ports: routers.map(|r| plan.ports(Node::Router(r))).collect() }
    }

    /// The routers that a packet of a flow passes, its sender's own first; `None` where it does not get
    /// to its host.
    pub fn path(&self, flow: &Flow, seq: u64) -> Option<Vec<usize>> {
        let mut bytes = vec![];
        let packet = match self.plan.spread {
            None => None,
            Some(spread) => {
                traffic::build(&mut bytes, self.plan, flow, seq);
                Some((spread, Packet::parse(bytes.as_slice()).ok()?))
            }
        };
        let tables = &self.tables[epoch(self.plan, traffic::departure(flow, seq))];
        let to = self.plan.hosts[flow.to].address;
        let mut at = self.plan.hosts[flow.from].router;
        let mut path = vec![at];
        while path.len() <= self.plan.routers.len() {
            let me = self.plan.routers[at].id;
            let hop = match &packet {
                None => tables[at].lookup(to),
                Some((spread, packet)) => tables[at].spread(to, || spread.hash(me, packet)),
            }?;
            let link = &self.plan.links[*self.ports[at].get(usize::from(hop.port))?];
            match link.seen_from(Node::Router(at)).1.node {
                Node::Host(host) => return (host == flow.to).then_some(path),
                Node::Router(next) => {
                    at = next;
                    path.push(next);
                }
            }
        }
        None
    }
}

/// Ways of one flow at most that [`possible`] lists.
const MOST_WAYS: usize = 10_000;

/// Every way that the routes of one time may lead packets of a flow along, whoever chooses between equal
/// ones: the sender's own router first, no way twice.
pub fn possible(plan: &Plan, flow: &Flow) -> Vec<Vec<usize>> {
    let mut found = vec![];
    for epoch in 0..=plan.epochs.len() {
        let mut open = vec![vec![plan.hosts[flow.from].router]];
        while let Some(way) = open.pop().filter(|_| found.len() < MOST_WAYS) {
            let at = way.last().copied().unwrap_or_default();
            if at == plan.hosts[flow.to].router {
                found.push(way);
                continue;
            }
            let next = next(plan, at, epoch, flow).into_iter().filter(|n| !way.contains(n));
            open.extend(next.map(|n| [&way[..], &[n]].concat()));
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// Every router that packets of a flow may reach, where each router takes on the routes of another time
/// at its own moment.
pub fn reach(plan: &Plan, flow: &Flow) -> BTreeSet<usize> {
    let mut reached = BTreeSet::from([plan.hosts[flow.from].router]);
    let mut open: Vec<usize> = reached.iter().copied().collect();
    while let Some(at) = open.pop() {
        let all = (0..=plan.epochs.len()).flat_map(|epoch| next(plan, at, epoch, flow));
        open.extend(all.filter(|n| reached.insert(*n)));
    }
    reached
}

/// The routers to which one may send a flow's packets on by the routes of an epoch.
fn next(plan: &Plan, router: usize, epoch: usize, flow: &Flow) -> Vec<usize> {
    let to = plan.hosts[flow.to].address;
    let spec = &plan.routers[router];
    let routes = match epoch.checked_sub(1) {
        None => spec.routes.iter().chain(&spec.also).collect::<Vec<_>>(),
        Some(epoch) => plan.epochs[epoch].routes[router].iter().collect(),
    };
    let holds = |r: &&&RoutePlan| net_of(r.net, r.len).contains(&to);
    let far = |r: &&RoutePlan| match plan.links[r.link].seen_from(Node::Router(router)).1.node {
        Node::Router(next) => Some(next),
        Node::Host(_) => None,
    };
    routes.iter().filter(holds).filter_map(far).collect()
}

/// Which tables hold for a packet that leaves then: 0 is the first.
pub fn epoch(plan: &Plan, departure: Nanos) -> usize {
    plan.epochs.iter().take_while(|e| e.at <= departure).count()
}

/// Fills in every flow's ways where there may be several.
pub(super) fn fill(plan: &mut Plan) -> Result<(), String> {
    if plan.spread.is_none() && plan.epochs.is_empty() {
        return Ok(());
    }
    let walker = Walker::new(plan);
    let ways: Vec<Vec<Way>> =
        plan.flows.iter().map(|f| ways(plan, &walker, f)).collect::<Result<_, _>>()?;
    for (flow, ways) in plan.flows.iter_mut().zip(ways) {
        flow.path.clone_from(&ways[0].path);
        flow.ways = if ways.len() > 1 { ways } else { vec![] };
    }
    Ok(())
}

/// All ways of one flow, that of its first packet first.
fn ways(plan: &Plan, walker: &Walker<'_>, flow: &Flow) -> Result<Vec<Way>, String> {
    let per_packet = matches!(flow.source, Source::PerPacket { .. });
    let anew = plan.spread == Some(Spread::Packet) || plan.spread.is_some() && per_packet;
    let mut known: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut ways: Vec<Way> = vec![];
    for seq in 0..flow.packets.max(1) {
        let epoch = epoch(plan, traffic::departure(flow, seq));
        let walk = || {
            walker.path(flow, seq).ok_or_else(|| {
                let name = &plan.hosts[flow.from].name;
                format!(
                    "\"{}\" cannot be reached from \"{name}\" at some time",
                    plan.hosts[flow.to].name
                )
            })
        };
        let path = match known.get(&epoch).filter(|_| !anew) {
            Some(path) => path.clone(),
            None => walk()?,
        };
        known.entry(epoch).or_insert_with(|| path.clone());
        match ways.iter_mut().find(|w| w.path == path) {
            Some(way) => way.packets += 1,
            None => ways.push(Way { path, packets: 1 }),
        }
    }
    Ok(ways)
}
