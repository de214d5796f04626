//! The end of a turn: the lab, as operator, has the collector gather, rebuild, and account for it.

use super::agents::{Headquarters, Posted};
use super::space::within;
use super::stage::Stage;
use crate::plan::{Plan, SchemePlan};
use crate::world::{Observations, Outcome};
use anyhow::{Context, Result, bail};
use ashiato_collector::authority::Tls;
use ashiato_collector::client::{self, Operator, Sent};
use ashiato_collector::wire::{StatusReply, Tally};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use traceback::RouterId;
use traceback::case::Case;
use traceback::report::{Counters, Role};

/// How long agents may take to report what they hold.
const CUT: Duration = Duration::from_secs(20);
/// How long a router may take to answer a question.
const ANSWER: Duration = Duration::from_secs(5);
/// How long agents may take to find the collector.
const CONNECT: Duration = Duration::from_secs(20);

/// Everything that the collector says about a turn.
struct Said {
    traced: client::Outcome,
    reports: Vec<Sent>,
    status: StatusReply,
}

/// Gathers reports, rebuilds the case's paths, and accounts for it.
///
/// # Errors
/// When the collector cannot be reached, or agents do not report.
pub(crate) fn inquire(
    plan: &Plan,
    scheme: usize,
    case: &Case,
    stage: &Stage,
    headquarters: &Headquarters,
    posted: Posted,
) -> Result<Outcome> {
    let chosen = &plan.schemes[scheme];
    let (address, keys) = (headquarters.seats.collector, &headquarters.operator);
    let vantages = posted.vantages;
    let said = within(&stage.layout().control().path(), || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            tokio::select! {
                said = ask(chosen, case, (address, keys), vantages) => Ok(said),
                end = pulse(stage) => Err(end),
            }
        })
    })?;
    let log = || format!("the collector could not rebuild{}", headquarters.collector.quote());
    outcome(said.with_context(log)?, posted)
}

/// Ends, with the reason, when the run is to end.
async fn pulse(stage: &Stage) -> anyhow::Error {
    loop {
        if let Err(end) = stage.pulse() {
            return end;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn ask(
    scheme: &SchemePlan,
    case: &Case,
    (address, keys): (SocketAddr, &Tls),
    vantages: usize,
) -> Result<Said> {
    let id = &scheme.id;
    let mut operator = Operator::connect(address, keys).await?;
    let end = Instant::now() + CONNECT;
    loop {
        let status = operator.status(id).await?;
        let connected = status.agents.iter().filter(|a| a.connected && a.scheme == *id).count();
        if connected >= vantages {
            break;
        }
        if Instant::now() > end {
            bail!("after {CONNECT:?} only {connected} of {vantages} agents are connected");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let cut = operator.cut(id, CUT).await?;
    if !cut.silent.is_empty() {
        bail!("these agents did not report within {CUT:?}: {}", cut.silent.join(", "));
    }
    let traced = operator.trace(id, &scheme.params, case, ANSWER).await?;
    let reports = operator.reports(id).await?;
    let status = operator.status(id).await?;
    Ok(Said { traced, reports, status })
}

fn outcome(said: Said, posted: Posted) -> Result<Outcome> {
    let Said { traced: client::Outcome { traced, footprint_bytes, .. }, reports, status } = said;
    let mut counters: BTreeMap<RouterId, Counters> = BTreeMap::new();
    let mut latency: BTreeMap<RouterId, Histogram<u64>> = BTreeMap::new();
    let mut observations = Observations::default();
    for Sent { report, .. } in &reports {
        observations.lost += report.lost;
        if report.role == Role::Router {
            counters.entry(report.router).or_default().add(&report.counters);
            if !report.latency.is_empty() {
                let times: Histogram<u64> = Deserializer::new()
                    .deserialize(&mut report.latency.as_slice())
                    .with_context(|| format!("the histogram of router {}", report.router))?;
                latency.entry(report.router).or_insert(Histogram::new(3)?).add(times)?;
            }
        }
    }
    status.tallies.iter().for_each(|tally| count(&mut observations, tally));
    Ok(Outcome {
        finding: traced.finding,
        reconstruct_s: traced.seconds,
        counters,
        ledger_bytes: footprint_bytes,
        reports: reports.iter().map(|s| s.report.encode()).collect(),
        asked: traced.asked,
        answered: traced.answered,
        observations,
        latency,
        clock_cost_ns: posted.clock_cost_ns,
        sampled_1_in: posted.sampled_1_in,
        program_ns: None,
    })
}

/// Adds what the collector counted of one agent's reports.
fn count(observations: &mut Observations, tally: &Tally) {
    let refused: u64 = tally.refused.values().sum();
    observations.stored += tally.stored;
    observations.duplicate += tally.duplicate;
    observations.refused += refused;
    observations.lost += tally.lost;
    observations.sent += tally.stored + tally.lost + refused;
}
