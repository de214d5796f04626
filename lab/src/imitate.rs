//! An attacker who knows the scheme: before a packet leaves, it takes the steps of routers that the packet
//! never saw, so that it carries marks as true as theirs.
//!
//! The attacker has everything that is public, such as the scheme, its parameters and routers' names, and chance
//! of its own; routers' secrets it has to guess. It lowers the TTL as those routers would have.

use crate::plan::{Flow, Forged, Plan};
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use traceback::Nanos;
use traceback::invariant::mix2;
use traceback::packet::Packet;
use traceback::scheme::{Hop, Place};
use traceback::schemes::AnyScheme;
use traceback::vantage::{Draws, Setting, Vantage};

/// Routers played by attackers, by flow.
pub struct Imitator {
    flows: BTreeMap<u32, Vec<Played>>,
}

/// What a router that is played knows of every packet, and its steps.
type Played = (Hop, Box<dyn Vantage>);

impl Imitator {
    /// All imitations of a plan in the turn of a scheme.
    ///
    /// # Errors
    /// Where the plan names a router that it does not have.
    pub fn new(plan: &Plan, scheme: &dyn AnyScheme) -> Result<Self> {
        let cut = plan.acting(scheme)?;
        let outsider = scheme.outsider();
        let scheme = outsider.as_deref().unwrap_or(scheme);
        let mut flows = BTreeMap::new();
        for flow in &plan.flows {
            let Some(Forged::Imitated(routers)) = &flow.forged else { continue };
            // It knows what everybody may know: the names that routers act under.
            let place = |router: &usize| -> Result<Place> {
                plan.routers.get(*router).context("no such router to imitate")?;
                plan.acting_place(*router, &cut).context("the map holds every router")
            };
            let places: Vec<Place> = routers.iter().map(place).collect::<Result<_>>()?;
            let played = |(i, place): (usize, &Place)| -> Played {
                let id = |at: Option<usize>| at.and_then(|at| places.get(at)).map(|p| p.id);
                let hop = Hop {
                    me: place.id,
                    from: id(i.checked_sub(1)).unwrap_or_default(),
                    to: id(Some(i + 1)).unwrap_or_default(),
                    degree: place.degree,
                    edge: u8::from(i == 0),
                    ..Hop::default()
                };
                let draws = Draws::Seeded(mix2(plan.seed, flow.id.into()));
                let setting = Setting { place: *place, key: plan.key, draws, filter: None };
                (hop, scheme.vantage(setting))
            };
            flows.insert(flow.id, places.iter().enumerate().map(played).collect());
        }
        Ok(Self { flows })
    }

    /// Takes the steps of all routers that the flow's sender imitates.
    pub fn forge(&mut self, flow: &Flow, at: Nanos, ip: &mut [u8]) {
        let Some(played) = self.flows.get_mut(&flow.id) else { return };
        let Ok(mut packet) = Packet::parse(ip) else { return };
        for (hop, vantage) in played {
            vantage.forward(Hop { at, ttl: packet.ttl(), ..*hop }, &mut packet);
            packet.decrement_ttl();
        }
    }
}
