//! The operator's side of the protocol.

use crate::authority::Tls;
use crate::evidence::Fact;
use crate::exchange::{Begin, Joined, Ping, Received, Verdict};
use crate::server::chain;
use crate::trace::Traced;
use crate::wire::exchange_client::ExchangeClient;
use crate::wire::{self, MAX_MESSAGE, operator_client::OperatorClient};
use ipnet::IpNet;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tonic::Status;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use traceback::RouterId;
use traceback::case::Case;
use traceback::report::Report;

/// Time to connect.
const CONNECT: Duration = Duration::from_secs(10);

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// A key or certificate cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// No connection.
    #[error("cannot reach the collector at {address}: {what}")]
    Connect {
        /// Where.
        address: SocketAddr,
        /// What went wrong.
        what: String,
    },
    /// The collector refused or failed.
    #[error("the collector says {:?}: {}", .0.code(), .0.message())]
    Call(#[from] Box<Status>),
    /// The collector answered what the protocol does not allow.
    #[error("the collector's answer does not decode: {0}")]
    Answer(String),
}

impl From<Status> for ClientError {
    fn from(status: Status) -> Self {
        Self::Call(Box::new(status))
    }
}

/// A reconstruction by the collector.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// What came of it; `seconds` includes loading the reports.
    pub traced: Traced,
    /// Memory of the ledgers at their keepers, in bytes.
    pub footprint_bytes: u64,
    /// Bytes of the scheme's reports as sent.
    pub report_bytes: u64,
}

/// A stored report and who sent it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    /// Common name of the sender's certificate.
    pub sender: String,
    /// Name of the agent under that certificate.
    pub agent: String,
    /// Start of the agent's process.
    pub epoch: u64,
    /// Number within the epoch.
    pub seq: u64,
    /// Bytes as sent.
    pub bytes: usize,
    /// The report.
    pub report: Report,
}

/// A connection to a collector with an operator's certificate.
#[derive(Debug, Clone)]
pub struct Operator {
    client: OperatorClient<Channel>,
    domains: ExchangeClient<Channel>,
}

impl Operator {
    /// Connects.
    ///
    /// # Errors
    /// [`ClientError::Read`] and [`ClientError::Connect`].
    pub async fn connect(address: SocketAddr, tls: &Tls) -> Result<Self, ClientError> {
        let failed = |e: tonic::transport::Error| ClientError::Connect { address, what: chain(&e) };
        let tls = client_tls(tls, "collector")?;
        let endpoint = Endpoint::from_shared(format!("https://{address}"))
            .and_then(|e| e.connect_timeout(CONNECT).tcp_nodelay(true).tls_config(tls))
            .map_err(failed)?;
        let channel = endpoint.connect().await.map_err(failed)?;
        let domains = ExchangeClient::new(channel.clone())
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE);
        let client = OperatorClient::new(channel)
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE);
        Ok(Self { client, domains })
    }

    /// What is connected and stored; of all schemes where the name is empty.
    ///
    /// # Errors
    /// [`ClientError::Call`].
    pub async fn status(&mut self, scheme: &str) -> Result<wire::StatusReply, ClientError> {
        let request = wire::StatusRequest { scheme: scheme.into() };
        Ok(self.client.status(request).await?.into_inner())
    }

    /// Asks the scheme's agents to report what they hold, and waits until that is stored.
    ///
    /// # Errors
    /// [`ClientError::Call`].
    pub async fn cut(
        &mut self,
        scheme: &str,
        deadline: Duration,
    ) -> Result<wire::CutReply, ClientError> {
        let request = wire::CutRequest { scheme: scheme.into(), deadline_ms: millis(deadline) };
        Ok(self.client.cut(request).await?.into_inner())
    }

    /// Rebuilds the paths of a case; routers have `patience` for each answer.
    ///
    /// # Errors
    /// [`ClientError::Call`] and [`ClientError::Answer`]. A [`traceback::case::Gap`] is no error.
    pub async fn trace(
        &mut self,
        scheme: &str,
        params: &Value,
        case: &Case,
        patience: Duration,
    ) -> Result<Outcome, ClientError> {
        let request = wire::TraceRequest {
            scheme: scheme.into(),
            params_json: params.to_string(),
            case_json: serde_json::to_string(case).map_err(answer)?,
            ask_timeout_ms: millis(patience),
        };
        let reply = self.client.trace(request).await?.into_inner();
        Ok(Outcome {
            traced: Traced {
                finding: serde_json::from_str(&reply.outcome_json).map_err(answer)?,
                seconds: reply.seconds,
                rounds: u16::try_from(reply.rounds).unwrap_or(u16::MAX),
                ledger_bytes: reply.ledger_bytes,
                asked: by_router(reply.asked)?,
                answered: by_router(reply.answered)?,
                malformed: reply.malformed,
            },
            footprint_bytes: reply.footprint_bytes,
            report_bytes: reply.report_bytes,
        })
    }

    /// All stored reports of a scheme, oldest first.
    ///
    /// # Errors
    /// [`ClientError::Call`] and [`ClientError::Answer`].
    pub async fn reports(&mut self, scheme: &str) -> Result<Vec<Sent>, ClientError> {
        let request = wire::ReportsRequest { scheme: scheme.into() };
        let mut stream = self.client.reports(request).await?.into_inner();
        let mut reports = vec![];
        while let Some(stored) = stream.message().await? {
            reports.push(Sent {
                report: Report::decode(&stored.report).map_err(answer)?,
                bytes: stored.report.len(),
                sender: stored.sender,
                agent: stored.agent,
                epoch: stored.epoch,
                seq: stored.seq,
            });
        }
        Ok(reports)
    }
}

