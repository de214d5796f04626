//! A domain's office: what an exchange holds while it runs, and how it begins and ends.

use super::book::Book;
use super::config::bad;
use super::domain::Domain;
use super::drive::Waiting;
use super::http::{Arrival, Desk, Given, Listening};
use super::letter::{self, Letter};
use super::look::Logs;
use super::tls::Pins;
use super::{Config, Inquiry, Reply, incoming, outgoing, query, resumed};
use crate::server::ServeError;
use crate::wire::Role;
use hyper::StatusCode;
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_rustls::rustls::ClientConfig;
use traceback::map::Map;

/// How often the book is looked through for what is over.
const SWEEP: Duration = Duration::from_secs(1);
/// Time that agents have to find a collector again that has started.
const RETURN: Duration = Duration::from_secs(5);

/// What all parts of an exchange share.
#[derive(Debug)]
pub struct Office {
    pub(super) domain: Domain,
    pub(super) book: Book,
    pub(super) logs: Logs,
    pub(super) clients: BTreeMap<String, Arc<ClientConfig>>,
    /// Places for inquiries at work.
    pub(super) room: Arc<Semaphore>,
    /// Turns at the domain's logs.
    pub(super) searches: Arc<Semaphore>,
    waiting: Mutex<BTreeMap<String, Waiting>>,
    /// When it was opened.
    began: Instant,
}

/// An exchange at work. Dropping it ends it without waiting.
#[derive(Debug)]
pub struct Exchange {
    office: Arc<Office>,
    listening: Listening,
    sweeper: JoinHandle<()>,
}

impl Drop for Office {
    fn drop(&mut self) {
        tracing::debug!("exchange of {} ends", self.domain.id());
    }
}

impl Exchange {
    /// Opens the office of a domain, goes on with what was under way, and listens.
    ///
    /// # Errors
    /// [`ServeError`] names the file, address or key.
    pub async fn start(config: &Config, logs: Logs, map: Option<&Map>) -> Result<Self, ServeError> {
        let domain = Domain::load(config, map)?;
        let pins = Pins::load(config)?;
        let unfit = |e| bad(Path::new("[exchange]"), format!("certificate and key: {e}"));
        let client = |id: &String| Ok((id.clone(), Arc::new(pins.client(id).map_err(unfit)?)));
        let clients = domain.peers().keys().map(client).collect::<Result<_, ServeError>>()?;
        let opened = Book::open(&config.book, &config.audit);
        let book = opened.map_err(|e| bad(&config.book, format!("{e:#}")))?;
        let room = Arc::new(Semaphore::new(config.bounds.inquiries));
        let searches = Arc::new(Semaphore::new(config.bounds.searches));
        let waiting = Mutex::default();
        let began = Instant::now();
        let office = Office { domain, book, logs, clients, room, searches, waiting, began };
        let office = Arc::new(office);
        let lost = |e: super::book::BookError| bad(&config.book, e);
        let desk = Arc::new(Counter(office.clone()));
        let listening = Listening::start(config.listen, pins, &config.bounds, desk).await?;
        // After the address is had: what goes out comes from a domain that can be reached.
        incoming::recover(&office).await.map_err(lost)?;
        resumed::recover(&office).await.map_err(lost)?;
        let sweeper = tokio::spawn(sweep(office.clone()));
        Ok(Self { office, listening, sweeper })
    }

    /// Where other domains reach it.
    pub fn address(&self) -> SocketAddr {
        self.listening.address
    }

    /// What its parts share.
    pub fn office(&self) -> Arc<Office> {
        self.office.clone()
    }

    /// Stops listening. What is written down is on the disk; what is under way goes on at the next start.
    pub async fn stop(self) {
        let Self { office, listening, sweeper } = self;
        sweeper.abort();
        listening.stop().await;
        drop(office);
    }
}

