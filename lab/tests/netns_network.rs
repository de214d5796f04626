//! What the network does to packets, in namespaces as in the simulator: it loses some, translates
//! addresses, spreads them over equal ways and changes their routes.
#![allow(clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod support;

use ashiato::netns::{NetnsWorld, RunPaths};
use ashiato::plan::Plan;
use ashiato::resolve::ways::Walker;
use ashiato::run::case;
use ashiato::scenario::spec::Datapath;
use ashiato::sim::Sim;
use ashiato::truth::Keeper;
use ashiato::world::{Followed, Outcome, Traffic, World};
use std::collections::BTreeMap;
use std::sync::Arc;
use support::{over, root, run_id, seen, shipped, side_by_side, state};
use traceback::RouterId;
use traceback::graph::Finding;

/// Runs every turn of a plan in both worlds; what packets did, then what schemes found.
fn both(
    plan: &Plan,
    datapath: Datapath,
    packets: impl Fn(&str, &Traffic, &Traffic),
    found: impl Fn(&str, &Outcome, &Outcome),
) {
    let id = run_id();
    let dir = state(&id);
    let paths = RunPaths { id, dir: dir.clone(), datapath };
    let mut netns = NetnsWorld::up(plan.clone(), paths, &|_| {}).unwrap();
    let mut sim = Sim::new(Arc::new(plan.clone()));
    for (turn, scheme) in plan.schemes.iter().enumerate() {
        let (ours, theirs) = (netns.traffic(turn).unwrap(), sim.traffic(turn).unwrap());
        println!("{} {datapath:?} {}", plan.name, scheme.id);
        assert_eq!((&ours.sent, ours.leaked), (&theirs.sent, 0));
        packets(&scheme.id, &ours, &theirs);
        let mut truth = Keeper::new(plan, [0; 32]);
        truth.seal(plan, &scheme.id, &ours);
        let [ours, theirs] = [ours, theirs].map(|t| case::build(plan, turn, &t.tape).unwrap());
        let ours = netns.reconstruct(turn, &ours).unwrap();
        let apart = truth.open().disagreement(&scheme.id, &ours.counters);
        assert!(apart < 1e-3, "{apart}");
        found(&scheme.id, &ours, &sim.reconstruct(turn, &theirs).unwrap());
    }
    assert_eq!(netns.remove().unwrap(), 0);
    std::fs::remove_dir_all(dir).unwrap();
}

/// The same packets, lost, marked and translated alike, and the same findings.
fn alike(name: &str, datapath: Datapath, set: &[&str]) {
    let plan = shipped(name, &over(set, &["fms", "pint", "spie"], 5));
    both(
        &plan,
        datapath,
        |scheme, ours, theirs| {
            assert_eq!((&ours.arrived, ours.lost), (&theirs.arrived, theirs.lost));
            assert_eq!(ours.taps, theirs.taps);
            assert!(seen(&plan, ours) == seen(&plan, theirs), "{name}: {scheme} marks otherwise");
        },
        |scheme, ours, theirs| assert_eq!(ours.finding, theirs.finding, "{name} {scheme}"),
    );
}

const FEW: &str = "traffic.flood.packets=2000";

#[test]
fn lossy_links_lose_the_same_packets_under_every_datapath() {
    use Datapath::{Afpacket, Tc, Xdp, XdpPass};
    if !root() {
        return;
    }
    side_by_side(&[Afpacket, Tc, Xdp, XdpPass], |datapath| alike("x-loss", *datapath, &[FEW]));
}

#[test]
fn a_translator_puts_the_same_addresses_and_ports_into_packets() {
    if !root() {
        return;
    }
    let datapaths = [Datapath::Afpacket, Datapath::Tc, Datapath::Xdp];
    side_by_side(&datapaths, |datapath| alike("x-nat", *datapath, &[FEW]));
}

/// The whole ways of a turn by flow.
fn taken(followed: &Followed) -> BTreeMap<u32, Vec<(Vec<RouterId>, u64)>> {
    let some = |ways: &Vec<(Vec<RouterId>, u64)>| {
        let mut some: Vec<_> = ways.iter().filter(|(_, n)| *n > 0).cloned().collect();
        some.sort();
        some
    };
    followed.whole.iter().map(|(flow, ways)| (*flow, some(ways))).collect()
}

/// The same by the plan.
fn planned(plan: &Plan) -> BTreeMap<u32, Vec<(Vec<RouterId>, u64)>> {
    let way = |(way, n): (&[usize], u64)| {
        (way.iter().map(|r| plan.routers[*r].id).collect::<Vec<_>>(), n)
    };
    let ways = plan.flows.iter().map(|f| {
        let mut ways: Vec<_> = f.all_ways().into_iter().map(way).collect();
        ways.sort();
        (f.id, ways)
    });
    ways.collect()
}

