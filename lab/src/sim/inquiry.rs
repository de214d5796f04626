//! The end of a turn in the simulator: ledgers are cut, and the case is rebuilt, by one collector that asks
//! every router, or by domains that ask each other.

use super::Network;
use crate::plan::{Exchange, Plan};
use crate::world::{Observations, Outcome};
use crate::{asked, office};
use anyhow::{Context, Result};
use ashiato_collector::exchange::{Domain, Joined, Member, rehearse};
use ashiato_collector::trace::{Followed, Question, follow};
use std::collections::BTreeMap;
use traceback::RouterId;
use traceback::case::{Answer, Case, Window};
use traceback::report::{Counters, Report, Role};
use traceback::scheme::Keeper;
use traceback::schemes::AnyScheme;
use traceback::vantage::Vantage;

/// Who can be asked, and what was handed in.
struct Desk<'a> {
    keepers: BTreeMap<RouterId, &'a dyn Vantage>,
    ledgers: Vec<(RouterId, Vec<u8>)>,
    /// What came of all questions so far.
    rebuilt: Rebuilt,
}

/// What a reconstruction took.
#[derive(Default)]
struct Rebuilt {
    seconds: f64,
    asked: BTreeMap<RouterId, u64>,
    answered: BTreeMap<RouterId, u64>,
}

impl Desk<'_> {
    /// Rebuilds a case by asking those routers that `may` names.
    fn rebuild(
        &mut self,
        scheme: &dyn AnyScheme,
        case: &Case,
        may: &dyn Fn(RouterId) -> bool,
    ) -> Followed {
        let keepers = &self.keepers;
        let answer = |(router, query): &Question| -> Option<Answer> {
            keepers.get(router).filter(|_| may(*router)).map(|keeper| keeper.answer(query))
        };
        let mut ask = |questions: &[Question]| questions.iter().map(answer).collect();
        let (traced, handed) = follow(scheme, case, &self.ledgers, &mut ask);
        self.rebuilt.seconds += traced.seconds;
        for (sum, more) in [
            (&mut self.rebuilt.asked, &traced.asked),
            (&mut self.rebuilt.answered, &traced.answered),
        ] {
            more.iter().for_each(|(router, n)| *sum.entry(*router).or_default() += n);
        }
        (traced, handed)
    }

    /// The same by domains that ask each other.
    fn inquire(&mut self, plan: &Plan, asks: &Exchange, at: usize, case: &Case) -> Result<Joined> {
        let seats = vec![office::Seat::default(); plan.domains.len()];
        let domain = |at: usize| {
            let config = office::exchange(plan, at, &seats, 0);
            let domain = Domain::new(&config, plan.policy(at), office::surroundings(plan, at)?)?;
            let (decides, after) = plan.domains[at].people();
            Ok(Member { domain, verdict: decides.verdict(), after_ms: after.0 / 1_000_000 })
        };
        let domains: Vec<Member> = (0..plan.domains.len()).map(domain).collect::<Result<_>>()?;
        let homes: BTreeMap<RouterId, usize> =
            plan.routers.iter().enumerate().map(|(i, r)| (r.id, plan.domain_at(i))).collect();
        let begin = asked::begin(&plan.schemes[at], case, asks);
        let mut rebuild = |domain: usize, scheme: &dyn AnyScheme, case: &Case| {
            self.rebuild(scheme, case, &|router| homes.get(&router) == Some(&domain))
        };
        rehearse(&domains, plan.home(), &begin, &mut rebuild).map_err(anyhow::Error::msg)
    }
}

impl Network {
    pub(super) fn reconstruct(
        mut self,
        plan: &Plan,
        at: usize,
        scheme: &dyn AnyScheme,
        case: &Case,
    ) -> Result<Outcome> {
        let (mut reports, counters, footprint) = self.cut(case.gateway);
        let mut ledgers = vec![];
        let mut lost = 0;
        for bytes in &reports {
            let report = Report::decode(bytes).context("our own report decodes")?;
            lost += report.lost;
            ledgers.extend(report.ledger.map(|l| (report.router, l)));
        }
        reports.append(&mut self.deaths.reports);
        let keepers = (self.routers.iter())
            .filter_map(|r| Some((r.place().id, r.vantage.as_deref()? as &dyn Vantage)))
            .filter(|_| scheme.card().keeper == Keeper::Routers)
            .collect();
        let mut desk = Desk { keepers, ledgers, rebuilt: Rebuilt::default() };
        let (finding, joined) = match &plan.exchange {
            None => (desk.rebuild(scheme, case, &|_| true).0.finding, None),
            Some(asks) => {
                let joined = desk.inquire(plan, asks, at, case)?;
                (asked::finding(plan, &joined)?, Some(joined))
            }
        };
        let Rebuilt { seconds, asked, answered } = desk.rebuilt;
        let sent = reports.len() as u64;
        Ok(Outcome {
            finding,
            reconstruct_s: seconds,
            counters,
            ledger_bytes: footprint,
            reports,
            asked,
            answered,
            observations: Observations { sent, stored: sent, lost, duplicate: 0, refused: 0 },
            latency: BTreeMap::new(),
            clock_cost_ns: 0,
            program_ns: None,
            sampled_1_in: 0,
            clocks: BTreeMap::new(),
            joined,
            spent: vec![],
        })
    }

    /// Every vantage's report, what routers counted, and the memory that ledgers took.
    fn cut(&mut self, gateway: RouterId) -> (Vec<Vec<u8>>, BTreeMap<RouterId, Counters>, u64) {
        let mut counters = BTreeMap::new();
        let mut footprint = self.observer.footprint() as u64;
        let mut reports = vec![];
        for router in &mut self.routers {
            let id = router.place().id;
            let mut count = router.counters;
            if let Some(vantage) = &mut router.vantage {
                count.harms = vantage.harms();
                footprint += vantage.footprint() as u64;
                reports.push(report(&self.scheme, id, Role::Router, count, vantage.as_mut()));
            }
            counters.insert(id, count);
        }
        let (none, observer) = (Counters::default(), self.observer.as_mut());
        reports.push(report(&self.scheme, gateway, Role::Observer, none, observer));
        (reports, counters, footprint)
    }
}

pub(super) fn report(
    scheme: &str,
    router: RouterId,
    role: Role,
    counters: Counters,
    vantage: &mut dyn Vantage,
) -> Vec<u8> {
    let footprint = vantage.footprint() as u64;
    let ledger = vantage.cut();
    Report {
        scheme: scheme.into(),
        router,
        role,
        window: Window::ALWAYS,
        counters,
        lost: vantage.lost(),
        footprint,
        ledger,
        latency: vec![],
    }
    .encode()
}
