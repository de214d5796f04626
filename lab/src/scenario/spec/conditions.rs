//! Conditions of an experiment: who takes part, how packets find their way, what changes meanwhile.

use super::{Link, Spec, clean};
use crate::plan::{Class, Conduct, StopIf};
use crate::units::{Quantity, Share, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many routers take part, and which: a share of those whose `deployed` is true, in an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// Share of the routers.
    #[serde(default = "everything")]
    pub share: Share,
    /// Which come first.
    #[serde(default)]
    pub order: Order,
}

impl Default for Deployment {
    fn default() -> Self {
        Self { share: everything(), order: Order::default() }
    }
}

/// An order of deployment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Routers with most links to others first.
    #[default]
    Degree,
    /// Routers with hosts first, then those with fewest links.
    Edge,
    /// Drawn from the seed.
    Random,
    /// As the file lists them.
    Listed,
}

/// How carefully a run between hosts begins, and what ends it early. Sites and manifests narrow further.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Safety {
    /// How long the run goes at a hundredth of its rates first: 2 s where left out, at most a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ramp: Option<Span>,
    /// What ends the run: goodput, clock.offset or disk.free, above or below a number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stop_if: Vec<StopIf>,
}

/// How routers choose between ways.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Routing {
    /// What happens where several next hops are equally near.
    #[serde(default)]
    pub multipath: Multipath,
}

/// Choice between next hops that are equally near.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Multipath {
    /// The one that the file names first.
    #[default]
    First,
    /// By a hash of addresses and ports.
    Flow,
    /// Anew for every packet.
    Packet,
}

/// A link that fails or comes back while packets flow. Packets that are under way keep to their old way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// When.
    pub at: Span,
    /// One router of the link.
    pub a: String,
    /// The other router.
    pub b: String,
    /// Whether the link comes back; otherwise it fails.
    #[serde(default)]
    pub up: bool,
}

impl Spec {
    /// The same without adversaries, faults of the network, or missing deployment.
    #[must_use]
    pub fn calm(&self) -> Self {
        let mut calm = self.clone();
        calm.change.clear();
        calm.fault.clear();
        (calm.deployment, calm.routing) = (Deployment::default(), Routing::default());
        for router in &mut calm.topology.routers {
            (router.conduct, router.poses_as, router.nat) = (Conduct::Honest, None, false);
            router.deployed = true;
        }
        calm.topology.links.iter_mut().for_each(Link::calm);
        calm.topology.hosts.iter_mut().for_each(|h| h.link = None);
        for traffic in &mut calm.traffic {
            (traffic.ttl_spread, traffic.fragment) = (0, false);
            let times = u64::from(std::mem::replace(&mut traffic.amplify, 1));
            traffic.packets = traffic.packets.saturating_mul(times);
            traffic.through = None;
            if traffic.class == Class::Attack {
                (traffic.mark, traffic.mark_value) = (clean(), None);
                traffic.imitates.clear();
            }
        }
        calm
    }
}

fn everything() -> Share {
    Quantity::of(1_000_000)
}