impl Operator {
    /// Begins an inquiry at this collector's domain, and waits for what comes of it.
    ///
    /// # Errors
    /// [`ClientError::Call`] and [`ClientError::Answer`].
    pub async fn inquire(&mut self, begin: &Begin) -> Result<Joined, ClientError> {
        let request = json(begin)?;
        read(&self.domains.inquire(request).await?.into_inner())
    }

    /// Inquiries that came from other domains, those that wait for people first.
    ///
    /// # Errors
    /// [`ClientError::Call`] and [`ClientError::Answer`].
    pub async fn received(&mut self) -> Result<Vec<Received>, ClientError> {
        read(&self.domains.received(json(&())?).await?.into_inner())
    }

    /// Inquiries that were begun here, the newest first.
    ///
    /// # Errors
    /// [`ClientError::Call`] and [`ClientError::Answer`].
    pub async fn cases(&mut self) -> Result<Vec<Value>, ClientError> {
        read(&self.domains.cases(json(&())?).await?.into_inner())
    }

    /// This operator's word about an inquiry that waits; how many more must agree.
    ///
    /// # Errors
    /// [`ClientError::Call`] and [`ClientError::Answer`].
    pub async fn decide(&mut self, id: &str, verdict: &Verdict) -> Result<usize, ClientError> {
        read(&self.domains.decide(json(&(id, verdict))?).await?.into_inner())
    }

    /// Tries whether another domain can be reached: an exercise.
    ///
    /// # Errors
    /// [`ClientError::Call`] and [`ClientError::Answer`].
    pub async fn ping(&mut self, domain: &str) -> Result<Ping, ClientError> {
        read(&self.domains.ping(json(&domain)?).await?.into_inner())
    }

    /// What has left about addresses within a prefix.
    ///
    /// # Errors
    /// [`ClientError::Call`] and [`ClientError::Answer`].
    pub async fn left_about(&mut self, prefix: IpNet) -> Result<Vec<Fact>, ClientError> {
        read(&self.domains.left(json(&prefix)?).await?.into_inner())
    }
}

fn json<T: Serialize>(what: &T) -> Result<wire::Json, ClientError> {
    Ok(wire::Json { json: serde_json::to_string(what).map_err(answer)? })
}

fn read<T: DeserializeOwned>(reply: &wire::Json) -> Result<T, ClientError> {
    serde_json::from_str(&reply.json).map_err(answer)
}

/// What a caller shows, and the name that it wants to see.
///
/// # Errors
/// [`ClientError::Read`].
pub fn client_tls(tls: &Tls, server: &str) -> Result<ClientTlsConfig, ClientError> {
    let read = |path: &PathBuf| {
        std::fs::read_to_string(path)
            .map_err(|source| ClientError::Read { path: path.clone(), source })
    };
    Ok(ClientTlsConfig::new()
        .domain_name(server)
        .ca_certificate(Certificate::from_pem(read(&tls.ca)?))
        .identity(Identity::from_pem(read(&tls.cert)?, read(&tls.key)?)))
}

fn by_router(counts: BTreeMap<String, u64>) -> Result<BTreeMap<RouterId, u64>, ClientError> {
    let read = |(name, n): (String, u64)| {
        wire::router(&name).map(|id| (id, n)).ok_or_else(|| answer(format!("router {name:?}")))
    };
    counts.into_iter().map(read).collect()
}

fn answer(what: impl std::fmt::Display) -> ClientError {
    ClientError::Answer(what.to_string())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
