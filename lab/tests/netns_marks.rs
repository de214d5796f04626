//! The worlds `sim` and `netns` mark every packet alike, byte for byte, under keyed draws.
#![allow(clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod support;

use ashiato::netns::{NetnsWorld, RunPaths};
use ashiato::plan::Plan;
use ashiato::sim::Sim;
use ashiato::traffic::{Tag, tag};
use ashiato::world::{Traffic, World};
use std::collections::BTreeMap;
use std::sync::Arc;
use support::{line, root, run_id, state};
use traceback::packet::Packet;

/// Packets of ours as the victim got them.
fn marked(plan: &Plan, traffic: &Traffic) -> BTreeMap<Tag, Vec<u8>> {
    let read = |bytes: &Vec<u8>| tag(plan.key.0, &Packet::parse(bytes.as_slice()).ok()?);
    let ours = |bytes: &Vec<u8>| Some((read(bytes)?, bytes.clone()));
    traffic.tape.iter().filter_map(|a| ours(&a.bytes)).collect()
}

#[test]
fn both_worlds_mark_every_packet_alike() {
    if !root() {
        return;
    }
    for (v6, process_per_router) in [(false, false), (true, true)] {
        let plan = Plan { process_per_router, ..line(4, v6, true) };
        let id = run_id();
        let dir = state(&id);
        let mut netns =
            NetnsWorld::up(plan.clone(), RunPaths { id, dir: dir.clone() }, &|_| {}).unwrap();
        let mut sim = Sim::new(Arc::new(plan.clone()));
        for scheme in 0..plan.schemes.len() {
            let ours = netns.traffic(scheme).unwrap();
            let theirs = sim.traffic(scheme).unwrap();
            let case = ashiato::run::case::build(&plan, &ours.tape).unwrap();
            let outcome = netns.reconstruct(scheme, &case).unwrap();
            assert_eq!(ours.sent, theirs.sent);
            assert_eq!((&ours.taps, ours.leaked), (&theirs.taps, 0));
            assert_eq!(ours.arrived, theirs.arrived);
            let marks = marked(&plan, &ours);
            assert_eq!(marks.len(), 2000);
            assert!(marks == marked(&plan, &theirs), "{} marks otherwise", plan.schemes[scheme].id);
            let forwarded: u64 = outcome.counters.values().map(|c| c.forwarded).sum();
            assert!(forwarded >= 4 * 2000, "only {forwarded} forwarded");
            assert_eq!(outcome.observations.lost, 0);
        }
        assert_eq!(netns.remove().unwrap(), 0);
        std::fs::remove_dir_all(dir).unwrap();
    }
}
