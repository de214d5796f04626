//! The log of evidence: who signed, started, stopped, refused. Each line holds the hash of the one before.
//!
//! ```text
//! {"seq":0,"ts":"2026-11-22T22:30:00Z","event":"admitted","fields":{...},"prev":"00..","hash":"5e.."}
//! ```
//! `hash` is SHA-256 over `prev`, a line feed, and the line as JSON without `prev` and `hash`. Whoever keeps
//! the last hash can tell whether anything before it was changed, taken out or put in.

use super::clock::Utc;
use super::records::append;
use anyhow::{Context, Result, ensure};
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};

/// Its name in a run's folder.
pub const EVIDENCE: &str = "evidence.ndjson";

/// A log that is written.
#[derive(Debug)]
pub struct Evidence {
    path: PathBuf,
}

/// What is hashed of a line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Fact {
    seq: u64,
    ts: Utc,
    event: String,
    fields: Value,
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
        if path.exists() {
            check(path)?;
        }
        Ok(Self { path: path.into() })
    }

    /// Adds a line, which is on the disk when this returns.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn add(&self, event: &str, fields: Value) -> Result<()> {
        let shown = self.path.display();
        let open = || -> Result<Flock<File>> {
            let file = OpenOptions::new().create(true).append(true).open(&self.path)?;
            Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, e)| e.into())
        };
        let mut file = open().with_context(|| format!("cannot open {shown}"))?;
        let (head, whole) = read(&self.path)?;
        // What a power cut left of a line was never written.
        file.set_len(whole).with_context(|| format!("cannot mend {shown}"))?;
        let fact = Fact { seq: head.lines, ts: Utc::now(), event: event.into(), fields };
        let hash = hash(&head.hash, &fact)?;
        let line = serde_json::to_string(&Line { fact, prev: head.hash, hash })? + "\n";
        append(&mut file, &line).with_context(|| format!("cannot write {shown}"))
    }
}

/// Checks every line of a log.
///
/// # Errors
/// Names the first line that does not follow from those before it.
pub fn check(path: &Path) -> Result<Head> {
    read(path).map(|(head, _)| head)
}

/// The head, and how many bytes are whole lines.
fn read(path: &Path) -> Result<(Head, u64)> {
    let shown = path.display();
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    let whole = text.rfind('\n').map_or(0, |at| at + 1);
    let mut head = Head { lines: 0, hash: "0".repeat(64) };
    for line in text[..whole].lines() {
        let number = head.lines + 1;
        let said: Line = serde_json::from_str(line)
            .with_context(|| format!("{shown}: line {number} is no evidence"))?;
        let follows = said.fact.seq == head.lines
            && said.prev == head.hash
            && said.hash == hash(&said.prev, &said.fact)?;
        ensure!(follows, "{shown}: line {number} does not follow from those before it");
        head = Head { lines: number, hash: said.hash };
    }
    Ok((head, whole as u64))
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
    use serde_json::json;

    #[test]
    fn a_line_that_is_changed_or_taken_out_shows() {
        let path = std::env::temp_dir().join(format!("ashiato-evidence-{}", std::process::id()));
        let _ = fs::remove_file(&path);
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
        assert_eq!(check(&path).unwrap().lines, 4);
        let lines: Vec<&str> = text.lines().collect();
        let without = [lines[0], lines[2], ""].join("\n");
        for bad in [text.replace("\"b\"", "\"x\""), without, "{}\n".into()] {
            fs::write(&path, bad).unwrap();
            assert!(check(&path).is_err());
            assert!(Evidence::open(&path).is_err());
        }
        fs::remove_file(path).unwrap();
    }
}
