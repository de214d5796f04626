//! Actors send nowhere but where they may.
#![allow(
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "a test that cannot go on may panic, and tells one story from start to end"
)]

mod support;

use ashiato::netns::actor::Config;
use ashiato::netns::{NetnsWorld, RunPaths, within};
use ashiato::plan::{Plan, Source};
use ashiato::process::Process;
use ashiato::scenario::spec::Datapath;
use ashiato::scope::{Gate, OutOfScope};
use ashiato::traffic;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use support::{line, root, run_id, state};

#[test]
fn the_gate_looks_at_bytes() {
    let plan = line(3, false, true);
    let gate = Gate::new(&plan).unwrap();
    let mut packet = vec![];
    traffic::build(&mut packet, &plan, &plan.flows[0], 0);
    assert_eq!(gate.check(&packet), Ok(()));
    let mut elsewhere = plan.clone();
    elsewhere.hosts[1].address = "192.0.2.1".parse().unwrap();
    traffic::build(&mut packet, &elsewhere, &plan.flows[0], 0);
    assert!(matches!(gate.check(&packet), Err(OutOfScope::Address { .. })));
    elsewhere.hosts[1].address = "198.18.77.1".parse().unwrap();
    traffic::build(&mut packet, &elsewhere, &plan.flows[0], 0);
    assert!(matches!(gate.check(&packet), Err(OutOfScope::Stranger { .. })));
    assert!(matches!(gate.check(&packet[..30]), Err(OutOfScope::Broken { .. })));
    let mut spoofed = plan.clone();
    spoofed.flows[0].source = Source::Fixed("8.8.8.8".parse().unwrap());
    traffic::build(&mut packet, &spoofed, &spoofed.flows[0], 0);
    assert!(matches!(gate.check(&packet), Err(OutOfScope::Address { .. })));
    assert!(Gate::new(&spoofed).is_err());
}

#[test]
fn plans_that_are_too_fast_are_refused() {
    let mut plan = line(3, false, true);
    plan.flows[0].gap = traceback::Nanos(10_000);
    assert_eq!(Gate::new(&plan).unwrap_err(), OutOfScope::Rate { rate: 100_000 });
}

/// Runs an actor and returns its exit code and what it said on standard error.
fn act(config: &Config, dir: &Path) -> (Option<i32>, String) {
    let file = dir.join("actor.json");
    fs::write(&file, serde_json::to_vec(config).unwrap()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ashiato"));
    let out = command.args(["actor", "--config"]).arg(file).output().unwrap();
    (out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned())
}

#[test]
fn actors_refuse_wrong_places_and_plans() {
    if !root() {
        return;
    }
    let plan = line(2, false, false);
    let id = run_id();
    let dir = state(&id);
    let world = NetnsWorld::up(
        plan.clone(),
        RunPaths { id, dir: dir.clone(), datapath: Datapath::Afpacket },
        &|_| {},
    )
    .unwrap();
    let space = world.layout().host(0).clone();
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    let good = Config {
        plan: dir.join("plan.json"),
        host: 0,
        scheme: 0,
        interface: "p0".into(),
        index: space.ports[0].index,
        mac: space.ports[0].mac,
        namespace: inode(&space.path()),
        in_place: false,
        pace: 50_000,
        ramps: false,
        parent: Process::me(),
        departures: dir.join("departures"),
    };
    let write = |plan: &Plan| fs::write(dir.join("plan.json"), plan.to_json()).unwrap();
    let refused = |config: &Config, why: &str| {
        // Inside the closure to the end: an actor dies with the thread that started it.
        let (code, said) = within(&space.path(), || Ok(act(config, &dir))).unwrap();
        assert_eq!(code, Some(4), "{said}");
        assert!(said.contains(why), "{said}");
    };
    write(&plan);
    // Where everything is right it gets ready, and ends because nobody holds the lease.
    let (code, said) = within(&space.path(), || Ok(act(&good, &dir))).unwrap();
    assert_eq!(code, Some(6), "{said}");
    let here = inode(Path::new("/proc/self/ns/net"));
    let (code, said) = act(&Config { namespace: here, ..good.clone() }, &dir);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("namespaces made for them"), "{said}");
    // A machine with a way out is no place to stand for a host, whatever it is told.
    let (code, said) = act(&Config { namespace: here, in_place: true, ..good.clone() }, &dir);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("in_place") || said.contains("default route"), "{said}");
    refused(&Config { namespace: 1, ..good.clone() }, "not the namespace made for this actor");
    let gone = Process { pid: good.parent.pid, start: 0 };
    refused(&Config { parent: gone, ..good.clone() }, "is gone");
    let mut bad = plan.clone();
    bad.hosts[1].address = "192.0.2.1".parse().unwrap();
    write(&bad);
    refused(&good, "lies outside 198.18.0.0/15");
    write(&plan);
    let name = &space.name;
    let route = ["-n", name, "route", "add", "default", "via", "198.18.0.2"];
    assert!(Command::new("ip").args(route).status().unwrap().success());
    refused(&good, "has a default route");
    assert!(world.down().unwrap().left.is_empty());
    fs::remove_dir_all(dir).unwrap();
}
