//! `ashiato schema [scenario|plan|summary|policy]`: JSON Schemas, for editors and other programs.

use crate::exit::Exit;
use crate::plan::Plan;
use crate::scenario;
use crate::summary::Summary;
use clap::ValueEnum;

/// Arguments of `ashiato schema`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Of which file.
    #[arg(value_enum, default_value_t)]
    what: What,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum What {
    #[default]
    Scenario,
    Plan,
    Summary,
    Policy,
}

/// Runs the verb.
///
/// # Errors
/// Where standard output cannot be written.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let schema = match args.what {
        What::Scenario => scenario::schema(),
        What::Plan => schemars::schema_for!(Plan).to_value(),
        What::Summary => schemars::schema_for!(Summary).to_value(),
        What::Policy => scenario::policies::schema(),
    };
    super::print(format!("{schema:#}\n"))?;
    Ok(Exit::Met)
}
