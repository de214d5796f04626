//! What an operator wants to know, and what came of it, put together.

use super::domain::Domain;
use super::join::{Branch, Flag, Kind, Way};
use super::pursuit::{Handovers, Pursuit, Quest};
use super::{Exhibit, Inquiry, Mode, Status, Subject, Withheld};
use crate::contact::Reach;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use traceback::RouterId;
use traceback::case::Case;
use traceback::disclose::{Shown, Tlp};
use traceback::graph::Finding;

/// Version of [`Joined`].
const SCHEMA: &str = "ashiato.inquiry/1";

/// What an operator wants to know, and how it is to be asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Begin {
    /// The scheme.
    pub scheme: String,
    /// Its parameters; those that this domain searches with, or its paper's, where left out.
    #[serde(default)]
    pub params: Option<Value>,
    /// The case: gateway, packets, window.
    pub case: Case,
    /// Who asks whom.
    #[serde(default)]
    pub mode: Mode,
    /// What for.
    #[serde(default = "traceback")]
    pub purpose: String,
    /// The label of questions.
    #[serde(default)]
    pub tlp: Tlp,
    /// Time for everything, in milliseconds.
    #[serde(default = "a_minute")]
    pub deadline_ms: u64,
    /// Time for one answer, in milliseconds; 0: the domain's own.
    #[serde(default)]
    pub patience_ms: u64,
    /// Whether it is an exercise.
    #[serde(default)]
    pub exercise: bool,
    /// Whether those next to a domain are asked although it says that packets came from inside, or not at all.
    #[serde(default)]
    pub verify: bool,
    /// Words found in marks that only their domains resolve, by domain; found by AS numbers, where left out.
    #[serde(default)]
    pub names: BTreeMap<String, BTreeSet<RouterId>>,
}

/// What came of an inquiry: own part and others', put together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Joined {
    /// [`SCHEMA`].
    pub schema: String,
    /// The inquiry's word.
    pub id: String,
    /// The word that questions begin with; another one where it was begun again after the collector had gone down.
    #[serde(default)]
    pub asks_as: String,
    /// The domain that began.
    pub domain: String,
    /// The scheme.
    pub scheme: String,
    /// Who asked whom.
    pub mode: Mode,
    /// What for.
    pub purpose: String,
    /// The strictest label of what went into it.
    pub tlp: Tlp,
    /// Whether it was an exercise.
    pub exercise: bool,
    /// When it began, in milliseconds since the Unix epoch.
    pub begun_ms: u64,
    /// When it ended.
    pub ended_ms: u64,
    /// Packets asked about.
    pub packets: u32,
    /// How many of their bytes nobody was shown.
    #[serde(default)]
    pub hidden_bytes: u64,
    /// What marks at the victim say, for schemes that mark: a finding, or why there is none.
    pub finding: Option<Result<Finding, traceback::case::Gap>>,
    /// Ways of packets, stretch by stretch.
    pub ways: Vec<Way>,
    /// Packets of which no way is known.
    pub unseen: Vec<u32>,
    /// Who stands behind words found in marks, as their domains show it.
    pub names: Vec<Named>,
    /// Everything that was asked, and what came of it.
    pub asked: Vec<Asked>,
    /// What is odd.
    pub flags: Vec<Flag>,
    /// Whom to turn to for each domain that was silent, undecided, expired or out of reach.
    #[serde(default)]
    pub escalate: BTreeMap<String, Vec<Reach>>,
}

/// A word and who stands behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// Whose word it is.
    pub domain: String,
    /// The word.
    pub name: RouterId,
    /// Who stands behind it.
    pub shown: Shown,
}

/// One question, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Who was asked.
    pub domain: String,
    /// Who had got the packets from it.
    pub towards: String,
    /// About which packets.
    pub packets: Vec<u32>,
    /// When, in milliseconds since the Unix epoch; unknown where another domain asked.
    pub asked_ms: Option<u64>,
    /// When it said that people must decide.
    pub acknowledged_ms: Option<u64>,
    /// When it answered.
    pub answered_ms: Option<u64>,
    /// How long it took, as it says itself.
    pub took_ms: u64,
    /// What came of it.
    pub status: Status,
    /// The label of its answer.
    pub tlp: Tlp,
    /// The rule of its policy.
    pub rule: String,
    /// What it does not tell.
    pub withheld: Vec<Withheld>,
    /// Hops that it told.
    pub told: usize,
}

impl Joined {
    /// Nothing known yet.
    pub(super) fn new(id: &str, domain: &Domain, begin: &Begin, begun_ms: u64) -> Self {
        Self {
            schema: SCHEMA.into(),
            id: id.into(),
            asks_as: id.into(),
            domain: domain.id().to_owned(),
            scheme: begin.scheme.clone(),
            mode: begin.mode,
            purpose: begin.purpose.clone(),
            tlp: begin.tlp,
            exercise: begin.exercise,
            begun_ms,
            ended_ms: begun_ms,
            packets: 0,
            hidden_bytes: 0,
            finding: None,
            ways: vec![],
            unseen: vec![],
            names: vec![],
            asked: vec![],
            flags: vec![],
            escalate: BTreeMap::new(),
        }
    }

