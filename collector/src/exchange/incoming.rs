//! Inquiries that come: taken in, judged, decided by people where the policy says so, answered.
//!
//! ```text
//! received --refused (check, policy, no room)
//!    |------working------ answered            in the response, or by callback where it takes longer
//!    +------pending------ working             people agreed
//!              |--------- denied, expired
//! ```
//! Every step is in the book before anything follows from it, so an inquiry goes on after a crash.

use super::book::{BookError, Page};
use super::check::{No, check};
use super::http::Given;
use super::office::{Office, ahead_ms, document, now_ms, secret};
use super::tell::{Told, about};
use super::{Inquiry, Justification, Reply, Status, Subject, deliver, letter, work};
use hyper::StatusCode;
use rusqlite::{OptionalExtension, params};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::SystemTime;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::timeout;
use traceback::disclose::{Approval, Ask, Terms};

/// Longest time that an inquiry may wait, in milliseconds.
const LONGEST_MS: u64 = 7 * 86_400_000;

/// What becomes of an inquiry that came.
enum Entered {
    /// It is answered at once: refused, or seen before.
    Closed(Reply),
    /// It is looked into.
    Work(Box<Terms>),
    /// The answer comes later: people decide first (the first time that it is said), or it was put again.
    Later { token: String, acknowledge: bool },
}

