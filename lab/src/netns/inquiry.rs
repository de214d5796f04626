//! The end of a turn: the lab, as operator, has the collector gather, rebuild, and account for it.

use super::agents::Posted;
use super::headquarters::{Headquarters, Post};
use super::people;
use super::space::within;
use super::stage::Stage;
use crate::asked;
use crate::clock::unix_ns;
use crate::plan::{Plan, SchemePlan};
use crate::world::{Observations, Outcome};
use anyhow::{Context, Result, bail};
use ashiato_collector::authority::Tls;
use ashiato_collector::client::{self, Operator, Sent};
use ashiato_collector::exchange::Joined;
use ashiato_collector::trace;
use ashiato_collector::wire::Tally;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use traceback::RouterId;
use traceback::case::{Case, Gap};
use traceback::graph::Finding;
use traceback::report::{Counters, Role};

/// How long agents may take to report what they hold.
const CUT: Duration = Duration::from_secs(20);
/// The same where an agent is dead for good, for which the collector waits all this time.
const CUT_BESIDE_DEAD: Duration = Duration::from_secs(5);
/// How long a router may take to answer a question.
const ANSWER: Duration = Duration::from_secs(5);
/// How long agents may take to find the collector.
const CONNECT: Duration = Duration::from_secs(20);
/// By how much a clock may differ from the lab's before it is called wrong.
const CLOCK_SLACK: u64 = 250_000_000;

/// What the lab knows of agents that answer for a turn.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watch {
    /// The turn's zero at each router, as the lab's own clock had it then: agents' clocks are compared with that.
    pub zeros: BTreeMap<RouterId, u64>,
    /// Agents that were killed for good.
    pub dead: usize,
}

/// Everything that collectors say about a turn.
struct Said {
    rebuilt: Rebuilt,
    reports: Vec<Sent>,
    tallies: Vec<Tally>,
    /// When agents were asked to report all, and when they had, in nanoseconds since the Unix epoch.
    cut: [u64; 2],
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
    Watch { zeros, dead }: Watch,
) -> Result<Outcome> {
    let chosen = &plan.schemes[scheme];
    let roll = Roll { vantages: posted.vantages.saturating_sub(dead), dead };
    let call = |post: &'_ Post| (post.address, post.operators.clone());
    let calls: Vec<Call> = headquarters.posts.iter().map(call).collect();
    let at = headquarters.home();
    let said = within(&stage.layout().control().path(), || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            tokio::select! {
                said = ask(plan, chosen, case, (&calls, at), roll) => Ok(said),
                end = pulse(stage) => Err(end),
            }
        })
    })?;
    let home = &headquarters.posts[at].collector;
    let log = || format!("the collector could not rebuild{}", home.quote());
    let said = said.with_context(log)?;
    let clocks = clocks(&said, &zeros);
    Ok(Outcome { clocks, ..outcome(said, posted)? })
}

/// Who is there to be asked.
#[derive(Debug, Clone, Copy)]
struct Roll {
    vantages: usize,
    /// Agents that were killed for good.
    dead: usize,
}

