//! What a plan holds against its schemes: adversaries, faults of the network, missing deployment.

use super::{Class, Conduct, Forged, Plan, StartMark};
use traceback::router::Spread;

/// One trouble of a plan, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What it is.
    pub what: String,
    /// Whether only the simulator can make it.
    pub simulated: bool,
}

impl Plan {
    /// All of them; none in a calm plan.
    pub fn troubles(&self) -> Vec<Trouble> {
        let mut troubles = vec![];
        let mut add = |simulated, what: String| troubles.push(Trouble { what, simulated });
        for flow in &self.flows {
            let name = &flow.traffic;
            match &flow.forged {
                Some(Forged::Value(value)) => {
                    add(false, format!("{name}: mark {value:#06x} forged"))
                }
                Some(Forged::Imitated(routers)) => {
                    let names: Vec<_> =
                        routers.iter().map(|r| self.routers[*r].name.as_str()).collect();
                    add(false, format!("{name}: marks of {} forged", names.join(", ")));
                }
                None if flow.mark == StartMark::Random && flow.class == Class::Attack => {
                    add(false, format!("{name}: random marks forged"));
                }
                None if flow.mark == StartMark::Every => {
                    add(false, format!("{name}: all 65536 marks forged"));
                }
                None => {}
            }
            if flow.ttl_spread > 0 {
                let low = flow.ttl - flow.ttl_spread;
                add(false, format!("{name}: TTLs from {low} to {}", flow.ttl));
            }
            if flow.fragment {
                add(false, format!("{name}: fragments"));
            }
        }
        for router in &self.routers {
            let name = &router.name;
            match router.conduct {
                Conduct::Honest => {}
                Conduct::Silent => add(false, format!("{name} keeps silent")),
                Conduct::Erases => add(true, format!("{name} erases marks")),
                Conduct::Denies => add(true, format!("{name} denies what it saw")),
            }
            if let Some(other) = router.poses_as {
                add(true, format!("{name} poses as {}", self.routers[other].name));
            }
            if router.nat {
                add(true, format!("{name} translates addresses"));
            }
        }
        for link in self.links.iter().filter(|l| l.loss_ppm > 0) {
            let ends = [link.a, link.b].map(|e| self.node_name(e.node));
            let share = f64::from(link.loss_ppm) / 1e4;
            add(true, format!("{} - {} loses {share} %", ends[0], ends[1]));
        }
        for epoch in &self.epochs {
            add(true, format!("routes change after {} s", epoch.at.0 as f64 / 1e9));
        }
        match self.spread {
            None => {}
            Some(Spread::Flow) => add(true, "equal ways take turns by flow".into()),
            Some(Spread::Packet) => add(true, "equal ways take turns by packet".into()),
        }
        let without = self.routers.iter().filter(|r| !r.deployed).count();
        if without > 0 {
            add(false, format!("{without} of {} routers take no part", self.routers.len()));
        }
        troubles.dedup();
        troubles
    }

    /// What keeps a plan out of worlds other than the simulator.
    pub fn only_simulated(&self) -> Option<String> {
        self.troubles().into_iter().find(|t| t.simulated).map(|t| t.what)
    }
}
