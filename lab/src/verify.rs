//! Checks somebody else's run from its folder alone: sums, commitments, and every number that follows
//! from what is kept.
//!
//! What cannot be repeated is said, not passed over: logs never leave their routers, so what routers
//! answered is taken from the graph, and times are times.

use crate::effects;
use crate::plan::Plan;
use crate::run::finished::Finished;
use crate::safety::evidence::{self, EVIDENCE};
use crate::summary::{Ending, SchemeRow};
use crate::truth::{Keeper as Truth, Opened};
use anyhow::Result;
use ashiato_collector::trace::trace;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use traceback::RouterId;
use traceback::report::{Counters, Report, Role};
use traceback::scheme::Keeper;
use traceback::score::score_shown;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What.
    pub what: String,
    /// Whether it is as the run says.
    pub holds: bool,
    /// What was seen, in words.
    pub seen: String,
}

impl Check {
    fn new(what: &str, holds: bool, seen: impl Into<String>) -> Self {
        Self { what: what.into(), holds, seen: seen.into() }
    }

    /// Holds where nothing is wrong.
    fn none(what: &str, wrong: &[String], right: impl Into<String>) -> Self {
        let seen = if wrong.is_empty() { right.into() } else { wrong.join("; ") };
        Self::new(what, wrong.is_empty(), seen)
    }
}

/// Everything there is to check of a run, in the order in which one thing rests on the other.
///
/// # Errors
/// Where a file that all else rests on is missing or does not decode.
pub fn verify(run: &Finished) -> Result<Vec<Check>> {
    let (plan, truth, sealed) = (run.plan()?, run.truth()?, run.sealed()?);
    let summary = &run.summary;
    let planned = Truth::new(&plan, [0; 32]).open().expected == truth.expected;
    let schemes: Vec<&str> = summary.schemes.iter().map(|row| row.scheme.as_str()).collect();
    let mut checks = vec![
        Check::none("files", &run.check_all()?, "every file has the sum that the run wrote"),
        Check::new(
            "plan",
            plan.sha256() == summary.plan_sha256,
            format!("SHA-256 {}", plan.sha256()),
        ),
        Check::new("truth", planned, "expected paths against those of the plan"),
        Check::new(
            "commitments",
            truth.agrees(&sealed) && sealed.expected_sha256 == summary.truth_sha256,
            format!("opened truth of {} against what was sealed", schemes.join(", ")),
        ),
        Check::none(
            "order",
            &disorder(run, &schemes)?,
            "sealed before sent, counted before rebuilt",
        ),
    ];
    checks.extend(log_of_evidence(run));
    for row in &summary.schemes {
        checks.extend(turn(run, &plan, &truth, row)?);
    }
    let judged = effects::judge(&plan, &summary.schemes, &summary.world);
    let met = judged.iter().filter(|e| e.met).count();
    let seen = format!("{met} of {} met by the rows of the summary", judged.len());
    checks.push(Check::new("effects", judged == summary.effects, seen));
    Ok(checks)
}

/// The director's log of evidence, where the run left one: whether each line follows from those before.
fn log_of_evidence(run: &Finished) -> Option<Check> {
    let path = run.path().join(EVIDENCE);
    path.exists().then(|| match evidence::check(&path) {
        Ok(head) => {
            Check::new(EVIDENCE, true, format!("{} lines, the last one {}", head.lines, head.hash))
        }
        Err(e) => Check::new(EVIDENCE, false, format!("{e:#}")),
    })
}

