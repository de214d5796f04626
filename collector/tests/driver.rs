//! The driver of reconstructions, with schemes made up for the purpose.
#![allow(clippy::unwrap_used, reason = "a test stops where something is not as expected")]

use ashiato_collector::trace::{Gathered, Question, trace};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;
use traceback::arrivals::{Arrivals, Arrived};
use traceback::case::{Answer, Budget, Case, Filter, Gap, Query, Step, Window};
use traceback::graph::Finding;
use traceback::handed::Handed;
use traceback::invariant::{Invariant, Key};
use traceback::ledger::BadBytes;
use traceback::map::Map;
use traceback::report::{Counters, Report, Role};
use traceback::scheme::{Card, Hop, Keeper, LogShape, Marked, Names, Place, Reliance};
use traceback::schemes::{Answers, AnyScheme};
use traceback::slot::Slot;
use traceback::vantage::{Setting, Vantage};
use traceback::{Nanos, RouterId};

type Rebuild = fn(&[(RouterId, &[u8])], &Answers) -> Result<Step, Gap>;

/// A scheme whose ledgers are single bytes that merge by addition, and that asks as it is told.
struct Made(Keeper, Rebuild);

impl AnyScheme for Made {
    fn card(&self) -> Card {
        Card {
            id: "made",
            title: "made up",
            paper: "-",
            v4: Slot::None,
            v6: Slot::None,
            records: false,
            keeper: self.0,
            names: Names::Ingress,
            needs_map: false,
            groups_by_flow: false,
            draws: false,
            hashes: false,
            harms: "none",
            state: "none",
        }
    }
    fn params(&self) -> Value {
        Value::Null
    }
    fn relies_on(&self) -> Reliance {
        Reliance::Nobody
    }
    fn vantage(&self, _: Setting) -> Box<dyn Vantage> {
        unreachable!("the driver puts nothing to work")
    }
    fn twin(&self, _: &Place) -> Vec<u64> {
        unreachable!("the driver loads no program")
    }
    fn outsider(&self) -> Option<Arc<dyn AnyScheme>> {
        None
    }
    fn log(&self) -> Option<LogShape> {
        None
    }
    fn speaks(&self) -> bool {
        false
    }
    fn userspace_only(&self) -> Option<&'static str> {
        None
    }
    fn entries(&self) -> Option<u32> {
        None
    }
    fn log_key(&self, _: &Hop, _: &Invariant, _: u32) -> Option<u64> {
        None
    }
    fn cells(&self, _: u64, _: u64) -> Vec<u64> {
        vec![]
    }
    fn mark(&self, _: &Place, _: &Hop, _: &Invariant, _: u32) -> Marked<u32> {
        unreachable!("the driver marks nothing")
    }
    fn arrivals(&self, _: &[(Place, Hop)], _: Arrived) -> Option<Arrivals> {
        None
    }
    fn merge(&self, one: &[u8], other: &[u8]) -> Result<Vec<u8>, BadBytes> {
        match (one, other) {
            ([a], [b]) => Ok(vec![a.wrapping_add(*b)]),
            _ => Err(BadBytes),
        }
    }
    fn reconstruct(
        &self,
        _: &Case,
        ledgers: &[(RouterId, &[u8])],
        answers: &Answers,
    ) -> Result<Step, Gap> {
        (self.1)(ledgers, answers)
    }
    fn handed(&self, _: &Case, _: &Answers) -> Vec<Handed> {
        vec![]
    }
}

fn question(router: u32, key: u64) -> Question {
    (RouterId(router), Query { keys: vec![key], from: Nanos(0), to: Nanos(1) })
}

fn case() -> Case {
    let victim = "198.18.0.1".parse().unwrap();
    Case {
        gateway: RouterId(9),
        filter: Filter { victim, protocol: None, source_port: None, port: None },
        window: Window { from: Nanos(100), to: Nanos(200) },
        samples: vec![],
        key: Key(1, 2),
        map: Map::default(),
        budget: Budget { rounds: 3, ..Budget::default() },
        beyond: Default::default(),
    }
}

fn found(routers: impl IntoIterator<Item = RouterId>) -> Result<Step, Gap> {
    Ok(Step::Done(Finding::Ingress { routers: routers.into_iter().collect() }))
}

