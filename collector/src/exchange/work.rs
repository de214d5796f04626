//! Looking into an inquiry: in the domain's own logs, at its neighbours where questions are handed on, or at
//! its members where it relays.

use super::domain::Domain;
use super::look::{Found, Stretch};
use super::office::{Office, now_ms};
use super::pursuit::{Around, Handovers, Pursuit, Quest};
use super::tell::{Told, resolve, tell};
use super::{Exhibit, Inquiry, Mode, Reply, Status, Subject, drive, incoming, relay};
use std::sync::Arc;
use traceback::disclose::Terms;

/// Looks into an inquiry, and says what the terms let out.
pub(super) async fn work(office: &Arc<Office>, inquiry: &Inquiry, terms: &Terms) -> Told {
    let began = now_ms();
    let mut told = match &inquiry.subject {
        Subject::Names { names } => resolve(&office.domain, inquiry, terms, names),
        Subject::Packets { scheme, towards, packets }
            if office.domain.config.members.is_empty() =>
        {
            let routers = office.domain.facing(towards).to_vec();
            match look(office, scheme, (routers, towards), packets).await {
                Ok(found) => trace(office, inquiry, terms, found).await,
                Err(why) => {
                    let reply = incoming::bare(office, inquiry, Status::Failed { why }, 0);
                    Told::nothing(reply, &office.domain)
                }
            }
        }
        Subject::Packets { towards, .. } => relay::relay(office, inquiry, terms, towards).await,
    };
    told.reply.took_ms = now_ms().saturating_sub(began);
    told
}

/// Looks for packets in the domain's own logs, when it is its turn.
///
/// # Errors
/// Why the logs cannot be searched.
pub(super) async fn look(
    office: &Arc<Office>,
    scheme: &str,
    (routers, towards): (Vec<traceback::RouterId>, &str),
    packets: &[Exhibit],
) -> Result<Found, String> {
    office.settle(scheme).await;
    let _turn = office.searches.acquire().await.map_err(|e| e.to_string())?;
    let (office, scheme, towards) = (office.clone(), scheme.to_owned(), towards.to_owned());
    let packets = packets.to_vec();
    let runtime = tokio::runtime::Handle::current();
    let looked = tokio::task::spawn_blocking(move || {
        office.logs.look(&office.domain, &scheme, (&routers, &towards), &packets, &runtime)
    });
    looked.await.map_err(|e| format!("the search broke off: {e}"))?
}

/// Tells what was found; where questions are handed on, also what the next domains say.
async fn trace(office: &Arc<Office>, inquiry: &Inquiry, terms: &Terms, found: Found) -> Told {
    let (mut further, stretches) = (vec![], &found.stretches);
    if inquiry.mode == Mode::Recursive && !stretches.is_empty() {
        let own = own(&office.domain, &inquiry.id, stretches, inquiry.tlp);
        let quest = quest(&office.domain, inquiry, Mode::Recursive, found.handed);
        let (pursuit, errands) = Pursuit::begin(quest, around(&office.domain), own, now_ms());
        let (tree, _) = drive::drive(office, pursuit, errands).await.finish();
        further = tree.into_reply().further;
    }
    tell(&office.domain, inquiry, terms, stretches, further)
}

/// What the domain itself found, in full: for itself alone.
pub(super) fn own(
    domain: &Domain,
    id: &str,
    found: &[Stretch],
    tlp: traceback::disclose::Tlp,
) -> Reply {
    let status = if found.is_empty() { Status::NotSeen } else { Status::Answered };
    let passages = found.iter().map(Stretch::plain).collect();
    Reply { passages, ..Reply::bare(id.into(), domain.id(), status, tlp, 0) }
}

/// The pursuit of an inquiry's packets from here on.
pub(super) fn quest(
    domain: &Domain,
    inquiry: &Inquiry,
    mode: Mode,
    handed: Option<Handovers>,
) -> Quest {
    let (scheme, packets) = match &inquiry.subject {
        Subject::Packets { scheme, packets, .. } => (scheme.clone(), packets.clone()),
        Subject::Names { .. } => (String::new(), vec![]),
    };
    Quest {
        id: inquiry.id.clone(),
        me: domain.id().to_owned(),
        origin: inquiry.origin.clone(),
        purpose: inquiry.purpose.clone(),
        tlp: inquiry.tlp,
        mode,
        visited: inquiry.visited.clone(),
        deadline_ms: inquiry.deadline_ms,
        patience_ms: domain.config.bounds.patience_ms,
        exercise: inquiry.exercise,
        verify: false,
        scheme,
        packets,
        handed,
        towards: None,
    }
}

/// Whom the domain can ask.
pub(super) fn around(domain: &Domain) -> Around {
    Around { next: domain.around.clone(), reachable: domain.peers().keys().cloned().collect() }
}
