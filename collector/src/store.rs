//! The durable store of reports: one SQLite file.
//!
//! Every envelope that was ever settled has one row, a refused one without its bytes, so that a
//! repeated number is known for what it is and a missing one is known to be lost. What [`Store`]
//! returns from has reached the disk (write-ahead log, synchronous FULL).

mod entry;

pub use entry::{Content, Progress, Reason, Settled, StoreError, Stored, Stream};

use crate::wire::Tally;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, params};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The store, open.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    path: PathBuf,
}

const SCHEMA: &str = "
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS streams (
  agent TEXT NOT NULL, epoch INTEGER NOT NULL, scheme TEXT NOT NULL,
  announced INTEGER NOT NULL DEFAULT 0, duplicates INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (agent, epoch));
CREATE TABLE IF NOT EXISTS reports (
  agent TEXT NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL,
  scheme TEXT NOT NULL, refused TEXT, report BLOB NOT NULL,
  PRIMARY KEY (agent, epoch, seq));
CREATE INDEX IF NOT EXISTS reports_by_scheme ON reports (scheme);
";

impl Store {
    /// Opens a store, which is made where there is none. It takes at most `limit` bytes, where given.
    ///
    /// # Errors
    /// When the file is no store or cannot be written.
    pub fn open(path: &Path, limit: Option<u64>) -> Result<Self, StoreError> {
        let connection = Connection::open(path).map_err(|e| error(path, &e))?;
        let store = Self { connection, path: path.into() };
        store.prepare(limit).map_err(|e| error(path, &e))?;
        Ok(store)
    }

    /// Opens a store for reading, beside the one that writes.
    ///
    /// # Errors
    /// When the file is no store.
    pub fn reader(path: &Path) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(|e| error(path, &e))?;
        Ok(Self { connection, path: path.into() })
    }

    fn prepare(&self, limit: Option<u64>) -> rusqlite::Result<()> {
        self.connection.execute_batch(SCHEMA)?;
        if let Some(limit) = limit {
            let page: i64 = self.connection.query_row("PRAGMA page_size", [], |r| r.get(0))?;
            let pages = (signed(limit) / page.max(1)).max(1);
            self.connection
                .query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))?;
        }
        Ok(())
    }

    /// Makes a stream known, and says how far it got.
    ///
    /// # Errors
    /// When the disk is full or fails.
    pub fn enter(&mut self, stream: &Stream) -> Result<Progress, StoreError> {
        let entered = self.in_transaction(|t| {
            t.prepare_cached(
                "INSERT OR IGNORE INTO streams (agent, epoch, scheme) VALUES (?, ?, ?)",
            )?
            .execute(params![stream.agent, signed(stream.epoch), stream.scheme])?;
            progress(t, stream)
        });
        entered.map_err(|e| error(&self.path, &e))
    }

    /// Runs a group of writes as one durable commit: all of them or none.
    ///
    /// # Errors
    /// When the disk is full or fails.
    pub fn commit<R>(&mut self, work: impl FnOnce(&Batch<'_>) -> R) -> Result<R, StoreError> {
        let done = self.in_transaction(|t| {
            let batch = Batch { transaction: t, failed: std::cell::RefCell::new(None) };
            let done = work(&batch);
            match batch.failed.into_inner() {
                None => Ok(done),
                Some(failed) => Err(failed),
            }
        });
        done.map_err(|e| error(&self.path, &e))
    }

    fn in_transaction<R>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<R>,
    ) -> rusqlite::Result<R> {
        let transaction = self.connection.transaction()?;
        let done = work(&transaction)?;
        transaction.commit()?;
        Ok(done)
    }

    /// Hands over the stored reports of a scheme, oldest first, until `take` says no.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn reports(
        &self,
        scheme: &str,
        mut take: impl FnMut(Stored) -> bool,
    ) -> Result<(), StoreError> {
        let mut read = || -> rusqlite::Result<()> {
            let mut query = self.connection.prepare(
                "SELECT agent, epoch, seq, report FROM reports
                 WHERE scheme = ? AND refused IS NULL ORDER BY rowid",
            )?;
            let mut rows = query.query([scheme])?;
            while let Some(row) = rows.next()? {
                let stored = Stored {
                    agent: row.get(0)?,
                    epoch: unsigned(row.get(1)?),
                    seq: unsigned(row.get(2)?),
                    report: row.get(3)?,
                };
                if !take(stored) {
                    break;
                }
            }
            Ok(())
        };
        read().map_err(|e| error(&self.path, &e))
    }

    /// Counts what is stored, by scheme; of one scheme where the name is not empty.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn tallies(&self, scheme: &str) -> Result<Vec<Tally>, StoreError> {
        self.tally_all(scheme).map_err(|e| error(&self.path, &e))
    }

    fn tally_all(&self, scheme: &str) -> rusqlite::Result<Vec<Tally>> {
        let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
        let mut query = self.connection.prepare(
            "SELECT scheme, refused, COUNT(*), COALESCE(SUM(LENGTH(report)), 0) FROM reports
             WHERE ?1 = '' OR scheme = ?1 GROUP BY scheme, refused",
        )?;
        let mut rows = query.query([scheme])?;
        while let Some(row) = rows.next()? {
            let (name, refused): (String, Option<String>) = (row.get(0)?, row.get(1)?);
            let (count, bytes): (i64, i64) = (row.get(2)?, row.get(3)?);
            let tally = tallies.entry(name).or_default();
            match refused {
                Some(reason) => {
                    tally.refused.insert(reason, unsigned(count));
                }
                None => {
                    tally.stored = unsigned(count);
                    tally.bytes = unsigned(bytes);
                }
            }
        }
        let mut query = self.connection.prepare(
            "SELECT scheme, duplicates, announced,
               (SELECT COUNT(*) FROM reports r WHERE r.agent = s.agent AND r.epoch = s.epoch),
               (SELECT MAX(seq) FROM reports r WHERE r.agent = s.agent AND r.epoch = s.epoch)
             FROM streams s WHERE ?1 = '' OR scheme = ?1",
        )?;
        let mut rows = query.query([scheme])?;
        while let Some(row) = rows.next()? {
            let tally = tallies.entry(row.get(0)?).or_default();
            let (announced, settled) = (unsigned(row.get(2)?), unsigned(row.get(3)?));
            let highest = unsigned(row.get::<_, Option<i64>>(4)?.unwrap_or(0)).max(announced);
            tally.duplicate += unsigned(row.get(1)?);
            tally.lost = tally.lost.saturating_add(highest.saturating_sub(settled));
        }
        let named = tallies.into_iter().map(|(scheme, tally)| Tally { scheme, ..tally });
        Ok(named.collect())
    }
}

