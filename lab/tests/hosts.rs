//! The world `hosts`: several hosts that share nothing but an underlay and TLS score like the simulator,
//! and whatever is killed, traffic ends and nothing is left.
//!
//! A host is a network namespace with folders of its own, in which `ashiato host` runs; a bridge in one
//! more namespace joins them.
#![allow(clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod lab;
mod support;

use ashiato::hosts::placement::Placement;
use ashiato::netns::layout::Layout;
use ashiato::process::Process;
use ashiato::reap::left_behind;
use ashiato::scenario::spec::Datapath;
use ashiato::summary::{Ending, Summary};
use lab::{INTERNAL, Lab, TWO, done, kill, program};
use nix::sys::signal::Signal;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::{line, over, root, simulate, snapshot, unchanged, whole_folder};

const NATIONS: &str = include_str!("../../scenarios/three-nations.toml");

/// Who stands for what of the two scenarios.
const THREE: [(&str, &str); 3] = [
    ("lab-xa", "xa-gw xa-core1 xa-core2 xa-br1 xa-br2 victim server"),
    ("lab-xb", "xb-br xb-tr1 xb-tr2 xb-acc1 xb-acc2 xb-acc3 bot-b1 bot-b2 client-b"),
    ("lab-xc", "xc-br xc-tr1 xc-tr2 xc-acc1 xc-acc2 bot-c client-c echo-c"),
];

/// Levels, paths and packets of each scheme: what may not depend on the world. (Packets to a path do, since
/// senders are not in step.)
fn scores(summary: &Summary) -> Vec<serde_json::Value> {
    let row = |row: &ashiato::summary::SchemeRow| {
        let json = serde_json::to_value(row).unwrap();
        let keys = ["scheme", "params", "levels", "paths", "packets"];
        keys.iter().map(|k| (*k, json[k].clone())).collect::<serde_json::Value>()
    };
    summary.schemes.iter().map(row).collect()
}

/// One test function, because the look at the host before and after must see no other test's work.
#[test]
fn hosts_score_like_the_simulator_and_leave_nothing() {
    if !root() {
        return;
    }
    let before = snapshot();
    three_nations_score_like_the_simulator();
    unchanged(&before);
    a_killed_director_ends_traffic_at_once();
    unchanged(&before);
    a_killed_host_ends_the_run_and_can_be_swept();
    unchanged(&before);
}

fn three_nations_score_like_the_simulator() {
    let lab = Lab::open(&THREE, INTERNAL);
    let schemes = ["none", "recorder", "fms", "spie", "pint"];
    let mut run = lab.run(NATIONS, &["--scheme", &schemes.join(",")]);
    let code = run.wait().unwrap().code();
    assert_eq!(code, Some(0), "{}", lab.logs());
    let summary = whole_folder(&lab.out());
    assert_eq!((summary.world.as_str(), summary.left_behind), ("hosts", Some(0)));
    let simulated = simulate(NATIONS, &over(&[], &schemes, 20081), &lab.dir.join("sim"));
    assert_eq!(scores(&summary), scores(&simulated));
    for scheme in schemes {
        let graph = |dir: &str| {
            let path = lab.dir.join(dir).join(format!("graph/{scheme}.json"));
            fs::read_to_string(path).unwrap()
        };
        assert_eq!(graph("out"), graph("sim"), "{scheme}");
    }
    // A second run finds the same daemons ready again.
    fs::rename(lab.out(), lab.dir.join("first")).unwrap();
    let mut again = lab.run(NATIONS, &["--scheme", "fms", "--set", "datapath=tc"]);
    assert_eq!(again.wait().unwrap().code(), Some(0), "{}", lab.logs());
    a_revoked_host_is_refused(&lab);
}

fn a_revoked_host_is_refused(lab: &Lab) {
    let mut revoke = Command::new(program("ashiato-collector"));
    done(revoke.args(["authority", "revoke"]).arg(lab.dir.join("keys")).arg("host/lab-xc"));
    fs::rename(lab.out(), lab.dir.join("second")).unwrap();
    let mut run = lab.run(NATIONS, &[]);
    lab.until("the director refuses it", 20, |l| l.logs().contains("was revoked"));
    Process::of(i32::try_from(run.id()).unwrap()).unwrap().signal(Signal::SIGINT);
    assert_eq!(run.wait().unwrap().code(), Some(130), "{}", lab.logs());
}

