//! What senders, taps and receivers counted in one turn, outside the routers' own counters.

use crate::plan::Plan;
use crate::world::Traffic;

/// Counts by the position of the flow.
#[derive(Default)]
pub(super) struct Tally {
    flows: Vec<Counted>,
}

#[derive(Default, Clone)]
struct Counted {
    sent: u64,
    arrived: u64,
    /// Routers and the packets that reached them, in the order in which packets first did: mostly that of their
    /// way, so that the next router is found at once.
    taps: Vec<(usize, u64)>,
}

impl Tally {
    pub(super) fn of(plan: &Plan) -> Self {
        Self { flows: vec![Counted::default(); plan.flows.len()] }
    }

    /// A packet of a flow left its sender.
    pub(super) fn sent(&mut self, flow: u32) {
        self.flows[flow as usize].sent += 1;
    }

    /// A packet of a flow reached a router, after so many others.
    pub(super) fn passed(&mut self, flow: u32, others: usize, router: usize) {
        let taps = &mut self.flows[flow as usize].taps;
        let at = match taps.get(others) {
            Some((here, _)) if *here == router => others,
            _ => taps.iter().position(|(here, _)| *here == router).unwrap_or(taps.len()),
        };
        match taps.get_mut(at) {
            Some((_, packets)) => *packets += 1,
            None => taps.push((router, 1)),
        }
    }

    /// A packet of a flow reached a host.
    pub(super) fn arrived(&mut self, flow: u32) {
        self.flows[flow as usize].arrived += 1;
    }

    /// Writes all counts but zeros where they belong.
    pub(super) fn tell(&mut self, traffic: &mut Traffic) {
        for (flow, counted) in (0..).zip(std::mem::take(&mut self.flows)) {
            let counts =
                [(counted.sent, &mut traffic.sent), (counted.arrived, &mut traffic.arrived)];
            for (packets, by_flow) in counts.into_iter().filter(|(packets, _)| *packets > 0) {
                by_flow.insert(flow, packets);
            }
            let taps = counted.taps.into_iter().map(|(router, packets)| ((router, flow), packets));
            traffic.taps.extend(taps);
        }
    }
}
