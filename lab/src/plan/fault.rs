//! Faults: what fails in every turn, when, and for how long.

use super::wire::{Conditions, USUAL_QUEUE};
use super::{Node, Plan};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use traceback::Nanos;

/// Something that fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Its word in the scenario.
    pub id: String,
    /// When it begins.
    #[schemars(with = "u64")]
    pub at: Nanos,
    /// How long it lasts; `None`: to the end of the turn.
    #[serde(rename = "for")]
    #[schemars(with = "Option<u64>")]
    pub lasts: Option<Nanos>,
    /// What fails.
    pub what: Failure,
}

/// What fails. Links, routers: positions in the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Failure {
    /// A link carries nothing.
    Cut {
        /// Which.
        link: usize,
    },
    /// A link loses packets.
    Loss {
        /// Which.
        link: usize,
        /// Of a million.
        ppm: u32,
    },
    /// A link is slow.
    Delay {
        /// Which.
        link: usize,
        /// Its delay meanwhile.
        #[schemars(with = "u64")]
        delay: Nanos,
    },
    /// A link is narrow.
    Rate {
        /// Which.
        link: usize,
        /// Bits per second.
        bps: u64,
    },
    /// An agent is killed, and started again where the fault ends.
    Kill {
        /// Its router.
        router: usize,
    },
    /// Agents cannot reach the collector.
    Line {
        /// Their routers.
        routers: Vec<usize>,
    },
    /// An agent's clock is put forward or back.
    Clock {
        /// Its router.
        router: usize,
        /// By how many nanoseconds.
        step_ns: i64,
    },
    /// The collector's file system is full.
    DiskFull,
    /// Routers answer questions late.
    Slow {
        /// Which.
        routers: Vec<usize>,
        /// How late.
        #[schemars(with = "u64")]
        delay: Nanos,
    },
}

impl Fault {
    /// Whether it is on at a time of the plan.
    pub fn holds(&self, at: Nanos) -> bool {
        self.at <= at && self.end().is_none_or(|end| at < end)
    }

    /// When it ends.
    pub fn end(&self) -> Option<Nanos> {
        self.lasts.map(|lasts| Nanos(self.at.0.saturating_add(lasts.0)))
    }
}

impl Failure {
    /// The link that it befalls.
    pub fn link(&self) -> Option<usize> {
        match self {
            Self::Cut { link }
            | Self::Loss { link, .. }
            | Self::Delay { link, .. }
            | Self::Rate { link, .. } => Some(*link),
            Self::Kill { .. }
            | Self::Line { .. }
            | Self::Clock { .. }
            | Self::DiskFull
            | Self::Slow { .. } => None,
        }
    }

    /// Whether any of what it befalls is among the nodes that are `here`; the collector is no node.
    pub fn befalls(&self, plan: &Plan, here: impl Fn(Node) -> bool) -> bool {
        if let Some(link) = self.link() {
            let link = &plan.links[link];
            return here(link.a.node) || here(link.b.node);
        }
        let routers = if let Self::Slow { routers, .. } = self { routers } else { self.agents() };
        routers.iter().any(|router| here(Node::Router(*router)))
    }

    /// What it makes of its link's conditions; [`Self::Cut`] leaves them.
    #[must_use]
    pub fn on(&self, mut conditions: Conditions) -> Conditions {
        match self {
            Self::Loss { ppm, .. } => conditions.loss_ppm = Some(*ppm),
            Self::Delay { delay, .. } => {
                conditions.delay = *delay;
                // Packets cannot come before they left.
                conditions.jitter = conditions.jitter.min(*delay);
            }
            Self::Rate { bps, .. } => {
                conditions.rate_bps = *bps;
                let queue = conditions.queue_bytes;
                conditions.queue_bytes = if queue > 0 { queue } else { USUAL_QUEUE };
            }
            Self::Cut { .. }
            | Self::Kill { .. }
            | Self::Line { .. }
            | Self::Clock { .. }
            | Self::DiskFull
            | Self::Slow { .. } => {}
        }
        conditions
    }

