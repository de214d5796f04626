//! The collector of a host's own domain, where the placement puts it there.

use super::keys::write;
use super::wire::Office;
use crate::exit::Exit;
use crate::netns::headquarters::start;
use crate::netns::home::CONFIG;
use crate::netns::site::Site;
use crate::netns::workers::Worker;
use anyhow::{Context, Result, ensure};
use ashiato_collector::server::Config;
use serde_json::Value;
use std::fs::DirBuilder;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Component, Path};

/// The folder of the collector in the run's own.
const FOLDER: &str = "collector";

/// Lays the files of a collector out and starts it. It may listen at this host's underlay address alone.
///
/// # Errors
/// [`Exit::Policy`] for one that would listen elsewhere; with its log where it does not start.
pub(super) fn open(
    office: &Office,
    site: &mut Site,
    folder: &Path,
    underlay: IpAddr,
) -> Result<Worker> {
    let dir = site.stage.journal()?.dir().join(FOLDER);
    for (name, text) in &office.files {
        ensure!(is_inside(name), "a file of the collector's would lie at {name}");
        let name = Path::new(name);
        let parent = dir.join(name.parent().unwrap_or(Path::new("")));
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&parent)
            .context("cannot make a folder")?;
        write(&dir.join(name), text)?;
    }
    let path = dir.join(CONFIG);
    let text = office.files.get(CONFIG).context("the director's collector has no configuration")?;
    ensure!(stays(&serde_json::from_str(text)?), "the collector would leave its folder");
    let config = Config::read(&path).context("the director's configuration of the collector")?;
    let listens = config.exchange.as_ref().map(|exchange| exchange.listen.ip());
    if config.listen != SocketAddr::new(underlay, office.port)
        || listens.is_some_and(|at| at != underlay)
    {
        let why = format!("the collector for this host would listen elsewhere than at {underlay}");
        return Err(Exit::Policy.refuse(format!("{why} and port {}", office.port)));
    }
    let plain = |c: u8| c.is_ascii_alphanumeric() || c == b'-';
    ensure!(office.role.bytes().all(plain), "the name of the collector's process is none");
    start(&path, &office.role, None, (&mut site.stage, &site.nursery, folder))
}

/// Whether a path stays in the folder that it starts at.
fn is_inside(path: &str) -> bool {
    Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}

/// Whether no path that a configuration may name leads out of its folder.
fn stays(config: &Value) -> bool {
    match config {
        Value::String(text) => text.is_empty() || is_inside(text),
        Value::Array(all) => all.iter().all(stays),
        Value::Object(all) => all.values().all(stays),
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn configurations_that_lead_out_of_the_folder_are_seen() {
        assert!(stays(&json!({ "store": "reports.db", "prefixes": ["198.18.0.0/24"], "key": "" })));
        for path in ["/etc/passwd", "../up", "a/../../b"] {
            assert!(
                !stays(&json!({ "exchange": { "peers": [{ "certificate": path }] } })),
                "{path}"
            );
        }
    }
}
