//! Inquiries that an operator of this domain begins, and what comes of them.

use super::book::BookError;
use super::domain::{Domain, destination};
use super::drive::{self, ahead};
use super::http::{Arrival, Given};
use super::incoming::{signed, to_text};
use super::join::{Branch, Flag, Way};
use super::office::{Office, now_ms, secret};
use super::pursuit::{Pursuit, Quest};
use super::work::{around, look, own};
use super::{Exhibit, Inquiry, Mode, Reply, Status, Subject, Withheld};
use crate::operator;
use crate::store::Store;
use crate::trace;
use hyper::StatusCode;
use rusqlite::params;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use traceback::RouterId;
use traceback::case::Case;
use traceback::disclose::{Shown, Tlp};
use traceback::graph::Finding;
use traceback::scheme::Keeper;
use traceback::schemes::AnyScheme;

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

/// Begins an inquiry, and returns what came of it.
///
/// # Errors
/// What is wrong with it, for people.
pub async fn inquire(office: &Arc<Office>, operator: &str, begin: Begin) -> Result<Joined, String> {
    let (began, domain) = (now_ms(), office.domain.id());
    let id = format!("{domain}-{began:x}-{}", &secret()[..12]);
    let request = to_text(&begin).map_err(|e| e.to_string())?;
    let exhibits = exhibits(office, &begin)?;
    let about: BTreeSet<_> = exhibits.iter().filter_map(destination).collect();
    let keep = office.domain.config.bounds.keep_s;
    let line = json!({ "id": id, "operator": operator, "scheme": begin.scheme, "about": about,
        "purpose": begin.purpose, "exercise": begin.exercise, "until": began / 1_000 + keep });
    let (word, until) = (id.clone(), signed(began + keep * 1_000));
    let noted = office.book.write(move |page| {
        page.note("began", line);
        page.t.execute(
            "INSERT INTO cases (id, state, begun_ms, until_ms, request) VALUES (?, 'running', ?, ?, ?)",
            params![word, signed(began), until, request],
        )
    });
    noted.await.map_err(|e| e.to_string())?;
    // Goes on where the operator hangs up.
    let (own, word) = (office.clone(), id.clone());
    let work = tokio::spawn(async move {
        let joined = pursue(&own, &word, begin, exhibits, began).await;
        let (state, text) = match &joined {
            Ok(joined) => ("done", to_text(joined)),
            Err(why) => ("failed", to_text(&json!({ "why": why }))),
        };
        let written = own.book.write(move |page| {
            page.t.execute(
                "UPDATE cases SET state = ?, ended_ms = ?, joined = ? WHERE id = ?",
                params![state, signed(now_ms()), text?, word],
            )
        });
        written.await.map_err(|e| e.to_string())?;
        joined
    });
    work.await.map_err(|e| format!("the inquiry broke off: {e}"))?
}

/// Cases that were under way when the collector went down did not end: that is said.
pub(super) async fn recover(office: &Arc<Office>) -> Result<(), BookError> {
    let why = json!({ "why": "the collector went down while it was under way; begin it again" });
    let failed = office.book.write(move |page| {
        page.t.execute(
            "UPDATE cases SET state = 'failed', ended_ms = ?, joined = ? WHERE state = 'running'",
            params![signed(now_ms()), why.to_string()],
        )
    });
    failed.await.map(drop)
}

/// Takes an answer that was promised for later.
pub(super) async fn called_back(office: &Arc<Office>, arrival: Arrival, reply: Reply) -> Given {
    let Arrival { peer, token, clock, .. } = arrival;
    let refuse = |why: &str| Given { body: why.into(), ..Given::empty(StatusCode::BAD_REQUEST) };
    if reply.domain != peer {
        return refuse("the answer is not in the sender's name");
    }
    let known = office.waiting().get(&reply.inquiry).map(|w| (w.peer.clone(), w.token.clone()));
    match known {
        Some((asked, _)) if asked != peer => refuse("this was not asked of you"),
        Some((_, Some(promised))) if token.as_deref() != Some(promised.as_str()) => {
            refuse("RID-Callback-Token is not the one that was given")
        }
        Some(_) => {
            drive::hear(office, &peer, reply, ahead(clock)).await;
            Given::empty(StatusCode::OK)
        }
        None => late(office, &peer, &reply).await,
    }
}

