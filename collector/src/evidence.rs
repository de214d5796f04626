//! The log of evidence: who asked, signed, started, stopped, refused. Each line holds the hash of the one before.
//!
//! ```text
//! {"seq":0,"ts":"2026-11-22T22:30:00Z","event":"admitted","fields":{...},"prev":"00..","hash":"5e.."}
//! ```
//! `hash` is SHA-256 over `prev`, a line feed, and the line as JSON without `prev` and `hash`. Whoever keeps
//! the last hash can tell whether anything before it was changed, taken out or put in.
//!
//! What may not be kept any longer is removed: its line keeps its hashes, and a later line `removed` names it.
//! A line without its fields that none names breaks the chain.

use crate::clock::Utc;
use anyhow::{Context, Result, ensure};
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Its name in a run's folder.
pub const EVIDENCE: &str = "evidence.ndjson";
/// The event that names lines whose content was removed.
const REMOVED: &str = "removed";

/// A log that is written.
#[derive(Debug)]
pub struct Evidence {
    path: PathBuf,
    /// Where it ended after our last line, so that it is read again only where somebody else wrote since.
    end: Mutex<Option<(u64, Head)>>,
}

/// What a line says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fact {
    /// Its number, from 0.
    pub seq: u64,
    /// When it was written.
    pub ts: Utc,
    /// What happened.
    pub event: String,
    /// With whom, why and how.
    pub fields: Value,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Line {
    #[serde(flatten)]
    fact: Fact,
    prev: String,
    hash: String,
}

/// Where a log ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Lines in it.
    pub lines: u64,
    /// Hash of the last one; zeros where there is none.
    pub hash: String,
}

impl Evidence {
    /// Opens a log, or begins one.
    ///
    /// # Errors
    /// Where it cannot be read, or its chain is broken: nothing is added to such a log.
    pub fn open(path: &Path) -> Result<Self> {
        let end = if path.exists() {
            let (_, head, whole) = read(path)?;
            Some((whole, head))
        } else {
            None
        };
        Ok(Self { path: path.into(), end: Mutex::new(end) })
    }

    /// Adds a line, which is on the disk when this returns.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn add(&self, event: &str, fields: Value) -> Result<()> {
        self.add_all(vec![(event.to_owned(), fields)])
    }

    /// Adds lines, which are on the disk when this returns.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn add_all(&self, facts: Vec<(String, Value)>) -> Result<()> {
        let shown = self.path.display();
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file = lock(&self.path).with_context(|| format!("cannot open {shown}"))?;
        let length = file.metadata().with_context(|| format!("cannot read {shown}"))?.len();
        let mut head = match end.take().filter(|(at, _)| *at == length) {
            Some((_, head)) => head,
            None => {
                let (_, head, whole) = read(&self.path)?;
                // What a power cut left of a line was never written.
                file.set_len(whole).with_context(|| format!("cannot mend {shown}"))?;
                head
            }
        };
        let mut text = String::new();
        for (event, fields) in facts {
            let fact = Fact { seq: head.lines, ts: Utc::now(), event, fields };
            let hash = hash(&head.hash, &fact)?;
            head.lines += 1;
            let prev = std::mem::replace(&mut head.hash, hash.clone());
            text += &(serde_json::to_string(&Line { fact, prev, hash })? + "\n");
        }
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_data());
        written.with_context(|| format!("cannot write {shown}"))?;
        *end = Some((file.metadata()?.len(), head));
        Ok(())
    }

    /// Removes what lines say whose time is over; how many.
    ///
    /// # Errors
    /// When the disk refuses; the log is then as it was.
    pub fn remove(&self, is_over: impl Fn(&Fact) -> bool) -> Result<usize> {
        let (lines, _, _) = read(&self.path)?;
        let is_old = |line: &&Line| !line.fact.fields.is_null() && line.fact.event != REMOVED;
        let over: BTreeSet<u64> = lines
            .iter()
            .filter(is_old)
            .map(|line| &line.fact)
            .filter(|fact| is_over(fact))
            .map(|fact| fact.seq)
            .collect();
        if over.is_empty() {
            return Ok(0);
        }
        // Named first: a line whose content is gone is never unexplained.
        self.add(REMOVED, json!({ "lines": over }))?;
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        let _held = lock(&self.path)?;
        let (mut lines, head, _) = read(&self.path)?;
        let mut text = String::new();
        for line in &mut lines {
            if over.contains(&line.fact.seq) {
                line.fact.fields = Value::Null;
            }
            text += &(serde_json::to_string(line)? + "\n");
        }
        let beside = self.path.with_extension("new");
        let mut file = File::create(&beside)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all())?;
        fs::rename(&beside, &self.path)
            .with_context(|| format!("cannot replace {}", self.path.display()))?;
        *end = Some((text.len() as u64, head));
        Ok(over.len())
    }
}

