//! Conditions of links in namespaces: what is asked for is what packets meet, as the kernel's clock says,
//! and the simulator agrees.
#![allow(clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod support;

use ashiato::netns::{NetnsWorld, RunPaths};
use ashiato::plan::Plan;
use ashiato::scenario::spec::Datapath;
use ashiato::sim::Sim;
use ashiato::traffic::tag;
use ashiato::world::{Carried, Traffic, World};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use support::{over, root, run_id, seen, shipped, state};
use traceback::packet::Packet;

/// Times are measured, so one test at a time has the processors.
static ALONE: Mutex<()> = Mutex::new(());

/// The traffic of one turn in both worlds, and what the thread that delays frames took meanwhile, in
/// seconds of a processor.
fn both(plan: &Plan, datapath: Datapath) -> (Traffic, Traffic, f64) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let id = run_id();
    let dir = state(&id);
    let paths = RunPaths { id, dir: dir.clone(), datapath };
    let mut netns = NetnsWorld::up(plan.clone(), paths, &|_| {}).unwrap();
    let ours = netns.traffic(0).unwrap();
    let seconds = stage_seconds();
    assert_eq!(netns.remove().unwrap(), 0);
    std::fs::remove_dir_all(dir).unwrap();
    let theirs = Sim::new(Arc::new(plan.clone())).traffic(0).unwrap();
    assert_eq!((&ours.sent, ours.leaked), (&theirs.sent, 0));
    (ours, theirs, seconds)
}

/// Processor time of this process's link stage by now, by the kernel's account.
fn stage_seconds() -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().map(|t| t.unwrap().path());
    let mine = tasks.filter(|t| {
        std::fs::read_to_string(t.join("comm")).is_ok_and(|name| name.trim() == "link stage")
    });
    let run = mine.filter_map(|t| std::fs::read_to_string(t.join("schedstat")).ok());
    let nanos = run.filter_map(|text| text.split(' ').next()?.parse::<f64>().ok());
    nanos.sum::<f64>() / 1e9
}

fn way<'t>(plan: &Plan, traffic: &'t Traffic, from: &str, to: &str) -> &'t Carried {
    let named = |c: &&Carried| {
        let link = &plan.links[c.link];
        let ends = if c.side == 0 { (link.a, link.b) } else { (link.b, link.a) };
        (plan.node_name(ends.0.node), plan.node_name(ends.1.node)) == (from, to)
    };
    traffic.carried.iter().find(named).unwrap()
}

/// Median and spread of the times on one way, in milliseconds.
fn median(carried: &Carried) -> (f64, f64) {
    let mut times = carried.delays.clone();
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100] as f64 / 1e6;
    (at(50), at(95) - at(5))
}

/// Packets of every flow come in the order in which they left.
fn in_order(plan: &Plan, traffic: &Traffic) {
    let mut last: BTreeMap<u32, u64> = BTreeMap::new();
    for arrival in traffic.tape.iter() {
        let packet = Packet::parse(&arrival.bytes[..]).unwrap();
        let Some(tag) = tag(plan.key.0, &packet) else { continue };
        if let Some(before) = last.insert(tag.flow, tag.seq) {
            assert!(before < tag.seq, "{before} before {}", tag.seq);
        }
    }
}

