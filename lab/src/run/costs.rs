//! What taking part cost domains, and how soon they answer each other.

use super::turn::Turn;
use crate::plan::{Plan, RouterPlan};
use crate::summary::{Burden, Costs, Pair};
use anyhow::{Context, Result};
use ashiato_collector::exchange::{Asked, Joined, Status};
use std::collections::BTreeMap;
use std::time::Duration;
use traceback::RouterId;
use traceback::report::{Report, Role};

/// The costs of all turns, where domains have collectors of their own.
///
/// # Errors
/// Where a report of our own does not decode.
pub(super) fn costs(plan: &Plan, turns: &[Turn]) -> Result<Option<Costs>> {
    if plan.exchange.is_none() || turns.is_empty() {
        return Ok(None);
    }
    let domains = (0..plan.domains.len()).map(|at| burden(plan, turns, at));
    let mut domains: Vec<Burden> = domains.collect();
    for turn in turns {
        count_reports(plan, turn, &mut domains)?;
    }
    Ok(Some(Costs { domains, pairs: pairs(turns) }))
}

fn burden(plan: &Plan, turns: &[Turn], at: usize) -> Burden {
    let id = plan.domains[at].id.clone();
    let asked = turns.iter().filter_map(|turn| turn.outcome.joined.as_ref()).flat_map(|j| &j.asked);
    let spent = turns.iter().filter_map(|turn| turn.outcome.spent.get(at));
    // Collectors live from turn to turn, agents for one.
    let collector = spent.clone().filter_map(|s| s.collector).max();
    let agents: Option<Vec<Duration>> = spent.clone().map(|s| s.agents).collect();
    let agents = agents.filter(|times| !times.is_empty());
    Burden {
        questions: asked.filter(|asked| asked.domain == id).count() as u64,
        collector_cpu_s: collector.map(|time| time.as_secs_f64()),
        agents_cpu_s: agents.map(|times| times.iter().sum::<Duration>().as_secs_f64()),
        store_bytes: spent.clone().next_back().and_then(|spent| spent.store_bytes),
        id,
        ..Burden::default()
    }
}

/// Adds a turn's reports, and the ledgers that they speak of where those are larger than in any turn before.
fn count_reports(plan: &Plan, turn: &Turn, domains: &mut [Burden]) -> Result<()> {
    let home = |(at, router): (usize, &RouterPlan)| (router.id, plan.domain_at(at));
    let homes: BTreeMap<RouterId, usize> = plan.routers.iter().enumerate().map(home).collect();
    let mut ledgers: Vec<BTreeMap<_, u64>> = vec![BTreeMap::new(); domains.len()];
    for bytes in &turn.outcome.reports {
        let report = Report::decode(bytes).context("our own report decodes")?;
        let Some(at) = homes.get(&report.router) else { continue };
        domains[*at].reports += 1;
        domains[*at].report_bytes += bytes.len() as u64;
        let who = (report.router, report.role == Role::Router);
        let most = ledgers[*at].entry(who).or_default();
        *most = report.footprint.max(*most);
    }
    for (row, ledgers) in domains.iter_mut().zip(&ledgers) {
        row.ledger_bytes = row.ledger_bytes.max(ledgers.values().sum());
    }
    Ok(())
}

fn pairs(turns: &[Turn]) -> Vec<Pair> {
    let mut all: BTreeMap<(&str, &str), Vec<(&Joined, &Asked)>> = BTreeMap::new();
    for joined in turns.iter().filter_map(|turn| turn.outcome.joined.as_ref()) {
        for asked in &joined.asked {
            // Who hands questions on asks about what came to it.
            let own = asked.asked_ms.is_some() || asked.towards.is_empty();
            let asker = if own { &joined.domain } else { &asked.towards };
            all.entry((asker, &asked.domain)).or_default().push((joined, asked));
        }
    }
    all.into_iter().map(|((asker, asked), questions)| pair(asker, asked, &questions)).collect()
}

fn pair(asker: &str, asked: &str, questions: &[(&Joined, &Asked)]) -> Pair {
    let answered = |asked: &&Asked| matches!(asked.status, Status::Answered | Status::NotSeen);
    let since = |asked: &Asked, at: Option<u64>| Some(at?.saturating_sub(asked.asked_ms?));
    // In the simulator only people take time.
    let timed = questions.iter().filter(|(j, _)| j.ended_ms > j.begun_ms).map(|(_, asked)| *asked);
    let acknowledged = timed.clone().filter_map(|asked| since(asked, asked.acknowledged_ms));
    let times = timed
        .filter(answered)
        .map(|asked| since(asked, asked.answered_ms).unwrap_or(asked.took_ms));
    Pair {
        asker: asker.into(),
        asked: asked.into(),
        questions: questions.len() as u64,
        answered: questions.iter().filter(|(_, asked)| answered(asked)).count() as u64,
        acknowledged_s: spread(acknowledged.collect()),
        answered_s: spread(times.collect()),
    }
}

/// Times in seconds as `n`, `p50` and `max`; nothing where there are none.
pub(super) fn spread(mut millis: Vec<u64>) -> BTreeMap<String, f64> {
    millis.sort_unstable();
    let (Some(middle), Some(max)) = (millis.get(millis.len() / 2), millis.last()) else {
        return BTreeMap::new();
    };
    let seconds = |ms: &u64| *ms as f64 / 1e3;
    [("n", millis.len() as f64), ("p50", seconds(middle)), ("max", seconds(max))]
        .map(|(key, value)| (key.to_owned(), value))
        .into()
}
