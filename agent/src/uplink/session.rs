//! The uplink's task: connect, talk, wait, connect again.

use super::wire::{self, FromAgent, ToAgent, agents_client::AgentsClient, from_agent, to_agent};
use super::{Command, Shared, UplinkConfig, UplinkError};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Status, Streaming};
use traceback::Nanos;
use traceback::case::Query;
use traceback::invariant::mix2;
use traceback::report::Role;

/// Version of the protocol that this build speaks.
const PROTOCOL: u32 = 1;
/// Largest message in bytes.
const MAX_MESSAGE: usize = 32 << 20;
/// Messages on their way into the connection.
const PIPE: usize = 16;
/// Time to connect, and to be probed on a silent connection.
const PATIENCE: Duration = Duration::from_secs(10);
/// Time that the collector has to acknowledge a goodbye.
const GOODBYE: Duration = Duration::from_secs(5);
/// Pause after the first failure, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

pub(super) fn endpoint(config: &UplinkConfig) -> Result<Endpoint, UplinkError> {
    let read = |path: &PathBuf| {
        std::fs::read_to_string(path)
            .map_err(|source| UplinkError::Read { path: path.clone(), source })
    };
    let tls = ClientTlsConfig::new()
        .domain_name(&config.server_name)
        .ca_certificate(Certificate::from_pem(read(&config.ca)?))
        .identity(Identity::from_pem(read(&config.cert)?, read(&config.key)?));
    Endpoint::from_shared(format!("https://{}", config.collector))
        .and_then(|endpoint| {
            endpoint
                .connect_timeout(PATIENCE)
                .tcp_nodelay(true)
                .http2_keep_alive_interval(PATIENCE)
                .keep_alive_timeout(PATIENCE)
                .tls_config(tls)
        })
        .map_err(|e| UplinkError::Tls { cert: config.cert.clone(), what: chain(&e) })
}

/// How a connection ended.
enum End {
    /// All handles were dropped.
    Goodbye,
    /// Worth another try.
    Broken(String),
    /// The collector will never take this agent.
    Refused(String),
}

pub(super) async fn run(
    endpoint: Endpoint,
    config: UplinkConfig,
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
    mut alive: watch::Receiver<()>,
) {
    let mut failures = 0;
    loop {
        let before = shared.lock().stats().connections;
        let end = tokio::select! {
            end = connect(&endpoint, &config, &shared, &commands, alive.clone()) => end,
            end = never_connected(&shared, before, &mut alive) => end,
        };
        match end {
            End::Goodbye => return,
            End::Refused(why) => {
                tracing::error!(agent = config.agent, why, "refused by the collector for good");
                shared.lock().close(why);
                shared.settled.notify_waiters();
                // Whoever no longer listens needs no last word.
                let _ = commands.send(Command::Closed).await;
                return;
            }
            End::Broken(why) => {
                if shared.lock().stats().connections > before {
                    failures = 0;
                }
                tracing::debug!(agent = config.agent, why, failures, "no connection");
                shared.lock().failed(why);
            }
        }
        tokio::select! {
            () = tokio::time::sleep(pause(failures, &config)) => {}
            _ = alive.changed() => return,
        }
        failures += 1;
    }
}

/// Ends a connection attempt when all handles are dropped before it came about.
async fn never_connected(shared: &Shared, before: u64, alive: &mut watch::Receiver<()>) -> End {
    // Only dropping the sender changes this channel.
    let _ = alive.changed().await;
    if shared.lock().stats().connections > before {
        // Connected: the session itself says goodbye.
        std::future::pending::<()>().await;
    }
    End::Goodbye
}