#[test]
fn packets_meet_what_is_asked_for() {
    if !root() {
        return;
    }
    let plan = shipped("x-link-conditions", &over(&[], &["fms"], 3));
    for datapath in [Datapath::Afpacket, Datapath::Xdp] {
        let (ours, theirs, _) = both(&plan, datapath);
        let of = |from, to| [&ours, &theirs].map(|t| way(&plan, t, from, to));
        // Delays: none shorter than asked for; longer only by what a busy machine takes to wake up.
        for (from, to, delay) in
            [("b", "a", 5.0), ("c", "b", 40.0), ("b", "c", 60.0), ("client", "b", 10.0)]
        {
            let [netns, sim] = of(from, to).map(median);
            println!("{datapath:?} {from} {to}: netns {netns:?} ms, sim {sim:?} ms");
            // Where packets follow each other closely, keeping their order makes them a little later.
            assert!((sim.0 - delay).abs() < 1.0, "{from} {to}: {sim:?}");
            assert!((netns.0 - sim.0).abs() < 3.0, "{from} {to}: {netns:?}");
            assert!((netns.1 - sim.1).abs() < 3.0, "{from} {to}: {netns:?}");
            let uneven = (2.0..4.0).contains(&sim.1);
            assert!(uneven == (delay >= 40.0), "{from} {to}: {sim:?}");
        }
        // The narrow link: 1600 packets a second want to pass, 1500 do, and the queue is full after a second.
        let [netns, sim] = of("d", "c");
        println!("full: netns {}, sim {}", netns.full, sim.full);
        assert!(sim.full > 150 && netns.full.abs_diff(sim.full) < 60);
        for carried in [netns, sim] {
            let rate = carried.bytes as f64 * 8e9 / carried.busy as f64;
            println!("rate {rate:.0} bit/s");
            assert!((rate / 2.4e6 - 1.0).abs() < 0.03, "{rate}");
        }
        // Losses are drawn alike, of packets that the narrow link let through.
        let [netns, sim] = of("c", "b");
        println!(
            "lost: netns {} of {}, sim {} of {}",
            netns.lost, netns.packets, sim.lost, sim.packets
        );
        assert!(netns.lost.abs_diff(sim.lost) < 12 && sim.lost > 40);
        let [netns, sim] = of("b", "c");
        assert_eq!((netns.lost, netns.packets), (sim.lost, sim.packets));
        in_order(&plan, &ours);
        in_order(&plan, &theirs);
        assert_eq!(ours.arrived.values().sum::<u64>() + ours.lost, ours.sent.values().sum::<u64>());
    }
}

#[test]
fn where_no_queue_is_full_both_worlds_carry_the_same_packets() {
    if !root() {
        return;
    }
    let set = ["topology.links.2.rate=100 Mbit/s", "topology.links.2.queue=64 KiB"];
    for scheme in ["fms", "pint"] {
        let plan = shipped("x-link-conditions", &over(&set, &[scheme], 5));
        let (ours, theirs, _) = both(&plan, Datapath::Afpacket);
        assert_eq!((&ours.arrived, ours.lost), (&theirs.arrived, theirs.lost));
        assert_eq!(ours.taps, theirs.taps);
        assert!(seen(&plan, &ours) == seen(&plan, &theirs), "{scheme} marks otherwise");
    }
}

#[test]
fn the_stage_carries_what_a_plan_may_send() {
    if !root() {
        return;
    }
    let set = [
        "topology.links.2.rate=1 Gbit/s",
        "topology.links.2.queue=1024 KiB",
        "traffic.flood.rate=30 kpkt/s",
        "traffic.flood.packets=90000",
    ];
    let plan = shipped("x-link-conditions", &over(&set, &["none"], 5));
    let (ours, theirs, seconds) = both(&plan, Datapath::Afpacket);
    // Nothing is lost but what is to be lost: not in the stage, not in a queue.
    assert_eq!((&ours.arrived, ours.lost), (&theirs.arrived, theirs.lost));
    in_order(&plan, &ours);
    let frames: u64 = ours.carried.iter().map(|c| c.packets - c.lost).sum();
    let rate = frames as f64 / seconds;
    println!(
        "link stage: {frames} frames in {seconds:.2} s of a processor: {rate:.0} packets/s per core"
    );
    // Far below what was measured; a stage that cannot do this cannot carry what a plan may send.
    assert!(rate > 50_000.0, "{rate}");
    let (p50, _) = median(way(&plan, &ours, "c", "b"));
    assert!((p50 - 40.0).abs() < 5.0, "{p50} ms at 30 kpkt/s");
}
