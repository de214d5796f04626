//! The service that agents call: checks who speaks, takes reports, hands out errands.

use crate::commit::{Committer, Receipt};
use crate::hub::{Hub, Key, Seat};
use crate::identity::Identity;
use crate::store::{Content, Reason, Stream};
use crate::wire::{self, Envelope, FromAgent, Hello, ToAgent, from_agent, to_agent::Kind};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use traceback::RouterId;
use traceback::map::Map;
use traceback::report::{Report, Role};
use traceback::schemes;

/// Messages on their way to one agent.
const OUTBOX: usize = 64;
/// Time that a caller has to say who it is.
const HELLO: Duration = Duration::from_secs(10);

/// The service's state, shared by all connections.
#[derive(Debug, Clone)]
pub struct Agents {
    /// Who is connected.
    pub hub: Arc<Hub>,
    /// Where reports go.
    pub committer: Committer,
    /// Routers that may report; all, where there is no map.
    pub map: Option<Arc<Map>>,
}

/// Who speaks on a connection, after all checks.
#[derive(Debug)]
struct Speaker {
    role: Role,
    router: RouterId,
    stream: Arc<Stream>,
    agent: wire::Agent,
}

/// Identity in the certificate behind a request.
pub fn identity<T>(request: &Request<T>) -> Option<Identity> {
    let certificates = request.peer_certs()?;
    Identity::of_certificate(certificates.first()?)
}

#[tonic::async_trait]
impl wire::agents_server::Agents for Agents {
    type ConnectStream = ReceiverStream<Result<ToAgent, Status>>;

