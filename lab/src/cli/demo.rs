//! `ashiato demo`: the built-in scenario, in network namespaces where that is allowed, else simulated.

use super::run::{self, Format, Ground, WorldName};
use crate::exit::Exit;
use crate::resolve;
use crate::scenario::{self, Overrides};
use anyhow::Result;
use std::path::PathBuf;

/// The scenario that the demo runs.
const SCENARIO: &str = include_str!("../../../scenarios/three-nations.toml");

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to run, instead of choosing.
    #[arg(long, value_enum, env = "ASHIATO_DEMO_WORLD")]
    pub world: Option<WorldName>,
    /// Folder of the run, instead of `runs/<id>`.
    #[arg(long, env = "ASHIATO_DEMO_OUT")]
    pub out: Option<PathBuf>,
    /// What to print.
    #[arg(long, value_enum, default_value = "table", env = "ASHIATO_DEMO_FORMAT")]
    pub format: Format,
}

/// Runs the demo.
///
/// # Errors
/// As [`run::one`].
pub fn run(args: &Args) -> Result<Exit> {
    let world = args.world.unwrap_or_else(choose);
    let scenario = scenario::parse("three-nations.toml", SCENARIO, &Overrides::default())
        .map_err(|r| Exit::Internal.refuse(r))?;
    let plan = resolve::plan(&scenario).map_err(|r| Exit::Internal.refuse(r))?;
    let ground = Ground { world, datapath: scenario.spec.datapath, hosts: None, manifest: None };
    let (ran, folder) = run::one(plan, SCENARIO, ground, args.out.as_deref(), false)?;
    run::show(&ran.summary, &folder, args.format)?;
    Ok(ran.exit)
}

fn choose() -> WorldName {
    if nix::unistd::geteuid().is_root() {
        eprintln!("demo: root, so real packets cross real network namespaces on this host");
        WorldName::Netns
    } else {
        eprintln!("demo: not root, so in the simulator; `sudo ashiato demo` sends real packets");
        WorldName::Sim
    }
}
