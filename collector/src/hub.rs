//! Who is connected, and what was asked of whom.
//!
//! An errand (a question or a cut) outlives a broken connection: the agent gets it again when it
//! comes back, until whoever waits has waited long enough.

use crate::trace::Question;
use crate::wire::{self, ToAgent, to_agent::Kind};
use futures_util::future::join_all;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout_at;
use traceback::case::Answer;
use traceback::report::Role;

/// Errands that wait for one agent to read them.
const LINK: usize = 1024;
/// Agents under one certificate.
const MEMBERS: usize = 64;

/// An agent's place in the hub: certificate name, hash sign, agent name; and its scheme.
pub type Key = (String, String);

/// Agents and errands.
#[derive(Debug)]
pub struct Hub {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    members: BTreeMap<Key, Member>,
    errands: BTreeMap<u64, Errand>,
    refused: BTreeMap<&'static str, u64>,
    next: u64,
    open: bool,
}

#[derive(Debug)]
struct Member {
    agent: wire::Agent,
    serial: u64,
    link: Option<mpsc::Sender<ToAgent>>,
}

#[derive(Debug)]
struct Errand {
    key: Key,
    message: ToAgent,
    done: oneshot::Sender<Option<Answer>>,
}

/// A connected agent's end of the hub.
#[derive(Debug)]
pub struct Seat {
    /// Its place.
    pub key: Key,
    /// Errands for it. Ends when another connection takes the place, or the collector goes down.
    pub errands: mpsc::Receiver<ToAgent>,
    serial: u64,
}

/// Why an agent finds no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoSeat {
    /// Going down.
    #[error("the collector is going down; come back later")]
    Closed,
    /// Too many agents.
    #[error("this certificate has {MEMBERS} agents connected already; end some of them")]
    Crowded,
}

/// What came of a cut.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CutEnd {
    /// Agents asked.
    pub asked: u64,
    /// Those that did not finish in time.
    pub silent: Vec<String>,
}

impl Default for Hub {
    fn default() -> Self {
        // Errands of different runs of the collector must not share numbers: an agent may answer
        // one that was asked before a crash.
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let next = u64::try_from(now.as_nanos()).unwrap_or(0) >> 1;
        let (members, errands, refused) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { inner: Mutex::new(Inner { members, errands, refused, next, open: true }) }
    }
}

impl Hub {
    /// Gives a connected agent its place; who held it before loses it. Open errands come again.
    ///
    /// # Errors
    /// [`NoSeat`].
    pub fn join(&self, key: Key, agent: wire::Agent) -> Result<Seat, NoSeat> {
        let mut inner = self.lock();
        if !inner.open {
            return Err(NoSeat::Closed);
        }
        inner.make_room(&key, &agent.sender)?;
        let (link, errands) = mpsc::channel(LINK);
        for errand in inner.errands.values().filter(|e| e.key == key) {
            // A full link means an agent that does not read: it counts as silent.
            let _ = link.try_send(errand.message.clone());
        }
        let serial = inner.number();
        let agent = wire::Agent { connected: true, ..agent };
        inner.members.insert(key.clone(), Member { agent, serial, link: Some(link) });
        Ok(Seat { key, errands, serial })
    }

    /// Ends a connection. An agent that said goodbye is forgotten, with what was asked of it.
    pub fn leave(&self, seat: &Seat, goodbye: bool) {
        let mut inner = self.lock();
        let Some(member) = inner.members.get_mut(&seat.key) else { return };
        if member.serial != seat.serial {
            return;
        }
        member.link = None;
        member.agent.connected = false;
        if goodbye {
            inner.members.remove(&seat.key);
            inner.errands.retain(|_, errand| errand.key != seat.key);
        }
    }

    /// Ends an errand of this agent; others' errands and unknown ones are left alone.
    pub fn done(&self, key: &Key, id: u64, answer: Option<Answer>) {
        let mut inner = self.lock();
        if inner.errands.get(&id).is_some_and(|errand| errand.key == *key) {
            let errand = inner.errands.remove(&id);
            // Who asked may have given up waiting.
            let _ = errand.map(|e| e.done.send(answer));
        }
    }