/// Writes of one commit. The first that fails fails all; what it returned is then of no meaning.
#[derive(Debug)]
pub struct Batch<'a> {
    transaction: &'a Transaction<'a>,
    failed: std::cell::RefCell<Option<rusqlite::Error>>,
}

impl Batch<'_> {
    /// Settles one envelope.
    pub fn settle(&self, stream: &Stream, seq: u64, content: &Content) -> Settled {
        let (refused, report) = match content {
            Ok(report) => (None, &report[..]),
            Err(reason) => (Some(reason.as_str()), &[][..]),
        };
        let written = self.run(|t| {
            let new = t
                .prepare_cached("INSERT OR IGNORE INTO reports VALUES (?, ?, ?, ?, ?, ?)")?
                .execute(params![
                    stream.agent,
                    signed(stream.epoch),
                    signed(seq),
                    stream.scheme,
                    refused,
                    report
                ])?;
            if new == 0 {
                t.prepare_cached(
                    "UPDATE streams SET duplicates = duplicates + 1 WHERE agent = ? AND epoch = ?",
                )?
                .execute(params![stream.agent, signed(stream.epoch)])?;
            }
            Ok(new)
        });
        if written == Some(0) { Settled::Duplicate } else { Settled::New }
    }

    /// Notes the highest number that an agent says it gave out.
    pub fn announce(&self, stream: &Stream, through: u64) {
        self.run(|t| {
            t.prepare_cached(
                "UPDATE streams SET announced = MAX(announced, ?) WHERE agent = ? AND epoch = ?",
            )?
            .execute(params![signed(through), stream.agent, signed(stream.epoch)])
        });
    }

    fn run<R>(&self, work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<R>) -> Option<R> {
        if self.failed.borrow().is_some() {
            return None;
        }
        work(self.transaction).map_err(|e| *self.failed.borrow_mut() = Some(e)).ok()
    }
}

fn progress(t: &Transaction<'_>, stream: &Stream) -> rusqlite::Result<Progress> {
    let key = params![stream.agent, signed(stream.epoch)];
    // The first number whose successor is missing ends the settled run, if that run starts at 1.
    let through: Option<i64> = t
        .prepare_cached(
            "SELECT r.seq FROM reports r WHERE r.agent = ?1 AND r.epoch = ?2
               AND EXISTS (SELECT 1 FROM reports f WHERE f.agent = ?1 AND f.epoch = ?2 AND f.seq = 1)
               AND NOT EXISTS (SELECT 1 FROM reports n
                 WHERE n.agent = ?1 AND n.epoch = ?2 AND n.seq = r.seq + 1)
             ORDER BY r.seq LIMIT 1",
        )?
        .query_row(key, |r| r.get(0))
        .optional()?;
    let highest: Option<i64> = t
        .prepare_cached("SELECT MAX(seq) FROM reports WHERE agent = ? AND epoch = ?")?
        .query_row(key, |r| r.get(0))?;
    Ok(Progress {
        through: unsigned(through.unwrap_or(0)),
        highest: unsigned(highest.unwrap_or(0)),
    })
}

fn error(path: &Path, what: &rusqlite::Error) -> StoreError {
    StoreError { path: path.into(), what: what.to_string() }
}

/// SQLite's integers are signed; the wire's rules keep ours in range.
fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn unsigned(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}