    /// Why the simulator cannot make it, where it cannot.
    pub fn not_in_sim(&self) -> Option<&'static str> {
        match self {
            Self::Line { .. } | Self::DiskFull => Some("the simulator has no collector to reach"),
            Self::Clock { .. } => Some("all of the simulator has one clock"),
            Self::Slow { .. } => Some("the simulator's questions take no time"),
            Self::Cut { .. }
            | Self::Loss { .. }
            | Self::Delay { .. }
            | Self::Rate { .. }
            | Self::Kill { .. } => None,
        }
    }

    /// Routers whose agents it befalls, so that they need a process of their own.
    pub fn agents(&self) -> &[usize] {
        match self {
            Self::Kill { router } | Self::Clock { router, .. } => std::slice::from_ref(router),
            Self::Line { routers } => routers,
            Self::Cut { .. }
            | Self::Loss { .. }
            | Self::Delay { .. }
            | Self::Rate { .. }
            | Self::DiskFull
            | Self::Slow { .. } => &[],
        }
    }
}

impl Plan {
    /// A fault in words.
    pub fn fault_in_words(&self, fault: &Fault) -> String {
        let link = |link: &usize| {
            let [a, b] = [self.links[*link].a, self.links[*link].b];
            format!("link {} - {}", self.node_name(a.node), self.node_name(b.node))
        };
        let names = |routers: &[usize]| {
            let names: Vec<_> = routers.iter().map(|r| self.node_name(Node::Router(*r))).collect();
            names.join(", ")
        };
        let seconds = |ns: u64| ns as f64 / 1e9;
        match &fault.what {
            Failure::Cut { link: l } => format!("{} is cut", link(l)),
            Failure::Loss { link: l, ppm } => {
                format!("{} loses {} %", link(l), f64::from(*ppm) / 1e4)
            }
            Failure::Delay { link: l, delay } => {
                format!("{} takes {} s", link(l), seconds(delay.0))
            }
            Failure::Rate { link: l, bps } => format!("{} carries {bps} bit/s", link(l)),
            Failure::Kill { router } => format!("agent of {} is killed", names(&[*router])),
            Failure::Line { routers } => {
                format!("agents of {} cannot reach the collector", names(routers))
            }
            Failure::Clock { router, step_ns } => {
                let step = *step_ns as f64 / 1e9;
                format!("clock of {} is put by {step:+} s", names(&[*router]))
            }
            Failure::DiskFull => "the collector's disk is full".into(),
            Failure::Slow { routers, delay } => {
                format!("{} answer {} s late", names(routers), seconds(delay.0))
            }
        }
    }

    /// Faults that befall a link.
    pub fn link_faults(&self, link: usize) -> impl Iterator<Item = &Fault> {
        self.faults.iter().filter(move |f| f.what.link() == Some(link))
    }

    /// Conditions of a link at a time, on the way from its first end (side 0) or its second (side 1);
    /// `None` where it is cut.
    pub fn conditions_at(&self, link: usize, side: usize, at: Nanos) -> Option<Conditions> {
        let own = self.links[link].conditions(side);
        match self.link_faults(link).find(|f| f.holds(at)) {
            Some(Fault { what: Failure::Cut { .. }, .. }) => None,
            Some(fault) => Some(fault.what.on(own)),
            None => Some(own),
        }
    }

    /// Whether a link is more than a wire: it has conditions, or a fault befalls it.
    pub fn is_special(&self, link: usize) -> bool {
        let own = &self.links[link];
        let plain = own.loss_ppm == 0 && own.ways == [Conditions::default(); 2];
        !plain || self.link_faults(link).next().is_some()
    }

    /// Whether packets take their time on any link, or may while a fault lasts.
    pub fn is_timed(&self) -> bool {
        (0..self.links.len()).any(|link| self.is_timed_link(link))
    }

    /// The same of one link.
    pub fn is_timed_link(&self, link: usize) -> bool {
        let timed = |f: &Fault| matches!(f.what, Failure::Delay { .. } | Failure::Rate { .. });
        self.links[link].ways.iter().any(Conditions::is_timed) || self.link_faults(link).any(timed)
    }

    /// When the last fault that ends has ended, counted from the plan's time 0.
    pub fn faults_end(&self) -> Duration {
        let last = self.faults.iter().filter_map(Fault::end).max();
        Duration::from_nanos(last.map_or(0, |end| end.0))
    }

    /// Routers whose agents a fault kills.
    pub fn killed(&self) -> impl Iterator<Item = (usize, &Fault)> {
        let killed = |f: &Fault| matches!(f.what, Failure::Kill { .. });
        let faults = self.faults.iter().filter(move |f| killed(f));
        faults.flat_map(|f| f.what.agents().iter().map(move |router| (*router, f)))
    }
}
