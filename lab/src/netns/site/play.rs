//! What senders here do: they ramp up, then play the plan's packets.

use super::{RAMP, Site, limit};
use crate::clock::{nanos, unix_ns};
use crate::netns::crew::Sent;
use crate::netns::delays::Left;
use crate::netns::headquarters::Headquarters;
use anyhow::{Context, Result};
use std::time::Duration;
use traceback::Nanos;

/// What the senders here did.
#[derive(Debug)]
pub(crate) struct Played {
    /// Packets by flow.
    pub sent: Sent,
    /// When each left.
    pub left: Left,
    /// The plan's time 0, in nanoseconds after the run's zero.
    pub start: Nanos,
}

impl Site {
    /// Sends the first of this host's packets slowly, after `lead`, and returns how many, by flow.
    ///
    /// # Errors
    /// As [`Self::play`].
    pub(crate) fn ramp(&mut self, lead: Duration) -> Result<Sent> {
        let act = self.act.as_mut().context("nothing is prepared")?;
        let crew = act.crew.as_mut().context("everything was sent already")?;
        crew.ramp(&self.stage, unix_ns() + nanos(lead), RAMP)
    }

    /// Sends this host's packets, the plan's first one after `lead`, and returns when all have left.
    ///
    /// # Errors
    /// When a sender ended early, the run was stopped, or time is over.
    pub(crate) fn play(
        &mut self,
        lead: Duration,
        headquarters: Option<&Headquarters>,
    ) -> Result<Played> {
        let act = self.act.as_mut().context("nothing is prepared")?;
        let mut crew = act.crew.take().context("everything was sent already")?;
        let (start, zero) = (unix_ns() + nanos(lead), act.zero);
        crew.go(start)?;
        self.changes.iter().for_each(|c| c.go(start));
        self.faults.go(start);
        let patience = limit(&self.plan);
        let (sent, left) = crew.finish(patience, &mut || self.pulse(headquarters))?;
        Ok(Played { sent, left, start: Nanos(start.saturating_sub(zero)) })
    }
}
