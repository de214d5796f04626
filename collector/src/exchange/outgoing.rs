//! Inquiries that an operator of this domain begins, and what comes of them.

use super::book::{BookError, Page};
use super::domain::destination;
use super::drive::{self, ahead};
use super::http::{Arrival, Given};
use super::incoming::{signed, to_text};
use super::join::{Flag, Kind};
use super::joined::{Asked, Begin, Joined, owners};
use super::look::Found;
use super::office::{Office, now_ms, secret};
use super::pursuit::Pursuit;
use super::resumed::AGAIN;
use super::work::{around, look, own};
use super::{Exhibit, Mode, Reply, Status};
use crate::clock::Utc;
use crate::operator;
use crate::store::Store;
use crate::trace;
use hyper::StatusCode;
use rusqlite::{OptionalExtension, params};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use traceback::RouterId;
use traceback::disclose::changes;
use traceback::graph::Finding;
use traceback::scheme::Keeper;
use traceback::schemes::AnyScheme;

/// Begins an inquiry, and returns what came of it.
///
/// # Errors
/// What is wrong with it, for people.
pub async fn inquire(office: &Arc<Office>, operator: &str, begin: Begin) -> Result<Joined, String> {
    let (began, domain) = (now_ms(), office.domain.id());
    let id = format!("{domain}-{began:x}-{}", &secret()[..12]);
    let request = to_text(&begin).map_err(|e| e.to_string())?;
    let (scheme, joined, asked) = prepare(office, &id, begin, began)?;
    let (begin, exhibits) = &asked;
    let about: BTreeSet<_> = exhibits.iter().filter_map(destination).collect();
    let until = office.until(began);
    let line = json!({ "id": id, "operator": operator, "scheme": begin.scheme, "about": about,
        "purpose": begin.purpose, "exercise": begin.exercise, "hidden_bytes": joined.hidden_bytes, "until": until });
    let (word, until) = (id.clone(), signed(until * 1_000));
    let noted = office.book.write(move |page| {
        page.note("began", line);
        page.t.execute(
            "INSERT INTO cases (id, state, begun_ms, until_ms, request) VALUES (?, 'running', ?, ?, ?)",
            params![word, signed(began), until, request],
        )
    });
    noted.await.map_err(|e| e.to_string())?;
    // Goes on where the operator hangs up.
    let work = tokio::spawn(run(office.clone(), scheme, joined, asked));
    work.await.map_err(|e| format!("the inquiry broke off: {e}"))?
}

/// A case that is to be carried to its end: with which scheme, what is known of it, what was asked and about what.
pub(super) type Prepared = (Arc<dyn AnyScheme>, Joined, (Begin, Vec<Exhibit>));

/// What a case needs before it is asked about.
///
/// # Errors
/// What is wrong with the case, for people.
pub(super) fn prepare(
    office: &Office,
    id: &str,
    begin: Begin,
    begun_ms: u64,
) -> Result<Prepared, String> {
    let scheme = scheme(office, &begin)?;
    let (exhibits, hidden) = exhibits(office, &*scheme, &begin)?;
    let mut joined = Joined::new(id, &office.domain, &begin, begun_ms);
    joined.hidden_bytes = hidden;
    Ok((scheme, joined, (begin, exhibits)))
}

/// Carries a case to its end, and writes down what came of it.
pub(super) async fn run(
    office: Arc<Office>,
    scheme: Arc<dyn AnyScheme>,
    joined: Joined,
    asked: (Begin, Vec<Exhibit>),
) -> Result<Joined, String> {
    let id = joined.id.clone();
    let joined = pursue(&office, scheme, joined, asked).await;
    end(&office, id, &joined).await.map_err(|e| e.to_string())?;
    joined
}

