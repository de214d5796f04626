//! Runs of several labs: what their hosts differ in, and whether their numbers follow one law.
//!
//! Partners check each other's testbeds by this. Equal packets and keyed draws give equal numbers, which
//! the differences of [`super::pairs`] show; elsewhere two labs agree where the same scheme's numbers have
//! the same distribution.

use super::facts::BLOCKS_TO_RANK;
use super::measure::Reading;
use super::observe::Observation;
use super::pairs::LEVEL;
use super::print::SHOWN;
use super::same::Checked;
use anyhow::Result;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use traceback::stats::{chance_of_distance, distance};

/// Shuffles behind every chance.
const SHUFFLES: u32 = 9_999;
/// Shuffling is no chance of the experiment.
const SEED: u64 = 1939;

/// What is known of several labs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Labs {
    /// What they differ in, by the runs' own account.
    pub differs: Vec<Differs>,
    /// Every two of them, by scheme and measure.
    pub laws: Vec<Law>,
}

/// One thing that is not the same everywhere.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Differs {
    /// What: a key of `provenance.json`, or `plan_sha256`.
    pub what: String,
    /// Every value that a lab's runs have.
    pub labs: BTreeMap<String, BTreeSet<String>>,
}

/// Whether a number has the same distribution in two labs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Law {
    /// The scheme.
    pub scheme: String,
    /// The measure.
    pub measure: &'static str,
    /// One lab.
    pub a: String,
    /// The other.
    pub b: String,
    /// Runs of each that have the measure; what never happened counts as last.
    pub n: [usize; 2],
    /// Largest distance of the distribution functions.
    pub distance: f64,
    /// Chance of such a distance under one law; null where runs are too few to tell.
    pub chance: Option<f64>,
    /// Whether one law is believed: the chance is above 5 % shared among all laws tested.
    pub equal: Option<bool>,
    /// Why that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Looks at runs that were found to be of one experiment.
///
/// # Errors
/// Where a run does not say where it was made.
pub(super) fn labs(runs: &[Checked<'_>], observations: &[Observation]) -> Result<Labs> {
    Ok(Labs { differs: differs(runs)?, laws: laws(observations) })
}

/// Seeds differ within each lab and are paired; schemes' parameters are the same or refused.
const OF_THE_EXPERIMENT: [&str; 3] = ["seed", "schemes", "plan_sha256"];

fn differs(runs: &[Checked<'_>]) -> Result<Vec<Differs>> {
    let mut facts: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for checked in runs {
        let lab = &checked.run.lab;
        let mut note = |what: &str, value: String| {
            let of = facts.entry(what.into()).or_default().entry(lab.clone()).or_default();
            of.insert(value);
        };
        for (what, value) in checked.run.provenance()? {
            if !OF_THE_EXPERIMENT.contains(&what.as_str()) {
                note(&what, value.as_str().map_or_else(|| value.to_string(), str::to_owned));
            }
        }
        for row in &checked.run.summary.schemes {
            note(&format!("datapath of {}", row.scheme), row.datapath.clone());
        }
        note("packets sent (block)", checked.block.to_string());
    }
    let labs: BTreeSet<&String> = runs.iter().map(|c| &c.run.lab).collect();
    let same = |by: &BTreeMap<String, BTreeSet<String>>| {
        by.len() == labs.len() && by.values().all(|values| Some(values) == by.values().next())
    };
    let rest = facts.into_iter().filter(|(_, by)| !same(by));
    Ok(rest.map(|(what, labs)| Differs { what, labs }).collect())
}

fn laws(observations: &[Observation]) -> Vec<Law> {
    let mut numbers: BTreeMap<(&str, &str), BTreeMap<&str, Vec<f64>>> = BTreeMap::new();
    for o in observations {
        for measure in SHOWN {
            let number = match o.get(measure) {
                Reading::Is(number) => number,
                Reading::Censored => f64::INFINITY,
                Reading::Absent => continue,
            };
            let of = numbers.entry((&o.group, measure)).or_default();
            of.entry(&o.contender).or_default().push(number);
        }
    }
    let mut laws = vec![];
    for ((scheme, measure), by_lab) in &numbers {
        let by_lab: Vec<_> = by_lab.iter().collect();
        for (i, (a, x)) in by_lab.iter().enumerate() {
            for (b, y) in &by_lab[i + 1..] {
                laws.push(law(scheme, measure, (a, x), (b, y)));
            }
        }
    }
    judge(&mut laws);
    laws
}

fn law(scheme: &str, measure: &'static str, a: (&str, &[f64]), b: (&str, &[f64])) -> Law {
    let n = [a.1.len(), b.1.len()];
    let few = n.into_iter().min().filter(|n| *n < BLOCKS_TO_RANK);
    let why = few.map(|n| format!("{n} runs of the {BLOCKS_TO_RANK} that a law asks for"));
    let chance = || chance_of_distance(a.1, b.1, SHUFFLES, SEED);
    Law {
        scheme: scheme.into(),
        measure,
        a: a.0.into(),
        b: b.0.into(),
        n,
        distance: distance(a.1, b.1).unwrap_or_default(),
        chance: if few.is_none() { chance() } else { None },
        equal: None,
        why,
    }
}

/// All laws tested share one chance of a false alarm.
fn judge(laws: &mut [Law]) {
    let tested = laws.iter().filter(|l| l.chance.is_some()).count();
    let least = (1.0 - LEVEL) / tested.max(1) as f64;
    for law in laws {
        law.equal = law.chance.map(|chance| chance > least);
    }
}

/// What readers should know first, in sentences.
pub(super) fn said(labs: &Labs) -> Vec<String> {
    let mut said = vec![];
    for differs in &labs.differs {
        let one = |(lab, values): (&String, &BTreeSet<String>)| {
            let values: Vec<_> = values.iter().map(String::as_str).collect();
            format!("{} in {lab}", values.join(", "))
        };
        let each: Vec<_> = differs.labs.iter().map(one).collect();
        said.push(format!("{} differs: {}", differs.what, each.join("; ")));
    }
    if said.is_empty() {
        said.push("the labs' hosts and programs do not differ by their own account".into());
    }
    let count = |is: Option<bool>| labs.laws.iter().filter(|l| l.equal == is).count();
    let (equal, unequal, open) = (count(Some(true)), count(Some(false)), count(None));
    said.push(format!(
        "equality in law: {equal} numbers agree, {unequal} do not, {open} have too few runs to tell \
         (at {:.0} % for all together; a difference smaller than chance is not seen)",
        (1.0 - LEVEL) * 100.0
    ));
    for law in labs.laws.iter().filter(|l| l.equal == Some(false)) {
        let chance = law.chance.unwrap_or_default();
        said.push(format!(
            "{} of {} follows another law in {} than in {}: distance {:.2}, chance {chance:.4}",
            law.measure, law.scheme, law.a, law.b, law.distance
        ));
    }
    said
}