    /// The pursuit of packets that it begins.
    pub(super) fn quest(
        &self,
        begin: &Begin,
        (packets, handed): (Vec<Exhibit>, Option<Handovers>),
        patience_ms: u64,
    ) -> Quest {
        Quest {
            id: self.asks_as.clone(),
            me: self.domain.clone(),
            origin: self.domain.clone(),
            purpose: begin.purpose.clone(),
            tlp: begin.tlp,
            mode: begin.mode,
            visited: vec![],
            deadline_ms: self.begun_ms + begin.deadline_ms,
            patience_ms: if begin.patience_ms == 0 { patience_ms } else { begin.patience_ms },
            exercise: begin.exercise,
            verify: begin.verify,
            scheme: begin.scheme.clone(),
            packets,
            handed,
            towards: None,
        }
    }

    /// The question who stands behind words.
    pub(super) fn naming(&self, at: usize, begin: &Begin, names: BTreeSet<RouterId>) -> Inquiry {
        Inquiry {
            id: format!("{}.{at}", self.asks_as),
            origin: self.domain.clone(),
            asker: self.domain.clone(),
            purpose: begin.purpose.clone(),
            tlp: begin.tlp,
            mode: Mode::Star,
            visited: vec![self.domain.clone()],
            deadline_ms: self.begun_ms + begin.deadline_ms,
            exercise: begin.exercise,
            subject: Subject::Names { names: names.into_iter().collect() },
        }
    }

    /// Takes over what came of following packets.
    pub(super) fn settle(&mut self, pursuit: Pursuit) {
        let (tree, flags) = pursuit.finish();
        let (ways, odd) = tree.ways();
        let seen: BTreeSet<u32> = ways.iter().flat_map(|w| w.packets.iter().copied()).collect();
        self.unseen = (0..self.packets).filter(|p| !seen.contains(p)).collect();
        self.tlp = self.tlp.max(tree.tlp());
        self.asked = tree.all().into_iter().skip(1).map(Asked::of).collect();
        self.ways = ways;
        self.flags = flags.into_iter().chain(odd).collect();
    }

    /// Says that the own logs could not be searched, where that is so.
    pub(super) fn blind(&mut self, why: Option<String>) {
        let flag = why.map(|why| Flag::new(Kind::Blind, &self.domain, None, &[], why));
        self.flags.extend(flag);
    }

    /// Says that it was begun again, where that is so.
    pub(super) fn again(&mut self) {
        if self.asks_as != self.id {
            let what = "went down while it was under way, and asked everybody again".into();
            self.flags.push(Flag::new(Kind::Resumed, &self.domain, None, &[], what));
        }
    }

    /// Takes over what a domain said of words.
    pub(super) fn name(&mut self, branch: &Branch) {
        let reply = &branch.reply;
        self.asked.push(Asked::of(branch));
        self.tlp = self.tlp.max(reply.tlp);
        let named = |(name, shown): &(RouterId, Shown)| Named {
            domain: reply.domain.clone(),
            name: *name,
            shown: shown.clone(),
        };
        self.names.extend(reply.names.iter().map(named));
    }
}

impl Asked {
    pub(super) fn of(branch: &Branch) -> Self {
        let reply = &branch.reply;
        Self {
            domain: reply.domain.clone(),
            towards: branch.towards.clone(),
            packets: branch.packets.clone(),
            asked_ms: branch.asked_ms,
            acknowledged_ms: branch.acknowledged_ms,
            answered_ms: branch.answered_ms,
            took_ms: reply.took_ms,
            status: reply.status.clone(),
            tlp: reply.tlp,
            rule: reply.rule.clone(),
            withheld: reply.withheld.clone(),
            told: reply.passages.iter().map(|p| p.hops.len()).sum::<usize>() + reply.names.len(),
        }
    }
}

/// Words of a finding, by the domain whose system the case's map says that they belong to.
pub(super) fn owners(
    domain: &Domain,
    begin: &Begin,
    finding: &Result<Finding, traceback::case::Gap>,
) -> BTreeMap<String, BTreeSet<RouterId>> {
    let found: BTreeSet<RouterId> = match finding {
        Ok(Finding::Paths(graph)) => graph.routers().into_iter().map(|(id, _)| id).collect(),
        Ok(Finding::Ingress { routers }) => routers.clone(),
        Ok(Finding::AsPaths { .. } | Finding::Classes { .. }) | Err(_) => BTreeSet::new(),
    };
    let mut owners: BTreeMap<String, BTreeSet<RouterId>> = BTreeMap::new();
    for name in found.into_iter().filter(|id| traceback::disclose::is_hashed(*id)) {
        let asn = begin.case.map.router(name).map(|r| r.asn);
        let known = |asn| domain.peers().values().any(|peer| peer.asns.contains(&asn));
        // Where the map does not tell whose it is, everybody is asked whether it is theirs.
        let asn = asn.filter(|asn| known(*asn));
        for peer in domain.peers().values() {
            if asn.is_none_or(|asn| peer.asns.contains(&asn)) {
                owners.entry(peer.id.clone()).or_default().insert(name);
            }
        }
    }
    owners
}

fn traceback() -> String {
    "traceback".into()
}

fn a_minute() -> u64 {
    60_000
}