/// Writes down what came of a case.
pub(super) async fn end(
    office: &Arc<Office>,
    id: String,
    joined: &Result<Joined, String>,
) -> Result<(), BookError> {
    let (state, text) = match joined {
        Ok(joined) => ("done", to_text(joined)),
        Err(why) => ("failed", to_text(&json!({ "why": why }))),
    };
    let written = office.book.write(move |page| {
        page.t.execute(
            "UPDATE cases SET state = ?, ended_ms = ?, joined = ? WHERE id = ?",
            params![state, signed(now_ms()), text?, id],
        )
    });
    written.await.map(drop)
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
    let (peer, id, status) = (peer.to_owned(), reply.inquiry.clone(), reply.status.clone());
    match office.book.write(move |page| after_all(page, &peer, &id, &status)).await {
        Ok(true) => Given::empty(StatusCode::OK),
        Ok(false) => {
            Given { body: "nobody asked this".into(), ..Given::empty(StatusCode::BAD_REQUEST) }
        }
        Err(_) => Given::empty(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// Says in a case that an answer came after it was over; false where nobody here asked.
pub(super) fn after_all(
    page: &Page<'_>,
    peer: &str,
    id: &str,
    status: &Status,
) -> rusqlite::Result<bool> {
    let root = id.split(['.', AGAIN]).next().unwrap_or_default();
    let case = "SELECT joined FROM cases WHERE id = ?";
    let case = page.t.query_row(case, [root], |r| r.get::<_, Option<String>>(0)).optional()?;
    let passed_on = "SELECT COUNT(*) FROM incoming WHERE substr(?1, 1, length(id) + 1) = id || '.'";
    let ours = case.is_some() || page.t.query_row(passed_on, [id], |r| r.get::<_, i64>(0))? > 0;
    let event = if ours { "late" } else { "unasked" };
    page.note(event, json!({ "from": peer, "id": id, "status": status }));
    let joined = case.flatten().and_then(|text| serde_json::from_str::<Joined>(&text).ok());
    if let Some(mut joined) = joined {
        let what = "answered when everything was over; what it said is not in the result".into();
        joined.flags.push(Flag::new(Kind::Late, peer, None, &[], what));
        let update = "UPDATE cases SET joined = ? WHERE id = ?";
        page.t.execute(update, params![to_text(&joined)?, root])?;
    }
    Ok(ours)
}

/// The case's packets as others are shown them, and how many of their bytes they are not.
fn exhibits(
    office: &Office,
    scheme: &dyn AnyScheme,
    begin: &Begin,
) -> Result<(Vec<Exhibit>, u64), String> {
    let config = &office.domain.config;
    let (mut exhibits, mut all_hidden) = (vec![], 0);
    for (sample, at) in begin.case.samples.iter().zip(1..) {
        let at_unix_ns = config.zero_unix_ns.saturating_add(sample.at.0);
        let exhibit = office.domain.exhibit(scheme, &sample.bytes, at_unix_ns);
        let shown = exhibit.and_then(|(e, hidden)| Some((destination(&e)?, e, hidden)));
        let (address, exhibit, hidden) =
            shown.ok_or_else(|| format!("sample {at} is no IP packet"))?;
        if !office.domain.may_ask(office.domain.id(), address) {
            return Err(format!("sample {at} goes to {address}, which is not this domain's"));
        }
        exhibits.push(exhibit);
        all_hidden += hidden as u64;
    }
    Ok((exhibits, all_hidden))
}

async fn pursue(
    office: &Arc<Office>,
    scheme: Arc<dyn AnyScheme>,
    mut joined: Joined,
    (begin, exhibits): (Begin, Vec<Exhibit>),
) -> Result<Joined, String> {
    if scheme.card().keeper == Keeper::Routers {
        packets(office, &*scheme, &begin, exhibits, &mut joined).await?;
    } else {
        let finding = marks(office, scheme, &begin).await?;
        names(office, &begin, &finding, &mut joined).await;
        joined.finding = Some(finding);
    }
    joined.again();
    joined.ended_ms = now_ms();
    escalate(office, &mut joined).await?;
    Ok(joined)
}

/// Says whom to turn to for those who did not answer.
async fn escalate(office: &Arc<Office>, joined: &mut Joined) -> Result<(), String> {
    let dumb = |asked: &&Asked| {
        matches!(asked.status, Status::Silent | Status::Failed { .. } | Status::Pending { .. })
    };
    for asked in joined.asked.iter().filter(dumb) {
        let reach = office.domain.escalate(&asked.domain, Utc::now());
        if !reach.is_empty() {
            joined.escalate.insert(asked.domain.clone(), reach);
        }
    }
    if joined.escalate.is_empty() {
        return Ok(());
    }
    let line = json!({ "id": joined.id, "turn_to": joined.escalate, "exercise": joined.exercise });
    office.book.note("escalated", line).await.map_err(|e| e.to_string())
}

/// The scheme of an inquiry, with the parameters that this domain searches with where it says none.
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
    scheme: &dyn AnyScheme,
    begin: &Begin,
    exhibits: Vec<Exhibit>,
    joined: &mut Joined,
) -> Result<(), String> {
    let bounds = &office.domain.config.bounds;
    if exhibits.is_empty() || exhibits.len() > bounds.packets {
        return Err(format!("give 1 to {} samples, not {}", bounds.packets, exhibits.len()));
    }
    if begin.mode == Mode::Star && changes(scheme) {
        return Err(format!(
            "packets of {} change on their way, so each domain can only ask the one before it: \
             let the mode be recursive",
            begin.scheme
        ));
    }
    joined.packets = u32::try_from(exhibits.len()).unwrap_or(u32::MAX);
    let found = if office.domain.schemes.contains_key(&begin.scheme) {
        look(office, &begin.scheme, (vec![begin.case.gateway], ""), &exhibits).await
    } else {
        Ok(Found::default())
    };
    // Without own logs the neighbours may still know.
    let blind = found.as_ref().err().cloned();
    let found = found.unwrap_or_default();
    let root = own(&office.domain, &joined.id, &found.stretches, begin.tlp);
    let quest = joined.quest(begin, (exhibits, found.handed), bounds.patience_ms);
    let (pursuit, errands) = Pursuit::begin(quest, around(&office.domain), root, now_ms());
    joined.settle(drive::drive(office, pursuit, errands).await);
    joined.blind(blind);
    Ok(())
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
