//! Trying whether a domain can be reached: an exercise, measured, and marked so.

use super::drive::post_to;
use super::letter::{self, Letter};
use super::office::{Office, now_ms, secret};
use crate::clock::Utc;
use crate::contact::Reach;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// Time after which nobody is there.
const PATIENCE: Duration = Duration::from_secs(10);

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ping {
    /// Who was tried.
    pub domain: String,
    /// Whether it took the exercise.
    pub reached: bool,
    /// What happened, for people.
    pub outcome: String,
    /// How long it took.
    pub took_ms: u64,
    /// Whom to turn to where it did not.
    pub escalate: Vec<Reach>,
}

/// Tries whether a peer can be reached.
///
/// # Errors
/// Where it is no peer, or nothing can be written down.
pub(super) async fn ping(office: &Arc<Office>, operator: &str, peer: &str) -> Result<Ping, String> {
    if office.domain.peer(peer).is_none() {
        return Err(format!("{peer} is not among the peers of {}", office.domain.id()));
    }
    let me = office.domain.id();
    let (began, id) = (now_ms(), format!("{me}-ping-{}", &secret()[..12]));
    let came = match office.domain.expired(peer, Utc::now()) {
        Some(why) => Err(why),
        None => {
            let body = letter::exercise(&id, me, peer);
            match timeout(PATIENCE, post_to(office, peer, body, None)).await {
                Err(_) => Err("silent".into()),
                Ok(Err(e)) => Err(e.to_string()),
                Ok(Ok(given)) => match Letter::read(&given.body, peer, me) {
                    Ok(Letter::Reply(reply)) if reply.inquiry == id => Ok("reached".to_owned()),
                    _ => Err("the response is no answer to an exercise".into()),
                },
            }
        }
    };
    let (reached, took_ms) = (came.is_ok(), now_ms().saturating_sub(began));
    let outcome = came.unwrap_or_else(|why: String| why);
    let escalate = if reached { vec![] } else { office.domain.escalate(peer, Utc::now()) };
    let ping = Ping { domain: peer.into(), reached, outcome, took_ms, escalate };
    let line = json!({ "id": id, "operator": operator, "exercise": true, "ping": ping });
    office.book.note("ping", line).await.map_err(|e| e.to_string())?;
    Ok(ping)
}