async fn connect(
    endpoint: &Endpoint,
    config: &UplinkConfig,
    shared: &Shared,
    commands: &mpsc::Sender<Command>,
    alive: watch::Receiver<()>,
) -> End {
    let channel = match endpoint.connect().await {
        Ok(channel) => channel,
        Err(e) => return End::Broken(chain(&e)),
    };
    let mut client = AgentsClient::new(channel)
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE);
    let (outward, stream) = mpsc::channel(PIPE);
    let hello = FromAgent { kind: Some(from_agent::Kind::Hello(hello(config))) };
    // The receiver is held in this function, and the pipe is empty.
    let _ = outward.try_send(hello);
    let mut inward = match client.connect(ReceiverStream::new(stream)).await {
        Ok(response) => response.into_inner(),
        Err(status) => return end_of(&status),
    };
    match inward.message().await {
        Ok(Some(ToAgent { kind: Some(to_agent::Kind::Welcome(welcome)) })) => {
            shared.lock().welcome(welcome.through, welcome.highest);
            shared.settled.notify_waiters();
        }
        Ok(_) => return End::Broken("the collector did not welcome this agent".into()),
        Err(status) => return end_of(&status),
    }
    talk(shared, commands, outward, inward, alive).await
}

async fn talk(
    shared: &Shared,
    commands: &mpsc::Sender<Command>,
    outward: mpsc::Sender<FromAgent>,
    mut inward: Streaming<ToAgent>,
    mut alive: watch::Receiver<()>,
) -> End {
    loop {
        let ready = shared.lock().has_next();
        tokio::select! {
            permit = outward.reserve(), if ready => {
                let Ok(permit) = permit else { return End::Broken("connection closed".into()) };
                let next = shared.lock().take_next();
                if let Some(kind) = next {
                    permit.send(FromAgent { kind: Some(kind) });
                    shared.settled.notify_waiters();
                }
            }
            () = shared.work.notified(), if !ready => {}
            message = inward.message() => match message {
                Ok(Some(ToAgent { kind: Some(kind) })) => take(shared, commands, kind),
                Ok(Some(ToAgent { kind: None })) => {}
                Ok(None) => return End::Broken("the collector ended the call".into()),
                Err(status) => return end_of(&status),
            },
            _ = alive.changed() => break,
        }
    }
    drop(outward);
    // The collector ends the call when all is stored; what comes until then changes nothing.
    let rest = async { while let Ok(Some(_)) = inward.message().await {} };
    let _ = tokio::time::timeout(GOODBYE, rest).await;
    End::Goodbye
}

fn take(shared: &Shared, commands: &mpsc::Sender<Command>, kind: to_agent::Kind) {
    let command = match kind {
        to_agent::Kind::Ack(ack) => {
            shared.lock().ack(ack.through);
            shared.settled.notify_waiters();
            return;
        }
        to_agent::Kind::Refused(refused) => {
            tracing::warn!(seq = refused.seq, why = refused.why, "report refused");
            shared.lock().refused();
            return;
        }
        // A second Welcome says nothing new.
        to_agent::Kind::Welcome(_) => return,
        to_agent::Kind::Ask(wire::Ask { id, query }) => {
            let query = query.unwrap_or_default();
            let (from, to) = (Nanos(query.from), Nanos(query.to));
            Command::Ask { id, query: Query { keys: query.keys, from, to } }
        }
        to_agent::Kind::Cut(wire::Cut { id }) => Command::Cut { id },
    };
    // An agent that does not read its commands is silent, and the collector takes it so.
    if commands.try_send(command).is_err() {
        tracing::warn!("a command found no room or no reader");
    }
}

fn hello(config: &UplinkConfig) -> wire::Hello {
    let role = match config.role {
        Role::Router => wire::Role::Router,
        Role::Observer => wire::Role::Observer,
    };
    wire::Hello {
        agent: config.agent.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        scheme: config.scheme.clone(),
        role: role.into(),
        router: config.router.to_string(),
        epoch: config.epoch,
        protocol: PROTOCOL,
    }
}

fn end_of(status: &Status) -> End {
    let why = format!("{:?}: {}", status.code(), chain(status));
    match status.code() {
        Code::PermissionDenied
        | Code::InvalidArgument
        | Code::FailedPrecondition
        | Code::Unimplemented => End::Refused(why),
        _ => End::Broken(why),
    }
}

/// Doubles with every failure; spread by router, so that agents do not all come at once.
fn pause(failures: u32, config: &UplinkConfig) -> Duration {
    let (first, longest) = PAUSES;
    let whole = first.saturating_mul(1 << failures.min(10)).min(longest);
    let spread = mix2(u64::from(config.router.0), u64::from(failures)) % 512;
    whole / 2 + whole * u32::try_from(spread).unwrap_or(0) / 1024
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}
