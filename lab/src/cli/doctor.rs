//! `ashiato doctor`: tries on this host what the worlds need, and says how to mend what fails.
//!
//! It makes trial objects, written into a journal like those of a run, and removes them again.

use super::form::Form;
use super::print;
use crate::compose::engine;
use crate::exit::Exit;
use crate::firewall;
use crate::netns::guard::{Guard, Limits};
use crate::netns::layout::Layout;
use crate::netns::{Stage, within};
use crate::programs;
use crate::safety::sentinel::{Kind, Sentinels};
use anyhow::{Context, Result, ensure};
use ashiato_agent::datapath::socket::{Opening, PacketSocket};
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::UdpSocket;
use std::time::Duration;

/// What to try.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The world that must work; without it, all are tried and the simulator is enough.
    #[arg(long, value_enum, env = "ASHIATO_DOCTOR_WORLD")]
    world: Option<World>,
    /// Form of the answer.
    #[arg(long, value_enum, default_value_t, env = "ASHIATO_DOCTOR_FORMAT")]
    format: Form,
}

/// A world to run in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum World {
    /// One process, no privilege.
    Sim,
    /// Network namespaces on this host.
    Netns,
    /// Other machines, of which this is one.
    Hosts,
    /// Containers on this host.
    Compose,
}

/// One thing that was tried.
#[derive(Debug, Serialize)]
struct Check {
    world: World,
    what: &'static str,
    /// What went wrong, if anything did.
    fault: Option<String>,
    /// How to mend it.
    fix: &'static str,
}

/// Tries everything and prints one line for each thing.
///
/// # Errors
/// When the answer cannot be printed.
pub fn run(args: &Args) -> Result<Exit> {
    let mut checks = vec![Check {
        world: World::Sim,
        what: "the simulator: one process, no privilege",
        fault: None,
        fix: "",
    }];
    if args.world != Some(World::Sim) {
        checks.extend(netns());
        checks.extend(hosts());
        checks.push(compose());
        checks.extend([
            one_firewall(World::Hosts, "one firewall where tunnels between hosts pass"),
            one_firewall(World::Compose, "one firewall where the engine's bridges are"),
        ]);
    }
    if args.world == Some(World::Hosts) {
        checks.retain(|c| c.what != COLLECTOR && c.world != World::Compose);
    }
    let ready = |world| checks.iter().all(|c| c.world != world || c.fault.is_none());
    let text = match args.format {
        Form::Json => serde_json::to_string(&checks)? + "\n",
        Form::Table => table(&checks, ready, args.world)?,
    };
    print(text)?;
    let wanted = args.world.unwrap_or(World::Sim);
    // A host makes the same objects for its nodes as this one for all.
    let on_top = wanted != World::Hosts || ready(World::Netns);
    Ok(if ready(wanted) && on_top { Exit::Met } else { Exit::HostNotReady })
}

fn table(checks: &[Check], ready: impl Fn(World) -> bool, wanted: Option<World>) -> Result<String> {
    let mut out = String::new();
    for check in checks {
        match &check.fault {
            None => writeln!(out, "ok    {}", check.what)?,
            Some(fault) => {
                writeln!(out, "FAIL  {}: {fault}", check.what)?;
                writeln!(out, "      fix: {}", check.fix)?;
            }
        }
    }
    if wanted != Some(World::Sim) {
        let netns = if ready(World::Netns) { "ready" } else { "not ready; the simulator is" };
        writeln!(out, "world netns is {netns}")?;
        if wanted != Some(World::Hosts) {
            let compose = if ready(World::Compose) { "ready" } else { "not ready" };
            writeln!(out, "world compose is {compose}")?;
        }
    }
    Ok(out)
}

/// A host that takes part in runs of others does without it.
const COLLECTOR: &str = "the program ashiato-collector";
const COLLECTS: &str = "ashiato-collector";