#[test]
fn userspace_routers_spread_packets_as_the_plan_says() {
    if !root() {
        return;
    }
    for spread in ["routing.multipath=packet", "routing.multipath=flow"] {
        let plan = shipped("x-multipath", &over(&[FEW, spread], &["fms", "spie", "mrt"], 5));
        both(
            &plan,
            Datapath::Afpacket,
            |scheme, ours, theirs| {
                assert_eq!(ours.taps, theirs.taps);
                assert!(seen(&plan, ours) == seen(&plan, theirs), "{scheme} marks otherwise");
                let followed = ours.followed.as_ref().unwrap();
                assert_eq!(taken(followed), planned(&plan));
                assert!(followed.mixed.values().chain([&0]).all(|n| *n == 0));
            },
            |scheme, ours, theirs| assert_eq!(ours.finding, theirs.finding, "{scheme}"),
        );
    }
}

/// Kernels choose by hashes of their own: every packet takes one of the plan's ways, all packets of
/// one flow the same, and those whose addresses change share both ways.
#[test]
fn kernels_spread_flows_over_the_same_ways() {
    if !root() {
        return;
    }
    for datapath in [Datapath::Tc, Datapath::Xdp] {
        for (per, least) in [("flow", 1), ("packet", 2)] {
            let spoof = format!("traffic.flood.spoof.per={per}");
            let set = [FEW, "routing.multipath=flow", &spoof];
            let plan = shipped("x-multipath", &over(&set, &["fms"], 5));
            both(
                &plan,
                datapath,
                |_, ours, theirs| {
                    assert_eq!(ours.arrived, theirs.arrived);
                    let ways = &taken(ours.followed.as_ref().unwrap())[&0];
                    assert_eq!(ways.len(), least, "{ways:?}");
                    // A fair coin for each packet: a half, within six deviations.
                    let share = ways[0].1 as f64 / 2000.0;
                    let fair = 6.0 * (0.25_f64 / 2000.0).sqrt();
                    assert!(least == 1 || (share - 0.5).abs() < fair, "{share}");
                },
                |_, ours, _| {
                    let Finding::Paths(found) = ours.finding.as_ref().unwrap() else {
                        panic!("no paths");
                    };
                    assert_eq!(found.paths.len(), least);
                },
            );
        }
    }
}

/// A route changes in mid-attack: every packet on its planned way is marked as in the simulator, and none
/// takes the old way after another took the new one. How many left in time depends on the host.
#[test]
fn routes_change_in_mid_attack() {
    if !root() {
        return;
    }
    for datapath in [Datapath::Afpacket, Datapath::Tc, Datapath::Xdp] {
        let plan = shipped("x-route-change", &over(&[], &["fms", "spie"], 5));
        both(
            &plan,
            datapath,
            |scheme, ours, theirs| changed(&plan, scheme, ours, theirs),
            both_paths,
        );
    }
}

fn changed(plan: &Plan, scheme: &str, ours: &Traffic, theirs: &Traffic) {
    let followed = ours.followed.as_ref().unwrap();
    let (mine, other) = (seen(plan, ours), seen(plan, theirs));
    let walker = Walker::new(plan);
    let mut compared = 0;
    for ((flow, seq), bytes) in &other {
        let planned = walker.path(&plan.flows[*flow as usize], *seq).unwrap();
        let planned: Vec<_> = planned.iter().map(|r| plan.routers[*r].id).collect();
        if followed.way(*flow, *seq) == Some(&planned) {
            assert!(mine.get(&(*flow, *seq)) == Some(bytes), "{scheme} {flow} {seq}");
            compared += 1;
        }
    }
    assert!(compared > 3000, "{compared}");
    let ways: Vec<_> = (0..6000).filter_map(|seq| Some((seq, followed.way(0, seq)?))).collect();
    let (old, new) = (ways[0].1, ways[ways.len() - 1].1);
    assert!(old != new && ways.iter().all(|(_, way)| [old, new].contains(way)), "two ways");
    // One after the other, but for what each processor still knows: 300 packets leave in 75 ms.
    let first = ways.iter().find(|(_, way)| *way == new).unwrap().0;
    let last = ways.iter().rfind(|(_, way)| *way == old).unwrap().0;
    assert!(last < first + 300, "the old way still at {last}, the new one from {first} on");
    let mixed: u64 = followed.mixed.values().sum();
    println!("{mixed} packets were under way at the change; cut {:?}", followed.cut);
    assert!(mixed < 600, "{mixed}");
}

fn both_paths(scheme: &str, ours: &Outcome, _: &Outcome) {
    let Finding::Paths(found) = ours.finding.as_ref().unwrap() else {
        panic!("{scheme}: no paths")
    };
    assert!(found.paths.len() >= 2, "{scheme}");
}
