//! The one thread that writes: takes what sessions hand in, and commits it in groups.
//!
//! A commit waits for the disk, so everything that arrived meanwhile goes into the next one. Sessions
//! are told after the commit, in the order in which they handed in.

use crate::store::{Batch, Content, Progress, Settled, Store, StoreError, Stream};
use std::sync::Arc;
use std::thread;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

/// Most writes in one commit.
const GROUP: usize = 512;
/// Writes that wait at most.
const WAITING: usize = 1024;
/// Memory for envelopes on their way to the disk, in KiB.
const ROOM_KIB: u32 = 256 << 10;

/// What sessions hold to hand in writes.
#[derive(Debug, Clone)]
pub struct Committer {
    jobs: mpsc::Sender<Job>,
    room: Arc<Semaphore>,
}

/// Tells a session what came of a write.
#[derive(Debug)]
pub enum Receipt {
    /// An envelope is settled.
    Envelope {
        /// Its number.
        seq: u64,
        /// How it was settled.
        settled: Settled,
        /// What was done with its content.
        refused: Option<crate::store::Reason>,
    },
    /// Everything handed in before this cut is settled.
    Cut {
        /// The cut.
        id: u64,
    },
    /// Nothing of the group was stored.
    Failed(StoreError),
}

/// Where a session waits for receipts. What can wait there is bounded by the room for envelopes.
pub type Receipts = mpsc::UnboundedSender<Receipt>;

/// The collector is going down and takes nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the collector is going down; send again when it is back")]
pub struct Closed;

#[derive(Debug)]
enum Job {
    Enter {
        stream: Arc<Stream>,
        to: oneshot::Sender<Result<Progress, StoreError>>,
    },
    Settle {
        stream: Arc<Stream>,
        seq: u64,
        content: Content,
        to: Receipts,
        _room: OwnedSemaphorePermit,
    },
    Cut {
        stream: Arc<Stream>,
        id: u64,
        through: u64,
        to: Receipts,
    },
}

impl Committer {
    /// Starts the thread. It ends, with everything written, when the last clone is gone.
    pub fn start(store: Store) -> (Self, thread::JoinHandle<()>) {
        let (jobs, inbox) = mpsc::channel(WAITING);
        let room = Arc::new(Semaphore::new(ROOM_KIB as usize));
        let thread = thread::spawn(move || run(store, inbox));
        (Self { jobs, room }, thread)
    }

    /// Makes a stream known, and says how far it got.
    ///
    /// # Errors
    /// When the store fails, or [`Closed`] in its words.
    pub async fn enter(&self, stream: Arc<Stream>) -> Result<Progress, String> {
        let (to, came) = oneshot::channel();
        self.jobs.send(Job::Enter { stream, to }).await.map_err(|_| Closed.to_string())?;
        match came.await {
            Ok(entered) => entered.map_err(|e| e.to_string()),
            Err(_) => Err(Closed.to_string()),
        }
    }

    /// Hands in an envelope; waits where too many are on their way.
    ///
    /// # Errors
    /// [`Closed`].
    pub async fn settle(
        &self,
        stream: Arc<Stream>,
        seq: u64,
        content: Content,
        to: Receipts,
    ) -> Result<(), Closed> {
        let kib = content.as_ref().map_or(0, Vec::len) / 1024 + 1;
        let kib = u32::try_from(kib).unwrap_or(ROOM_KIB).min(ROOM_KIB);
        let room = self.room.clone().acquire_many_owned(kib).await.map_err(|_| Closed)?;
        let job = Job::Settle { stream, seq, content, to, _room: room };
        self.jobs.send(job).await.map_err(|_| Closed)
    }

    /// Hands in the end of a cut.
    ///
    /// # Errors
    /// [`Closed`].
    pub async fn cut(
        &self,
        stream: Arc<Stream>,
        id: u64,
        through: u64,
        to: Receipts,
    ) -> Result<(), Closed> {
        self.jobs.send(Job::Cut { stream, id, through, to }).await.map_err(|_| Closed)
    }
}

fn run(mut store: Store, mut inbox: mpsc::Receiver<Job>) {
    let mut group = Vec::with_capacity(GROUP);
    while inbox.blocking_recv_many(&mut group, GROUP) > 0 {
        let (entering, writes): (Vec<Job>, Vec<Job>) =
            group.drain(..).partition(|job| matches!(job, Job::Enter { .. }));
        // A stream that enters has handed in nothing yet, so it may go first.
        for job in entering {
            if let Job::Enter { stream, to } = job {
                // Who waited may be gone; then there is nobody to tell.
                let _ = to.send(store.enter(&stream));
            }
        }
        if writes.is_empty() {
            continue;
        }
        match store
            .commit(|batch| writes.iter().filter_map(|j| write(batch, j)).collect::<Vec<_>>())
        {
            Ok(receipts) => {
                for (to, receipt) in receipts {
                    let _ = to.send(receipt);
                }
            }
            Err(failed) => {
                tracing::error!(error = %failed, writes = writes.len(), "nothing stored");
                for to in writes.iter().filter_map(receipts_of) {
                    let _ = to.send(Receipt::Failed(failed.clone()));
                }
            }
        }
    }
}

fn write<'a>(batch: &Batch<'_>, job: &'a Job) -> Option<(&'a Receipts, Receipt)> {
    match job {
        Job::Enter { .. } => None,
        Job::Settle { stream, seq, content, to, .. } => {
            let settled = batch.settle(stream, *seq, content);
            let refused = content.as_ref().err().copied();
            Some((to, Receipt::Envelope { seq: *seq, settled, refused }))
        }
        Job::Cut { stream, id, through, to } => {
            batch.announce(stream, *through);
            Some((to, Receipt::Cut { id: *id }))
        }
    }
}

fn receipts_of(job: &Job) -> Option<&Receipts> {
    match job {
        Job::Enter { .. } => None,
        Job::Settle { to, .. } | Job::Cut { to, .. } => Some(to),
    }
}
