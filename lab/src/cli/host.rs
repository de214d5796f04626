//! `ashiato host`: the daemon of a machine or container that takes part in runs over several hosts.

use crate::exit::Exit;
use crate::hosts::{self, Config};
use anyhow::{Result, bail};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// What to do.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The host's configuration: where the director is, and what this host lets it do.
    #[arg(
        long,
        env = "ASHIATO_HOST_CONFIG",
        value_name = "FILE",
        required_unless_present_any = ["check", "director"]
    )]
    config: Option<PathBuf>,
    /// Where the director listens, instead of a configuration.
    #[arg(
        long,
        env = "ASHIATO_HOST_DIRECTOR",
        value_name = "ADDRESS:PORT",
        requires = "underlay",
        conflicts_with = "config"
    )]
    director: Option<SocketAddr>,
    /// This host's address for tunnels, where there is no configuration.
    #[arg(long, env = "ASHIATO_HOST_UNDERLAY", value_name = "ADDRESS", requires = "director")]
    underlay: Option<IpAddr>,
    /// Folder of an enrolment's keys, where there is no configuration.
    #[arg(long, env = "ASHIATO_HOST_KEYS", value_name = "DIR", default_value = "/etc/ashiato")]
    keys: PathBuf,
    /// End after one run.
    #[arg(long, env = "ASHIATO_HOST_ONCE")]
    once: bool,
    /// Only say whether a daemon runs here and has its director on the line.
    #[arg(long)]
    check: bool,
}

/// Takes part in runs until it is interrupted.
///
/// # Errors
/// Bad files exit with 2; `--check` with 3 where the daemon is not ready.
pub fn run(args: &Args) -> Result<Exit> {
    if args.check {
        hosts::check()?;
        return Ok(Exit::Met);
    }
    let config = match (&args.config, args.director.zip(args.underlay)) {
        (Some(file), _) => Config::read(file)?,
        (None, Some((director, underlay))) => Config::enrolled(director, underlay, &args.keys),
        (None, None) => bail!("invariant: clap asks for a configuration or a director"),
    };
    hosts::serve(&config, args.once)?;
    Ok(Exit::Met)
}
