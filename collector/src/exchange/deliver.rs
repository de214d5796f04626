//! Answers that come later: posted to who asked, with the token that was promised.

use super::drive::post_to;
use super::incoming::signed;
use super::office::{Office, now_ms};
use rusqlite::params;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// Time in which the asker has surely read the promise that the word comes later.
const AFTER: Duration = Duration::from_millis(50);
/// The first pause between two tries, which doubles.
const PAUSE: Duration = Duration::from_millis(200);

/// Says that people must decide first.
pub(super) async fn acknowledge(office: Arc<Office>, peer: String, token: String, body: Vec<u8>) {
    sleep(AFTER).await;
    if let Err(e) = post_to(&office, &peer, body, Some(&token)).await {
        tracing::warn!("exchange: {peer} could not be told that people must decide: {e}");
    }
}

/// Tells an answer, again and again until it is taken or `until_ms` is over.
pub(super) async fn answer(
    office: Arc<Office>,
    (id, peer, token): (String, String, String),
    until_ms: u64,
    body: Vec<u8>,
) {
    let mut pause = PAUSE;
    sleep(AFTER).await;
    let given = loop {
        match post_to(&office, &peer, body.clone(), Some(&token)).await {
            Ok(_) => break Ok(()),
            Err(e) if now_ms() + 1 > until_ms => break Err(e.to_string()),
            Err(_) => sleep(pause).await,
        }
        pause *= 2;
    };
    let noted = office.book.write(move |page| {
        let at = given.is_ok().then(|| signed(now_ms()));
        page.t.execute(
            "UPDATE incoming SET delivered_ms = ?, later = ? WHERE id = ?",
            params![at, given.is_ok(), id],
        )?;
        if let Err(why) = given {
            page.note("undelivered", json!({ "to": peer, "id": id, "why": why }));
        }
        Ok(())
    });
    if let Err(e) = noted.await {
        tracing::error!("exchange: {e}");
    }
}
