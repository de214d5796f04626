//! Agents that are killed and started again: what they held is gone, and a new one begins with nothing.
//!
//! The router itself forwards on, as a kernel does; that of world `netns` in user space does not.

use super::Network;
use super::build::vantage;
use super::inquiry::report;
use crate::plan::Plan;
use anyhow::Result;
use traceback::Nanos;
use traceback::disclose::Cut;
use traceback::report::{Counters, Role};
use traceback::scheme::Keeper;
use traceback::schemes::AnyScheme;
use traceback::vantage::Vantage;

/// All deaths of a turn.
pub(super) struct Deaths {
    deaths: Vec<Death>,
    /// Whether what routers hold goes to the collector while they live.
    reports_on: bool,
    /// What the dead had reported.
    pub(super) reports: Vec<Vec<u8>>,
}

struct Death {
    router: usize,
    at: Option<Nanos>,
    /// When the next one starts, and itself.
    heir: Option<(Nanos, Box<dyn Vantage>)>,
}

impl Deaths {
    pub(super) fn of(plan: &Plan, cut: &Cut, scheme: &dyn AnyScheme) -> Result<Self> {
        let mut deaths = vec![];
        for (router, fault) in plan.killed() {
            let heir = |end| anyhow::Ok((end, vantage(plan, cut, scheme, router)?));
            let heir = fault.end().map(heir).transpose()?;
            deaths.push(Death { router, at: Some(fault.at), heir });
        }
        let reports_on = scheme.card().keeper != Keeper::Routers;
        Ok(Self { deaths, reports_on, reports: vec![] })
    }
}

impl Network {
    /// Kills and starts agents whose time has come.
    pub(super) fn keep_agents(&mut self, now: Nanos) {
        for death in &mut self.deaths.deaths {
            let router = &mut self.routers[death.router];
            if death.at.is_some_and(|at| at <= now) {
                death.at = None;
                // It reported twice a second: what travels is with the collector, what stays is lost.
                let mut dead = router.vantage.take().filter(|_| self.deaths.reports_on);
                if let Some(vantage) = &mut dead {
                    let count = Counters { harms: vantage.harms(), ..Counters::default() };
                    let (id, role) = (router.place().id, Role::Router);
                    let last = report(&self.scheme, id, role, count, vantage.as_mut());
                    self.deaths.reports.push(last);
                }
            }
            if let Some((_, heir)) = death.heir.take_if(|(at, _)| *at <= now) {
                router.vantage = Some(heir);
            }
        }
    }
}
