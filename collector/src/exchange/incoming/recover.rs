//! Inquiries that were under way when the collector went down.

use super::{finish, patience};
use crate::exchange::book::BookError;
use crate::exchange::office::{Office, now_ms};
use crate::exchange::{Inquiry, Reply, deliver, letter};
use std::sync::Arc;

/// Goes on with what was under way when the collector went down.
pub(in crate::exchange) async fn recover(office: &Arc<Office>) -> Result<(), BookError> {
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
