//! `ashiato validate FILE`: whether a scenario can be planned, and all that is wrong if not.

use super::load::Given;
use crate::exit::Exit;

/// Arguments of `ashiato validate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    given: Given,
}

/// Runs the verb.
///
/// # Errors
/// [`Exit::Usage`] where the scenario cannot be planned.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let (scenario, plan) = args.given.plan()?;
    let text = format!(
        "{}: sound; {} routers, {} hosts, {} flows, {} schemes; plan {}\n",
        args.given.file.display(),
        plan.routers.len(),
        plan.hosts.len(),
        plan.flows.len(),
        scenario.spec.scheme.len(),
        plan.sha256()
    );
    super::print(text)?;
    Ok(Exit::Met)
}
