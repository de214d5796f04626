//! Rows about what domains asked and told each other, and the borders that found paths cross.

use super::costs::spread;
use super::turn::Turn;
use crate::asked;
use crate::plan::{Ceiling, Plan};
use crate::summary::{Border, DomainRow, Inquiry, Name, Question, Stretch, Way};
use crate::world::Outcome;
use anyhow::Result;
use ashiato_collector::exchange::{Asked, Joined, Status};
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use traceback::RouterId;
use traceback::disclose::{Cut, Origin, Shown, not_disclosed};
use traceback::graph::{AttackGraph, Finding};
use traceback::score::{Sight, score_shown};

/// What a turn's inquiry came to.
///
/// # Errors
/// Where the plan was tampered with.
pub(super) fn row(
    plan: &Plan,
    truth: &BTreeSet<Vec<RouterId>>,
    sight: &Sight<'_>,
    joined: &Joined,
) -> Result<Inquiry> {
    let seconds = joined.ended_ms.saturating_sub(joined.begun_ms) as f64 / 1_000.0;
    let mut asked: Vec<Question> = joined.asked.iter().map(|a| question(a, joined)).collect();
    let alone = add(plan, truth, sight, joined, &mut asked)?;
    let way = |way: &ashiato_collector::exchange::join::Way| Way {
        packets: way.packets.len() as u64,
        stretches: way.stretches.iter().map(|s| stretch(plan, s)).collect(),
        origin: origin(&way.origin),
    };
    let name = |named: &ashiato_collector::exchange::Named| Name {
        domain: named.domain.clone(),
        word: named.name.to_string(),
        shown: shown(plan, &named.domain, &named.shown),
    };
    let odd = |flag: &ashiato_collector::exchange::join::Flag| {
        format!("{}: {} {}", word(&flag.kind), flag.domain, flag.what)
    };
    Ok(Inquiry {
        domain: joined.domain.clone(),
        mode: word(&joined.mode),
        purpose: joined.purpose.clone(),
        exercise: joined.exercise,
        tlp: joined.tlp.word().into(),
        seconds,
        packets: joined.packets,
        unseen: u32::try_from(joined.unseen.len()).unwrap_or(u32::MAX),
        asked,
        ways: joined.ways.iter().map(way).collect(),
        names: joined.names.iter().map(name).collect(),
        odd: joined.flags.iter().map(odd).collect(),
        alone,
    })
}

fn question(asked: &Asked, joined: &Joined) -> Question {
    let since = |at: u64| Some(at.saturating_sub(asked.asked_ms?) as f64 / 1_000.0);
    let why = match &asked.status {
        Status::Refused { why, .. } | Status::Failed { why } => Some(why.clone()),
        _ => None,
    };
    // In the simulator only people take time.
    let timed = joined.ended_ms > joined.begun_ms;
    Question {
        domain: asked.domain.clone(),
        towards: asked.towards.clone(),
        packets: asked.packets.len() as u64,
        status: word(&asked.status),
        why,
        rule: asked.rule.clone(),
        tlp: asked.tlp.word().into(),
        withheld: asked
            .withheld
            .iter()
            .map(|w| format!("{} ({})", word(&w.field), w.rule))
            .collect(),
        told: asked.told as u64,
        acknowledged_s: asked.acknowledged_ms.filter(|_| timed).and_then(since),
        answered_s: asked.answered_ms.filter(|_| timed).and_then(since),
        added: None,
    }
}

/// Says what each answer about packets added to recall, one after the other from the victim outwards; the recall of
/// the domain that began by itself.
fn add(
    plan: &Plan,
    truth: &BTreeSet<Vec<RouterId>>,
    sight: &Sight<'_>,
    joined: &Joined,
    asked: &mut [Question],
) -> Result<Option<Ceiling>> {
    if joined.finding.is_some() {
        return Ok(None);
    }
    let cut = plan.told()?;
    let recall = |known: &BTreeSet<&str>| {
        let part = asked::finding_of(plan, &cut, joined, |domain| known.contains(domain));
        Ceiling::of(&score_shown(truth, part.ok().as_ref(), sight).levels)
    };
    let mut known = BTreeSet::from([joined.domain.as_str()]);
    let alone = recall(&known);
    let mut before = alone;
    for (row, question) in asked.iter_mut().zip(&joined.asked) {
        if question.status == Status::Answered && known.insert(&question.domain) {
            let now = recall(&known);
            row.added = Some(Ceiling {
                router: now.router - before.router,
                r#as: now.r#as - before.r#as,
                nation: now.nation - before.nation,
            });
            before = now;
        }
    }
    Ok(Some(alone))
}

