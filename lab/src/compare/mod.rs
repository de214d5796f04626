//! Finished runs side by side: by scheme, world, parameters, nation or lab.
//!
//! The rules of an honest comparison are enforced here, not advised. [`same`] refuses runs that are not
//! about the same packets and the same truth. [`measure`] counts all packets from the attack's start,
//! takes equality with the truth for completion, counts false ones, and calls a failure censored, never
//! 0. [`pairs`] compares block by block, where a block is what shares every packet, and ranks only what
//! the data tell apart. [`lengths`] reports by path length, and over the average beside it. What the contenders know and how many bits they take is stated beside them
//! ([`facts`]), and every raw number is published. Of several labs, [`labs`] says in what they differ, and
//! whether their numbers follow one law.

pub mod facts;
pub mod labs;
pub mod lengths;
pub mod measure;
mod observe;
pub mod page;
pub mod pairs;
pub mod print;
mod same;

use crate::exit::Exit;
use crate::run::finished::Finished;
use facts::Facts;
use labs::Labs;
use lengths::Length;
use measure::{MEASURES, Reading};
use observe::Observation;
use pairs::{Estimate, Pair, Ranking};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Version of the comparison's JSON.
pub const SCHEMA: &str = "ashiato.comparison/1";

/// What contenders differ in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// Schemes, in one world, each with the same parameters in all runs.
    Scheme,
    /// Worlds, scheme by scheme.
    World,
    /// Nations: what was found of each, scheme by scheme.
    Nation,
    /// Parameters and deployment, scheme by scheme.
    Params,
    /// Labs that ran the same experiment, scheme by scheme; each RUN of the command line is one.
    Lab,
}

/// Runs that took part.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunRow {
    /// Its id.
    pub run: String,
    /// Its world.
    pub world: String,
    /// Its lab: the folder that was named.
    pub lab: String,
    /// Its seed.
    pub seed: u64,
    /// Which block it is in: runs of one block sent the same packets, byte for byte.
    pub block: usize,
}

/// One contender.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Contender {
    /// Its name in the group.
    pub name: String,
    /// What its scheme knows and takes.
    pub facts: Facts,
    /// Every measure that it has.
    pub estimates: Vec<Estimate>,
    /// Packets until paths stood, by length; empty where it names none.
    pub lengths: Vec<Length>,
}

/// Contenders that are compared with each other.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    /// The scheme that all are about; empty where schemes are compared.
    pub name: String,
    /// They, in the order of the runs.
    pub contenders: Vec<Contender>,
    /// Differences of every two.
    pub pairs: Vec<Pair>,
    /// An order by every measure that has a better and a worse, or why there is none.
    pub rankings: Vec<Ranking>,
}

/// One number of one turn.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Raw {
    /// Position in [`Comparison::runs`].
    pub run: usize,
    /// The group.
    pub group: String,
    /// The contender.
    pub contender: String,
    /// The measure.
    pub measure: &'static str,
    /// The number; null where it is censored or does not exist.
    pub value: Option<f64>,
    /// Whether what was measured had not happened when the packets ended.
    pub censored: bool,
}

/// The whole comparison.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// The scenario's name.
    pub scenario: String,
    /// What contenders differ in.
    pub by: By,
    /// Runs that took part.
    pub runs: Vec<RunRow>,
    /// Number of blocks.
    pub blocks: usize,
    /// Turns that are missing in some block, so that nothing was paired with them there.
    pub missing: Vec<String>,
    /// What a reader must know before believing an order.
    pub caveats: Vec<String>,
    /// What several labs differ in, and whether their numbers follow one law; where labs are compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labs: Option<Labs>,
    /// The groups.
    pub groups: Vec<Group>,
    /// Every number that went in.
    pub raw: Vec<Raw>,
}

