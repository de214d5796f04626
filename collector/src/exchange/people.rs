//! Inquiries that people decide: shown, approved, denied, answered by hand; and what may be asked about them.

use super::book::Page;
use super::incoming::{bare, close, finish, signed, to_text};
use super::look::Stretch;
use super::office::{Office, now_ms};
use super::tell::{Told, tell};
use super::{Inquiry, Justification, Reply, Status, Subject};
use crate::evidence::{self, Fact};
use ipnet::IpNet;
use rusqlite::{OptionalExtension, params};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use traceback::disclose::{Approval, Origin, Terms};

/// What an operator says to an inquiry that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// The policy's answer may leave.
    Approve,
    /// It may not.
    Deny {
        /// Why, which the asker is told.
        why: String,
    },
    /// It may, and instead of what logs say, what this person found out.
    Answer {
        /// Where the packets came from; nothing: they were not seen here.
        origin: Option<Origin>,
    },
}

/// One operator's word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// Who.
    pub operator: String,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// What.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// An inquiry that came, as operators see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// The inquiry.
    pub inquiry: Inquiry,
    /// Who put it.
    pub peer: String,
    /// working, pending, answered, denied, expired or broken.
    pub state: String,
    /// How many operators must agree; nobody where the policy suffices.
    pub needs: usize,
    /// What operators said.
    pub votes: Vec<Vote>,
    /// When it came, in milliseconds since the Unix epoch.
    pub received_ms: u64,
    /// When the asker was told that people must decide.
    pub acknowledged_ms: Option<u64>,
    /// When they had decided.
    pub decided_ms: Option<u64>,
    /// When the answer was ready.
    pub answered_ms: Option<u64>,
    /// When it was taken, where it came later.
    pub delivered_ms: Option<u64>,
    /// What was told.
    pub reply: Option<Reply>,
}

/// Inquiries that came, those that wait first, then the newest.
///
/// # Errors
/// When the book cannot be read.
pub(super) async fn received(office: &Arc<Office>) -> Result<Vec<Received>, String> {
    let rows = office.book.write(|page| {
        let sql = format!("{COLUMNS} WHERE state <> 'forgotten' ORDER BY state <> 'pending', received_ms DESC LIMIT 10000");
        let mut query = page.t.prepare(&sql)?;
        query.query_map([], row)?.collect::<rusqlite::Result<Vec<_>>>()
    });
    Ok(rows.await.map_err(|e| e.to_string())?.into_iter().map(|(received, _)| received).collect())
}

/// Cases that were begun here, the newest first: word, state, and what came of each.
///
/// # Errors
/// When the book cannot be read.
pub(super) async fn cases(office: &Arc<Office>) -> Result<Vec<Value>, String> {
    let rows = office.book.write(|page| {
        let sql = "SELECT id, state, begun_ms, ended_ms, joined FROM cases ORDER BY begun_ms DESC LIMIT 1000";
        let mut query = page.t.prepare(sql)?;
        let row = |r: &rusqlite::Row<'_>| {
            let joined = r.get::<_, Option<String>>(4)?.unwrap_or_default();
            Ok(json!({ "id": r.get::<_, String>(0)?, "state": r.get::<_, String>(1)?,
                "begun_ms": r.get::<_, i64>(2)?, "ended_ms": r.get::<_, Option<i64>>(3)?,
                "joined": serde_json::from_str::<Value>(&joined).ok() }))
        };
        query.query_map([], row)?.collect::<rusqlite::Result<Vec<_>>>()
    });
    rows.await.map_err(|e| e.to_string())
}

/// What has left about addresses within a prefix: lines of the log.
///
/// # Errors
/// When the log cannot be read, or was changed.
pub(super) async fn left_about(office: &Arc<Office>, prefix: IpNet) -> Result<Vec<Fact>, String> {
    let path = office.book.audit().to_owned();
    let read = tokio::task::spawn_blocking(move || evidence::facts(&path));
    let facts = read.await.map_err(|e| e.to_string())?.map_err(|e| format!("{e:#}"))?;
    let within = |fact: &Fact| {
        let about = fact.fields["about"].as_array().into_iter().flatten();
        let mut about = about.filter_map(|a| a.as_str()?.parse::<IpAddr>().ok());
        matches!(fact.event.as_str(), "told" | "asked") && about.any(|a| prefix.contains(&a))
    };
    Ok(facts.into_iter().filter(within).collect())
}

