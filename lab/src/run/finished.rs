//! A finished run, read back from its folder.

use super::case::Kept;
use super::folder;
use crate::exit::Exit;
use crate::plan::Plan;
use crate::summary::{self, Summary};
use crate::truth::{Opened, Sealed};
use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use traceback::case::{Case, Gap};
use traceback::graph::Finding;
use traceback::report::Report;

/// A run's folder that holds a summary of this version.
#[derive(Debug)]
pub struct Finished {
    path: PathBuf,
    /// What the run says of itself.
    pub summary: Summary,
    /// Whose it is, when labs are compared: what was opened, as it was typed.
    pub lab: String,
}

/// A file under `graph/`: a finding, or why there is none.
#[derive(Deserialize)]
#[serde(untagged)]
enum Graph {
    Found(Finding),
    Missed(Gap),
}

impl Finished {
    /// Opens a folder, or the run of this id under `runs/`.
    ///
    /// # Errors
    /// [`Exit::Usage`] where there is no run of this version.
    pub fn open(run: &Path) -> Result<Self> {
        let path = if run.is_dir() { run.to_path_buf() } else { Path::new("runs").join(run) };
        let summary: Summary = serde_json::from_slice(&read(&path, "summary.json")?)
            .with_context(|| format!("{}/summary.json", path.display()))?;
        if summary.schema != summary::SCHEMA {
            let (is, want) = (&summary.schema, summary::SCHEMA);
            let why = format!("{}: summary is {is}, this build reads {want}", path.display());
            return Err(Exit::Usage.refuse(why));
        }
        Ok(Self { path, summary, lab: run.display().to_string() })
    }

    /// Opens a run, or every run in a folder of numbered runs as `run --repeat --out` leaves it, all of
    /// one lab.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_all(run: &Path) -> Result<Vec<Self>> {
        if !run.is_dir() || run.join("summary.json").exists() {
            return Ok(vec![Self::open(run)?]);
        }
        let entries = std::fs::read_dir(run)?.filter_map(|e| e.ok().map(|e| e.path()));
        let mut inside: Vec<_> = entries.filter(|p| p.join("summary.json").exists()).collect();
        inside.sort();
        if inside.is_empty() {
            return Err(absent(run, "summary.json", "no such file"));
        }
        let lab = run.display().to_string();
        inside.iter().map(|p| Ok(Self { lab: lab.clone(), ..Self::open(p)? })).collect()
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was to be run.
    ///
    /// # Errors
    /// [`Exit::Usage`] where the file is missing; this and the next where it does not decode.
    pub fn plan(&self) -> Result<Plan> {
        self.json("plan.json")
    }

    /// The opened truth.
    ///
    /// # Errors
    /// As [`Self::plan`].
    pub fn truth(&self) -> Result<Opened> {
        self.json("truth.json")
    }

    /// The commitments that were made before the truth was opened.
    ///
    /// # Errors
    /// As [`Self::plan`].
    pub fn sealed(&self) -> Result<Sealed> {
        self.json("truth.sealed")
    }

    /// What a scheme found.
    ///
    /// # Errors
    /// As [`Self::plan`].
    pub fn finding(&self, scheme: &str) -> Result<Result<Finding, Gap>> {
        Ok(match self.json(&format!("graph/{scheme}.json"))? {
            Graph::Found(finding) => Ok(finding),
            Graph::Missed(gap) => Err(gap),
        })
    }

    /// What a scheme's victim brought to the collector.
    ///
    /// # Errors
    /// As [`Self::plan`].
    pub fn case(&self, scheme: &str, plan: &Plan) -> Result<Case> {
        let turn = plan.schemes.iter().position(|s| s.id == scheme);
        let turn = turn.context("the plan has no such scheme")?;
        self.json::<Kept>(&format!("cases/{scheme}.json"))?.case(plan, turn)
    }

