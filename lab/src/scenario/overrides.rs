//! What the command line puts over a scenario: `--set key=value`, `--seed`, `--scheme`.

use super::document::{Document, Node, Value};
use super::report::{Problem, Report};
use super::words::nearest;
use std::collections::BTreeMap;

/// Values that replace those of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `key=value`, the key a dotted path; elements of lists are named by id or position.
    pub set: Vec<String>,
    /// The seed.
    pub seed: Option<u64>,
    /// Ids of the schemes that run, in this order; all of the file where empty.
    pub schemes: Vec<String>,
}

impl Overrides {
    /// Puts them into a document.
    pub(super) fn apply(&self, document: &mut Document) -> Result<(), Report> {
        let mut problems = vec![];
        for set in &self.set {
            problems.extend(apply_one(document, set).err());
        }
        if let Some(seed) = self.seed {
            let node = document.cited(&format!("--seed {seed}"), Value::Whole(seed.into()));
            insert(&mut document.root, "seed", node);
        }
        if !self.schemes.is_empty() {
            self.choose(document);
        }
        if problems.is_empty() { Ok(()) } else { Err(Report::new(problems)) }
    }

    fn choose(&self, document: &mut Document) {
        let option = format!("--scheme {}", self.schemes.join(","));
        let given = match document.root.child("scheme").map(|n| &n.value) {
            Some(Value::List(list)) => list.clone(),
            _ => vec![],
        };
        let mut chosen = vec![];
        for id in &self.schemes {
            let known = given.iter().find(|n| id_of(n) == Some(id)).cloned();
            chosen.push(known.unwrap_or_else(|| {
                let id = document.cited(&option, Value::Text(id.clone()));
                let table = Value::Table(BTreeMap::from([("id".to_owned(), id.clone())]));
                Node { value: table, ..id }
            }));
        }
        let list = document.cited(&option, Value::List(chosen));
        insert(&mut document.root, "scheme", list);
        // Effects of schemes that were left out on purpose have nothing to measure.
        if let Value::Table(root) = &mut document.root.value
            && let Some(Value::List(effects)) = root.get_mut("effect").map(|n| &mut n.value)
        {
            let about = |n: &Node| n.child("scheme").and_then(Node::as_text).map(str::to_owned);
            effects.retain(|e| about(e).is_none_or(|s| s == "*" || self.schemes.contains(&s)));
        }
    }
}

fn apply_one(document: &mut Document, set: &str) -> Result<(), Problem> {
    let option = format!("--set {set}");
    let Some((path, value)) = set.split_once('=') else {
        let place = document.cited(&option, Value::Flag(true)).span;
        let place = Some(document.place(&place));
        let mend = "write it as key=value, such as --set traffic.flood.packets=100".to_owned();
        return Err(Problem { place, what: "no \"=\" in an override".to_owned(), mend });
    };
    let node = document.cited_value(&option, value.trim());
    let place = document.place(&node.span);
    let steps: Vec<_> = path.trim().split('.').collect();
    descend(&mut document.root, &steps, node).map_err(|(what, mend)| Problem {
        place: Some(place),
        what,
        mend,
    })
}

/// Follows the steps and puts the node at their end; tables on the way are made where missing.
fn descend(at: &mut Node, steps: &[&str], node: Node) -> Result<(), (String, String)> {
    let [step, rest @ ..] = steps else {
        *at = node;
        return Ok(());
    };
    match &mut at.value {
        Value::Table(table) => {
            let empty = || Node { value: Value::Table(BTreeMap::new()), ..node.clone() };
            descend(table.entry((*step).to_owned()).or_insert_with(empty), rest, node)
        }
        Value::List(list) => {
            let by_id = list.iter().position(|n| id_of(n) == Some(step));
            match by_id.or_else(|| step.parse().ok().filter(|i| *i < list.len())) {
                Some(i) => descend(&mut list[i], rest, node),
                None => {
                    let ids: Vec<_> = list.iter().filter_map(id_of).collect();
                    Err((format!("the list has no element \"{step}\""), nearest(step, &ids)))
                }
            }
        }
        _ => Err((
            format!("there is no key \"{step}\" below a plain value"),
            "leave out what follows the value's key".to_owned(),
        )),
    }
}

fn insert(at: &mut Node, key: &str, node: Node) {
    if let Value::Table(table) = &mut at.value {
        table.insert(key.to_owned(), node);
    }
}

fn id_of(node: &Node) -> Option<&str> {
    node.child("id")?.as_text()
}
