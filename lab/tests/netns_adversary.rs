//! Adversaries do the same to packets, and to findings, in both worlds.
#![allow(clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod support;

use ashiato::cli::new::SHIPPED;
use ashiato::netns::{NetnsWorld, RunPaths};
use ashiato::run::case;
use ashiato::scenario::Overrides;
use ashiato::scenario::spec::Datapath;
use ashiato::sim::Sim;
use ashiato::world::World;
use std::sync::Arc;
use support::{over, root, run_id, seen, shipped, side_by_side, state};

#[test]
fn forged_packets_are_marked_alike_in_both_worlds() {
    if !root() {
        return;
    }
    let cases = [
        ("x-marks-replayed", Datapath::Tc),
        ("x-ttl", Datapath::Afpacket),
        ("x-fragments", Datapath::Tc),
        ("x-router-silent", Datapath::Afpacket),
        ("x-router-erases", Datapath::Afpacket),
        ("x-router-erases", Datapath::Tc),
        ("x-router-erases", Datapath::Xdp),
        ("x-router-denies", Datapath::Afpacket),
        ("x-router-denies", Datapath::Tc),
        ("x-router-poses", Datapath::Afpacket),
        ("x-router-poses", Datapath::Tc),
        ("x-router-poses", Datapath::Xdp),
    ];
    side_by_side(&cases, |&(name, datapath)| {
        let plan =
            shipped(name, &over(&["traffic.flood.packets=1000"], &["fms", "pint", "spie"], 5));
        let id = run_id();
        let dir = state(&id);
        let paths = RunPaths { id, dir: dir.clone(), datapath };
        let mut netns = NetnsWorld::up(plan.clone(), paths, &|_| {}).unwrap();
        let mut sim = Sim::new(Arc::new(plan.clone()));
        for turn in 0..plan.schemes.len() {
            let (ours, theirs) = (netns.traffic(turn).unwrap(), sim.traffic(turn).unwrap());
            assert_eq!((&ours.sent, &ours.arrived), (&theirs.sent, &theirs.arrived), "{name}");
            let (mine, other) = (seen(&plan, &ours), seen(&plan, &theirs));
            assert_eq!(mine.len(), 1600, "{name}");
            assert!(mine == other, "{name}: {} marks otherwise", plan.schemes[turn].id);
            // It also ends the turn's agents.
            let [ours, theirs] = [ours, theirs].map(|t| case::build(&plan, turn, &t.tape).unwrap());
            let ours = netns.reconstruct(turn, &ours).unwrap();
            assert_eq!(ours.finding, sim.reconstruct(turn, &theirs).unwrap().finding, "{name}");
        }
        assert_eq!(netns.remove().unwrap(), 0);
        std::fs::remove_dir_all(dir).unwrap();
    });
}

#[test]
fn all_shipped_adversaries_run_in_namespaces() {
    for (name, _) in SHIPPED.iter().filter(|(name, _)| name.starts_with("x-")) {
        let plan = shipped(name, &Overrides::default());
        assert!(NetnsWorld::suits(&plan, Datapath::Afpacket).is_ok(), "{name}");
        let refused = NetnsWorld::suits(&plan, Datapath::Tc).err().map(|e| e.to_string());
        // Kernels do not spread packets one by one.
        assert_eq!(refused.is_some(), *name == "x-multipath", "{name}: {refused:?}");
        assert!(refused.is_none_or(|why| why.contains("datapath afpacket")));
    }
}
