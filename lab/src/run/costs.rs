//! What taking part cost domains, and how soon they answer each other.

use super::turn::Turn;
use crate::plan::Plan;
use crate::summary::{Burden, Costs, Pair};
use anyhow::{Context, Result};
use ashiato_collector::exchange::{Asked, Joined, Status};
use std::collections::BTreeMap;
use std::time::Duration;
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
    Ok(Some(Costs { domains: domains.collect::<Result<_>>()?, pairs: pairs(turns) }))
}

fn burden(plan: &Plan, turns: &[Turn], at: usize) -> Result<Burden> {
    let id = plan.domains[at].id.clone();
    let routers: Vec<_> = plan.routers.iter().filter(|r| r.domain == id).map(|r| r.id).collect();
    let mut row = Burden { id, ..Burden::default() };
    for turn in turns {
        let joined = turn.outcome.joined.iter().flat_map(|joined| &joined.asked);
        row.questions += joined.filter(|asked| asked.domain == row.id).count() as u64;
        let mut ledgers = BTreeMap::new();
        for bytes in &turn.outcome.reports {
            let report = Report::decode(bytes).context("our own report decodes")?;
            if routers.contains(&report.router) {
                row.reports += 1;
                row.report_bytes += bytes.len() as u64;
                let who = (report.router, report.role == Role::Router);
                let most = ledgers.entry(who).or_insert(0);
                *most = report.footprint.max(*most);
            }
        }
        row.ledger_bytes = row.ledger_bytes.max(ledgers.values().sum());
    }
    let spent = turns.iter().filter_map(|turn| turn.outcome.spent.get(at));
    // Collectors live from turn to turn, agents for one.
    row.collector_cpu_s =
        spent.clone().filter_map(|s| s.collector).max().map(|time| time.as_secs_f64());
    let agents: Option<Vec<Duration>> = spent.clone().map(|s| s.agents).collect();
    row.agents_cpu_s = agents
        .filter(|times| !times.is_empty())
        .map(|times| times.iter().sum::<Duration>().as_secs_f64());
    row.store_bytes = spent.clone().next_back().and_then(|spent| spent.store_bytes);
    Ok(row)
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