fn netns() -> Vec<Check> {
    let check = |what, fix, result: Result<()>| {
        let fault = result.err().map(|e| format!("{e:#}"));
        Check { world: World::Netns, what, fault, fix }
    };
    let mend = "cargo build --release, and keep the three programs in one folder; or install their packages";
    let program = |what, name| check(what, mend, programs::find(name).map(drop));
    let mut checks =
        vec![program("the program ashiato-agent", "ashiato-agent"), program(COLLECTOR, COLLECTS)];
    let run = ulid::Ulid::new().to_string();
    let folder = std::env::temp_dir();
    let stage = Stage::raise(Layout::trial(&run), &run, &folder);
    let (stage, raised) = match stage {
        Ok(stage) => (Some(stage), Ok(())),
        Err(e) => (None, Err(e)),
    };
    let fix = "run as root; in a container add CAP_SYS_ADMIN and CAP_NET_ADMIN; the kernel needs \
               network namespaces, veth and IPv6 (CONFIG_NET_NS, CONFIG_VETH, CONFIG_IPV6)";
    checks.push(check("two namespaces and a link between them", fix, raised));
    let Some(mut stage) = stage else { return checks };
    let fix = "run as root; in a container add CAP_NET_RAW; the kernel needs CONFIG_PACKET";
    checks.push(check("a packet socket with a large buffer", fix, listens(&stage)));
    let fix = "look for a firewall that acts in new namespaces (nft list ruleset)";
    checks.push(check("a packet from one namespace to the other", fix, carries(&stage)));
    let fix = "run `ashiato gc`, and look at what it names";
    checks.push(check("removal of all of it: left 0", fix, removes(&mut stage)));
    checks
}

fn hosts() -> Vec<Check> {
    let check = |what, fix, result: Result<()>| {
        let fault = result.err().map(|e| format!("{e:#}"));
        Check { world: World::Hosts, what, fault, fix }
    };
    let run = ulid::Ulid::new().to_string();
    let (stage, raised) =
        match Stage::raise(Layout::trial_tunnel(&run), &run, &std::env::temp_dir()) {
            Ok(stage) => (Some(stage), Ok(())),
            Err(e) => (None, Err(e)),
        };
    let fix = "run as root; the kernel needs CONFIG_TUN and /dev/net/tun";
    let mut checks = vec![check("a tunnel towards another host", fix, raised)];
    let Some(mut stage) = stage else { return checks };
    let fix = "run as root; in a container add CAP_BPF and CAP_NET_ADMIN";
    let what = "a gate for senders and sentinels against leaks, in the kernel";
    checks.push(check(what, fix, guards(&stage)));
    let fix = "run `ashiato gc`, and look at what it names";
    checks.push(check("removal of the tunnel: left 0", fix, removes(&mut stage)));
    checks
}

fn guards(stage: &Stage) -> Result<()> {
    let layout = stage.layout();
    Guard::stand(layout, &Limits { strict: true, ..Limits::default() })?;
    within(&layout.spaces[0].path(), || {
        let (kind, folder) = (Kind::of_kernel(), std::env::temp_dir());
        let left = Sentinels::post(kind, stage.run(), &folder, BTreeSet::new())?.withdraw()?;
        ensure!(left.is_empty(), "{} sentinels are left", left.len());
        Ok(())
    })
}

/// Takes a trial away, and looks whether all of it went.
fn removes(stage: &mut Stage) -> Result<()> {
    let removed = stage.strike()?;
    ensure!(removed.left.is_empty(), "{} objects are left", removed.left.len());
    Ok(())
}

fn compose() -> Check {
    let fix = "apt-get install docker.io docker-compose, and start the engine";
    let fault = engine::compose().err().map(|e| format!("{e:#}"));
    Check { world: World::Compose, what: "a container engine, and compose", fault, fix }
}

/// What goes between hosts and containers meets the rules of this host's own namespace.
fn one_firewall(world: World, what: &'static str) -> Check {
    let fix = "keep one: move the old rules over (iptables-legacy-save, iptables-nft-restore), then empty and unload \
               the old tables; both tools' rules act on every packet until then";
    Check { world, what, fault: firewall::mixed(), fix }
}

fn listens(stage: &Stage) -> Result<()> {
    within(&stage.layout().spaces[1].path(), || {
        let buffer = Some(64 << 20);
        PacketSocket::open(&Opening { receive_buffer: buffer, ..Opening::default() })?;
        Ok(())
    })
}

fn carries(stage: &Stage) -> Result<()> {
    let [from, to] = [&stage.layout().spaces[0], &stage.layout().spaces[1]];
    let address = to.ports[0].address;
    let receiver = within(&to.path(), || Ok(UdpSocket::bind((address, 9))?))?;
    receiver.set_read_timeout(Some(Duration::from_secs(3)))?;
    within(&from.path(), || {
        let sender = UdpSocket::bind((from.ports[0].address, 0))?;
        sender.send_to(b"ashiato", (address, 9)).context("cannot send")?;
        Ok(())
    })?;
    receiver.recv(&mut [0; 16]).context("it did not arrive within 3 s")?;
    Ok(())
}
