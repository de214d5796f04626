//! What reflectors send when packets reach them.

use super::{Leg, Moving, Network};
use crate::plan::Plan;
use crate::traffic::{self, Tag};

impl Network {
    /// Puts aside what a host that a packet reached answers it with.
    pub(super) fn reflect(
        &mut self,
        plan: &Plan,
        leg: Leg,
        host: usize,
        moving: &Moving,
        said: &mut Vec<(Leg, Moving)>,
    ) {
        let Some(reflector) = &mut self.reflectors[host] else { return };
        let Ok((flow, numbers)) = reflector.answers(plan, &moving.packet) else { return };
        // The last one put aside is the first to leave.
        for seq in numbers.rev() {
            let mut bytes = vec![];
            traffic::build(&mut bytes, plan, &plan.flows[flow as usize], seq);
            self.tally.sent(flow);
            said.extend(Moving::new(bytes, Some(Tag { flow, seq })).map(|answer| (leg, answer)));
        }
    }
}
