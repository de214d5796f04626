//! Schemes of a plan: parameters spelled out, log pages sized, the best that any answer can reach.

use super::{pages, shown};
use crate::plan::{Asking, Ceiling, Conduct, Plan, SchemePlan};
use crate::scenario::{Report, Spec};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use traceback::disclose::changes;
use traceback::invariant::mix2;
use traceback::scheme::{Card, Keeper, Names};
use traceback::schemes::{self, AnyScheme};

/// Every scheme's turn, in the scenario's order.
pub(super) fn schemes(spec: &Spec, plan: &Plan) -> Result<Vec<SchemePlan>, Report> {
    let turn = |scheme: &crate::scenario::spec::Scheme| {
        let entry = schemes::find(&scheme.id).expect("invariant: the check knows every scheme");
        let card = entry.card();
        let mut params = scheme.params.clone();
        let logs = matches!(card.id, "spie" | "hit");
        if logs {
            pages::size(&mut params, plan);
        }
        if entry.defaults().get("secret").is_some() {
            // 63 bits: what any format of numbers holds.
            params.entry("secret").or_insert((mix2(plan.seed, SECRET) >> 1).into());
        }
        if card.id == "itrace" {
            // Who is attacked asks for messages, where the scenario names nobody else.
            let victim = json!([plan.case.filter.victim]);
            params.entry("wanted").or_insert(victim);
        }
        let refuse = |e| Report::whole(format!("scheme \"{}\": {e}", card.id), "");
        let built = entry.build(&Value::Object(params)).map_err(refuse)?;
        let params = built.params();
        let expected = if logs { pages::false_routers(&params, plan) } else { None };
        let (ceiling, marks_ceiling) = if plan.shows_all() {
            (ceiling(&card, plan), None)
        } else {
            shown::ceilings(&*built, plan)?
        };
        askable(&*built, plan)?;
        let (id, expected_false_routers) = (scheme.id.clone(), expected);
        Ok(SchemePlan { id, params, ceiling, marks_ceiling, expected_false_routers })
    };
    spec.scheme.iter().map(turn).collect()
}

/// Whether domains can ask each other about the scheme's packets as the plan has them ask.
fn askable(scheme: &dyn AnyScheme, plan: &Plan) -> Result<(), Report> {
    let star = plan.exchange.as_ref().is_some_and(|asks| asks.mode == Asking::Star);
    if !star || !changes(scheme) {
        return Ok(());
    }
    let what = format!(
        "scheme \"{}\": its packets change on their way, so only the domain that a packet came to can ask the one \
         before it",
        scheme.card().id
    );
    Err(Report::whole(what, "let [exchange] mode = \"recursive\""))
}

/// Stream of the seed from which routers' secrets come.
const SECRET: u64 = 0x5345_4352;

/// The best recall of any answer: what the routers that take part could tell.
fn ceiling(card: &Card, plan: &Plan) -> Ceiling {
    let mut all = BTreeSet::new();
    let mut told = BTreeSet::new();
    for flow in plan.attacks() {
        for (path, _) in flow.all_ways() {
            all.extend(path.iter().copied());
            told.extend(tellable(card, plan, path));
        }
    }
    let level = |of: &dyn Fn(usize) -> String| {
        let count = |set: &BTreeSet<usize>| {
            let names: BTreeSet<_> = set.iter().map(|r| of(*r)).collect();
            u32::try_from(names.len()).unwrap_or(u32::MAX)
        };
        f64::from(count(&told)) / f64::from(count(&all).max(1))
    };
    Ceiling {
        router: if card.names == Names::AsPaths { 0.0 } else { level(&|r| r.to_string()) },
        r#as: level(&|r| plan.routers[r].asn.to_string()),
        nation: level(&|r| plan.routers[r].nation.clone()),
    }
}

/// Routers of one path that a scheme's answer may name.
pub(super) fn tellable(card: &Card, plan: &Plan, path: &[usize]) -> Vec<usize> {
    let deployed = |r: &&usize| {
        let router = &plan.routers[**r];
        router.deployed && router.conduct == Conduct::Honest && router.poses_as.is_none()
    };
    match card.names {
        Names::Nothing | Names::Classes => vec![],
        // One router speaks for its AS: the one where packets come in.
        Names::AsPaths => {
            let asn = |i: usize| plan.routers[path[i]].asn;
            let enters = |i: &usize| *i == 0 || asn(*i) != asn(*i - 1);
            let speaking: Vec<usize> = (0..path.len()).filter(enters).map(|i| path[i]).collect();
            speaking.into_iter().filter(|r| deployed(&r)).collect()
        }
        Names::Ingress => path.first().into_iter().filter(deployed).copied().collect(),
        // Questions go from router to router, so nobody asks beyond one that does not answer.
        Names::Paths if card.keeper == Keeper::Routers => {
            path.iter().rev().take_while(deployed).copied().collect()
        }
        Names::Paths => path.iter().filter(deployed).copied().collect(),
    }
}
