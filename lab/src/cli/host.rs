//! `ashiato host`: the daemon of a machine or container that takes part in runs over several hosts.

use crate::exit::Exit;
use crate::hosts::{self, Config};
use crate::safety::records::Records;
use crate::safety::site::PATH;
use crate::safety::{Bounds, Caps, Site, evidence};
use anyhow::{Result, bail};
use std::fmt::Write;
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
    /// This site's policy: what the local administrator lets experiments do.
    #[arg(long, env = "ASHIATO_SITE", value_name = "FILE", default_value = PATH)]
    site: PathBuf,
    /// End after one run.
    #[arg(long, env = "ASHIATO_HOST_ONCE")]
    once: bool,
    /// Only say what this site permits, and whether a daemon runs here and has its director on the line.
    #[arg(long)]
    check: bool,
}

/// Takes part in runs until it is interrupted.
///
/// # Errors
/// Bad files exit with 2; `--check` with 3 where the daemon is not ready.
pub fn run(args: &Args) -> Result<Exit> {
    if args.check {
        super::print(permitted(&args.site)?)?;
        hosts::check()?;
        return Ok(Exit::Met);
    }
    let config = match (&args.config, args.director.zip(args.underlay)) {
        (Some(file), _) => Config::read(file)?,
        (None, Some((director, underlay))) => Config::enrolled(director, underlay, &args.keys),
        (None, None) => bail!("invariant: clap asks for a configuration or a director"),
    };
    hosts::serve(&config, &args.site, args.once)?;
    Ok(Exit::Met)
}

/// What is allowed here, layer by layer, and what they leave together.
fn permitted(path: &std::path::Path) -> Result<String> {
    let site = Site::read(path)?;
    let records = Records::at(&site.records);
    let introduced = records.is_introduced();
    let mut out = String::new();
    writeln!(out, "compiled   {}", Bounds::compiled(Caps::CEILING))?;
    let from = if site.written { path.display().to_string() } else { "no file".into() };
    writeln!(out, "site       {} ({from})", site.bounds())?;
    let first = if introduced { "" } else { " (no run ended well here yet)" };
    writeln!(out, "effective  {}{first}", site.effective(None, introduced))?;
    for signer in &site.signers {
        writeln!(out, "signer     {} for {}", signer.person, signer.role)?;
    }
    let log = records.evidence_path();
    if log.exists() {
        let head = evidence::check(&log)?;
        writeln!(out, "evidence   {} lines, the last one {}", head.lines, head.hash)?;
    }
    Ok(out)
}