/// Takes in an inquiry, and answers it or says that the answer comes later.
pub(super) async fn receive(
    office: &Arc<Office>,
    peer: String,
    mut inquiry: Inquiry,
    clock: Option<SystemTime>,
) -> Given {
    let now = now_ms();
    complete(office, &peer, &mut inquiry, now);
    let ahead = ahead_ms(clock, now);
    let off = ahead.unsigned_abs() > office.domain.config.bounds.clock_ms;
    if off {
        // Deadlines are the asker's times; what counts is how long there is.
        inquiry.deadline_ms = inquiry.deadline_ms.saturating_add_signed(ahead.saturating_neg());
    }
    let place = office.room.clone().try_acquire_owned().ok();
    let entered =
        enter(office, &peer, &inquiry, (now, off.then_some(ahead)), place.is_some()).await;
    match (entered, place) {
        (Ok(Entered::Closed(reply)), _) => document(&inquiry, &reply),
        (Ok(Entered::Later { token, acknowledge }), _) => {
            if acknowledge {
                let by_ms = Some(inquiry.deadline_ms);
                let reply = bare(office, &inquiry, Status::Pending { by_ms }, 0);
                let letter = letter::answer(&reply, &peer, &inquiry.origin);
                tokio::spawn(deliver::acknowledge(office.clone(), peer, token.clone(), letter));
            }
            Given::later(token)
        }
        (Ok(Entered::Work(terms)), Some(place)) => prompt(office, inquiry, *terms, place).await,
        (Ok(Entered::Work(_)), None) | (Err(_), _) => {
            Given::empty(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

/// Fills in what documents of other makers leave out: the packets came to who asks, the scheme is the one whose
/// logs are searched here, and an answer is of use for a week.
fn complete(office: &Office, peer: &str, inquiry: &mut Inquiry, now: u64) {
    inquiry.deadline_ms = inquiry.deadline_ms.min(now + LONGEST_MS);
    if let Subject::Packets { scheme, towards, .. } = &mut inquiry.subject {
        if towards.is_empty() {
            peer.clone_into(towards);
        }
        let first = office.domain.schemes.keys().next();
        if let (true, Some(first)) = (scheme.is_empty(), first) {
            first.clone_into(scheme);
        }
    }
}

/// Answers within the response where that is soon enough, else later.
async fn prompt(
    office: &Arc<Office>,
    inquiry: Inquiry,
    terms: Terms,
    place: OwnedSemaphorePermit,
) -> Given {
    let (tell, told) = oneshot::channel();
    let (working, id, asked) = (office.clone(), inquiry.id.clone(), inquiry.clone());
    tokio::spawn(async move {
        let reply = finish(&working, asked, terms).await;
        drop(place);
        // Whoever waited may have said already that the answer comes later.
        let _ = tell.send(reply);
    });
    if let Ok(Ok(reply)) = timeout(office.domain.config.bounds.prompt(), told).await {
        let failed = Given::empty(StatusCode::INTERNAL_SERVER_ERROR);
        return reply.map_or(failed, |reply| document(&inquiry, &reply));
    }
    let later = office.book.write(move |page| {
        page.t.execute("UPDATE incoming SET later = 1 WHERE id = ? AND reply IS NULL", [&id])?;
        page.t.query_row("SELECT token, reply FROM incoming WHERE id = ?", [&id], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?))
        })
    });
    match later.await {
        Ok((token, None)) => Given::later(token),
        Ok((_, Some(reply))) => match serde_json::from_str(&reply) {
            Ok(reply) => document(&inquiry, &reply),
            Err(_) => Given::empty(StatusCode::INTERNAL_SERVER_ERROR),
        },
        Err(_) => Given::empty(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// Works on an inquiry, writes down what is told, and sends it where the asker does not wait.
pub(super) async fn finish(office: &Arc<Office>, inquiry: Inquiry, terms: Terms) -> Option<Reply> {
    let told = work::work(office, &inquiry, &terms).await;
    close(office, inquiry, told, "answered").await
}

/// Writes down what is told, and sends it where the asker does not wait for it.
pub(super) async fn close(
    office: &Arc<Office>,
    inquiry: Inquiry,
    told: Told,
    state: &'static str,
) -> Option<Reply> {
    let (now, id, origin) = (now_ms(), inquiry.id.clone(), inquiry.origin.clone());
    let reply = told.reply.clone();
    let written = office.book.write(move |page| {
        let text = to_text(&told.reply)?;
        let until = now.saturating_add(told.retain_s.saturating_mul(1_000));
        page.t.execute(
            "UPDATE incoming SET state = ?, reply = ?, answered_ms = ?, until_ms = ? WHERE id = ?",
            params![state, text, signed(now), signed(until), inquiry.id],
        )?;
        page.note("told", told.line(&inquiry, now));
        page.t.query_row(
            "SELECT later, token, peer FROM incoming WHERE id = ?",
            [&inquiry.id],
            |r| Ok((r.get::<_, bool>(0)?, r.get::<_, String>(1)?, r.get::<_, String>(2)?)),
        )
    });
    let (later, token, peer) = written.await.ok()?;
    if later {
        let letter = letter::answer(&reply, &peer, &origin);
        let sent = deliver::answer(office.clone(), (id, peer, token), patience(now), letter);
        tokio::spawn(sent);
    }
    Some(reply)
}

/// Notes an inquiry, and judges it.
async fn enter(
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

/// Goes on with what was under way when the collector went down.
pub(super) async fn recover(office: &Arc<Office>) -> Result<(), BookError> {
    type Row = (String, String, Option<String>, String, String);
    let open = office.book.write(|page| {
        // Nobody was told yet that an answer would come: the asker's connection broke, and it asks again.
        page.t.execute(
            "UPDATE incoming SET state = 'broken' WHERE state = 'working' AND later = 0",
            [],
        )?;
        let sql = "SELECT inquiry, terms, reply, peer, token FROM incoming
            WHERE later = 1 AND delivered_ms IS NULL AND state <> 'pending'";
        let mut query = page.t.prepare(sql)?;
        let row = |r: &rusqlite::Row<'_>| {
            Ok((
                r.get(0)?,
                r.get::<_, Option<String>>(1)?.unwrap_or_default(),
                r.get(2)?,
                r.get(3)?,
                r.get(4)?,
            ))
        };
        query.query_map([], row)?.collect::<rusqlite::Result<Vec<Row>>>()
    });
    for (inquiry, terms, reply, peer, token) in open.await? {
        let Ok(inquiry) = serde_json::from_str::<Inquiry>(&inquiry) else { continue };
        let office = office.clone();
        if let Some(reply) = reply.and_then(|r| serde_json::from_str::<Reply>(&r).ok()) {
            let letter = letter::answer(&reply, &peer, &inquiry.origin);
            let until = patience(now_ms());
            tokio::spawn(deliver::answer(office, (inquiry.id, peer, token), until, letter));
        } else if let Ok(terms) = serde_json::from_str(&terms) {
            tokio::spawn(async move {
                let _place = office.room.clone().acquire_owned().await;
                finish(&office, inquiry, terms).await
            });
        }
    }
    Ok(())
}

/// Ends what nobody decided in time, and forgets what may be kept no longer.
pub(super) async fn sweep(office: &Arc<Office>) -> Result<(), BookError> {
    let now = now_ms();
    let late = office.book.write(move |page| {
        let mut query = page.t.prepare_cached(
            "SELECT inquiry FROM incoming WHERE state = 'pending' AND deadline_ms <= ?",
        )?;
        let rows = query.query_map([signed(now)], |row| row.get::<_, String>(0))?;
        let late = rows.collect::<rusqlite::Result<Vec<_>>>()?;
        // The word stays known until its deadline: what is forgotten can still not be put again.
        let forgotten =
            "UPDATE incoming SET state = 'forgotten', inquiry = '', reply = NULL, terms = NULL,
            votes = '[]' WHERE until_ms <= ? AND reply IS NOT NULL";
        let gone = page.t.execute(forgotten, [signed(now)])?
            + page.t.execute("DELETE FROM cases WHERE until_ms <= ?", [signed(now)])?;
        let over = "DELETE FROM incoming WHERE state = 'forgotten' AND deadline_ms <= ?";
        page.t.execute(over, [signed(now)])?;
        let hour = (now / 1_000).is_multiple_of(3_600);
        if gone > 0 || hour {
            page.forget(now / 1_000);
        }
        Ok(late)
    });
    for inquiry in late.await?.iter().filter_map(|text| serde_json::from_str::<Inquiry>(text).ok())
    {
        let why = "nobody decided in time".into();
        let status = Status::Refused { justification: Justification::Other, why };
        let told = Told::nothing(bare(office, &inquiry, status, 0), &office.domain);
        close(office, inquiry, told, "expired").await;
    }
    Ok(())
}

/// A reply of this domain that tells nothing but what came of an inquiry.
pub(super) fn bare(office: &Office, inquiry: &Inquiry, status: Status, took_ms: u64) -> Reply {
    Reply::bare(inquiry.id.clone(), office.domain.id(), status, inquiry.tlp, took_ms)
}

/// What makes two inquiries of one root the same question: a circle cannot hide behind a new word.
pub(super) fn question(inquiry: &Inquiry) -> String {
    let root = inquiry.id.split('.').next().unwrap_or_default();
    let mut hash = Sha256::new();
    for part in [root, &inquiry.origin, &inquiry.asker] {
        hash.update(part);
        hash.update([0]);
    }
    hash.update(serde_json::to_vec(&inquiry.subject).expect("invariant: subjects are JSON"));
    hex::encode(hash.finalize())
}

/// How long it is tried to tell an answer that is ready.
fn patience(now: u64) -> u64 {
    now.saturating_add(60_000)
}

pub(super) fn to_text<T: serde::Serialize>(what: &T) -> rusqlite::Result<String> {
    serde_json::to_string(what).map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))
}

/// SQLite's integers are signed.
pub(super) fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