    /// Puts all questions at once, and returns what was answered in time, in order.
    ///
    /// A router without an agent of the scheme counts as silent at once; one whose connection broke
    /// has the whole time to come back.
    pub async fn ask(
        &self,
        scheme: &str,
        questions: &[Question],
        patience: Duration,
    ) -> Vec<Option<Answer>> {
        let mut answers = Vec::with_capacity(questions.len());
        // A link holds so many; more would be lost at an agent that gets all of them.
        for some in questions.chunks(LINK) {
            let until = tokio::time::Instant::now() + patience;
            let waits = some.iter().map(|(router, query)| {
                let key = self.router(scheme, &router.to_string());
                let errand = key.and_then(|key| {
                    self.send(key, |id| Kind::Ask(wire::Ask { id, query: Some(query.into()) }))
                });
                async move {
                    let (id, came) = errand?;
                    let answer = timeout_at(until, came).await;
                    self.lock().errands.remove(&id);
                    answer.ok()?.ok()?
                }
            });
            // Collected first: all questions leave before the first answer is awaited.
            answers.extend(join_all(waits.collect::<Vec<_>>()).await);
        }
        answers
    }

    /// Asks the scheme's agents to report what they hold, and waits until it is stored.
    pub async fn cut(&self, scheme: &str, patience: Duration) -> CutEnd {
        let until = tokio::time::Instant::now() + patience;
        let keys: Vec<Key> =
            self.lock().members.keys().filter(|(_, s)| s == scheme).cloned().collect();
        let waits = keys.iter().map(|key| {
            let errand = self.send(key.clone(), |id| Kind::Cut(wire::Cut { id }));
            async move {
                let Some((id, came)) = errand else { return false };
                let done = timeout_at(until, came).await;
                self.lock().errands.remove(&id);
                matches!(done, Ok(Ok(_)))
            }
        });
        let ends = join_all(waits.collect::<Vec<_>>()).await;
        let late = keys.iter().zip(ends).filter(|(_, done)| !done);
        CutEnd { asked: keys.len() as u64, silent: late.map(|(key, _)| key.0.clone()).collect() }
    }

    /// Agents of a scheme, or all where the name is empty.
    pub fn agents(&self, scheme: &str) -> Vec<wire::Agent> {
        let inner = self.lock();
        let of_scheme = inner.members.iter().filter(|((_, s), _)| scheme.is_empty() || s == scheme);
        of_scheme.map(|(_, member)| member.agent.clone()).collect()
    }

    /// Counts a call that was refused before its stream began.
    pub fn refuse(&self, reason: &'static str) {
        *self.lock().refused.entry(reason).or_default() += 1;
    }

    /// Refused calls by reason.
    pub fn refused(&self) -> BTreeMap<String, u64> {
        self.lock().refused.iter().map(|(reason, n)| ((*reason).to_owned(), *n)).collect()
    }

    /// Ends all connections and takes no new ones.
    pub fn close(&self) {
        let mut inner = self.lock();
        inner.open = false;
        inner.members.clear();
        inner.errands.clear();
    }

    fn router(&self, scheme: &str, router: &str) -> Option<Key> {
        let inner = self.lock();
        let is_it = |(key, member): &(&Key, &Member)| {
            let role = member.agent.role().as_report();
            key.1 == scheme && role == Some(Role::Router) && member.agent.router == router
        };
        // Of several, the newest connection, if any is up.
        let best =
            inner.members.iter().filter(is_it).max_by_key(|(_, m)| (m.link.is_some(), m.serial));
        best.map(|(key, _)| key.clone())
    }

    fn send(
        &self,
        key: Key,
        kind: impl FnOnce(u64) -> Kind,
    ) -> Option<(u64, oneshot::Receiver<Option<Answer>>)> {
        let mut inner = self.lock();
        let id = inner.number();
        let message = ToAgent::of(kind(id));
        if let Some(link) = &inner.members.get(&key)?.link {
            link.try_send(message.clone()).ok()?;
        }
        let (done, came) = oneshot::channel();
        inner.errands.insert(id, Errand { key, message, done });
        Some((id, came))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // No step under the lock leaves it half done, so a panic elsewhere does not matter.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Forgets agents of this certificate that are away, rather than refuse one that is here.
    fn make_room(&mut self, key: &Key, sender: &str) -> Result<(), NoSeat> {
        let mine = |members: &BTreeMap<Key, Member>| {
            members.iter().filter(|(k, m)| m.agent.sender == sender && *k != key).count()
        };
        if mine(&self.members) >= MEMBERS {
            self.members.retain(|_, m| m.agent.sender != sender || m.link.is_some());
        }
        if mine(&self.members) >= MEMBERS { Err(NoSeat::Crowded) } else { Ok(()) }
    }
}
