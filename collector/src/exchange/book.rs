//! What an exchange remembers: inquiries that came, cases that were begun, and the log of what was done.
//!
//! One thread writes. It takes all work that waits, and makes of it one commit of the file and one addition
//! to the log: lines are on the disk before anything follows from them, also with a thousand inquiries at once.

use crate::evidence::Evidence;
use anyhow::Context;
use rusqlite::{Connection, Transaction};
use serde_json::Value;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use tokio::sync::oneshot;

/// Pieces of work in one commit.
const GROUP: usize = 256;

const SCHEMA: &str = "
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA secure_delete = ON;
CREATE TABLE IF NOT EXISTS incoming (
  id TEXT PRIMARY KEY, question TEXT NOT NULL, peer TEXT NOT NULL, state TEXT NOT NULL, token TEXT NOT NULL,
  later INTEGER NOT NULL DEFAULT 0, received_ms INTEGER NOT NULL, acknowledged_ms INTEGER,
  decided_ms INTEGER, answered_ms INTEGER, delivered_ms INTEGER, deadline_ms INTEGER NOT NULL,
  until_ms INTEGER NOT NULL, inquiry TEXT NOT NULL, terms TEXT, reply TEXT,
  votes TEXT NOT NULL DEFAULT '[]');
CREATE INDEX IF NOT EXISTS incoming_by_question ON incoming (question);
CREATE INDEX IF NOT EXISTS incoming_by_peer ON incoming (peer, received_ms);
CREATE TABLE IF NOT EXISTS cases (
  id TEXT PRIMARY KEY, state TEXT NOT NULL, begun_ms INTEGER NOT NULL, ended_ms INTEGER,
  until_ms INTEGER NOT NULL, request TEXT NOT NULL, joined TEXT);
";

/// The book could not be written; nothing of this piece of work was done.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the book of inquiries: {0}; check the disk's space and permissions")]
pub(super) struct BookError(String);

type Done = Box<dyn FnOnce(Result<(), BookError>) + Send>;
type Work = Box<dyn FnOnce(&Page<'_>) -> Done + Send>;

/// The book, open. Work that waits is done before it closes.
#[derive(Debug, Clone)]
pub(super) struct Book {
    work: mpsc::Sender<Work>,
    audit: PathBuf,
}

/// One piece of work's view of the book.
#[derive(Debug)]
pub(super) struct Page<'a> {
    /// The commit that it is a part of.
    pub t: &'a Transaction<'a>,
    facts: RefCell<Vec<(String, Value)>>,
    over: RefCell<Option<u64>>,
}

impl Page<'_> {
    /// Adds a line to the log.
    pub(super) fn note(&self, event: &str, fields: Value) {
        self.facts.borrow_mut().push((event.to_owned(), fields));
    }

    /// Removes from the log what may be kept no longer than until now: lines whose `until` is over.
    pub(super) fn forget(&self, now_unix_s: u64) {
        *self.over.borrow_mut() = Some(now_unix_s);
    }
}

impl Book {
    /// Opens the book and its log, which are made where there are none.
    ///
    /// # Errors
    /// Where one cannot be opened, or the log's chain is broken.
    pub(super) fn open(path: &Path, audit: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let connection = Connection::open(path)
            .and_then(|c| c.execute_batch(SCHEMA).map(|()| c))
            .with_context(|| format!("cannot open the book of inquiries {shown}"))?;
        let log = Evidence::open(audit)?;
        let (work, waiting) = mpsc::channel::<Work>();
        let writer = thread::Builder::new().name("book".into());
        writer.spawn(move || write(connection, &log, &waiting))?;
        Ok(Self { work, audit: audit.into() })
    }

    /// Where the log is.
    pub(super) fn audit(&self) -> &Path {
        &self.audit
    }

    /// Adds a line to the log, which is on the disk when this returns.
    ///
    /// # Errors
    /// [`BookError`]; nothing was added.
    pub(super) async fn note(&self, event: &'static str, line: Value) -> Result<(), BookError> {
        self.write(move |page| {
            page.note(event, line);
            Ok(())
        })
        .await
    }

    /// Does a piece of work, which is on the disk when this returns.
    ///
    /// # Errors
    /// [`BookError`]; nothing of it was done.
    pub(super) async fn write<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Page<'_>) -> rusqlite::Result<R> + Send + 'static,
    ) -> Result<R, BookError> {
        let (tell, told) = oneshot::channel();
        let work: Work = Box::new(move |page| {
            let done = apart(page, work);
            Box::new(move |committed| {
                // Who asked may have gone.
                let _ = tell.send(committed.and(done));
            })
        });
        let closed = || BookError("it is closed".into());
        self.work.send(work).map_err(|_| closed())?;
        told.await.map_err(|_| closed())?
    }
}

/// Does one piece of work so that its failure leaves the others of the commit alone.
fn apart<R>(
    page: &Page<'_>,
    work: impl FnOnce(&Page<'_>) -> rusqlite::Result<R>,
) -> Result<R, BookError> {
    let facts = page.facts.borrow().len();
    let done = page.t.execute_batch("SAVEPOINT piece").and_then(|()| work(page));
    let end = if done.is_ok() { "RELEASE piece" } else { "ROLLBACK TO piece; RELEASE piece" };
    let ended = page.t.execute_batch(end);
    if done.is_err() {
        page.facts.borrow_mut().truncate(facts);
    }
    done.and_then(|done| ended.map(|()| done)).map_err(|e| BookError(e.to_string()))
}

fn write(mut connection: Connection, log: &Evidence, waiting: &mpsc::Receiver<Work>) {
    while let Ok(first) = waiting.recv() {
        let rest = waiting.try_iter().take(GROUP - 1);
        let pieces: Vec<Work> = std::iter::once(first).chain(rest).collect();
        let (done, committed) = commit(&mut connection, log, pieces);
        if let Err(e) = &committed {
            tracing::error!("exchange: {e}");
        }
        for tell in done {
            tell(committed.clone());
        }
    }
}

fn commit(
    connection: &mut Connection,
    log: &Evidence,
    pieces: Vec<Work>,
) -> (Vec<Done>, Result<(), BookError>) {
    let failed = |e: &dyn std::fmt::Display| BookError(e.to_string());
    let transaction = match connection.transaction() {
        Ok(transaction) => transaction,
        // Dropping the pieces tells those who wait that nothing was done.
        Err(e) => return (vec![], Err(failed(&e))),
    };
    let (facts, over) = (RefCell::default(), RefCell::default());
    let page = Page { t: &transaction, facts, over };
    let done: Vec<Done> = pieces.into_iter().map(|piece| piece(&page)).collect();
    let (facts, over) = (page.facts.into_inner(), page.over.into_inner());
    let written = add(log, facts).and_then(|()| Ok(transaction.commit()?));
    let written = written.and_then(|()| over.map_or(Ok(()), |now| forget(connection, log, now)));
    (done, written.map_err(|e| BookError(format!("{e:#}"))))
}

fn add(log: &Evidence, facts: Vec<(String, Value)>) -> anyhow::Result<()> {
    if facts.is_empty() { Ok(()) } else { log.add_all(facts) }
}

fn forget(connection: &Connection, log: &Evidence, now: u64) -> anyhow::Result<()> {
    log.remove(|fact| fact.fields["until"].as_u64().is_some_and(|until| until <= now))?;
    // Rows that were deleted may still lie in the write-ahead log.
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(())
}