    /// Reports that the collector stored in a scheme's turn, in the order in which it got them.
    ///
    /// # Errors
    /// As [`Self::plan`].
    pub fn reports(&self, scheme: &str) -> Result<Vec<Report>> {
        let folder = self.path.join("reports").join(scheme);
        let entries = std::fs::read_dir(&folder)
            .map_err(|e| absent(&self.path, &format!("reports/{scheme}"), &e.to_string()))?;
        let mut files: Vec<PathBuf> =
            entries.map(|e| Ok(e?.path())).collect::<std::io::Result<_>>()?;
        files.sort();
        let decode = |file: &PathBuf| {
            Report::decode(&std::fs::read(file)?).with_context(|| file.display().to_string())
        };
        files.iter().map(decode).collect()
    }

    /// What happened, in order.
    ///
    /// # Errors
    /// As [`Self::plan`].
    pub fn events(&self) -> Result<Vec<Value>> {
        let text = read(&self.path, "events.ndjson")?;
        let lines = text.split(|b| *b == b'\n').filter(|line| !line.is_empty());
        let decode = |line| serde_json::from_slice(line).context("events.ndjson");
        lines.map(decode).collect()
    }

    /// Where and with what it was made: versions, kernel, processor, datapath.
    ///
    /// # Errors
    /// As [`Self::plan`].
    pub fn provenance(&self) -> Result<serde_json::Map<String, Value>> {
        self.json("provenance.json")
    }

    /// The scenario as its author typed it.
    ///
    /// # Errors
    /// As [`Self::plan`].
    pub fn scenario(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&read(&self.path, "scenario.toml")?).into_owned())
    }

    /// Checks every file of the folder against its `SHA256SUMS`: what is wrong, one line for each file.
    ///
    /// # Errors
    /// Where the sums or the folder cannot be read.
    pub fn check_all(&self) -> Result<Vec<String>> {
        let sums = read(&self.path, "SHA256SUMS")?;
        let sums = String::from_utf8_lossy(&sums);
        let mut named: BTreeMap<&str, &str> = sums
            .lines()
            .filter_map(|l| l.split_once("  "))
            .map(|(sum, name)| (name, sum))
            .collect();
        let (mut files, mut wrong) = (vec![], vec![]);
        folder::list(&self.path, &mut files)?;
        for file in files {
            let name = file.strip_prefix(&self.path).unwrap_or(&file).display().to_string();
            match named.remove(&*name) {
                None if name == "SHA256SUMS" => {}
                None => wrong.push(format!("{name} is no file of the run's")),
                Some(listed) if listed == folder::sum(&file)? => {}
                Some(_) => wrong.push(format!("{name} is not what the run wrote")),
            }
        }
        wrong.extend(named.keys().map(|name| format!("{name} is missing")));
        Ok(wrong)
    }

    /// Checks files of the folder against its `SHA256SUMS`.
    ///
    /// # Errors
    /// [`Exit::Usage`] where a file is not what the run wrote.
    pub fn check(&self, names: &[&str]) -> Result<()> {
        let sums = read(&self.path, "SHA256SUMS")?;
        let sums = String::from_utf8_lossy(&sums);
        for name in names {
            let file = self.path.join(name);
            let hash = folder::sum(&file).map_err(|e| absent(&self.path, name, &e.to_string()))?;
            if !sums.lines().any(|line| line == format!("{hash}  {name}")) {
                let path = self.path.display();
                let why = format!("{path}/{name} is not what the run wrote: its sum differs");
                return Err(Exit::Usage.refuse(why));
            }
        }
        Ok(())
    }

    fn json<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        let bytes = read(&self.path, name)?;
        serde_json::from_slice(&bytes).with_context(|| format!("{}/{name}", self.path.display()))
    }
}

fn read(folder: &Path, name: &str) -> Result<Vec<u8>> {
    std::fs::read(folder.join(name)).map_err(|e| absent(folder, name, &e.to_string()))
}

fn absent(folder: &Path, name: &str, why: &str) -> anyhow::Error {
    let file = folder.join(name);
    Exit::Usage.refuse(format!("{}: {why}: give the folder of a finished run", file.display()))
}
