//! The run folder: every file whole or not at all, and a checksum of each at the end.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// A folder that a run fills.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    run: String,
    events: File,
    seq: u64,
}

impl Folder {
    /// Makes the folder, which must not hold a run already.
    ///
    /// # Errors
    /// Where it cannot be made, or is not empty.
    pub fn create(path: &Path, run: &str) -> Result<Self> {
        let shown = path.display();
        fs::create_dir_all(path).with_context(|| format!("cannot make the run folder {shown}"))?;
        let taken = fs::read_dir(path)?.next().is_some();
        anyhow::ensure!(!taken, "{shown} is not empty: give --out a new folder");
        let events = path.join("events.ndjson");
        let events = OpenOptions::new().create_new(true).append(true).open(events)?;
        Ok(Self { path: path.to_path_buf(), run: run.into(), events, seq: 0 })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file under the folder, replacing it whole.
    ///
    /// # Errors
    /// Where the disk refuses; the old file, if any, is untouched.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> Result<()> {
        let to = self.path.join(name);
        let whole = || -> std::io::Result<()> {
            if let Some(parent) = to.parent() {
                fs::create_dir_all(parent)?;
            }
            let part = to.with_extension("part");
            let mut file = File::create(&part)?;
            file.write_all(bytes.as_ref())?;
            file.sync_all()?;
            fs::rename(&part, &to)
        };
        whole().with_context(|| format!("cannot write {}", to.display()))
    }

    /// Writes pretty JSON.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn write_json(&self, name: &str, value: &impl serde::Serialize) -> Result<()> {
        let mut text = serde_json::to_string_pretty(value)?;
        text.push('\n');
        self.write(name, text)
    }

    /// Appends an event, with time, run and number before its own fields.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn event(&mut self, event: &str, fields: Value) -> Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let ts = format!("{}.{:09}", now.as_secs(), now.subsec_nanos());
        let line = json!({
            "v": 1, "ts": ts, "run": self.run, "seq": self.seq, "event": event, event: fields,
        });
        self.seq += 1;
        writeln!(self.events, "{line}").context("cannot append to events.ndjson")
    }

    /// Writes `SHA256SUMS` over every other file, in the form that `sha256sum -c` reads.
    ///
    /// # Errors
    /// Where a file cannot be read.
    pub fn seal(&self) -> Result<()> {
        let mut files = vec![];
        list(&self.path, &mut files)?;
        files.sort();
        let mut sums = String::new();
        for file in files.iter().filter(|f| !f.ends_with("SHA256SUMS")) {
            let name = file.strip_prefix(&self.path).unwrap_or(file).display();
            let hash = sum(file)?;
            writeln!(sums, "{hash}  {name}")?;
        }
        self.write("SHA256SUMS", sums)
    }
}

/// A file's sum, as `SHA256SUMS` has it.
pub(super) fn sum(file: &Path) -> std::io::Result<String> {
    Ok(hex::encode(Sha256::digest(fs::read(file)?)))
}

/// All files under a folder.
pub(crate) fn list(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            list(&entry.path(), files)?;
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}
