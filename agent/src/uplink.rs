//! The agent's line to its collector.
//!
//! Reports get numbers and stay in memory until the collector says that they are on its disk; after
//! a broken connection they are sent again. Memory is bounded: a report that finds no room is given
//! up, and its missing number tells the collector that something was lost.
//!
//! Numbers are given relative to the first Welcome, so that a fresh uplink within an old epoch goes
//! on behind what the collector has already settled.

mod outbox;
mod session;

#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::allow_attributes_without_reason,
    clippy::too_many_lines,
    reason = "generated code"
)]
mod wire {
    tonic::include_proto!("ashiato.traceback.v1");
}

use outbox::Outbox;
use std::borrow::Borrow;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, mpsc, watch};
use traceback::RouterId;
use traceback::case::{Answer, Query};
use traceback::report::{Report, Role};

/// Bytes of reports that wait for their acknowledgement.
const ROOM: usize = 64 << 20;
/// Commands that wait for the agent: more than a collector has under way to one agent.
const COMMANDS: usize = 4096;

/// Whom to call, and as whom.
#[derive(Debug, Clone)]
pub struct UplinkConfig {
    /// The collector.
    pub collector: SocketAddr,
    /// Name in the collector's certificate: `collector`, unless other keys were made.
    pub server_name: String,
    /// The authority's certificate, PEM.
    pub ca: PathBuf,
    /// Own certificate, PEM, whose common name is `router/LOOPBACK` or `observer/LOOPBACK`.
    pub cert: PathBuf,
    /// Own key, PEM.
    pub key: PathBuf,
    /// Name among the agents with this certificate: 1 to 64 characters of `[A-Za-z0-9._:/-]`.
    pub agent: String,
    /// Scheme at work.
    pub scheme: String,
    /// Which step the agent takes.
    pub role: Role,
    /// The router; for an observer, the victim's gateway.
    pub router: RouterId,
    /// Start of the agent's process: any number that differs between two starts, in 63 bits.
    pub epoch: u64,
}

/// What the collector wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Answer a question with [`UplinkHandle::reply`]. May come twice after a broken connection.
    Ask {
        /// To be repeated in the reply.
        id: u64,
        /// The question.
        query: Query,
    },
    /// Report what is held now, then call [`UplinkHandle::cut_done`]. May come twice.
    Cut {
        /// To be repeated at the end.
        id: u64,
    },
    /// The collector refused this agent for good; nothing is sent any more. [`UplinkHandle::stats`]
    /// says why. It is the last command.
    Closed,
}

/// Why there is no uplink.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UplinkError {
    /// A key or certificate cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Keys, certificates or names that TLS does not take.
    #[error("TLS does not take {cert} and its key: {what}")]
    Tls {
        /// The certificate.
        cert: PathBuf,
        /// What is wrong.
        what: String,
    },
}

/// What went up so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UplinkStats {
    /// Reports handed in.
    pub reports: u64,
    /// Settled by the collector.
    pub acked: u64,
    /// Refused by the collector; also counted as acknowledged.
    pub refused: u64,
    /// Given up, because they found no room or no collector will ever take them.
    pub given_up: u64,
    /// Reports sent, repeats included.
    pub sent: u64,
    /// Bytes that wait for their acknowledgement.
    pub waiting_bytes: u64,
    /// Connections that came about.
    pub connections: u64,
    /// What went wrong last.
    pub last_error: Option<String>,
}

/// Starts uplinks.
#[derive(Debug)]
pub struct Uplink;

impl Uplink {
    /// Starts an uplink on the current tokio runtime, and returns before it is connected.
    ///
    /// It calls again after every broken connection, and says goodbye when the last handle is
    /// dropped.
    ///
    /// # Errors
    /// [`UplinkError`] where keys cannot be read or used.
    pub fn connect(
        config: UplinkConfig,
    ) -> Result<(UplinkHandle, mpsc::Receiver<Command>), UplinkError> {
        let endpoint = session::endpoint(&config)?;
        let (commands, receiver) = mpsc::channel(COMMANDS);
        let shared = Arc::new(Shared {
            outbox: Mutex::new(Outbox::new(ROOM, config.epoch)),
            work: Notify::new(),
            settled: Notify::new(),
        });
        let (held, alive) = watch::channel(());
        tokio::spawn(session::run(endpoint, config, shared.clone(), commands, alive));
        Ok((UplinkHandle { shared, _held: Arc::new(held) }, receiver))
    }
}

/// An agent's end of its uplink. Clones share one uplink; no method but `drained` waits.
#[derive(Debug, Clone)]
pub struct UplinkHandle {
    shared: Arc<Shared>,
    _held: Arc<watch::Sender<()>>,
}

impl UplinkHandle {
    /// Numbers a report and sends it as soon as may be. Returns false where it had to be given up.
    pub fn report(&self, report: impl Borrow<Report>) -> bool {
        let bytes = report.borrow().encode();
        let taken = self.shared.lock().report(bytes);
        self.shared.work.notify_one();
        taken
    }

    /// Answers a question; `None` refuses it.
    pub fn reply(&self, id: u64, answer: impl Into<Option<Answer>>) {
        let answer = answer.into().map(|a| wire::Answer {
            values: a.values.into_iter().map(|value| wire::Seen { value }).collect(),
        });
        let refusal = if answer.is_none() { "refused by the router".into() } else { String::new() };
        self.note(wire::from_agent::Kind::Reply(wire::Reply { id, answer, refusal }));
    }

    /// Says that everything held when a cut came has been handed in by [`Self::report`].
    pub fn cut_done(&self, id: u64) {
        self.note(wire::from_agent::Kind::CutDone(wire::CutDone { id, through: 0 }));
    }

    /// Returns when all reports are settled and all replies sent, or the uplink is closed for good.
    pub async fn drained(&self) {
        let mut settled = std::pin::pin!(self.shared.settled.notified());
        loop {
            // Enrolled before looking, so that no settling in between goes unnoticed.
            settled.as_mut().enable();
            if self.shared.lock().is_empty() {
                return;
            }
            settled.as_mut().await;
            settled.set(self.shared.settled.notified());
        }
    }

    /// What went up so far.
    pub fn stats(&self) -> UplinkStats {
        self.shared.lock().stats()
    }

    fn note(&self, kind: wire::from_agent::Kind) {
        self.shared.lock().note(kind);
        self.shared.work.notify_one();
    }
}

#[derive(Debug)]
struct Shared {
    outbox: Mutex<Outbox>,
    /// Something can be sent.
    work: Notify,
    /// Something was settled or sent.
    settled: Notify,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Outbox> {
        // No step under the lock leaves the outbox half done, so a panic elsewhere does not matter.
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
