//! Inquiries whose time is over: undecided, or kept long enough.

use super::{bare, close, signed};
use crate::exchange::book::BookError;
use crate::exchange::office::{Office, now_ms};
use crate::exchange::tell::Told;
use crate::exchange::{Inquiry, Justification, Status};
use std::sync::Arc;

/// Ends what nobody decided in time, and forgets what may be kept no longer.
pub(in crate::exchange) async fn sweep(office: &Arc<Office>) -> Result<(), BookError> {
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
