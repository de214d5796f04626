//! Messages of ICMP traceback: routers in namespaces tell the victim about the same packets as routers in
//! the simulator, whether userspace or a program in the kernel chooses them.
#![allow(clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod support;

use ashiato::netns::{NetnsWorld, RunPaths};
use ashiato::plan::Plan;
use ashiato::run::case;
use ashiato::scenario::spec::Datapath;
use ashiato::sim::Sim;
use ashiato::traffic::{Tag, tag};
use ashiato::world::{Traffic, World};
use std::collections::BTreeSet;
use std::sync::Arc;
use support::{over, root, run_id, shipped, state};
use traceback::RouterId;
use traceback::graph::Finding;
use traceback::packet::Packet;
use traceback::schemes::itrace::message::{Message, is_message};

/// Which router told the victim about which packet.
fn told(plan: &Plan, traffic: &Traffic) -> BTreeSet<(RouterId, Tag)> {
    let read = |bytes: &Vec<u8>| {
        let packet = Packet::parse(bytes.as_slice()).ok().filter(is_message)?;
        let message = Message::read(packet.as_bytes(), packet.transport_offset()).unwrap();
        Some((message.router, tag(plan.key.0, &Packet::parse(message.traced).unwrap()).unwrap()))
    };
    traffic.tape.iter().filter_map(|a| read(&a.bytes)).collect()
}

#[test]
fn every_datapath_tells_about_the_packets_of_the_simulator() {
    if !root() {
        return;
    }
    for datapath in [Datapath::Afpacket, Datapath::Tc, Datapath::Xdp, Datapath::XdpPass] {
        let set = ["traffic.flood.rate=4 kpkt/s", "scheme.itrace.intention=false"];
        let plan = shipped("itrace", &over(&set, &[], 5));
        let id = run_id();
        let dir = state(&id);
        let paths = RunPaths { id, dir: dir.clone(), datapath };
        let mut netns = NetnsWorld::up(plan.clone(), paths, &|_| {}).unwrap();
        let mut sim = Sim::new(Arc::new(plan.clone()));
        let (ours, theirs) = (netns.traffic(0).unwrap(), sim.traffic(0).unwrap());
        let (mine, other) = (told(&plan, &ours), told(&plan, &theirs));
        assert_eq!(mine, other, "{datapath:?}");
        assert!(mine.len() > 5, "{datapath:?}: {}", mine.len());
        let case = case::build(&plan, 0, &ours.tape).unwrap();
        let outcome = netns.reconstruct(0, &case).unwrap();
        assert!(matches!(outcome.finding, Ok(Finding::Paths(_))), "{:?}", outcome.finding);
        let answered: u64 = outcome.counters.values().map(|c| c.answered).sum();
        assert!(answered >= mine.len() as u64 && outcome.observations.lost == 0, "{datapath:?}");
        assert_eq!(netns.remove().unwrap(), 0);
        std::fs::remove_dir_all(dir).unwrap();
    }
}

/// Messages that wait for packets to the victim lead to its path under every datapath; which packet pays
/// depends on the order of packets, so worlds agree in law.
#[test]
fn messages_wait_for_packets_that_are_wanted() {
    if !root() {
        return;
    }
    for datapath in [Datapath::Tc, Datapath::Xdp] {
        let plan = shipped("itrace", &over(&["traffic.flood.rate=4 kpkt/s"], &[], 5));
        let id = run_id();
        let dir = state(&id);
        let paths = RunPaths { id, dir: dir.clone(), datapath };
        let mut netns = NetnsWorld::up(plan.clone(), paths, &|_| {}).unwrap();
        let ours = netns.traffic(0).unwrap();
        let about: BTreeSet<u32> = told(&plan, &ours).iter().map(|(_, tag)| tag.flow).collect();
        assert_eq!(about, BTreeSet::from([0]), "{datapath:?}: about the flood alone");
        let case = case::build(&plan, 0, &ours.tape).unwrap();
        let found = netns.reconstruct(0, &case).unwrap().finding;
        let Ok(Finding::Paths(found)) = found else { panic!("{datapath:?}: {found:?}") };
        let path = plan.flows[0].path.iter().map(|r| plan.routers[*r].id).collect();
        assert_eq!(found.paths, BTreeSet::from([path]), "{datapath:?}");
        assert_eq!(netns.remove().unwrap(), 0);
        std::fs::remove_dir_all(dir).unwrap();
    }
}