#[test]
fn asks_in_rounds_and_each_question_once() {
    // Asks 1 and 2, then 3 where 1 has answered yes.
    let scheme = Made(Keeper::Routers, |_, answers| {
        if answers.is_empty() {
            return Ok(Step::Ask(vec![question(2, 7), question(1, 7), question(1, 7)]));
        }
        if answers.len() == 2 {
            return Ok(Step::Ask(vec![question(1, 7), question(3, 7)]));
        }
        found(answers.iter().filter(|(_, a)| a.is_some()).map(|((router, _), _)| *router))
    });
    let mut rounds = vec![];
    let traced = trace(&scheme, &case(), &[], &mut |questions| {
        rounds.push(questions.to_vec());
        let answer = |(router, _): &Question| match router.0 {
            1 => Some(Answer { values: vec![Some(1)] }),
            // An answer that does not fit its question counts as silence.
            2 => Some(Answer { values: vec![] }),
            _ => None,
        };
        questions.iter().map(answer).collect()
    });
    assert_eq!(rounds, [vec![question(1, 7), question(2, 7)], vec![question(3, 7)]]);
    assert_eq!(traced.finding, Ok(Finding::Ingress { routers: BTreeSet::from([RouterId(1)]) }));
    assert_eq!((traced.rounds, traced.malformed), (2, 1));
    assert_eq!((traced.asked[&RouterId(2)], traced.answered[&RouterId(2)]), (1, 0));
    assert_eq!(traced.answered[&RouterId(1)], 1);
}

#[test]
fn a_scheme_that_asks_without_end_is_stopped() {
    let endless =
        Made(Keeper::Routers, |_, answers| Ok(Step::Ask(vec![question(1, answers.len() as u64)])));
    let traced = trace(&endless, &case(), &[], &mut |q| vec![None; q.len()]);
    assert!(matches!(traced.finding, Err(Gap::Budget { budget: 3, .. })));
    assert_eq!(traced.rounds, 3);
    let repeats = Made(Keeper::Routers, |_, _| Ok(Step::Ask(vec![question(1, 1)])));
    let traced = trace(&repeats, &case(), &[], &mut |q| vec![None; q.len()]);
    assert!(matches!(traced.finding, Err(Gap::Budget { .. })));
    assert_eq!(traced.rounds, 1);
    // An asker that returns too little is as good as silence.
    let traced = trace(&repeats, &case(), &[], &mut |_| vec![]);
    assert!(traced.finding.is_err());
}

#[test]
fn ledgers_count_where_their_keeper_wrote_them_in_time() {
    let scheme = Made(Keeper::Victim, |ledgers, _| found(ledgers.iter().map(|(r, _)| *r)));
    let report = |router, role, at, ledger: &[u8]| Report {
        scheme: "made".into(),
        router: RouterId(router),
        role,
        window: Window { from: Nanos(at), to: Nanos(at + 10) },
        counters: Counters::default(),
        lost: 0,
        footprint: at,
        ledger: Some(ledger.to_vec()),
        latency: vec![],
    };
    let mut gathered = Gathered::default();
    let mut add = |agent: &str, report| gathered.add(&scheme, &case(), agent, report, 10);
    add("v", report(9, Role::Observer, 95, &[1]));
    add("v", report(9, Role::Observer, 150, &[2]));
    add("v", report(9, Role::Observer, 300, &[4]));
    add("v", report(9, Role::Observer, 150, b"no ledger"));
    // A router that plays the observer, and an observer elsewhere.
    add("r", report(9, Role::Router, 150, &[8]));
    add("w", report(8, Role::Observer, 150, &[16]));
    assert_eq!(gathered.ledgers, [(RouterId(9), vec![3])]);
    assert_eq!((gathered.malformed, gathered.report_bytes), (1, 60));
    assert_eq!(gathered.footprint_bytes(), 300 + 150 + 150);
    let traced = trace(&scheme, &case(), &gathered.ledgers, &mut |_| vec![]);
    assert_eq!(traced.finding, Ok(Finding::Ingress { routers: BTreeSet::from([RouterId(9)]) }));
}
