//! The folder of a sweep: what it is about, and one line for each run that is done.
//!
//! `sweep.json` says what is swept, `scenario.toml` holds the file as typed, `cells.ndjson` grows by
//! whole lines. A line that a kill cut short is cut off when the sweep goes on.

use super::Request;
use super::grid::Grid;
use crate::exit::Exit;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Version of the files.
pub const SCHEMA: &str = "ashiato.sweep/1";

/// What a sweep is about. Two sweeps with equal headers have equal results.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`SCHEMA`].
    pub schema: String,
    /// Version of this program: another one may count differently.
    pub ashiato: String,
    /// The scenario's name.
    pub scenario: String,
    /// Hash of the file as typed.
    pub scenario_sha256: String,
    /// Values put over it.
    pub set: Vec<String>,
    /// Schemes instead of the file's.
    pub schemes: Vec<String>,
    /// The first seed.
    pub seed: u64,
    /// The axes.
    pub vary: Grid,
}

impl Header {
    pub(super) fn new(request: &Request, scenario: String, seed: u64) -> Self {
        Self {
            schema: SCHEMA.into(),
            ashiato: env!("CARGO_PKG_VERSION").into(),
            scenario,
            scenario_sha256: hex::encode(Sha256::digest(&request.text)),
            set: request.set.clone(),
            schemes: request.schemes.clone(),
            seed,
            vary: request.grid.clone(),
        }
    }

    /// A folder that the same command finds again: `sweeps/<scenario>-<hash>`.
    pub fn folder(&self) -> PathBuf {
        let hash = hex::encode(Sha256::digest(serde_json::to_vec(self).unwrap_or_default()));
        Path::new("sweeps").join(format!("{}-{}", self.scenario, &hash[..8]))
    }
}

/// One run of one point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Position in the grid.
    pub point: usize,
    /// Repetition, from 0.
    pub repeat: u32,
    /// Its seed.
    pub seed: u64,
    /// Why it says nothing; empty where it does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub void: Vec<String>,
    /// One row for each scheme.
    pub rows: Vec<Row>,
}

/// One scheme's turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Scheme id.
    pub scheme: String,
    /// Packets that senders sent.
    pub packets: u64,
    /// Why it found nothing, in a word.
    pub gap: Option<String>,
    /// By measure; null where it is censored.
    pub readings: BTreeMap<String, Option<f64>>,
}

/// The folder while a sweep goes on.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    done: BTreeSet<(usize, u32)>,
    file: Mutex<File>,
}

const CELLS: &str = "cells.ndjson";

impl Store {
    /// Makes the folder, or goes on with it.
    ///
    /// # Errors
    /// [`Exit::Usage`] where it is another sweep's, or another process sweeps into it.
    pub fn open(folder: &Path, header: &Header, scenario: &str) -> Result<Self> {
        let shown = folder.display();
        fs::create_dir_all(folder).with_context(|| format!("cannot make {shown}"))?;
        let name = folder.join("sweep.json");
        match fs::read(&name) {
            Ok(bytes) if serde_json::from_slice::<Header>(&bytes).ok().as_ref() != Some(header) => {
                let why = format!("{shown} holds another sweep: give --out a new folder");
                return Err(Exit::Usage.refuse(why));
            }
            Ok(_) => {}
            Err(_) if fs::read_dir(folder)?.next().is_some() => {
                let why =
                    format!("{shown} is not empty and holds no sweep: give --out a new folder");
                return Err(Exit::Usage.refuse(why));
            }
            Err(_) => {
                write(folder, "scenario.toml", scenario)?;
                write(folder, "sweep.json", &(serde_json::to_string_pretty(header)? + "\n"))?;
            }
        }
        let file = OpenOptions::new().create(true).append(true).open(folder.join(CELLS))?;
        if file.try_lock().is_err() {
            return Err(Exit::Usage.refuse(format!("another process sweeps into {shown}")));
        }
        let (cells, whole) = load(folder)?;
        file.set_len(whole)?;
        let done = cells.iter().map(|c| (c.point, c.repeat)).collect();
        Ok(Self { folder: folder.into(), done, file: Mutex::new(file) })
    }

    /// Whether a run was done before.
    pub fn has(&self, point: usize, repeat: u32) -> bool {
        self.done.contains(&(point, repeat))
    }

    /// Adds a run.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn add(&self, cell: &Cell) -> Result<()> {
        let line = serde_json::to_string(cell)? + "\n";
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        // One write, so that a kill cuts at most this line.
        file.write_all(line.as_bytes()).context("cannot append to cells.ndjson")
    }

    /// Ends, and returns the runs of the first repetitions in order. They are read back from the disk, so
    /// that numbers are the same whether a sweep was killed or not.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn close(self, repeat: u32) -> Result<Vec<Cell>> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).sync_all()?;
        let (mut cells, _) = load(&self.folder)?;
        cells.retain(|c| c.repeat < repeat);
        cells.sort_by_key(|c| (c.point, c.repeat));
        Ok(cells)
    }
}

/// Whole lines, and how many bytes they take.
fn load(folder: &Path) -> Result<(Vec<Cell>, u64)> {
    let text = fs::read(folder.join(CELLS))?;
    let mut cells = vec![];
    let mut whole = 0;
    for line in text.split_inclusive(|b| *b == b'\n') {
        let Ok(cell) = serde_json::from_slice(line) else { break };
        if line.last() != Some(&b'\n') {
            break;
        }
        cells.push(cell);
        whole += line.len() as u64;
    }
    Ok((cells, whole))
}

/// Writes a file whole or not at all.
pub(super) fn write(folder: &Path, name: &str, text: &str) -> Result<()> {
    let to = folder.join(name);
    let whole = || -> std::io::Result<()> {
        fs::create_dir_all(to.parent().unwrap_or(folder))?;
        let part = to.with_extension("part");
        fs::write(&part, text)?;
        fs::rename(&part, &to)
    };
    whole().with_context(|| format!("cannot write {}", to.display()))
}
