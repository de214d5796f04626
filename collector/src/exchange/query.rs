//! Questions about questions: RFC 6545's Query.
//!
//! Who put a question may ask what became of it, and is told again what was told. Nobody else learns even that
//! there was one.

use super::http::Given;
use super::incoming::bare;
use super::letter;
use super::office::{Office, now_ms};
use super::{Inquiry, Justification, Reply, Status};
use crate::dossier::Dossier;
use hyper::StatusCode;
use rusqlite::{OptionalExtension, params};
use serde_json::json;
use std::sync::Arc;
use traceback::disclose::Tlp;

/// Answers a peer's query.
pub(super) async fn answer(office: &Arc<Office>, peer: &str, id: Option<String>) -> Given {
    let id = id.unwrap_or_default();
    let (wanted, who) = (id.clone(), peer.to_owned());
    let known = office.book.write(move |page| {
        let sql = "SELECT state, inquiry, reply FROM incoming
            WHERE id = ? AND peer = ? AND state <> 'forgotten'";
        let row = |r: &rusqlite::Row<'_>| Ok((r.get(0)?, r.get(1)?, r.get(2)?));
        page.t.query_row(sql, params![wanted, who], row).optional()
    });
    let Ok(known) = known.await else { return Given::empty(StatusCode::INTERNAL_SERVER_ERROR) };
    let (said, body) = match known.and_then(read) {
        Some((_, inquiry, Some(reply))) => ("reply", report(inquiry, reply, peer)),
        Some((state, inquiry, None)) => ("state", status(office, &state, &inquiry, peer)),
        None => ("nothing", unknown(office, &id, peer)),
    };
    let line = json!({ "from": peer, "id": id, "said": said, "until": office.until(now_ms()) });
    office.note("query", line, Given::document(body)).await
}

type Row = (String, String, Option<String>);

fn read((state, inquiry, reply): Row) -> Option<(String, Inquiry, Option<Reply>)> {
    let reply = reply.and_then(|text| serde_json::from_str(&text).ok());
    Some((state, serde_json::from_str(&inquiry).ok()?, reply))
}

/// The question and what was told, under the strictest label of both.
fn report(inquiry: Inquiry, reply: Reply, peer: &str) -> Vec<u8> {
    Dossier { inquiry, replies: vec![reply], at_unix_ms: now_ms() }.report(peer).write()
}

fn status(office: &Office, state: &str, inquiry: &Inquiry, peer: &str) -> Vec<u8> {
    let status = if state == "broken" {
        let why = "the connection broke before it was answered; put it again".into();
        Status::Refused { justification: Justification::Other, why }
    } else {
        Status::Pending { by_ms: Some(inquiry.deadline_ms) }
    };
    letter::answer(&bare(office, inquiry, status, 0), peer, &inquiry.origin)
}

fn unknown(office: &Office, id: &str, peer: &str) -> Vec<u8> {
    let why = "nothing is known here of a question of yours with this word".to_owned();
    let status = Status::Refused { justification: Justification::CannotProcess, why };
    let id = if id.is_empty() { "unknown" } else { id };
    let reply = Reply::bare(id.into(), office.domain.id(), status, Tlp::default(), 0);
    letter::answer(&reply, peer, peer)
}
