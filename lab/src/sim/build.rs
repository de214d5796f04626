//! Routers and the victim's observer as a turn begins with them.

use super::Network;
use super::deaths::Deaths;
use super::straits::Straits;
use super::tally::Tally;
use crate::conduct;
use crate::plan::{DrawKind, Node, Plan};
use crate::reflect::Reflector;
use anyhow::{Context, Result};
use traceback::disclose::Cut;
use traceback::router::Router;
use traceback::schemes::AnyScheme;
use traceback::vantage::{Draws, Setting, Vantage};

impl Network {
    pub(super) fn new(plan: &Plan, scheme: &dyn AnyScheme) -> Result<Self> {
        let cut = plan.acting(scheme)?;
        let map = cut.whole();
        let mut routers = vec![];
        for (i, spec) in plan.routers.iter().enumerate() {
            let place = map.place(spec.id).context("the map holds every router")?;
            let own = [std::net::Ipv4Addr::from(spec.id).into()];
            let mut router = Router::new(place, plan.acting_ports(i, &cut), &own, plan.fib(i));
            (router.spread, router.mute) = (plan.spread, plan.is_mute(i));
            if spec.works() {
                router.vantage = Some(vantage(plan, &cut, scheme, i)?);
            }
            routers.push(router);
        }
        let place = map.place(plan.gateway()).context("the map holds the gateway")?;
        let (key, draws) = (plan.key, draws(plan));
        let setting = Setting { place, key, draws, filter: Some(plan.case.filter) };
        let ports = (0..routers.len()).map(|i| plan.ports(Node::Router(i))).collect();
        let (observer, victim) = (scheme.vantage(setting), plan.case.victim);
        let reflectors = (0..plan.hosts.len()).map(|host| Reflector::of(plan, host)).collect();
        let (chosen, scheme) = (scheme, scheme.card().id.into());
        let (straits, deaths) = (Straits::of(plan), Deaths::of(plan, &cut, chosen)?);
        let (epoch, tally) = (0, Tally::of(plan));
        Ok(Self {
            routers,
            ports,
            observer,
            victim,
            reflectors,
            scheme,
            epoch,
            straits,
            deaths,
            tally,
        })
    }
}

fn draws(plan: &Plan) -> Draws {
    match plan.draws {
        DrawKind::Keyed => Draws::Keyed,
        DrawKind::Kernel | DrawKind::Law => Draws::Seeded(plan.seed),
    }
}

/// The scheme at work at a router, as its owner lets it work.
pub(super) fn vantage(
    plan: &Plan,
    cut: &Cut,
    scheme: &dyn AnyScheme,
    router: usize,
) -> Result<Box<dyn Vantage>> {
    let spec = &plan.routers[router];
    let place = match spec.poses_as {
        Some(other) => cut.whole().place(plan.routers[other].id),
        None => plan.acting_place(router, cut),
    };
    let place = place.context("the map holds every router")?;
    let setting = Setting { place, key: plan.key, draws: draws(plan), filter: None };
    Ok(conduct::of(spec.conduct, scheme, scheme.vantage(setting)))
}
