//! The container engine, by its own programs: which there are, and what of a run it holds.

use crate::exit::Exit;
use anyhow::{Context, Result, ensure};
use std::process::Command;
use std::time::Duration;

/// What the engine keeps under labels, with the words that list and remove it.
const KINDS: [(&str, &[&str], &[&str]); 3] = [
    ("container", &["ps", "--all", "--format", "{{.Names}}"], &["rm", "--force"]),
    ("network", &["network", "ls", "--format", "{{.Name}}"], &["network", "rm"]),
    ("volume", &["volume", "ls", "--format", "{{.Name}}"], &["volume", "rm"]),
];

/// How often what is to go is looked at, and the time between.
const LOOKS: u32 = 10;
const PAUSE: Duration = Duration::from_millis(200);

/// The command that reads compose files on this machine.
///
/// # Errors
/// [`Exit::HostNotReady`] where there is none, or no engine answers.
pub fn compose() -> Result<Command> {
    docker(&["version", "--format", "{{.Server.Version}}"]).map_err(|e| {
        let why = format!("no container engine answers: {e:#}; install docker.io and start it");
        Exit::HostNotReady.refuse(why)
    })?;
    if docker(&["compose", "version"]).is_ok() {
        let mut command = Command::new("docker");
        command.arg("compose");
        return Ok(command);
    }
    let old = Command::new("docker-compose").arg("version").output();
    if old.is_ok_and(|out| out.status.success()) {
        return Ok(Command::new("docker-compose"));
    }
    Err(Exit::HostNotReady.refuse("neither `docker compose` nor docker-compose is installed"))
}

/// Whether the engine can give containers CAP_BPF. Old ones do not know its name.
///
/// # Errors
/// Where the image is not there.
pub fn knows_bpf(image: &str) -> Result<bool> {
    let absent = || {
        let why = format!("the engine has no image {image}: run `make image`");
        Exit::HostNotReady.refuse(why)
    };
    docker(&["image", "inspect", image]).map_err(|_| absent())?;
    let made = docker(&["create", "--cap-add", "BPF", "--label", "ashiato", image]);
    let Ok(id) = made else { return Ok(false) };
    docker(&["rm", id.trim()])?;
    Ok(true)
}

/// What the engine holds of a run, as kind and name. Nothing where no engine answers.
pub fn objects(run: &str) -> Vec<(&'static str, String)> {
    let label = format!("label=ashiato.run={run}");
    let list = |(kind, list, _): &(&'static str, &[&str], &[&str])| {
        let names = docker(&[*list, &["--filter", &label]].concat()).unwrap_or_default();
        names.lines().map(|name| (*kind, name.to_owned())).collect::<Vec<_>>()
    };
    KINDS.iter().flat_map(list).collect()
}

/// How a service of a run ended; `None` where it did not.
///
/// # Errors
/// When the engine does not say.
pub fn exit_code(run: &str, service: &str) -> Result<Option<u8>> {
    let label = format!("label=ashiato.run={run}");
    let service = format!("label=com.docker.compose.service={service}");
    let ids = docker(&["ps", "--all", "--quiet", "--filter", &label, "--filter", &service])?;
    let Some(id) = ids.lines().next() else { return Ok(None) };
    let said = docker(&["inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", id])?;
    Ok(said.trim().strip_prefix("exited ").and_then(|code| code.parse().ok()))
}

/// Removes them. The engine may still be making what somebody who was killed had asked for, so it is
/// looked at again.
///
/// # Errors
/// When the engine refuses.
pub fn remove(run: &str) -> Result<()> {
    let mut refused = Ok(());
    for _ in 0..LOOKS {
        let held = objects(run);
        if held.is_empty() {
            return Ok(());
        }
        refused = held.iter().try_for_each(|(kind, name)| remove_one(kind, name));
        std::thread::sleep(PAUSE);
    }
    refused
}

fn remove_one(kind: &str, name: &str) -> Result<()> {
    for (_, _, words) in KINDS.iter().filter(|(k, _, _)| *k == kind) {
        let done = docker(&[*words, &[name]].concat());
        done.with_context(|| format!("cannot remove {kind} {name}"))?;
    }
    Ok(())
}

fn docker(words: &[&str]) -> Result<String> {
    let out = Command::new("docker").args(words).output().context("cannot start docker")?;
    let said = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.success(), "docker {}: {}", words[0], said.trim());
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}
