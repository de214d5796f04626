//! Routers of a real network that draw for themselves mark as often as the law of the path says: the worlds `netns`
//! and `sim` agree in law, in every datapath.
#![allow(clippy::unwrap_used, reason = "a test ends at its first surprise")]

#[path = "../../traceback/tests/chi_square/mod.rs"]
mod chi_square;
mod support;

use ashiato::netns::{NetnsWorld, RunPaths};
use ashiato::plan::{DrawKind, Plan, Room, RoomKind};
use ashiato::run::{self, case};
use ashiato::scenario::spec::Datapath;
use ashiato::sim::law;
use ashiato::traffic::{self, tag};
use ashiato::world::{Traffic, World};
use std::collections::BTreeMap;
use support::{line, root, run_id, scheme, side_by_side, state};
use traceback::Nanos;
use traceback::arrivals::Arrived;
use traceback::packet::Packet;
use traceback::schemes::{AnyScheme, SCHEMES};

const ROUTERS: usize = 5;
const PACKETS: u64 = 8_000;

#[test]
fn routers_that_draw_for_themselves_follow_the_law() {
    if !root() {
        return;
    }
    let plan = plan();
    side_by_side(&[Datapath::Tc, Datapath::Xdp, Datapath::Afpacket], |datapath| {
        let id = run_id();
        let dir = state(&id);
        let paths = RunPaths { id, dir: dir.clone(), datapath: *datapath };
        let mut netns = NetnsWorld::up(plan.clone(), paths, &|_| {}).unwrap();
        for turn in 0..plan.schemes.len() {
            let scheme = run::scheme(&plan, turn).unwrap();
            let laws = law::laws(&plan, &*scheme).unwrap().unwrap();
            let traffic = netns.traffic(turn).unwrap();
            // Its end is the end of the turn's agents.
            netns.reconstruct(turn, &case::build(&plan, turn, &traffic.tape).unwrap()).unwrap();
            let seen = arrived(&plan, &*scheme, &traffic);
            assert_eq!(seen.values().sum::<u64>(), PACKETS);
            let far = chi_square::too_far(&laws[0], &seen);
            assert_eq!(far, None, "{datapath:?} {}", scheme.card().id);
        }
        assert_eq!(netns.remove().unwrap(), 0);
        std::fs::remove_dir_all(dir).unwrap();
    });
}

/// A row of routers with a turn for every scheme that has a law.
fn plan() -> Plan {
    let room =
        Some(Room { kind: RoomKind::Option, records: ROUTERS, trace_nodes: 0, export: false });
    let mut plan = Plan { draws: DrawKind::Kernel, room, ..line(ROUTERS, false, true) };
    for flow in &mut plan.flows {
        (flow.packets, flow.gap) = (PACKETS, Nanos(50_000));
        flow.size = flow.size.max(traffic::smallest(false, room));
    }
    plan.schemes = SCHEMES.iter().map(|entry| scheme(entry.card().id)).collect();
    let mut bytes = vec![];
    traffic::build(&mut bytes, &plan, &plan.flows[0], 0);
    let packet = Packet::parse(&bytes[..]).unwrap();
    let lawful = |turn: usize| {
        let scheme = run::scheme(&plan, turn).unwrap();
        let has_slot = scheme.card().v4.read(&packet).is_some();
        has_slot && law::laws(&plan, &*scheme).unwrap().is_some()
    };
    let turns: Vec<usize> = (0..plan.schemes.len()).filter(|turn| lawful(*turn)).collect();
    assert!(turns.len() >= 17, "{turns:?}");
    let schemes = turns.into_iter().map(|turn| plan.schemes[turn].clone()).collect();
    Plan { schemes, ..plan }
}

/// How often each mark came, with each TTL.
fn arrived(plan: &Plan, scheme: &dyn AnyScheme, traffic: &Traffic) -> BTreeMap<Arrived, u64> {
    let mut seen = BTreeMap::new();
    for arrival in traffic.tape.iter() {
        let Ok(packet) = Packet::parse(&arrival.bytes[..]) else { continue };
        if tag(plan.key.0, &packet).is_some() {
            *seen.entry(law::sent(&packet, scheme).1).or_default() += 1;
        }
    }
    seen
}