/// Compares runs.
///
/// # Errors
/// [`Exit::Usage`] where they are not about the same packets and truth, or differ in more than `by`;
/// [`Exit::Void`] where one is void.
pub fn compare(runs: &[Finished], by: By) -> anyhow::Result<Comparison> {
    let Some(first) = runs.first() else {
        return Err(Exit::Usage.refuse("no run was given"));
    };
    let checked = same::check(runs, by)?;
    let observations = observe::observe(&checked, by)?;
    let blocks = checked.iter().map(|c| c.block + 1).max().unwrap_or(0);
    let names: BTreeSet<&str> = observations.iter().map(|o| o.group.as_str()).collect();
    let groups: Vec<Group> = names.iter().map(|n| group(n, &observations, blocks)).collect();
    if groups.iter().all(|g| g.contenders.len() < 2) {
        let other = "give runs that differ in it, or another --by";
        return Err(Exit::Usage.refuse(format!("there is one {} only: {other}", word(by))));
    }
    let row = |c: &same::Checked<'_>| RunRow {
        run: c.run.summary.run.clone(),
        world: c.run.summary.world.clone(),
        lab: c.run.lab.clone(),
        seed: c.plan.seed,
        block: c.block,
    };
    Ok(Comparison {
        schema: SCHEMA,
        scenario: first.summary.scenario.clone(),
        by,
        runs: checked.iter().map(row).collect(),
        blocks,
        missing: missing(&observations, blocks),
        caveats: facts::caveats(&groups, by, blocks),
        labs: (by == By::Lab).then(|| labs::labs(&checked, &observations)).transpose()?,
        groups,
        raw: raw(&observations),
    })
}

/// What contenders are, in a word.
pub fn word(by: By) -> &'static str {
    match by {
        By::Scheme => "scheme",
        By::World => "world",
        By::Nation => "nation",
        By::Params => "set of parameters",
        By::Lab => "lab",
    }
}

fn group(name: &str, observations: &[Observation], blocks: usize) -> Group {
    let mine: Vec<&Observation> = observations.iter().filter(|o| o.group == name).collect();
    let mut names: Vec<&str> = vec![];
    for o in &mine {
        if !names.contains(&o.contender.as_str()) {
            names.push(&o.contender);
        }
    }
    let mut columns = vec![];
    for contender in &names {
        let of: Vec<_> = mine.iter().filter(|o| o.contender == *contender).collect();
        let column = |id| {
            let in_block =
                |b| Reading::joined(of.iter().filter(|o| o.block == b).map(|o| o.get(id)));
            (0..blocks).map(in_block).collect::<Vec<_>>()
        };
        let readings: BTreeMap<_, _> = MEASURES.iter().map(|m| (m.id, column(m.id))).collect();
        columns.push((*contender, of[0].facts.clone(), readings, lengths::lengths(&of, blocks)));
    }
    let all = |id: &str| columns.iter().map(|(name, _, r, _)| (*name, r[id].as_slice())).collect();
    let (mut pairs, mut rankings) = (vec![], vec![]);
    for measure in MEASURES {
        let found = pairs::pairs(measure, &all(measure.id));
        rankings.extend(pairs::rank(measure, &all(measure.id), &found));
        pairs.extend(found);
    }
    let contender =
        |(name, facts, readings, lengths): (&str, Facts, BTreeMap<&str, Vec<Reading>>, _)| {
            let estimates = MEASURES.iter().filter_map(|m| Estimate::of(m, &readings[m.id]));
            Contender { name: name.into(), facts, estimates: estimates.collect(), lengths }
        };
    let contenders = columns.into_iter().map(contender).collect();
    Group { name: name.into(), contenders, pairs, rankings }
}

fn missing(observations: &[Observation], blocks: usize) -> Vec<String> {
    let all: BTreeSet<_> = observations.iter().map(|o| (&o.group, &o.contender)).collect();
    let lacks = |(group, contender): &(&String, &String)| {
        let is = |o: &&Observation| (&o.group, &o.contender) == (*group, *contender);
        let has: BTreeSet<usize> = observations.iter().filter(is).map(|o| o.block).collect();
        let lacking = blocks - has.len();
        let who =
            if group.is_empty() { (*contender).clone() } else { format!("{group} {contender}") };
        (lacking > 0).then(|| format!("{who}: no turn in {lacking} of {blocks} blocks"))
    };
    all.iter().filter_map(lacks).collect()
}

fn raw(observations: &[Observation]) -> Vec<Raw> {
    let numbers = |o: &Observation| {
        let number = |m: &measure::Measure| {
            let reading = o.get(m.id);
            (reading != Reading::Absent).then(|| Raw {
                run: o.run,
                group: o.group.clone(),
                contender: o.contender.clone(),
                measure: m.id,
                value: reading.number(),
                censored: reading == Reading::Censored,
            })
        };
        MEASURES.iter().filter_map(number).collect::<Vec<_>>()
    };
    observations.iter().flat_map(numbers).collect()
}
