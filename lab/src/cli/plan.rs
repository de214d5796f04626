//! `ashiato plan FILE`: everything that a run would make and send, and the best it could find.

use super::form::Form;
use super::load::Given;
use super::tables;
use crate::exit::Exit;

/// Arguments of `ashiato plan`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    given: Given,
    /// How to print; `json` gives the bytes of a run's plan.json.
    #[arg(long, value_enum, default_value_t, env = "ASHIATO_PLAN_FORMAT")]
    format: Form,
}

/// Runs the verb.
///
/// # Errors
/// [`Exit::Usage`] where the scenario cannot be planned.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let (_, plan) = args.given.plan()?;
    match args.format {
        Form::Json => super::print(plan.to_json())?,
        Form::Table => super::print(tables::plan(&plan))?,
    }
    Ok(Exit::Met)
}