fn a_killed_director_ends_traffic_at_once() {
    let lab = Lab::open(&TWO, INTERNAL);
    let mut run = lab.flood();
    kill(&mut run);
    let start = Instant::now();
    let (mut last, mut count) = (Duration::ZERO, lab.left());
    // Nobody else sends there: where the actor is gone, no more packets leave.
    while let Some(now) = lab.left() {
        if Some(now) > count {
            (last, count) = (start.elapsed(), Some(now));
        }
        assert!(start.elapsed() < Duration::from_secs(10), "the actor lives on");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(last < Duration::from_secs(3), "packets left for {last:?}");
    assert!(count < Some(60_000), "the flood was over before");
    let gone = |l: &Lab| TWO.iter().all(|(host, _)| l.record(host).is_none());
    let removed = lab.until("hosts remove everything", 20, gone);
    println!("last packet {last:?} after the kill; all removed {removed:?} after the watch");
    let gc = lab.inside(1, "director-state").arg("gc").output().unwrap();
    assert!(gc.status.success());
}

fn a_killed_host_ends_the_run_and_can_be_swept() {
    let mut lab = Lab::open(&TWO, INTERNAL);
    let mut run = lab.flood();
    kill(&mut lab.daemons[1]);
    assert_eq!(run.wait().unwrap().code(), Some(9), "{}", lab.logs());
    let text = fs::read_to_string(lab.out().join("summary.json")).unwrap();
    let summary: Summary = serde_json::from_str(&text).unwrap();
    assert_eq!(summary.outcome, Ending::Partial);
    assert!(summary.reasons.iter().any(|r| r.contains("lab-b")), "{:?}", summary.reasons);
    let record = lab.record("lab-b").expect("its journal stays");
    assert!(!left_behind(&record).is_empty());
    let out = lab.inside(3, "lab-b-state").arg("gc").stdout(Stdio::piped()).output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(said.contains("left 0"), "{said}");
    assert!(lab.record("lab-b").is_none());
    lab.until("the other host removes its share", 20, |l| l.record("lab-a").is_none());
}

const HEAD: &str = "listen = \"192.0.2.1:7401\"\ntls = { ca = \"a\", cert = \"b\", key = \"c\" }\n";

fn placement(hosts: &[(&str, &str)]) -> Placement {
    let host = |(i, (name, nodes)): (usize, &(&str, &str))| {
        let nodes: Vec<&str> = nodes.split(' ').collect();
        let underlay = format!("192.0.2.{}", 11 + i);
        format!("[[host]]\nname = \"{name}\"\nunderlay = \"{underlay}\"\nnodes = {nodes:?}\n")
    };
    let hosts: String = hosts.iter().enumerate().map(host).collect();
    toml::from_str(&format!("{HEAD}{hosts}")).unwrap()
}

#[test]
fn every_node_has_one_host() {
    let plan = line(3, false, true);
    let fault =
        |hosts: &[(&str, &str)]| placement(hosts).shares(&plan, "RUN").unwrap_err().to_string();
    let said = fault(&[("a", "r0 attacker r1"), ("b_", "r1 victim r9")]);
    for what in ["r1 is placed twice", "no node r9", "r2 has no host", "\"b_\": use letters"] {
        assert!(said.contains(what), "{said}");
    }
    assert!(fault(&[("a", "r0 r1 r2"), ("a", "attacker victim")]).contains("is taken"));
}

#[test]
fn shares_are_parts_of_the_whole_joined_by_tunnels() {
    let plan = line(3, false, true);
    let placed = placement(&[("a", "r0 attacker r1"), ("b", "r2 victim")]);
    let shares = placed.shares(&plan, "RUN").unwrap();
    let whole = Layout::of(&plan, "RUN", Datapath::Afpacket).unwrap();
    let part =
        |at: usize| Layout::part(&plan, "RUN", Datapath::Afpacket, &shares[at], false).unwrap();
    let parts = [part(0), part(1)];
    // One link of four leads from host to host; its ends mirror each other.
    assert_eq!(parts.each_ref().map(|p| (p.wires.len(), p.tunnels.len())), [(2, 1), (1, 1)]);
    let [a, b] = parts.each_ref().map(|p| p.tunnels[0].1);
    assert_eq!((a.vni, a.near, a.far), (b.vni, b.far, b.near));
    // Addresses, link-layer ones too, are those of one host for all.
    let said = |of: &Layout, router| -> Vec<_> {
        let ports = of.router(router).ports.iter();
        ports.map(|p| (p.name.clone(), p.mac, p.address, p.len, p.mtu, p.peer)).collect()
    };
    for (router, part) in [(0, 0), (1, 0), (2, 1)] {
        assert_eq!(said(&parts[part], router), said(&whole, router));
    }
    // Older kernels would take the number of a tunnel for that of the host's own card.
    for (router, part, port) in [(1, 0, 1), (2, 1, 0)] {
        assert!(parts[part].router(router).ports[port].index >= 70_000);
    }
    assert_eq!(parts[1].host(1).ports, whole.host(1).ports);
    // In place there is room for one node.
    assert!(Layout::part(&plan, "RUN", Datapath::Tc, &shares[1], true).is_err());
    // Wires of the lab's own run to the mouth of a sealed tunnel; a bare one has no place for them.
    let wired = Layout::part(&plan, "RUN", Datapath::Xdp, &shares[1], false).unwrap();
    let (space, name, _) = wired.mouth(wired.tunnels[0].0);
    assert_eq!((&wired.spaces[space], &*name), (wired.middle().unwrap(), "w2-0"));
    let mut bare = shares[1].clone();
    bare.tunnels.values_mut().for_each(|tunnel| tunnel.sealed = false);
    assert!(Layout::part(&plan, "RUN", Datapath::Xdp, &bare, false).is_err());
}
