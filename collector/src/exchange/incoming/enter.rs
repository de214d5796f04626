//! Inquiries noted and judged: new, put before, come round in a circle, refused.

use super::{bare, signed, to_text};
use crate::exchange::book::{BookError, Page};
use crate::exchange::check::{No, check};
use crate::exchange::office::{Office, now_ms, secret};
use crate::exchange::tell::about;
use crate::exchange::{Inquiry, Justification, Reply, Status};
use rusqlite::{OptionalExtension, params};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use traceback::disclose::{Approval, Ask, Terms};

/// What becomes of an inquiry that came.
pub(super) enum Entered {
    /// It is answered at once: refused, or seen before.
    Closed(Reply),
    /// It is looked into.
    Work(Box<Terms>),
    /// The answer comes later: people decide first (the first time that it is said), or it was put again.
    Later { token: String, acknowledge: bool },
}

/// Notes an inquiry, and judges it.
pub(super) async fn enter(
    office: &Arc<Office>,
    peer: &str,
    inquiry: &Inquiry,
    (now, ahead): (u64, Option<i64>),
    room: bool,
) -> Result<Entered, BookError> {
    let (office_, peer, inquiry) = (office.clone(), peer.to_owned(), inquiry.clone());
    let asked = question(&inquiry);
    let work = move |page: &Page<'_>| {
        let office = office_;
        if let Some(ahead) = ahead {
            page.note("clock", json!({ "from": peer, "id": inquiry.id, "ahead_ms": ahead }));
        }
        if let Some(again) = again(&office, page, &peer, (&inquiry, &asked))? {
            return Ok(again);
        }
        let no = |why, what: &str| Err(No::Refused(why, what.to_owned()));
        let checked = check(&office.domain, &peer, &inquiry, now).and_then(|()| {
            let full = "so many inquiries are at work that none can be taken; try later";
            if room { Ok(()) } else { no(Justification::SystemResource, full) }
        });
        let judged = checked.and_then(|()| judge(&office, page, &peer, &inquiry, now));
        match judged {
            Ok(terms) => admit(&office, page, (&peer, &inquiry, &asked), terms, now),
            Err(No::Seen) => Ok(Entered::Closed(seen(&office, page, &peer, &inquiry))),
            Err(No::Refused(why, what)) => {
                // A word is only used up by what was looked into, so that it can be put again when there is room.
                let line = json!({ "from": peer, "id": inquiry.id, "origin": inquiry.origin,
                    "justification": why, "why": what, "about": about(&inquiry),
                    "exercise": inquiry.exercise, "until": office.until(now) });
                page.note("refused", line);
                let status = Status::Refused { justification: why, why: what };
                Ok(Entered::Closed(bare(&office, &inquiry, status, 0)))
            }
        }
    };
    office.book.write(work).await
}

/// What is said to an inquiry that was put before, or that came round in a circle.
fn again(
    office: &Office,
    page: &Page<'_>,
    peer: &str,
    (inquiry, asked): (&Inquiry, &str),
) -> rusqlite::Result<Option<Entered>> {
    let known = page
        .t
        .query_row(
            "SELECT state, peer, token, id = ?1 AND question = ?2 FROM incoming
             WHERE id = ?1 OR question = ?2 ORDER BY id <> ?1",
            params![inquiry.id, asked],
            |r| Ok((r.get::<_, String>(0)?, r.get::<_, String>(1)?, r.get(2)?, r.get(3)?)),
        )
        .optional()?;
    let Some((state, from, token, same)) = known else { return Ok(None) };
    match state.as_str() {
        // The connection broke before the asker knew: it may put the same question again.
        "broken" if from == peer && same => {
            page.t.execute("DELETE FROM incoming WHERE id = ?", [&inquiry.id])?;
            Ok(None)
        }
        "working" | "pending" if from == peer && same => {
            page.t.execute("UPDATE incoming SET later = 1 WHERE id = ?", [&inquiry.id])?;
            Ok(Some(Entered::Later { token, acknowledge: false }))
        }
        _ => Ok(Some(Entered::Closed(seen(office, page, peer, inquiry)))),
    }
}

fn seen(office: &Office, page: &Page<'_>, peer: &str, inquiry: &Inquiry) -> Reply {
    page.note(
        "already-seen",
        json!({ "from": peer, "id": inquiry.id, "until": office.until(now_ms()) }),
    );
    bare(office, inquiry, Status::AlreadySeen, 0)
}

fn judge(
    office: &Office,
    page: &Page<'_>,
    peer: &str,
    inquiry: &Inquiry,
    now: u64,
) -> Result<Terms, No> {
    let count = "SELECT COUNT(*) FROM incoming WHERE peer = ? AND received_ms > ?";
    let before = signed(now.saturating_sub(3_600_000));
    let asked = page.t.query_row(count, params![peer, before], |row| row.get::<_, u32>(0));
    let ask = Ask {
        requester: peer,
        origin: &inquiry.origin,
        purpose: &inquiry.purpose,
        tlp: inquiry.tlp,
        region: office.domain.peer(peer).map(|p| p.region).unwrap_or_default(),
        at_unix_s: now / 1_000,
        // What cannot be counted counts as too much.
        asked_in_last_hour: asked.unwrap_or(u32::MAX),
    };
    office.domain.policy.judge(&ask).map_err(|no| No::Refused(no.justification, no.why))
}

fn admit(
    office: &Office,
    page: &Page<'_>,
    (peer, inquiry, asked): (&str, &Inquiry, &str),
    terms: Terms,
    now: u64,
) -> rusqlite::Result<Entered> {
    let people = terms.approval != Approval::Auto;
    let (state, token) = (if people { "pending" } else { "working" }, secret());
    page.t.execute(
        "INSERT INTO incoming (id, question, peer, state, token, later, received_ms, acknowledged_ms,
           deadline_ms, until_ms, inquiry, terms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        params![
            inquiry.id,
            asked,
            peer,
            state,
            token,
            people,
            signed(now),
            people.then(|| signed(now)),
            signed(inquiry.deadline_ms),
            signed(office.until(now) * 1_000),
            to_text(inquiry)?,
            to_text(&terms)?,
        ],
    )?;
    let line = json!({ "from": peer, "id": inquiry.id, "origin": inquiry.origin, "rule": terms.rule,
        "purpose": inquiry.purpose, "tlp": inquiry.tlp, "about": about(inquiry), "state": state,
        "exercise": inquiry.exercise, "until": office.until(now) });
    page.note("received", line);
    Ok(if people {
        Entered::Later { token, acknowledge: true }
    } else {
        Entered::Work(Box::new(terms))
    })
}

/// What makes two inquiries of one root the same question: a circle cannot hide behind a new word.
pub(in crate::exchange) fn question(inquiry: &Inquiry) -> String {
    let root = inquiry.id.split('.').next().unwrap_or_default();
    let mut hash = Sha256::new();
    for part in [root, &inquiry.origin, &inquiry.asker] {
        hash.update(part);
        hash.update([0]);
    }
    hash.update(serde_json::to_vec(&inquiry.subject).expect("invariant: subjects are JSON"));
    hex::encode(hash.finalize())
}
