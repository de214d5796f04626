//! `ashiato compose`: the compose file of a scenario, and the keys of its containers.

use super::load::Given;
use super::print;
use crate::compose::{Compose, Options, SUBNET};
use crate::exit::Exit;
use anyhow::Result;
use ipnet::Ipv4Net;
use std::path::PathBuf;

/// The image's name, where no other is asked for.
pub(super) const IMAGE: &str = "ashiato:local";

/// What to write.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The scenario.
    #[command(flatten)]
    given: Given,
    /// The containers' network: no machine's own, and no other engine's.
    #[arg(long, env = "ASHIATO_COMPOSE_SUBNET", default_value = SUBNET)]
    subnet: Ipv4Net,
    /// The image with the three programs.
    #[arg(long, env = "ASHIATO_COMPOSE_IMAGE", default_value = IMAGE)]
    image: String,
    /// For engines that do not know CAP_BPF: CAP_SYS_ADMIN instead, where programs are loaded.
    #[arg(long, env = "ASHIATO_COMPOSE_SYS_ADMIN")]
    sys_admin: bool,
    /// Instead of the file, make keys and configurations into this folder: what the containers do first.
    #[arg(long, value_name = "DIR", env = "ASHIATO_COMPOSE_PREPARE")]
    prepare: Option<PathBuf>,
}

/// Prints the compose file, or makes the keys.
///
/// # Errors
/// Bad files exit with 2.
pub fn run(args: &Args) -> Result<Exit> {
    let (scenario, plan) = args.given.plan()?;
    let compose = Compose::of(&plan, scenario.spec.datapath, args.subnet)?;
    if let Some(dir) = &args.prepare {
        compose.prepare(dir)?;
        return Ok(Exit::Met);
    }
    let file = args.given.file.display().to_string();
    let options = Options {
        image: args.image.clone(),
        // A path that is neither absolute nor begins with a dot would be a volume's name.
        scenario: if file.starts_with(['/', '.']) { file } else { format!("./{file}") },
        given: args.given.words(),
        runs: "./runs".into(),
        one: false,
        sys_admin: args.sys_admin,
    };
    print(compose.to_yaml(&options))?;
    Ok(Exit::Met)
}