    async fn connect(
        &self,
        request: Request<Streaming<FromAgent>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let identity = identity(&request);
        let mut inbound = request.into_inner();
        let first = tokio::time::timeout(HELLO, inbound.message())
            .await
            .map_err(|_| Status::deadline_exceeded("no Hello came; send it first"))??;
        let Some(FromAgent { kind: Some(from_agent::Kind::Hello(hello)) }) = first else {
            return Err(self.refuse(Reason::Malformed, "the first message must be a Hello"));
        };
        let speaker = self.check(identity.as_ref(), hello)?;
        let progress =
            self.committer.enter(speaker.stream.clone()).await.map_err(Status::unavailable)?;
        let key = (speaker.stream.agent.clone(), speaker.stream.scheme.clone());
        let seat = self
            .hub
            .join(key, speaker.agent.clone())
            .map_err(|e| Status::resource_exhausted(e.to_string()))?;
        tracing::info!(agent = %seat.key.0, scheme = %seat.key.1, "connected");
        let (outbox, stream) = mpsc::channel(OUTBOX);
        let welcome = wire::Welcome { through: progress.through, highest: progress.highest };
        let (receipts, came) = mpsc::unbounded_channel();
        let session = Session {
            speaker,
            hub: self.hub.clone(),
            committer: self.committer.clone(),
            outbox,
            receipts,
            acked: progress.through,
        };
        tokio::spawn(session.run(inbound, seat, came, welcome));
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

impl Agents {
    fn check(&self, identity: Option<&Identity>, hello: Hello) -> Result<Speaker, Status> {
        if hello.protocol != wire::PROTOCOL {
            let text = format!("this collector speaks protocol 1, not {}", hello.protocol);
            return Err(Status::failed_precondition(text));
        }
        let (Some(role), Some(router)) = (hello.role().as_report(), wire::router(&hello.router))
        else {
            return Err(
                self.refuse(Reason::Malformed, "Hello needs a role and a router's loopback")
            );
        };
        let Some(identity) = identity.filter(|i| i.speaks_for(role, router)) else {
            let needs = Identity::of_agent(role, router);
            let text = format!("this connection's certificate is not that of {needs}");
            return Err(self.refuse(Reason::Foreign, &text));
        };
        if !wire::is_name(&hello.agent) || hello.epoch > wire::MAX_NUMBER {
            let text =
                "an agent's name has 1 to 64 characters of [A-Za-z0-9._:/-], its epoch 63 bits";
            return Err(self.refuse(Reason::Malformed, text));
        }
        if schemes::find(&hello.scheme).is_none() {
            let text = format!("this collector has no scheme {:?}", short(&hello.scheme));
            return Err(self.refuse(Reason::UnknownScheme, &text));
        }
        if self.map.as_ref().is_some_and(|map| map.router(router).is_none()) {
            let text = format!("router {router} is not on this collector's map");
            return Err(self.refuse(Reason::Foreign, &text));
        }
        Ok(Speaker::new(identity, role, router, hello))
    }

    fn refuse(&self, reason: Reason, why: &str) -> Status {
        self.hub.refuse(reason.as_str());
        let text = format!("{}: {why}", reason.as_str());
        match reason {
            Reason::Foreign => Status::permission_denied(text),
            Reason::Malformed | Reason::UnknownScheme => Status::invalid_argument(text),
        }
    }
}

struct Session {
    speaker: Speaker,
    hub: Arc<Hub>,
    committer: Committer,
    outbox: mpsc::Sender<Result<ToAgent, Status>>,
    receipts: mpsc::UnboundedSender<Receipt>,
    acked: u64,
}

/// How a session ends.
enum End {
    /// The agent has said all.
    Goodbye,
    /// The connection broke.
    Broken,
    /// The agent is told why.
    Because(Status),
}

impl Session {
    async fn run(
        mut self,
        inbound: Streaming<FromAgent>,
        mut seat: Seat,
        mut came: mpsc::UnboundedReceiver<Receipt>,
        welcome: wire::Welcome,
    ) {
        let end = match self.send(Kind::Welcome(welcome)).await {
            Ok(()) => match self.talk(inbound, &mut seat, &mut came).await {
                Err(end) => end,
                Ok(()) => self.finish(came).await.err().unwrap_or(End::Goodbye),
            },
            Err(end) => end,
        };
        self.hub.leave(&seat, matches!(end, End::Goodbye));
        tracing::info!(agent = %seat.key.0, scheme = %seat.key.1, "disconnected");
        if let End::Because(status) = end {
            // The agent may be gone already.
            let _ = self.outbox.send(Err(status)).await;
        }
    }

    /// Talks until the agent has said all.
    async fn talk(
        &mut self,
        mut inbound: Streaming<FromAgent>,
        seat: &mut Seat,
        came: &mut mpsc::UnboundedReceiver<Receipt>,
    ) -> Result<(), End> {
        loop {
            tokio::select! {
                message = inbound.message() => match message {
                    Ok(Some(message)) => self.take(message, &seat.key).await?,
                    Ok(None) => return Ok(()),
                    Err(_) => return Err(End::Broken),
                },
                Some(receipt) = came.recv() => self.settle(receipt, came).await?,
                errand = seat.errands.recv() => match errand {
                    Some(ToAgent { kind: Some(kind) }) => self.send(kind).await?,
                    Some(ToAgent { kind: None }) => {}
                    None => {
                        let text = "another connection of this agent took over, or the collector ends";
                        return Err(End::Because(Status::unavailable(text)));
                    }
                },
            }
        }
    }

    /// Waits for the receipts of everything handed in.
    async fn finish(&mut self, mut came: mpsc::UnboundedReceiver<Receipt>) -> Result<(), End> {
        // Ours is the last sender once all jobs are done; without it the channel ends by itself.
        self.receipts = mpsc::unbounded_channel().0;
        while let Some(receipt) = came.recv().await {
            self.settle(receipt, &mut came).await?;
        }
        Ok(())
    }

    async fn take(&mut self, message: FromAgent, key: &Key) -> Result<(), End> {
        let malformed = |text: &str| End::Because(Status::invalid_argument(text.to_owned()));
        let closed = |e: crate::commit::Closed| End::Because(Status::unavailable(e.to_string()));
        match message.kind {
            None => Ok(()),
            Some(from_agent::Kind::Hello(_)) => Err(malformed("a second Hello")),
            Some(from_agent::Kind::Envelope(envelope)) => {
                let seq = envelope.seq;
                if seq == 0 || seq > wire::MAX_NUMBER {
                    return Err(malformed("an envelope's seq lies between 1 and 2^63 - 1"));
                }
                let (stream, to) = (self.speaker.stream.clone(), self.receipts.clone());
                let content = self.speaker.examine(envelope);
                self.committer.settle(stream, seq, content, to).await.map_err(closed)
            }
            Some(from_agent::Kind::Reply(reply)) => {
                self.hub.done(key, reply.id, reply.answer.map(Into::into));
                Ok(())
            }
            Some(from_agent::Kind::CutDone(cut)) => {
                let through = cut.through.min(wire::MAX_NUMBER);
                let (stream, to) = (self.speaker.stream.clone(), self.receipts.clone());
                self.committer.cut(stream, cut.id, through, to).await.map_err(closed)
            }
        }
    }

    /// Passes on one receipt and all that wait behind it, with one acknowledgement.
    async fn settle(
        &mut self,
        first: Receipt,
        came: &mut mpsc::UnboundedReceiver<Receipt>,
    ) -> Result<(), End> {
        let before = self.acked;
        let mut next = Some(first);
        let mut failed = None;
        while let Some(receipt) = next {
            match receipt {
                Receipt::Envelope { seq, refused, .. } => {
                    self.acked = self.acked.max(seq);
                    if let Some(reason) = refused {
                        self.send(Kind::Refused(refusal(seq, reason))).await?;
                    }
                }
                Receipt::Cut { id } => {
                    let key =
                        (self.speaker.stream.agent.clone(), self.speaker.stream.scheme.clone());
                    self.hub.done(&key, id, None);
                }
                Receipt::Failed(error) => {
                    failed = Some(error);
                    break;
                }
            }
            next = came.try_recv().ok();
        }
        if self.acked > before {
            self.send(Kind::Ack(wire::Ack { through: self.acked })).await?;
        }
        // Nothing may be acknowledged behind a failure, so the connection ends and the agent resends.
        failed.map_or(Ok(()), |e| Err(End::Because(Status::resource_exhausted(e.to_string()))))
    }

    async fn send(&self, kind: Kind) -> Result<(), End> {
        self.outbox.send(Ok(ToAgent::of(kind))).await.map_err(|_| End::Broken)
    }
}

impl Speaker {
    fn new(identity: &Identity, role: Role, router: RouterId, hello: Hello) -> Self {
        let sender = identity.to_string();
        let agent = format!("{sender}#{}", hello.agent);
        let stream = Stream { agent, epoch: hello.epoch, scheme: hello.scheme.clone() };
        let agent = wire::Agent {
            sender,
            version: short(&hello.version).to_owned(),
            agent: hello.agent,
            scheme: hello.scheme,
            role: wire::Role::from(role).into(),
            router: hello.router,
            epoch: hello.epoch,
            connected: true,
        };
        Self { role, router, stream: Arc::new(stream), agent }
    }

    /// Whether an envelope may be stored under this speaker's name.
    fn examine(&self, envelope: Envelope) -> Content {
        let report = Report::decode(&envelope.report).map_err(|_| Reason::Malformed)?;
        if schemes::find(&report.scheme).is_none() {
            return Err(Reason::UnknownScheme);
        }
        let own = report.router == self.router
            && report.role == self.role
            && report.scheme == self.stream.scheme
            && envelope.epoch == self.stream.epoch;
        if own { Ok(envelope.report) } else { Err(Reason::Foreign) }
    }
}

fn refusal(seq: u64, reason: Reason) -> wire::Refused {
    let why = match reason {
        Reason::Malformed => "the bytes are no report of a version that this collector reads",
        Reason::Foreign => "router, role, scheme or epoch is not that of this connection",
        Reason::UnknownScheme => "this collector does not have the report's scheme",
    };
    wire::Refused { seq, reason: reason.as_str().into(), why: why.into() }
}

/// The start of a text that came from outside, short enough for logs and messages.
fn short(text: &str) -> &str {
    text.char_indices().nth(wire::MAX_NAME).map_or(text, |(end, _)| &text[..end])
}
