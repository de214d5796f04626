//! Own cases that go on after the collector went down.
//!
//! While there is time, they are asked again from the beginning, under words of their own: nobody answers the same
//! word twice. What still comes for the first word is noted as late.

use super::book::BookError;
use super::joined::Begin;
use super::office::{Office, now_ms, secret};
use super::outgoing::{Prepared, end, prepare, run};
use serde_json::json;
use std::sync::Arc;

/// Between a case's word and what tells apart the times that it was begun.
pub(super) const AGAIN: char = '~';

/// Goes on with cases that were under way when the collector went down, or says that their time is over.
pub(super) async fn recover(office: &Arc<Office>) -> Result<(), BookError> {
    let open = office.book.write(|page| {
        let sql = "SELECT id, begun_ms, request FROM cases WHERE state = 'running'";
        let mut query = page.t.prepare(sql)?;
        let row = |r: &rusqlite::Row<'_>| Ok((r.get(0)?, r.get::<_, i64>(1)?, r.get(2)?));
        query.query_map([], row)?.collect::<rusqlite::Result<Vec<(String, i64, String)>>>()
    });
    for (id, begun, request) in open.await? {
        let begun = u64::try_from(begun).unwrap_or(0);
        match resumed(office, &id, begun, &request) {
            Ok((scheme, joined, asked)) => {
                let line =
                    json!({ "id": id, "asks_as": joined.asks_as, "until": office.until(now_ms()) });
                office.book.note("resumed", line).await?;
                tokio::spawn(run(office.clone(), scheme, joined, asked));
            }
            Err(why) => end(office, id, &Err(why)).await?,
        }
    }
    Ok(())
}

/// A case that goes on.
///
/// # Errors
/// Why it does not, for people.
fn resumed(office: &Office, id: &str, begun_ms: u64, request: &str) -> Result<Prepared, String> {
    let begin: Begin = serde_json::from_str(request).map_err(|e| format!("the request: {e}"))?;
    if begun_ms.saturating_add(begin.deadline_ms) <= now_ms() {
        return Err("the collector went down while it was under way, and its time is over".into());
    }
    let (scheme, mut joined, asked) = prepare(office, id, begin, begun_ms)?;
    joined.asks_as = format!("{id}{AGAIN}{}", &secret()[..6]);
    Ok((scheme, joined, asked))
}
