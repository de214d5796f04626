//! `ashiato new FILE`: a scenario to start from, copied from one of those shipped.

use crate::exit::Exit;
use anyhow::Context;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

/// The shipped scenarios by name.
pub const SHIPPED: &[(&str, &str)] = &[
    ("first", include_str!("../../../scenarios/first.toml")),
    ("three-nations", include_str!("../../../scenarios/three-nations.toml")),
    ("three-nations-per-packet", include_str!("../../../scenarios/three-nations-per-packet.toml")),
    ("single-packet", include_str!("../../../scenarios/single-packet.toml")),
    ("first-v6", include_str!("../../../scenarios/first-v6.toml")),
    ("ioam", include_str!("../../../scenarios/ioam.toml")),
    ("itrace", include_str!("../../../scenarios/itrace.toml")),
    ("process-per-router", include_str!("../../../scenarios/process-per-router.toml")),
    ("borders", include_str!("../../../scenarios/borders.toml")),
    ("refusal", include_str!("../../../scenarios/refusal.toml")),
    ("handed-over", include_str!("../../../scenarios/handed-over.toml")),
    ("field-trial", include_str!("../../../scenarios/field-trial.toml")),
    ("x-marks-random", include_str!("../../../scenarios/x-marks-random.toml")),
    ("x-marks-every", include_str!("../../../scenarios/x-marks-every.toml")),
    ("x-marks-replayed", include_str!("../../../scenarios/x-marks-replayed.toml")),
    ("x-marks-distance", include_str!("../../../scenarios/x-marks-distance.toml")),
    ("x-ttl", include_str!("../../../scenarios/x-ttl.toml")),
    ("x-router-silent", include_str!("../../../scenarios/x-router-silent.toml")),
    ("x-router-erases", include_str!("../../../scenarios/x-router-erases.toml")),
    ("x-router-denies", include_str!("../../../scenarios/x-router-denies.toml")),
    ("x-router-poses", include_str!("../../../scenarios/x-router-poses.toml")),
    ("x-route-change", include_str!("../../../scenarios/x-route-change.toml")),
    ("x-loss", include_str!("../../../scenarios/x-loss.toml")),
    ("x-multipath", include_str!("../../../scenarios/x-multipath.toml")),
    ("x-nat", include_str!("../../../scenarios/x-nat.toml")),
    ("x-fragments", include_str!("../../../scenarios/x-fragments.toml")),
    ("x-link-conditions", include_str!("../../../scenarios/x-link-conditions.toml")),
    ("x-faults", include_str!("../../../scenarios/x-faults.toml")),
    ("x-reflected", include_str!("../../../scenarios/x-reflected.toml")),
    ("x-deployment", include_str!("../../../scenarios/x-deployment.toml")),
];

/// Arguments of `ashiato new`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The file to write; it must not exist.
    file: PathBuf,
    /// The shipped scenario to copy.
    #[arg(long, default_value = "first", env = "ASHIATO_NEW_FROM")]
    from: String,
}

/// Runs the verb.
///
/// # Errors
/// [`Exit::Usage`] where no scenario has the name, or the file exists.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let known = SHIPPED.iter().find(|(name, _)| *name == args.from);
    let (_, text) = known.ok_or_else(|| {
        let names: Vec<_> = SHIPPED.iter().map(|(name, _)| *name).collect();
        let names = names.join(", ");
        Exit::Usage.refuse(format!("no scenario is called \"{}\"; there are: {names}", args.from))
    })?;
    let file = args.file.display();
    let mut out = match OpenOptions::new().write(true).create_new(true).open(&args.file) {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {
            return Err(Exit::Usage.refuse(format!("{file} exists; choose another name")));
        }
        other => other.with_context(|| format!("cannot write {file}"))?,
    };
    out.write_all(text.as_bytes()).with_context(|| format!("cannot write {file}"))?;
    super::print(format!("{file}: written; next: ashiato plan {file}\n"))?;
    Ok(Exit::Met)
}