impl Office {
    /// Waits for routers to come back, where the collector has only just started: their agents need a moment to find
    /// it again, and until then they would all count as silent.
    pub(super) async fn settle(&self, scheme: &str) {
        let all = self.domain.routers();
        while self.began.elapsed() < RETURN {
            let here = self.logs.hub.agents(scheme);
            let routers =
                here.iter().filter(|agent| agent.connected && agent.role() == Role::Router);
            if routers.count() >= all {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Until when, in seconds since the Unix epoch, what is written down now is kept.
    pub(super) fn until(&self, now_ms: u64) -> u64 {
        now_ms / 1_000 + self.domain.config.bounds.keep_s
    }

    /// Writes a line into the log, and gives `said` where it is on the disk.
    pub(super) async fn note(&self, event: &'static str, line: Value, said: Given) -> Given {
        let noted = self.book.note(event, line).await;
        noted.map_or(Given::empty(StatusCode::INTERNAL_SERVER_ERROR), |()| said)
    }

    /// Questions that wait for answers, by their words.
    pub(super) fn waiting(&self) -> MutexGuard<'_, BTreeMap<String, Waiting>> {
        // No step under the lock leaves it half done, so a panic elsewhere does not matter.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where documents arrive.
struct Counter(Arc<Office>);

#[tonic::async_trait]
impl Desk for Counter {
    async fn take(&self, arrival: Arrival) -> Given {
        let office = &self.0;
        match Letter::read(&arrival.body, &arrival.peer, office.domain.id()) {
            Ok(Letter::Inquiry(inquiry)) => {
                incoming::receive(office, arrival.peer, inquiry, arrival.clock).await
            }
            Ok(Letter::Reply(reply)) => outgoing::called_back(office, arrival, reply).await,
            Ok(Letter::Report(document)) => {
                let id = document.incident.first().map(|i| i.incident_id.id.clone());
                let (id, peer) = (id.unwrap_or_default(), arrival.peer);
                let taken = Given::document(letter::taken(&id, &peer));
                let text = String::from_utf8_lossy(&arrival.body).into_owned();
                let until = office.until(now_ms());
                let line = json!({ "from": peer, "id": id, "document": text, "until": until });
                office.note("report", line, taken).await
            }
            Ok(Letter::Query(id)) => query::answer(office, &arrival.peer, id).await,
            Err(unread) => {
                let line = json!({ "from": arrival.peer, "why": unread.why, "bytes": arrival.body.len(),
                    "until": office.until(now_ms()) });
                // What belongs to nothing is an improper message of HTTP.
                let status =
                    if unread.has_subject { StatusCode::OK } else { StatusCode::BAD_REQUEST };
                let said = Given { status, ..Given::document(unread.answer) };
                office.note("unreadable", line, said).await
            }
        }
    }
}

async fn sweep(office: Arc<Office>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        if let Err(e) = incoming::sweep(&office).await {
            tracing::error!("exchange: {e}");
        }
    }
}

/// The response that holds a reply to an inquiry.
pub(super) fn document(inquiry: &Inquiry, reply: &Reply) -> Given {
    Given::document(letter::answer(reply, &inquiry.asker, &inquiry.origin))
}

/// This host's clock, in milliseconds since the Unix epoch.
pub(super) fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// How far a clock is ahead of this host's, in milliseconds; 0 where it is not known, or within the whole
/// second that dates are written in.
pub(super) fn ahead_ms(clock: Option<SystemTime>, now_ms: u64) -> i64 {
    let Some(clock) = clock.and_then(|c| c.duration_since(SystemTime::UNIX_EPOCH).ok()) else {
        return 0;
    };
    let theirs = i64::try_from(clock.as_millis()).unwrap_or(i64::MAX);
    let ours = i64::try_from(now_ms).unwrap_or(i64::MAX);
    let ahead = theirs.saturating_sub(ours);
    if (-1_000..=0).contains(&ahead) { 0 } else { ahead }
}

/// A word that nobody guesses.
pub(super) fn secret() -> String {
    let mut bytes = [0_u8; 16];
    SystemRandom::new()
        .fill(&mut bytes)
        .expect("invariant: the system has randomness; TLS needs it too");
    hex::encode(bytes)
}
