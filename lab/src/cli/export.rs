//! `ashiato export`: a finished run as one file.

use crate::archive;
use crate::exit::Exit;
use crate::run::finished::Finished;
use anyhow::{Context, Result};
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::PathBuf;

/// Arguments of `export`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run's folder, or its id under `runs/`.
    pub run: PathBuf,
    /// The file, instead of `<id>.tar.gz`.
    #[arg(long, env = "ASHIATO_EXPORT_OUT")]
    pub out: Option<PathBuf>,
}

/// Packs the run, and prints the name of the file.
///
/// # Errors
/// Where the folder is not what the run wrote (exit 2), or the file cannot be written.
pub fn run(args: &Args) -> Result<Exit> {
    let run = Finished::open(&args.run)?;
    let wrong = run.check_all()?;
    if !wrong.is_empty() {
        let why = format!("{}: {}; nothing was packed", run.path().display(), wrong.join("; "));
        return Err(Exit::Usage.refuse(why));
    }
    let id = &run.summary.run;
    let out = args.out.clone().unwrap_or_else(|| format!("{id}.tar.gz").into());
    let part = out.with_extension("part");
    let write = || -> Result<()> {
        let mut file = BufWriter::new(File::create(&part)?);
        archive::pack(id, run.path(), &mut file)?;
        file.into_inner()?.sync_all()?;
        Ok(fs::rename(&part, &out)?)
    };
    write().with_context(|| format!("cannot write {}", out.display())).inspect_err(|_| {
        // Half an archive helps nobody.
        let _ = fs::remove_file(&part);
    })?;
    super::print(format!("{}\n", out.display()))?;
    Ok(Exit::Met)
}