/// An operator's word about an inquiry that waits; how many more must agree.
///
/// # Errors
/// What is wrong with it, for people.
pub(super) async fn decide(
    office: &Arc<Office>,
    id: &str,
    operator: &str,
    verdict: Verdict,
) -> Result<usize, String> {
    let vote = Vote { operator: operator.into(), at_ms: now_ms(), verdict };
    let (id, this) = (id.to_owned(), vote.clone());
    let written = office.book.write(move |page| cast(page, &id, this));
    let decided = written.await.map_err(|e| e.to_string())??;
    let Decided { received, terms, missing } = decided;
    let inquiry = received.inquiry;
    if let Verdict::Deny { why } = vote.verdict {
        let why = if why.is_empty() { "denied".into() } else { why };
        let status = Status::Refused { justification: Justification::Other, why };
        let told = Told::nothing(bare(office, &inquiry, status, 0), &office.domain);
        close(office, inquiry, told, "denied").await;
        return Ok(0);
    }
    if missing == 0 {
        let office = office.clone();
        let by_hand = received.votes.into_iter().rev().find_map(|vote| match vote.verdict {
            Verdict::Answer { origin } => Some(origin),
            Verdict::Approve | Verdict::Deny { .. } => None,
        });
        tokio::spawn(async move {
            match by_hand {
                Some(origin) => {
                    close(
                        &office,
                        inquiry.clone(),
                        hand(&office, &inquiry, &terms, origin),
                        "answered",
                    )
                    .await
                }
                None => finish(&office, inquiry, terms).await,
            }
        });
    }
    Ok(missing)
}

struct Decided {
    received: Received,
    terms: Terms,
    missing: usize,
}

/// Adds a vote to the book.
fn cast(page: &Page<'_>, id: &str, vote: Vote) -> rusqlite::Result<Result<Decided, String>> {
    let sql = format!("{COLUMNS} WHERE id = ? AND state <> 'forgotten'");
    let Some((mut received, terms)) = page.t.query_row(&sql, [id], row).optional()? else {
        return Ok(Err(format!(
            "no inquiry {id:?} came here; `ashiato trace list` shows those that did"
        )));
    };
    let Some(terms) = terms.filter(|_| received.state == "pending") else {
        return Ok(Err(format!("{id} waits for nobody: it is {}", received.state)));
    };
    if received.votes.iter().any(|v| v.operator == vote.operator) {
        return Ok(Err(format!(
            "{} has agreed to {id} already; another person must",
            vote.operator
        )));
    }
    received.votes.push(vote.clone());
    let agreed: BTreeSet<&str> = received.votes.iter().map(|v| v.operator.as_str()).collect();
    let missing = received.needs.saturating_sub(agreed.len());
    let denied = matches!(vote.verdict, Verdict::Deny { .. });
    let state = if missing == 0 && !denied { "working" } else { "pending" };
    let decided = (missing == 0 || denied).then(|| signed(vote.at_ms));
    page.t.execute(
        "UPDATE incoming SET votes = ?, state = ?, decided_ms = ? WHERE id = ?",
        params![to_text(&received.votes)?, state, decided, id],
    )?;
    page.note(
        "decided",
        json!({ "id": id, "from": received.peer, "vote": vote, "missing": missing }),
    );
    Ok(Ok(Decided { received, terms, missing }))
}

/// What a person found out, as the terms let it out.
fn hand(office: &Office, inquiry: &Inquiry, terms: &Terms, origin: Option<Origin>) -> Told {
    let count = match &inquiry.subject {
        Subject::Packets { packets, .. } => packets.len(),
        Subject::Names { .. } => 0,
    };
    let packets = (0..).take(count).collect();
    let found: Vec<Stretch> =
        origin.map(|origin| Stretch { packets, path: vec![], origin }).into_iter().collect();
    tell(&office.domain, inquiry, terms, &found, vec![])
}

const COLUMNS: &str = "SELECT inquiry, peer, state, terms, votes, received_ms, acknowledged_ms,
    decided_ms, answered_ms, delivered_ms, reply FROM incoming";

fn row(r: &rusqlite::Row<'_>) -> rusqlite::Result<(Received, Option<Terms>)> {
    let time = |at: usize| -> rusqlite::Result<Option<u64>> {
        Ok(r.get::<_, Option<i64>>(at)?.and_then(|t| u64::try_from(t).ok()))
    };
    let terms: Option<Terms> = json(r, 3)?;
    let received = Received {
        inquiry: said(r, 0)?,
        peer: r.get(1)?,
        state: r.get(2)?,
        needs: match terms.as_ref().map(|t| t.approval) {
            None | Some(Approval::Auto) => 0,
            Some(Approval::OnePerson) => 1,
            Some(Approval::TwoPerson) => 2,
        },
        votes: said(r, 4)?,
        received_ms: time(5)?.unwrap_or(0),
        acknowledged_ms: time(6)?,
        decided_ms: time(7)?,
        answered_ms: time(8)?,
        delivered_ms: time(9)?,
        reply: json(r, 10)?,
    };
    Ok((received, terms))
}

/// What a column of JSON says, where it says anything.
fn json<T: DeserializeOwned>(r: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<Option<T>> {
    let read = |text: String| {
        serde_json::from_str(&text).map_err(|e| {
            rusqlite::Error::FromSqlConversionFailure(at, rusqlite::types::Type::Text, Box::new(e))
        })
    };
    r.get::<_, Option<String>>(at)?.map(read).transpose()
}

/// The same of a column that always says something.
fn said<T: DeserializeOwned>(r: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<T> {
    json(r, at)?.ok_or(rusqlite::Error::InvalidColumnIndex(at))
}
