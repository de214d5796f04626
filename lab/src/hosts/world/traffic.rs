//! The traffic of a turn: hosts get ready, send, and say what they saw.

use super::{HAND_OVER, HostsWorld};
use crate::exit::Exit;
use crate::hosts::director::Flown;
use crate::hosts::seen::{self, Said};
use crate::hosts::wire::{self, from_host, to_host};
use crate::netns::agents::Posted;
use crate::netns::site::{RECOVERY, await_quiet, limit};
use crate::plan::{Class, Measure};
use crate::tape::Tape;
use crate::world::Traffic;
use anyhow::Result;
use serde_json::json;
use std::time::Duration;
use traceback::Nanos;

/// Time between the order to play and the first packet, so that the order is everywhere by then.
const LEAD_IN: Duration = Duration::from_millis(250);
/// How long hosts may take to get ready for a turn: every vantage takes part of a second.
const PREPARE: Duration = Duration::from_secs(300);

impl HostsWorld {
    /// Has agents, watchers and senders everywhere get ready.
    fn prepare(&mut self, scheme: usize) -> Result<()> {
        self.director.forget_arrivals();
        let scheme = u32::try_from(scheme)?;
        // Domains that ask each other about times count them from one zero.
        let zero_unix_ns = self.plan.exchange.as_ref().map_or(0, |_| self.home.headquarters.zero);
        let prepare = wire::Prepare { scheme, zero_unix_ns };
        self.director.tell_all(&to_host::Kind::Prepare(prepare));
        let ready = |_, kind| match kind {
            from_host::Kind::Ready(ready) => Ok(Some(ready)),
            _ => Ok(None),
        };
        let ready = self.director.gather(&mut self.home, "hosts to get ready", PREPARE, ready)?;
        let vantages: u64 = ready.iter().map(|r| r.vantages).sum();
        self.posted = Some(Posted {
            vantages: usize::try_from(vantages)?,
            clock_cost_ns: ready.iter().map(|r| r.clock_cost_ns).max().unwrap_or(0),
            sampled_1_in: ready.iter().map(|r| r.sampled_1_in).max().unwrap_or(0),
        });
        Ok(())
    }

    pub(super) fn send(&mut self, scheme: usize) -> Result<Traffic> {
        self.prepare(scheme)?;
        let lead_ns = u64::try_from(LEAD_IN.as_nanos())?;
        if !(self.papers.manifest.is_empty() || self.ramped) {
            self.ramp(lead_ns)?;
        }
        self.director.tell_all(&to_host::Kind::Play(wire::Play { lead_ns }));
        self.home.go(LEAD_IN);
        let mut traffic = Traffic::default();
        let sent = |_, kind| match kind {
            from_host::Kind::Sent(sent) => Ok(Some(sent.packets)),
            _ => Ok(None),
        };
        let patience = limit(&self.plan) + LEAD_IN;
        for packets in
            self.director.gather(&mut self.home, "all packets to leave", patience, sent)?
        {
            for (flow, count) in packets {
                *traffic.sent.entry(flow).or_default() += count;
            }
        }
        self.await_flown(traffic.sent.values().sum())?;
        self.drain(&mut traffic)?;
        self.judge(&traffic)?;
        Ok(traffic)
    }

    /// Waits until nothing that was sent is under way any more.
    pub(super) fn await_flown(&mut self, sent: u64) -> Result<()> {
        let (director, home) = (&mut self.director, &mut self.home);
        await_quiet(&self.plan, sent, || {
            // What links lose on purpose will not arrive.
            let Flown { arrived, lost } = director.flown(home)?;
            Ok(arrived + lost)
        })
    }

    /// Ends the run where honest packets fare worse than its authors want.
    fn judge(&self, traffic: &Traffic) -> Result<()> {
        let legit = self.plan.flows.iter().filter(|f| f.class == Class::Legit).map(|f| f.id);
        let (mut sent, mut arrived) = (0, 0);
        for flow in legit {
            sent += traffic.sent.get(&flow).copied().unwrap_or(0);
            arrived += traffic.arrived.get(&flow).copied().unwrap_or(0);
        }
        let share = if sent == 0 { 1.0 } else { arrived as f64 / sent as f64 };
        match self.plan.caution.stops_at(Measure::Goodput, share) {
            Some(why) => Err(Exit::Stopped.refuse(why)),
            None => Ok(()),
        }
    }

    /// Takes in what all hosts saw.
    fn drain(&mut self, traffic: &mut Traffic) -> Result<()> {
        let faults = self.home.outlast(&mut self.director)?;
        self.director.tell_all(&to_host::Kind::Drain(wire::Drain {}));
        let mut tape = Tape::default();
        let seen = |_, kind| match kind {
            from_host::Kind::Tape(part) => {
                part.arrivals.iter().for_each(|a| tape.push(Nanos(a.at), &a.packet));
                Ok(None)
            }
            from_host::Kind::Seen(seen) => Ok(Some(Said::now(seen))),
            _ => Ok(None),
        };
        let patience = HAND_OVER + self.plan.faults_end() + RECOVERY;
        let what = "hosts to say what they saw";
        let all = self.director.gather(&mut self.home, what, patience, seen)?;
        self.note_losses(&all)?;
        self.after = seen::gather(&self.plan, &self.shares, all, faults, tape, traffic)?;
        Ok(())
    }

    /// What tunnels refused ends nothing: it did no harm. What they lost shows where it did not arrive.
    fn note_losses(&self, all: &[Said]) -> Result<()> {
        for (name, said) in self.director.names().zip(all) {
            let (refused, dropped) = said.found();
            if refused + dropped > 0 {
                tracing::warn!(
                    "host {name}: tunnels refused {refused} datagrams, and {dropped} found no room"
                );
                let fields = json!({ "host": name, "refused": refused, "dropped": dropped });
                self.evidence.add("tunnels", fields)?;
            }
        }
        Ok(())
    }
}
