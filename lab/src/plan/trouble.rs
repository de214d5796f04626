//! What a plan holds against its schemes: adversaries, faults of the network, missing deployment.

use super::{Conduct, Epoch, Flow, Forged, LinkPlan, Plan, RouterPlan, StartMark};
use traceback::router::Spread;

/// One trouble of a plan, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What it is.
    pub what: String,
    /// Whether only the simulator can make it.
    pub simulated: bool,
}

impl Trouble {
    fn new(simulated: bool, what: String) -> Self {
        Self { what, simulated }
    }
}

impl Plan {
    /// All of them; none in a calm plan.
    pub fn troubles(&self) -> Vec<Trouble> {
        let senders = self.flows.iter().flat_map(|f| self.forged(f));
        let routers = self.routers.iter().flat_map(|r| self.crooked(r));
        let mut troubles: Vec<_> = senders.chain(routers).chain(self.faults()).collect();
        let without = self.routers.iter().filter(|r| !r.deployed).count();
        if without > 0 {
            let what = format!("{without} of {} routers take no part", self.routers.len());
            troubles.push(Trouble::new(false, what));
        }
        troubles.dedup();
        troubles
    }

    /// What keeps a plan out of worlds other than the simulator.
    pub fn only_simulated(&self) -> Option<String> {
        self.troubles().into_iter().find(|t| t.simulated).map(|t| t.what)
    }

    /// What a sender forges.
    fn forged(&self, flow: &Flow) -> Vec<Trouble> {
        let name = |r: &usize| self.routers[*r].name.as_str();
        let mark = match (&flow.forged, flow.mark) {
            (Some(Forged::Value(value)), _) => Some(format!("mark {value:#06x} forged")),
            (Some(Forged::Imitated(routers)), _) => {
                let names: Vec<_> = routers.iter().map(name).collect();
                Some(format!("marks of {} forged", names.join(", ")))
            }
            (None, StartMark::Random) => Some("random marks forged".into()),
            (None, StartMark::Every) => Some("all 65536 marks forged".into()),
            (None, StartMark::Clean | StartMark::Stock) => None,
        };
        let low = flow.ttl.saturating_sub(flow.ttl_spread);
        let ttl = (flow.ttl_spread > 0).then(|| format!("TTLs from {low} to {}", flow.ttl));
        let fragment = flow.fragment.then(|| "fragments".to_owned());
        let all = [mark, ttl, fragment].into_iter().flatten();
        all.map(|what| Trouble::new(false, format!("{}: {what}", flow.traffic))).collect()
    }

    /// What a router does that its scheme does not say.
    fn crooked(&self, router: &RouterPlan) -> Vec<Trouble> {
        let conduct = match router.conduct {
            Conduct::Honest => None,
            // It is the same as having no agent, which every world can do.
            Conduct::Silent => Some((false, "keeps silent".to_owned())),
            Conduct::Erases => Some((true, "erases marks".to_owned())),
            Conduct::Denies => Some((true, "denies what it saw".to_owned())),
        };
        let other = router.poses_as.map(|other| &self.routers[other].name);
        let poses = other.map(|other| (true, format!("poses as {other}")));
        let nat = router.nat.then(|| (false, "translates addresses".to_owned()));
        let all = [conduct, poses, nat].into_iter().flatten();
        all.map(|(simulated, what)| Trouble::new(simulated, format!("{} {what}", router.name)))
            .collect()
    }

    /// What the network does.
    fn faults(&self) -> Vec<Trouble> {
        let loses = |l: &LinkPlan| {
            let [a, b] = [l.a, l.b].map(|e| self.node_name(e.node));
            format!("{a} - {b} loses {} %", f64::from(l.loss_ppm) / 1e4)
        };
        let changes = |e: &Epoch| format!("routes change after {} s", e.at.0 as f64 / 1e9);
        let spread = self.spread.map(|spread| match spread {
            Spread::Flow => "equal ways take turns by flow".to_owned(),
            Spread::Packet => "equal ways take turns by packet".to_owned(),
        });
        let lossy = self.links.iter().filter(|l| l.loss_ppm > 0).map(loses);
        let all = lossy.chain(self.epochs.iter().map(changes)).chain(spread);
        all.map(|what| Trouble::new(false, what)).collect()
    }
}
