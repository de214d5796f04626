//! The truth of a run: committed to before the first packet, opened last.
//!
//! Two commitments, SHA-256 over a fresh 32-byte salt and canonical JSON: the expected paths and flows
//! before anything is sent; what ledgers and taps counted after the last packet of each turn and before
//! its reconstruction. The salt is no part of the plan, so that nobody can guess the paths from a hash.

use crate::plan::Plan;
use crate::world::{Followed, Taken, Traffic};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use traceback::RouterId;
use traceback::report::Counters;

/// What is said in public before the truth is opened.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sealed {
    /// Over salt and [`Expected`].
    pub expected_sha256: String,
    /// Over salt and [`Counted`], by scheme.
    pub counted_sha256: BTreeMap<String, String>,
}

/// The opened truth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Opened {
    /// 32 bytes in hex.
    pub salt: String,
    /// What was expected.
    pub expected: Expected,
    /// What was counted, by scheme.
    pub counted: BTreeMap<String, Counted>,
}

/// Flows and the routers on their way, the router nearest the sender first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// By flow.
    pub flows: BTreeMap<u32, ExpectedFlow>,
}

/// One flow's truth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpectedFlow {
    /// The sending host.
    pub from: String,
    /// The receiving host.
    pub to: String,
    /// Whether it is an attack on the victim.
    pub attack: bool,
    /// The flow whose packets set off the reflector that sends this one: behind the path that the victim can see is
    /// that flow's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reflects: Option<u32>,
    /// Packets planned.
    pub packets: u64,
    /// The routers.
    pub path: Vec<RouterId>,
    /// All ways with their packets, where there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ways: Vec<(Vec<RouterId>, u64)>,
}

impl ExpectedFlow {
    /// Every way with its packets.
    fn all_ways(&self) -> Vec<(&Vec<RouterId>, u64)> {
        if self.ways.is_empty() {
            return vec![(&self.path, self.packets)];
        }
        self.ways.iter().map(|(path, packets)| (path, *packets)).collect()
    }
}

/// What senders and taps counted in one turn.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counted {
    /// Packets that left, by flow.
    pub sent: BTreeMap<u32, u64>,
    /// Packets that arrived at their host, by flow.
    pub arrived: BTreeMap<u32, u64>,
    /// Packets that reached each router, by router and flow.
    pub taps: BTreeMap<RouterId, BTreeMap<u32, u64>>,
    /// Packets that links lost, as the world that made them lose says.
    #[serde(default, skip_serializing_if = "is_none")]
    pub lost: u64,
    /// Ways that packets took, where the world follows them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub followed: Option<Followed>,
}

fn is_none(count: &u64) -> bool {
    *count == 0
}

/// The keeper of the truth while a run goes on.
#[derive(Debug, Clone)]
pub struct Keeper {
    opened: Opened,
    sealed: Sealed,
}

impl Keeper {
    /// Commits to the expected paths of a plan under a salt from the system's randomness.
    pub fn new(plan: &Plan, salt: [u8; 32]) -> Self {
        let named = |path: &[usize]| path.iter().map(|r| plan.routers[*r].id).collect::<Vec<_>>();
        let flow = |f: &crate::plan::Flow| ExpectedFlow {
            from: plan.hosts[f.from].name.clone(),
            to: plan.hosts[f.to].name.clone(),
            attack: plan.is_traced(f),
            reflects: f.reflects.map(|answers| answers.flow),
            packets: f.packets,
            path: named(&f.path),
            ways: f.ways.iter().map(|w| (named(&w.path), w.packets)).collect(),
        };
        let expected = Expected { flows: plan.flows.iter().map(|f| (f.id, flow(f))).collect() };
        let salt = hex::encode(salt);
        let sealed =
            Sealed { expected_sha256: commit(&salt, &expected), counted_sha256: BTreeMap::new() };
        Self { opened: Opened { salt, expected, counted: BTreeMap::new() }, sealed }
    }

    /// Commits to what a turn counted.
    pub fn seal(&mut self, plan: &Plan, scheme: &str, traffic: &Traffic) {
        let mut taps: BTreeMap<RouterId, BTreeMap<u32, u64>> = BTreeMap::new();
        for ((router, flow), packets) in &traffic.taps {
            taps.entry(plan.routers[*router].id).or_default().insert(*flow, *packets);
        }
        let (sent, arrived) = (traffic.sent.clone(), traffic.arrived.clone());
        let (lost, followed) = (traffic.lost, traffic.followed.clone());
        let counted = Counted { sent, arrived, taps, lost, followed };
        let hash = commit(&self.opened.salt, &counted);
        self.sealed.counted_sha256.insert(scheme.into(), hash);
        self.opened.counted.insert(scheme.into(), counted);
    }

    /// The commitments so far.
    pub fn sealed(&self) -> &Sealed {
        &self.sealed
    }

