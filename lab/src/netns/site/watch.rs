//! What comes past and arrives here in a turn: counted on the way, and told whole at its end.

use super::Site;
use crate::netns::changes::Changes;
use crate::netns::followed::Numbers;
use crate::netns::guard::Guard;
use crate::netns::holder::Holder;
use crate::netns::sinks::Drained;
use crate::netns::taps::Counted;
use crate::plan::Node;
use crate::tape::Tape;
use crate::world::Carried;
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;

/// What came past and arrived here.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Packets by router and flow.
    pub taps: BTreeMap<(usize, u32), u64>,
    /// Packets by flow, at the hosts they were for.
    pub arrived: BTreeMap<u32, u64>,
    /// Packets where none of their flow may be.
    pub astray: u64,
    /// Packets at the victim.
    pub tape: Tape,
    /// Packets that links lost.
    pub lost: u64,
    /// Packets' ways as far as they lead through here, where the plan leaves them open.
    pub ways: Option<Numbers>,
    /// What special links did.
    pub carried: Vec<Carried>,
}

impl Site {
    /// Packets of the plan that arrived here so far, wherever.
    pub(crate) fn arrived(&self) -> u64 {
        self.act.as_ref().map_or(0, |act| act.sinks.arrived())
    }

    /// Packets that links here have lost by now.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub(crate) fn lost(&self) -> Result<u64> {
        self.act.as_ref().map_or(Ok(0), |act| act.taps.lost())
    }

    /// What taps here have counted so far: packets by router and flow, and those that went astray.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub(crate) fn look(&mut self) -> Result<Counted> {
        self.act.as_mut().context("nothing is prepared")?.taps.look(&self.plan)
    }

    /// Ends the watch, and returns what was seen.
    ///
    /// # Errors
    /// When an agent failed, or a watcher lost packets.
    pub(crate) fn close(&mut self) -> Result<Seen> {
        let act = self.act.take().context("nothing is prepared")?;
        self.agents.as_mut().context("no agents")?.check()?;
        for late in self.changes.as_ref().map(Changes::rest).transpose()?.into_iter().flatten() {
            tracing::info!("a change of routes was made {late:?} after its time");
        }
        let refused = self.holder.as_ref().map_or(0, Holder::refused);
        ensure!(refused == 0, "interfaces did not take {refused} frames of the link stage's");
        let Counted { flows: taps, astray, lost, followed, carried } = act.taps.read(&self.plan)?;
        self.guard.as_ref().map_or(Ok(()), Guard::close)?;
        let Drained { arrived, astray: strays, tape, .. } = act.sinks.close()?;
        let here = |router: &usize| self.stage.layout().holds(Node::Router(*router));
        let routers = (0..self.plan.routers.len()).filter(here).collect();
        let ways = self.plan.ways_differ().then_some(Numbers { routers, each: followed });
        Ok(Seen { taps, arrived, astray: astray + strays, tape, lost, ways, carried })
    }
}
