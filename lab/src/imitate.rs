//! An attacker who knows the scheme: before a packet leaves, it takes the steps of routers that the packet
//! never saw, so that it carries marks as true as theirs.
//!
//! The attacker has everything that is public, such as the scheme, its parameters and routers' names, and chance
//! of its own. It lowers the TTL as those routers would have.

use crate::plan::{Flow, Forged, Plan};
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use traceback::Nanos;
use traceback::RouterId;
use traceback::invariant::mix2;
use traceback::packet::Packet;
use traceback::scheme::{Hop, Place};
use traceback::schemes::AnyScheme;
use traceback::vantage::{Draws, Setting, Vantage};

/// Routers played by attackers, by flow.
#[derive(Default)]
pub struct Imitator {
    flows: BTreeMap<u32, Vec<Played>>,
}

/// A router that is played, and its steps.
type Played = (Place, Box<dyn Vantage>);

impl Imitator {
    /// All imitations of a plan in the turn of a scheme.
    ///
    /// # Errors
    /// Where the plan names a router that it does not have.
    pub fn new(plan: &Plan, scheme: &dyn AnyScheme) -> Result<Self> {
        let map = plan.map()?;
        let mut flows = BTreeMap::new();
        for flow in &plan.flows {
            let Some(Forged::Imitated(routers)) = &flow.forged else { continue };
            let mut played = vec![];
            for router in routers {
                let id = plan.routers.get(*router).context("no such router to imitate")?.id;
                let place = map.place(id).context("the map holds every router")?;
                let draws = Draws::Seeded(mix2(plan.seed, flow.id.into()));
                let setting = Setting { place, key: plan.key, draws, filter: None };
                played.push((place, scheme.vantage(setting)));
            }
            flows.insert(flow.id, played);
        }
        Ok(Self { flows })
    }

    /// Takes the steps of all routers that the flow's sender imitates.
    pub fn forge(&mut self, flow: &Flow, at: Nanos, ip: &mut [u8]) {
        let Some(played) = self.flows.get_mut(&flow.id) else { return };
        let Ok(mut packet) = Packet::parse(ip) else { return };
        let names: Vec<RouterId> = played.iter().map(|(place, _)| place.id).collect();
        for (i, (place, vantage)) in played.iter_mut().enumerate() {
            let hop = Hop {
                at,
                me: place.id,
                from: i.checked_sub(1).map_or(RouterId(0), |before| names[before]),
                to: names.get(i + 1).copied().unwrap_or_default(),
                degree: place.degree,
                ttl: packet.ttl(),
                edge: u8::from(i == 0),
                ..Hop::default()
            };
            vantage.forward(hop, &mut packet);
            packet.decrement_ttl();
        }
    }
}