fn stretch(plan: &Plan, told: &ashiato_collector::exchange::join::Stretch) -> Stretch {
    let domain = plan.domains.iter().find(|d| d.id == told.domain);
    Stretch {
        domain: told.domain.clone(),
        nation: domain.map(|d| d.nation.clone()).unwrap_or_default(),
        hops: told.hops.iter().map(|hop| shown(plan, &told.domain, hop)).collect(),
        told: told.told,
    }
}

/// A hop for people.
fn shown(plan: &Plan, domain: &str, hop: &Shown) -> String {
    match hop {
        Shown::Router { id } => {
            let router = plan.routers.iter().find(|r| r.id == *id);
            router.map_or_else(|| id.to_string(), |r| r.name.clone())
        }
        Shown::As { asn } => format!("AS {asn}"),
        Shown::Nation { nation } => nation.clone(),
        Shown::Alias { id } => format!("alias {id}"),
        Shown::Present => format!("passed through {domain}"),
        Shown::Hidden { hops } => not_disclosed(*hops, domain),
    }
}

fn origin(origin: &Origin) -> String {
    match origin {
        Origin::Inside => "from inside".into(),
        Origin::Domain { id } => format!("from {id}"),
        Origin::Unknown { maybe } if maybe.is_empty() => "from somewhere unknown".into(),
        Origin::Unknown { maybe } => format!("from inside, or from {}", maybe.join(" or ")),
    }
}

/// The word of a thing in JSON: itself, or its tag.
fn word(thing: &impl Serialize) -> String {
    match serde_json::to_value(thing) {
        Ok(Value::String(word)) => word,
        Ok(Value::Object(fields)) => {
            fields.get("status").and_then(Value::as_str).unwrap_or_default().into()
        }
        _ => String::new(),
    }
}

/// Borders between domains that found paths cross: as domains told, or as far as the names of a finding tell.
pub(super) fn borders(plan: &Plan, cut: &Cut, outcome: &Outcome) -> Vec<Border> {
    let told = outcome.joined.as_ref().filter(|joined| !joined.ways.is_empty());
    let paths = match (told, &outcome.finding) {
        (Some(joined), _) => {
            let at = |id: &String| plan.domains.iter().position(|d| d.id == *id);
            let way = |way: &ashiato_collector::exchange::join::Way| {
                way.stretches.iter().filter_map(|s| at(&s.domain)).collect()
            };
            joined.ways.iter().map(way).collect()
        }
        (None, Ok(Finding::Paths(graph))) => named(plan, cut, graph),
        (None, _) => vec![],
    };
    let mut crossed: BTreeMap<(usize, usize), u64> = BTreeMap::new();
    for domains in paths {
        let pairs = domains.windows(2).filter(|pair| pair[0] != pair[1]);
        let pairs: BTreeSet<(usize, usize)> = pairs.map(|pair| (pair[0], pair[1])).collect();
        pairs.into_iter().for_each(|pair| *crossed.entry(pair).or_default() += 1);
    }
    let border = |((from, to), paths): ((usize, usize), u64)| {
        let [from, to] = [from, to].map(|at| &plan.domains[at]);
        let nations = format!("{}-{}", from.nation, to.nation);
        Border { from: from.id.clone(), to: to.id.clone(), nations, paths }
    };
    crossed.into_iter().map(border).collect()
}

/// The domains that each path of a graph leads through, by its names.
fn named(plan: &Plan, cut: &Cut, graph: &AttackGraph) -> Vec<Vec<usize>> {
    let index = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    let homes: BTreeMap<RouterId, usize> = (0..plan.routers.len())
        .filter_map(|at| Some((cut.node(index(at))?.id, plan.domain_at(at))))
        .collect();
    let domains =
        |path: &Vec<RouterId>| path.iter().filter_map(|id| homes.get(id).copied()).collect();
    graph.paths.iter().map(domains).collect()
}

/// What a domain was asked by others and answered, over all turns.
pub(super) fn domain(turns: &[Turn], mut row: DomainRow) -> DomainRow {
    let mut times = vec![];
    for joined in turns.iter().filter_map(|turn| turn.outcome.joined.as_ref()) {
        for asked in joined.asked.iter().filter(|asked| asked.domain == row.id) {
            row.requests += 1;
            if matches!(asked.status, Status::Answered | Status::NotSeen) {
                row.answered += 1;
                // In the simulator only people take time.
                let timed = joined.ended_ms > joined.begun_ms;
                let ends = asked.asked_ms.zip(asked.answered_ms).filter(|_| timed);
                times.extend(ends.map(|(from, to)| to.saturating_sub(from)));
            } else {
                row.refused += 1;
            }
        }
    }
    row.answer_s = spread(times);
    row
}
