//! The service that people, the lab and other programs call.

use crate::agents::identity;
use crate::hub::Hub;
use crate::identity::Identity;
use crate::store::{Store, StoreError, Stored};
use crate::trace::{self, Gathered};
use crate::wire;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use traceback::case::Case;
use traceback::map::Map;
use traceback::report::Report;
use traceback::schemes::{self, AnyScheme};

/// Reports on their way to one operator.
const OUTBOX: usize = 16;
/// Longest time that a caller may make us wait.
const LONGEST: Duration = Duration::from_secs(3600);

/// The service's state.
#[derive(Debug, Clone)]
pub struct Operator {
    /// Who is connected.
    pub hub: Arc<Hub>,
    /// The store's file.
    pub store: PathBuf,
    /// The map for cases that bring none.
    pub map: Option<Arc<Map>>,
    /// Time that a router has for an answer, where the caller does not say.
    pub ask_timeout: Duration,
    /// Time that agents have for a cut, where the caller does not say.
    pub cut_timeout: Duration,
    /// Reconstructions at a time.
    pub traces: Arc<Semaphore>,
}

#[tonic::async_trait]
impl wire::operator_server::Operator for Operator {
    async fn status(
        &self,
        request: Request<wire::StatusRequest>,
    ) -> Result<Response<wire::StatusReply>, Status> {
        let scheme = self.admit(request)?.scheme;
        let agents = self.hub.agents(&scheme);
        let path = self.store.clone();
        let tallies = blocking(move || read(&path, |store| store.tallies(&scheme))).await?;
        let refused_calls = self.hub.refused();
        Ok(Response::new(wire::StatusReply { agents, tallies, refused_calls }))
    }

    async fn cut(
        &self,
        request: Request<wire::CutRequest>,
    ) -> Result<Response<wire::CutReply>, Status> {
        let request = self.admit(request)?;
        let patience = patience(request.deadline_ms, self.cut_timeout);
        let end = self.hub.cut(&request.scheme, patience).await;
        Ok(Response::new(wire::CutReply { asked: end.asked, silent: end.silent }))
    }

    async fn trace(
        &self,
        request: Request<wire::TraceRequest>,
    ) -> Result<Response<wire::TraceReply>, Status> {
        let request = self.admit(request)?;
        let bad = |e: String| Status::invalid_argument(e);
        let scheme = scheme(&request.scheme, &request.params_json).map_err(bad)?;
        let case = case(&request.case_json, self.map.as_deref()).map_err(bad)?;
        let patience = patience(request.ask_timeout_ms, self.ask_timeout);
        let _turn = self.traces.acquire().await.map_err(|e| Status::unavailable(e.to_string()))?;
        let (hub, path) = (self.hub.clone(), self.store.clone());
        let runtime = tokio::runtime::Handle::current();
        let reply = blocking(move || {
            let started = Instant::now();
            let gathered = read(&path, |store| gather(store, scheme.as_ref(), &case))?;
            let traced =
                trace::trace(scheme.as_ref(), &case, &gathered.ledgers, &mut |questions| {
                    runtime.block_on(hub.ask(&request.scheme, questions, patience))
                });
            reply(traced, &gathered, started)
        });
        Ok(Response::new(reply.await?))
    }

    type ReportsStream = ReceiverStream<Result<wire::StoredReport, Status>>;