/// Notes an answer that came after everything was over.
async fn late(office: &Arc<Office>, peer: &str, reply: &Reply) -> Given {
    let root = reply.inquiry.split('.').next().unwrap_or_default().to_owned();
    let line = json!({ "from": peer, "id": reply.inquiry, "status": reply.status });
    let ours = office.book.write(move |page| {
        let known = "SELECT COUNT(*) FROM cases WHERE id = ?1";
        let ours = page.t.query_row(known, [&root], |row| row.get::<_, i64>(0))? > 0;
        page.note(if ours { "late" } else { "unasked" }, line);
        Ok(ours)
    });
    match ours.await {
        Ok(true) => Given::empty(StatusCode::OK),
        Ok(false) => {
            Given { body: "nobody asked this".into(), ..Given::empty(StatusCode::BAD_REQUEST) }
        }
        Err(_) => Given::empty(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

fn exhibits(office: &Office, begin: &Begin) -> Result<Vec<Exhibit>, String> {
    let config = &office.domain.config;
    let mut exhibits = vec![];
    for (sample, at) in begin.case.samples.iter().zip(1..) {
        let at_unix_ns = config.zero_unix_ns.saturating_add(sample.at.0);
        let exhibit = Exhibit { bytes: sample.bytes.clone(), at_unix_ns };
        let address =
            destination(&exhibit).ok_or_else(|| format!("sample {at} is no IP packet"))?;
        if !office.domain.may_ask(office.domain.id(), address) {
            return Err(format!("sample {at} goes to {address}, which is not this domain's"));
        }
        exhibits.push(exhibit);
    }
    Ok(exhibits)
}

async fn pursue(
    office: &Arc<Office>,
    id: &str,
    begin: Begin,
    exhibits: Vec<Exhibit>,
    begun_ms: u64,
) -> Result<Joined, String> {
    let scheme = scheme(office, &begin)?;
    let mut joined = Joined::new(id, &office.domain, &begin, begun_ms);
    if scheme.card().keeper == Keeper::Routers {
        packets(office, &begin, exhibits, &mut joined).await?;
    } else {
        let finding = marks(office, scheme, &begin).await?;
        names(office, &begin, &finding, &mut joined).await;
        joined.finding = Some(finding);
    }
    joined.ended_ms = now_ms();
    Ok(joined)
}

fn scheme(office: &Office, begin: &Begin) -> Result<Arc<dyn AnyScheme>, String> {
    let searched = office.domain.schemes.get(&begin.scheme).filter(|_| begin.params.is_none());
    if let Some(searched) = searched {
        return Ok(searched.clone());
    }
    let params = begin.params.as_ref().map(ToString::to_string).unwrap_or_default();
    operator::scheme(&begin.scheme, &params)
}

/// Follows packets through the own logs and from domain to domain.
async fn packets(
    office: &Arc<Office>,
    begin: &Begin,
    exhibits: Vec<Exhibit>,
    joined: &mut Joined,
) -> Result<(), String> {
    let bounds = &office.domain.config.bounds;
    if exhibits.is_empty() || exhibits.len() > bounds.packets {
        return Err(format!("give 1 to {} samples, not {}", bounds.packets, exhibits.len()));
    }
    joined.packets = u32::try_from(exhibits.len()).unwrap_or(u32::MAX);
    let found = if office.domain.schemes.contains_key(&begin.scheme) {
        look(office, &begin.scheme, (vec![begin.case.gateway], ""), &exhibits).await?
    } else {
        vec![]
    };
    let root = own(&office.domain, &joined.id, &found, begin.tlp);
    let quest = joined.quest(begin, exhibits, bounds.patience_ms);
    let (pursuit, errands) = Pursuit::begin(quest, around(&office.domain), root, now_ms());
    joined.settle(drive::drive(office, pursuit, errands).await);
    Ok(())
}

impl Joined {
    /// Nothing known yet.
    pub(super) fn new(id: &str, domain: &Domain, begin: &Begin, begun_ms: u64) -> Self {
        Self {
            schema: SCHEMA.into(),
            id: id.into(),
            domain: domain.id().to_owned(),
            scheme: begin.scheme.clone(),
            mode: begin.mode,
            purpose: begin.purpose.clone(),
            tlp: begin.tlp,
            exercise: begin.exercise,
            begun_ms,
            ended_ms: begun_ms,
            packets: 0,
            finding: None,
            ways: vec![],
            unseen: vec![],
            names: vec![],
            asked: vec![],
            flags: vec![],
        }
    }

    /// The pursuit of packets that it begins.
    pub(super) fn quest(&self, begin: &Begin, packets: Vec<Exhibit>, patience_ms: u64) -> Quest {
        Quest {
            id: self.id.clone(),
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
            towards: None,
        }
    }

    /// The question who stands behind words.
    pub(super) fn naming(&self, at: usize, begin: &Begin, names: BTreeSet<RouterId>) -> Inquiry {
        Inquiry {
            id: format!("{}.{at}", self.id),
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

/// Rebuilds from marks that the own observers reported.
async fn marks(
    office: &Arc<Office>,
    scheme: Arc<dyn AnyScheme>,
    begin: &Begin,
) -> Result<Result<Finding, traceback::case::Gap>, String> {
    let (logs, case) = (office.logs.clone(), begin.case.clone());
    let runtime = tokio::runtime::Handle::current();
    let work = tokio::task::spawn_blocking(move || {
        let store = Store::reader(&logs.store).map_err(|e| e.to_string())?;
        let gathered =
            operator::gather(&store, scheme.as_ref(), &case).map_err(|e| e.to_string())?;
        let id = scheme.card().id;
        let mut ask = |questions: &[trace::Question]| {
            runtime.block_on(logs.hub.ask(id, questions, logs.patience))
        };
        Ok(trace::trace(scheme.as_ref(), &case, &gathered.ledgers, &mut ask).finding)
    });
    work.await.map_err(|e| format!("the reconstruction broke off: {e}"))?
}

/// Asks domains who stands behind words that only they resolve.
async fn names(
    office: &Arc<Office>,
    begin: &Begin,
    finding: &Result<Finding, traceback::case::Gap>,
    joined: &mut Joined,
) {
    let wanted = if begin.names.is_empty() {
        owners(&office.domain, begin, finding)
    } else {
        begin.names.clone()
    };
    let ask = |(at, (domain, names)): (usize, (String, BTreeSet<RouterId>))| {
        let inquiry = joined.naming(at + 1, begin, names);
        drive::ask_one(office, domain, inquiry)
    };
    let peers = wanted.into_iter().filter(|(domain, _)| office.domain.peer(domain).is_some());
    let asked = peers.enumerate().map(ask);
    for branch in futures_util::future::join_all(asked.collect::<Vec<_>>()).await {
        joined.name(&branch);
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
    for name in found.into_iter().filter(|id| traceback::disclose::is_alias(*id)) {
        let Some(asn) = begin.case.map.router(name).map(|r| r.asn) else { continue };
        let owner = domain.peers().values().find(|peer| peer.asns.contains(&asn));
        if let Some(peer) = owner {
            owners.entry(peer.id.clone()).or_default().insert(name);
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