/// Agents whose clocks are wrong. Each made its last cut while the lab waited for it, so its clock's time
/// lies between the lab's before and after, if it is right.
fn clocks(said: &Said, zeros: &BTreeMap<RouterId, u64>) -> BTreeMap<RouterId, f64> {
    let mut last: BTreeMap<RouterId, u64> = BTreeMap::new();
    for Sent { report, .. } in said.reports.iter().filter(|s| s.report.role == Role::Router) {
        let end = last.entry(report.router).or_default();
        // A clock that was put back shows in the last report, not in the latest time.
        *end = report.window.to.0;
    }
    let off = |router: &RouterId, end: u64| {
        let zero = *zeros.get(router)?;
        let [before, after] = said.cut.map(|at| at.saturating_sub(zero));
        match end {
            end if end > after + CLOCK_SLACK => Some((end - after) as f64 / 1e9),
            end if end + CLOCK_SLACK < before => Some(-((before - end) as f64) / 1e9),
            _ => None,
        }
    };
    last.into_iter().filter_map(|(router, end)| Some((router, off(&router, end)?))).collect()
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

/// A collector's address, and the lab's keys there.
pub(super) type Call = (SocketAddr, Vec<Tls>);

async fn ask(
    plan: &Plan,
    scheme: &SchemePlan,
    case: &Case,
    (calls, home): (&[Call], usize),
    roll: Roll,
) -> Result<Said> {
    let id = &scheme.id;
    let mut operators = vec![];
    for (address, keys) in calls {
        operators.push(Operator::connect(*address, &keys[0]).await?);
    }
    await_all(id, &mut operators, roll).await?;
    let before = unix_ns();
    cut(id, &mut operators, roll).await?;
    let cut = [before, unix_ns()];
    let rebuilt = match &plan.exchange {
        None => Rebuilt::by_one(operators[home].trace(id, &scheme.params, case, ANSWER).await?),
        Some(asks) => {
            let begin = asked::begin(scheme, case, asks);
            let joined = tokio::select! {
                joined = operators[home].inquire(&begin) => joined?,
                end = people::decide(plan, calls) => return Err(end),
            };
            Rebuilt::by_domains(plan, joined)?
        }
    };
    let (mut reports, mut tallies) = (vec![], vec![]);
    for operator in &mut operators {
        reports.extend(operator.reports(id).await?);
        tallies.extend(operator.status(id).await?.tallies);
    }
    Ok(Said { rebuilt, reports, tallies, cut })
}

/// Waits until all agents are connected.
async fn await_all(id: &str, operators: &mut [Operator], roll: Roll) -> Result<()> {
    let end = Instant::now() + CONNECT;
    loop {
        let mut connected = 0;
        for operator in &mut *operators {
            let status = operator.status(id).await?;
            connected += status.agents.iter().filter(|a| a.connected && a.scheme == id).count();
        }
        if connected >= roll.vantages {
            return Ok(());
        }
        if Instant::now() > end {
            bail!("after {CONNECT:?} only {connected} of {} agents are connected", roll.vantages);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Has all agents report what they hold.
async fn cut(id: &str, operators: &mut [Operator], Roll { dead, .. }: Roll) -> Result<()> {
    let patience = if dead > 0 { CUT_BESIDE_DEAD } else { CUT };
    let mut silent = vec![];
    for operator in operators {
        silent.extend(operator.cut(id, patience).await?.silent);
    }
    if silent.len() > dead {
        bail!("these agents did not report within {patience:?}: {}", silent.join(", "));
    }
    Ok(())
}

/// What was rebuilt, and what it took.
struct Rebuilt {
    finding: Result<Finding, Gap>,
    seconds: f64,
    asked: BTreeMap<RouterId, u64>,
    answered: BTreeMap<RouterId, u64>,
    /// Memory of ledgers, where it is known.
    footprint: Option<u64>,
    /// What domains told each other, where each has its own collector.
    joined: Option<Joined>,
}

impl Rebuilt {
    /// By the only collector, where there is one for all.
    fn by_one(client::Outcome { traced, footprint_bytes, .. }: client::Outcome) -> Self {
        let trace::Traced { finding, seconds, asked, answered, .. } = traced;
        let footprint = Some(footprint_bytes);
        Self { finding, seconds, asked, answered, footprint, joined: None }
    }

    /// By domains that asked each other.
    fn by_domains(plan: &Plan, joined: Joined) -> Result<Self> {
        let finding = asked::finding(plan, &joined)?;
        let seconds = joined.ended_ms.saturating_sub(joined.begun_ms) as f64 / 1_000.0;
        // How many questions a domain puts to its routers is its own affair.
        let (asked, answered) = Default::default();
        Ok(Self { finding, seconds, asked, answered, footprint: None, joined: Some(joined) })
    }
}

fn outcome(Said { rebuilt, reports, tallies, .. }: Said, posted: Posted) -> Result<Outcome> {
    let mut footprints: BTreeMap<(String, String), u64> = BTreeMap::new();
    let mut counters: BTreeMap<RouterId, Counters> = BTreeMap::new();
    let mut latency: BTreeMap<RouterId, Histogram<u64>> = BTreeMap::new();
    let mut observations = Observations::default();
    for Sent { report, sender, agent, .. } in &reports {
        observations.lost += report.lost;
        let footprint = footprints.entry((sender.clone(), agent.clone())).or_default();
        *footprint = report.footprint.max(*footprint);
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
    tallies.iter().for_each(|tally| count(&mut observations, tally));
    Ok(Outcome {
        finding: rebuilt.finding,
        reconstruct_s: rebuilt.seconds,
        counters,
        ledger_bytes: rebuilt.footprint.unwrap_or_else(|| footprints.values().sum()),
        reports: reports.iter().map(|s| s.report.encode()).collect(),
        asked: rebuilt.asked,
        answered: rebuilt.answered,
        observations,
        latency,
        clock_cost_ns: posted.clock_cost_ns,
        sampled_1_in: posted.sampled_1_in,
        program_ns: None,
        clocks: BTreeMap::new(),
        joined: rebuilt.joined,
        spent: vec![],
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
