//! Inquiries that come: taken in, judged, decided by people where the policy says so, answered.
//!
//! ```text
//! received --refused (check, policy, no room)
//!    |------working------ answered            in the response, or by callback where it takes longer
//!    +------pending------ working             people agreed
//!              |--------- denied, expired
//! ```
//! Every step is in the book before anything follows from it, so an inquiry goes on after a crash.

mod enter;
mod recover;
mod sweep;

pub(super) use enter::question;
pub(super) use recover::recover;
pub(super) use sweep::sweep;

use super::http::Given;
use super::office::{Office, ahead_ms, document, now_ms};
use super::tell::Told;
use super::{Inquiry, Reply, Status, Subject, deliver, letter, work};
use enter::{Entered, enter};
use hyper::StatusCode;
use rusqlite::params;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::timeout;
use traceback::disclose::Terms;

/// Longest time that an inquiry may wait, in milliseconds.
const LONGEST_MS: u64 = 7 * 86_400_000;

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

/// A reply of this domain that tells nothing but what came of an inquiry.
pub(super) fn bare(office: &Office, inquiry: &Inquiry, status: Status, took_ms: u64) -> Reply {
    Reply::bare(inquiry.id.clone(), office.domain.id(), status, inquiry.tlp, took_ms)
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
