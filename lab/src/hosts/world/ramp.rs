//! The slow beginning of a run under a manifest: a little is sent, and all of it must be seen where it should.

use super::{HAND_OVER, HostsWorld};
use crate::exit::Exit;
use crate::hosts::director::Flown;
use crate::hosts::wire::{self, from_host, to_host};
use crate::netns::site::RAMP;
use anyhow::Result;
use serde_json::json;
use std::collections::BTreeMap;

impl HostsWorld {
    /// Has everybody send a little, slowly, and goes on only when all of it arrived where it should.
    pub(super) fn ramp(&mut self, lead_ns: u64) -> Result<()> {
        self.director.tell_all(&to_host::Kind::Ramp(wire::Ramp { lead_ns }));
        let ramped = |_, kind| match kind {
            from_host::Kind::Ramped(ramped) => Ok(Some(ramped.packets)),
            _ => Ok(None),
        };
        let all = self.director.gather(&mut self.home, "a slow beginning", RAMP, ramped)?;
        let by_flow: BTreeMap<u32, u64> = all.into_iter().flatten().collect();
        let sent: u64 = by_flow.values().sum();
        self.await_flown(sent)?;
        let Flown { arrived, lost } = self.director.flown(&mut self.home)?;
        self.evidence.add("ramped", json!({ "sent": sent, "arrived": arrived, "lost": lost }))?;
        if arrived + lost != sent {
            return Err(Exit::Safety.refuse(format!(
                "of {sent} packets that were sent slowly {arrived} arrived where they should, and links lost {lost} \
                 on purpose: look for the others before more are sent"
            )));
        }
        self.taps_agree(&by_flow)?;
        self.ramped = true;
        Ok(())
    }

    /// Fails where a router on the way of what was sent slowly did not see all of it that links let through, or another
    /// one any.
    fn taps_agree(&mut self, sent: &BTreeMap<u32, u64>) -> Result<()> {
        self.director.tell_all(&to_host::Kind::Look(wire::Look {}));
        let looked = |_, kind| match kind {
            from_host::Kind::Looked(looked) => Ok(Some(looked)),
            _ => Ok(None),
        };
        let all = self.director.gather(&mut self.home, "taps to be read", HAND_OVER, looked)?;
        let astray: u64 = all.iter().map(|looked| looked.astray).sum();
        let lost: u64 = all.iter().map(|looked| looked.lost).sum();
        // Of several ways, nobody knows which one such packets took.
        let open = self.plan.ways_differ();
        let taps = all.iter().flat_map(|looked| &looked.taps);
        let seen: BTreeMap<(usize, u32), u64> =
            taps.map(|tap| ((tap.router as usize, tap.flow), tap.packets)).collect();
        let mut faults = vec![];
        for flow in self.plan.flows.iter().filter(|flow| sent.contains_key(&flow.id)) {
            let wanted = sent.get(&flow.id).copied().unwrap_or(0);
            for router in &flow.path {
                let saw = seen.get(&(*router, flow.id)).copied().unwrap_or(0);
                let least = if open { 0 } else { wanted.saturating_sub(lost) };
                if !(least..=wanted).contains(&saw) {
                    let name = &self.plan.routers[*router].name;
                    faults.push(format!("{saw} of {wanted} of {} at {name}", flow.traffic));
                }
            }
        }
        if faults.is_empty() && astray == 0 {
            return Ok(());
        }
        Err(Exit::Safety.refuse(format!(
            "taps do not agree with what was sent slowly ({}; {astray} packets where none may be): look for the \
             reason before more are sent",
            faults.join(", ")
        )))
    }
}