    async fn reports(
        &self,
        request: Request<wire::ReportsRequest>,
    ) -> Result<Response<Self::ReportsStream>, Status> {
        let scheme = self.admit(request)?.scheme;
        let path = self.store.clone();
        let (outbox, stream) = mpsc::channel(OUTBOX);
        tokio::task::spawn_blocking(move || {
            let sent = read(&path, |store| {
                store.reports(&scheme, |stored| {
                    outbox.blocking_send(Ok(wire_report(stored))).is_ok()
                })
            });
            if let Err(status) = sent {
                // The caller may have hung up.
                let _ = outbox.blocking_send(Err(status));
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

impl Operator {
    fn admit<T>(&self, request: Request<T>) -> Result<T, Status> {
        who(&request, &self.hub).map(|_| request.into_inner())
    }
}

/// The operator who calls.
///
/// # Errors
/// Where it is none, which is counted.
pub(crate) fn who<T>(request: &Request<T>, hub: &Hub) -> Result<String, Status> {
    if let Some(Identity::Operator(name)) = identity(request) {
        return Ok(name);
    }
    hub.refuse("operator");
    Err(Status::permission_denied("this call needs a certificate named operator/..."))
}

/// A scheme by id, with parameters as JSON; the paper's where the text is empty.
///
/// # Errors
/// What is wrong, for people.
pub fn scheme(id: &str, params: &str) -> Result<Arc<dyn AnyScheme>, String> {
    let entry = schemes::entry(id).map_err(|e| e.to_string())?;
    let params = if params.is_empty() {
        entry.defaults()
    } else {
        serde_json::from_str(params).map_err(|e| format!("parameters of {id} are no JSON: {e}"))?
    };
    entry.build(&params).map_err(|e| format!("parameters of {id}: {e}"))
}

/// A case from JSON; `map` stands in where the case has none.
///
/// # Errors
/// What is wrong, for people.
pub fn case(json: &str, map: Option<&Map>) -> Result<Case, String> {
    let mut case: Value =
        serde_json::from_str(json).map_err(|e| format!("the case is no JSON: {e}"))?;
    let fields = case.as_object_mut().ok_or("the case is no JSON object")?;
    if fields.get("map").is_none_or(Value::is_null) {
        let map = map.ok_or("the case has no map, and this collector was started without one")?;
        let map = serde_json::to_value(map).map_err(|e| format!("the collector's map: {e}"))?;
        fields.insert("map".into(), map);
    }
    serde_json::from_value(case).map_err(|e| format!("the case: {e}"))
}

pub(crate) fn gather(
    store: &Store,
    scheme: &dyn AnyScheme,
    case: &Case,
) -> Result<Gathered, StoreError> {
    let mut gathered = Gathered::default();
    store.reports(scheme.card().id, |stored| {
        // The store holds nothing that did not decode when it came.
        if let Ok(report) = Report::decode(&stored.report) {
            gathered.add(scheme, case, &stored.agent, report, stored.report.len());
        }
        true
    })?;
    Ok(gathered)
}

fn reply(
    traced: trace::Traced,
    gathered: &Gathered,
    started: Instant,
) -> Result<wire::TraceReply, Status> {
    let outcome_json =
        serde_json::to_string(&traced.finding).map_err(|e| Status::internal(e.to_string()))?;
    let by_name = |counts: std::collections::BTreeMap<traceback::RouterId, u64>| {
        counts.into_iter().map(|(router, n)| (router.to_string(), n)).collect()
    };
    Ok(wire::TraceReply {
        outcome_json,
        seconds: started.elapsed().as_secs_f64(),
        rounds: traced.rounds.into(),
        ledger_bytes: traced.ledger_bytes,
        footprint_bytes: gathered.footprint_bytes(),
        report_bytes: gathered.report_bytes,
        asked: by_name(traced.asked),
        answered: by_name(traced.answered),
        malformed: traced.malformed + gathered.malformed,
    })
}

fn wire_report(stored: Stored) -> wire::StoredReport {
    let (sender, agent) = stored.agent.split_once('#').unwrap_or((&stored.agent, ""));
    wire::StoredReport {
        sender: sender.into(),
        agent: agent.into(),
        epoch: stored.epoch,
        seq: stored.seq,
        report: stored.report,
    }
}

fn read<R>(path: &Path, work: impl FnOnce(&Store) -> Result<R, StoreError>) -> Result<R, Status> {
    Store::reader(path)
        .and_then(|store| work(&store))
        .map_err(|e| Status::unavailable(e.to_string()))
}

async fn blocking<R: Send + 'static>(
    work: impl FnOnce() -> Result<R, Status> + Send + 'static,
) -> Result<R, Status> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| Status::internal(format!("the work broke off: {e}")))?
}

fn patience(ms: u64, default: Duration) -> Duration {
    if ms == 0 { default } else { Duration::from_millis(ms).min(LONGEST) }
}
