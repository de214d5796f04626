//! What a plan holds against its schemes: adversaries, faults of the network, missing deployment.

use super::{
    Conditions, Conduct, Epoch, Fault, Flow, Forged, LinkPlan, Plan, RouterPlan, StartMark,
};
use traceback::router::Spread;

impl Plan {
    /// All of them, in words; none in a calm plan.
    pub fn troubles(&self) -> Vec<String> {
        let behind = self.flows.iter().filter(|f| f.reflects.is_some());
        let mut all: Vec<_> =
            behind.map(|f| format!("{}: sent by reflectors", f.traffic)).collect();
        all.extend(self.unlawful());
        all.dedup();
        all
    }

    /// Of these, all that laws of marks do not cover: a reflector's answers are packets like others.
    pub fn unlawful(&self) -> Vec<String> {
        let senders = self.flows.iter().flat_map(|f| self.forged(f));
        let routers = self.routers.iter().flat_map(|r| self.crooked(r));
        let mut troubles: Vec<_> = senders.chain(routers).chain(self.faults()).collect();
        let without = self.routers.iter().filter(|r| !r.deployed).count();
        if without > 0 {
            troubles.push(format!("{without} of {} routers take no part", self.routers.len()));
        }
        troubles.dedup();
        troubles
    }

    /// What a sender forges.
    fn forged(&self, flow: &Flow) -> Vec<String> {
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
        all.map(|what| format!("{}: {what}", flow.traffic)).collect()
    }

    /// What a router does that its scheme does not say.
    fn crooked(&self, router: &RouterPlan) -> Vec<String> {
        let conduct = match router.conduct {
            Conduct::Honest => None,
            Conduct::Silent => Some("keeps silent".to_owned()),
            Conduct::Erases => Some("erases marks".to_owned()),
            Conduct::Denies => Some("denies what it saw".to_owned()),
        };
        let other = router.poses_as.map(|other| &self.routers[other].name);
        let poses = other.map(|other| format!("poses as {other}"));
        let nat = router.nat.then(|| "translates addresses".to_owned());
        let all = [conduct, poses, nat].into_iter().flatten();
        all.map(|what| format!("{} {what}", router.name)).collect()
    }

    /// What the network does.
    fn faults(&self) -> Vec<String> {
        let loses = |l: &LinkPlan| {
            let [a, b] = [l.a, l.b].map(|e| self.node_name(e.node));
            format!("{a} - {b} loses {} %", f64::from(l.loss_ppm) / 1e4)
        };
        let timed = |l: &LinkPlan| {
            let [a, b] = [l.a, l.b].map(|e| self.node_name(e.node));
            format!("{a} - {b} has conditions")
        };
        let has = |l: &&LinkPlan| l.ways != [Conditions::default(); 2];
        let conditions = self.links.iter().filter(has).map(timed);
        let fails = |f: &Fault| {
            let (what, at) = (self.fault_in_words(f), f.at.0 as f64 / 1e9);
            let lasts = f.lasts.map_or(String::new(), |l| format!(" for {} s", l.0 as f64 / 1e9));
            format!("{}: {what} after {at} s{lasts}", f.id)
        };
        let fails = self.faults.iter().map(fails);
        let changes = |e: &Epoch| format!("routes change after {} s", e.at.0 as f64 / 1e9);
        let spread = self.spread.map(|spread| match spread {
            Spread::Flow => "equal ways take turns by flow".to_owned(),
            Spread::Packet => "equal ways take turns by packet".to_owned(),
        });
        let lossy = self.links.iter().filter(|l| l.loss_ppm > 0).map(loses);
        let links = lossy.chain(conditions);
        links.chain(self.epochs.iter().map(changes)).chain(spread).chain(fails).collect()
    }
}