/// Checks every line of a log.
///
/// # Errors
/// Names the first line that does not follow from those before it.
pub fn check(path: &Path) -> Result<Head> {
    read(path).map(|(_, head, _)| head)
}

/// What a log says, after it was checked; nothing where there is none yet.
///
/// # Errors
/// As [`check`].
pub fn facts(path: &Path) -> Result<Vec<Fact>> {
    if !path.exists() {
        return Ok(vec![]);
    }
    Ok(read(path)?.0.into_iter().map(|line| line.fact).collect())
}

fn lock(path: &Path) -> Result<Flock<File>> {
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, e)| e.into())
}

/// The lines, the head, and how many bytes are whole lines.
fn read(path: &Path) -> Result<(Vec<Line>, Head, u64)> {
    let shown = path.display();
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    let whole = text.rfind('\n').map_or(0, |at| at + 1);
    let mut head = Head { lines: 0, hash: "0".repeat(64) };
    let (mut lines, mut bare, mut named) = (vec![], BTreeSet::new(), BTreeSet::new());
    for line in text[..whole].lines() {
        let number = head.lines + 1;
        let said: Line = serde_json::from_str(line)
            .with_context(|| format!("{shown}: line {number} is no evidence"))?;
        let is_bare = said.fact.fields.is_null();
        let follows = said.fact.seq == head.lines
            && said.prev == head.hash
            && (is_bare || said.hash == hash(&said.prev, &said.fact)?);
        ensure!(follows, "{shown}: line {number} does not follow from those before it");
        if is_bare {
            bare.insert(said.fact.seq);
        }
        if said.fact.event == REMOVED {
            let gone = said.fact.fields["lines"].as_array().into_iter().flatten();
            named.extend(gone.filter_map(Value::as_u64));
        }
        head = Head { lines: number, hash: said.hash.clone() };
        lines.push(said);
    }
    if let Some(odd) = bare.difference(&named).next() {
        anyhow::bail!("{shown}: line {} was emptied, and no later line says so", odd + 1);
    }
    Ok((lines, head, whole as u64))
}

fn hash(prev: &str, fact: &Fact) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(prev);
    hash.update("\n");
    hash.update(serde_json::to_vec(fact)?);
    Ok(hex::encode(hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("ashiato-{name}-{}", std::process::id()));
        let _ = fs::remove_file(&path);
        path
    }

    #[test]
    fn a_line_that_is_changed_or_taken_out_shows() {
        let path = fresh("evidence");
        let log = Evidence::open(&path).unwrap();
        for run in ["a", "b", "c"] {
            log.add("admitted", json!({ "run": run, "by": ["safety"] })).unwrap();
        }
        let head = check(&path).unwrap();
        assert_eq!(head.lines, 3);
        let text = fs::read_to_string(&path).unwrap();
        // Half a line, as a power cut leaves it, is taken away before the next.
        fs::write(&path, format!("{text}{{\"seq\":3")).unwrap();
        Evidence::open(&path).unwrap().add("ended", json!({})).unwrap();
        log.add("ended", json!({ "seen": "also what another wrote" })).unwrap();
        assert_eq!(check(&path).unwrap().lines, 5);
        let lines: Vec<&str> = text.lines().collect();
        let without = [lines[0], lines[2], ""].join("\n");
        for bad in [text.replace("\"b\"", "\"x\""), without, "{}\n".into()] {
            fs::write(&path, bad).unwrap();
            assert!(check(&path).is_err());
            assert!(Evidence::open(&path).is_err());
        }
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn what_is_removed_is_gone_and_named() {
        let path = fresh("evidence-removal");
        let log = Evidence::open(&path).unwrap();
        log.add_all(["stale", "fresh"].map(|w| ("told".to_owned(), json!({ "word": w }))).to_vec())
            .unwrap();
        assert_eq!(log.remove(|fact| fact.fields["word"] == "stale").unwrap(), 1);
        assert_eq!(log.remove(|fact| fact.fields["word"] == "stale").unwrap(), 0);
        log.add("told", json!({})).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains("stale") && text.contains("fresh"), "{text}");
        assert_eq!(facts(&path).unwrap().len(), 4);
        // Emptied by somebody who does not say so.
        fs::write(&path, text.replace("{\"word\":\"fresh\"}", "null")).unwrap();
        assert!(check(&path).unwrap_err().to_string().contains("line 2 was emptied"));
        fs::remove_file(path).unwrap();
    }
}
