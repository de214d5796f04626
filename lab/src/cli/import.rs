//! `ashiato import`: a run that another lab packed.

use super::form::Form;
use super::verify;
use crate::archive;
use crate::exit::Exit;
use crate::run::finished::Finished;
use anyhow::Result;
use std::path::PathBuf;

/// Arguments of `import`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The archive that `export` wrote.
    pub archive: PathBuf,
    /// Folder of the run, instead of `runs/<id>`; it must not exist.
    #[arg(long, env = "ASHIATO_IMPORT_OUT")]
    pub out: Option<PathBuf>,
    /// Form of the answer.
    #[arg(long, value_enum, default_value_t, env = "ASHIATO_IMPORT_FORMAT")]
    pub format: Form,
}

/// Unpacks the run and checks it; it stays also where a check fails.
///
/// # Errors
/// Where the archive is none of a run of this version (exit 2).
pub fn run(args: &Args) -> Result<Exit> {
    let folder = archive::unpack(&args.archive, args.out.as_deref())?;
    eprintln!("unpacked into {}", folder.display());
    verify::show(&crate::verify::verify(&Finished::open(&folder)?)?, args.format)
}