/// What the events say against the order of a run.
fn disorder(run: &Finished, schemes: &[&str]) -> Result<Vec<String>> {
    let events = run.events()?;
    let sealed = run.sealed()?;
    let mut wrong = vec![];
    let gaps = events.iter().zip(0_u64..).filter(|(e, n)| e["seq"] != *n).count();
    if gaps > 0 {
        wrong.push(format!("{gaps} events are out of order or missing"));
    }
    let at = |event: &str, scheme: &str| {
        events.iter().position(|e| e["event"] == event && e[event]["scheme"] == scheme)
    };
    let first = events.iter().position(|e| e["event"] == "turn");
    let promised = events.iter().position(|e| {
        e["event"] == "sealed" && e["sealed"]["expected_sha256"] == *sealed.expected_sha256
    });
    if !(schemes.is_empty() || promised.is_some() && promised < first) {
        wrong.push("expected paths were not committed to before the first turn".into());
    }
    for scheme in schemes {
        let [turn, counted, rebuilt] = ["turn", "counted", "rebuilt"].map(|e| at(e, scheme));
        if turn.is_none() || !(turn < counted && counted < rebuilt) {
            wrong.push(format!("{scheme}: turn, count and reconstruction are out of order"));
        }
        let said = counted.map_or(&Value::Null, |at| &events[at]["counted"]["sha256"]);
        if said.as_str() != sealed.counted_sha256.get(*scheme).map(String::as_str) {
            wrong.push(format!("{scheme}: what was counted is not what was sealed"));
        }
    }
    Ok(wrong)
}

/// One scheme's turn again, from reports, graph and opened truth.
fn turn(run: &Finished, plan: &Plan, truth: &Opened, row: &SchemeRow) -> Result<Vec<Check>> {
    let id = &row.scheme;
    let name = |what: &str| format!("{id}: {what}");
    let finding = run.finding(id)?;
    let reports = run.reports(id)?;
    let Some(turn) = plan.schemes.iter().position(|s| s.id == *id) else {
        return Ok(vec![Check::new(&name("plan"), false, "the plan has no such scheme")]);
    };
    let scheme = crate::run::scheme(plan, turn)?;
    let cut = plan.disclosed(&*scheme)?;
    let sight = plan.answered(&*scheme, &cut);
    let scored = score_shown(&truth.paths(id), finding.as_ref().ok(), &sight);
    let same = scored.levels == row.levels && scored.paths == row.paths;
    let seen = format!("{} of {} paths exact", scored.paths.exact, scored.paths.truth);
    let mut checks = vec![Check::new(&name("score"), same, seen)];
    checks.push(if scheme.card().keeper == Keeper::Routers {
        Check::new(
            &name("reconstruction"),
            true,
            "rests on routers' answers, which only they can repeat",
        )
    } else {
        let case = run.case(id, plan)?;
        let ledgers = reports.iter().filter_map(|r| Some((r.router, r.ledger.clone()?)));
        let ledgers: Vec<_> = ledgers.collect();
        let again = trace(&*scheme, &case, &ledgers, &mut |q| vec![None; q.len()]).finding;
        let seen = format!("rebuilt from {} ledgers", ledgers.len());
        Check::new(&name("reconstruction"), again == finding, seen)
    });
    checks.push(counts(&name("counts"), run, truth, &reports, row));
    Ok(checks)
}

/// Whether ledgers of senders, taps and routers fit together and with the row.
fn counts(
    what: &str,
    run: &Finished,
    truth: &Opened,
    reports: &[Report],
    row: &SchemeRow,
) -> Check {
    let routers = reports.iter().filter(|r| r.role == Role::Router);
    let mut counters: BTreeMap<RouterId, Counters> = BTreeMap::new();
    routers.for_each(|r| counters.entry(r.router).or_default().add(&r.counters));
    let apart = truth.disagreement(&row.scheme, &counters);
    let counted = truth.counted.get(&row.scheme);
    let sent: u64 = counted.map_or(0, |c| c.sent.values().sum());
    let mut wrong = vec![];
    if sent != row.packets.attack + row.packets.legit {
        wrong.push(format!("{sent} packets left, which is not what the row says"));
    }
    let forwarded: u64 = counters.values().map(|c| c.forwarded).sum();
    if forwarded != row.packets.forwarded {
        wrong.push(format!(
            "reports tell of {forwarded} packets sent on, which is not what the row says"
        ));
    }
    let void = run.summary.outcome == Ending::Void;
    if !void && (apart > crate::run::TOLERANCE || row.packets.leaked > 0) {
        wrong.push(format!("a run that is not void, with {:.3} % apart", 100.0 * apart));
    }
    let seen = format!("{sent} packets left; ledgers and taps {:.4} % apart", 100.0 * apart);
    Check::none(what, &wrong, seen)
}