    /// The truth: for the scoring, and for nobody before.
    pub fn open(&self) -> &Opened {
        &self.opened
    }
}

impl Opened {
    /// Whether this is what was committed to.
    pub fn agrees(&self, sealed: &Sealed) -> bool {
        let counted = |(scheme, c): (&String, &Counted)| (scheme.clone(), commit(&self.salt, c));
        *sealed
            == Sealed {
                expected_sha256: commit(&self.salt, &self.expected),
                counted_sha256: self.counted.iter().map(counted).collect(),
            }
    }

    /// The attack paths of a turn: of every attack flow that sent anything, as the world followed its
    /// packets, else as expected.
    pub fn paths(&self, scheme: &str) -> BTreeSet<Vec<RouterId>> {
        let counted = self.counted.get(scheme);
        let flowed = |id: &u32| counted.is_none_or(|c| c.sent.get(id).is_some_and(|n| *n > 0));
        let attacks = self.expected.flows.iter().filter(|(id, f)| f.attack && flowed(id));
        let ways = |(id, flow): (&u32, &ExpectedFlow)| -> Vec<Vec<RouterId>> {
            match counted.and_then(|c| c.followed.as_ref()?.whole.get(id)) {
                Some(ways) => ways.iter().filter(|(_, n)| *n > 0).map(|(w, _)| w.clone()).collect(),
                None => flow.all_ways().into_iter().map(|(path, _)| path.clone()).collect(),
            }
        };
        attacks.flat_map(ways).collect()
    }

    /// How far ledgers and taps of a turn disagree beyond counted drops, as a share of all
    /// packet-and-router visits that should have been: 0 where they agree.
    pub fn disagreement(&self, scheme: &str, counters: &BTreeMap<RouterId, Counters>) -> f64 {
        let Some(counted) = self.counted.get(scheme) else { return 0.0 };
        let (mut visits, mut missing, mut surplus) = (0_u64, 0_u64, 0_u64);
        let mut longest = 0;
        for (id, flow) in &self.expected.flows {
            let Due { ways, unseen, loose } = counted.due(*id, flow);
            let mut expected: BTreeMap<RouterId, u64> = BTreeMap::new();
            for (path, packets) in ways {
                longest = longest.max(path.len() as u64);
                path.iter().for_each(|r| *expected.entry(*r).or_default() += packets);
            }
            missing += unseen;
            let mut more = 0;
            for (router, due) in &expected {
                let tapped = counted.taps.get(router).and_then(|t| t.get(id)).copied().unwrap_or(0);
                visits += due;
                missing += due.saturating_sub(tapped);
                more += tapped.saturating_sub(*due);
            }
            let strays = counted.taps.iter().filter(|(router, _)| !expected.contains_key(router));
            more += strays.filter_map(|(_, flows)| flows.get(id)).sum::<u64>();
            surplus += more.saturating_sub(loose);
        }
        // A packet dropped early is missing at every later router of its path.
        let dropped = counters.values().map(Counters::dropped).sum::<u64>() + counted.lost;
        let unexplained = missing.saturating_sub(dropped * longest) + surplus;
        if visits == 0 { 0.0 } else { unexplained as f64 / visits as f64 }
    }
}

/// Visits that a flow's packets should have made.
struct Due<'a> {
    /// Ways with their packets.
    ways: Vec<(&'a Vec<RouterId>, u64)>,
    /// Packets that went no way to its end.
    unseen: u64,
    /// Visits that nobody can foretell.
    loose: u64,
}

/// Routers that a packet between two states of the routes visits at most: its TTL ends it.
const MOST_VISITS: u64 = 255;

impl Counted {
    fn due<'a>(&'a self, id: u32, flow: &'a ExpectedFlow) -> Due<'a> {
        let sent = self.sent.get(&id).copied().unwrap_or(0);
        let Some(followed) = &self.followed else {
            let planned =
                |(path, packets)| (path, if flow.ways.is_empty() { sent } else { packets });
            let ways = flow.all_ways().into_iter().map(planned).collect();
            return Due { ways, unseen: 0, loose: 0 };
        };
        let all = |of: &'a BTreeMap<u32, Vec<Taken>>| of.get(&id).into_iter().flatten();
        let mixed = followed.mixed.get(&id).copied().unwrap_or(0);
        let whole: u64 = all(&followed.whole).map(|(_, n)| *n).sum();
        let ways = all(&followed.whole).chain(all(&followed.cut)).map(|(w, n)| (w, *n)).collect();
        Due { ways, unseen: sent.saturating_sub(whole + mixed), loose: mixed * MOST_VISITS }
    }
}

fn commit(salt: &str, what: &impl Serialize) -> String {
    let mut hash = Sha256::new();
    hash.update(salt);
    hash.update(serde_json::to_vec(what).expect("invariant: plain data"));
    hex::encode(hash.finalize())
}
