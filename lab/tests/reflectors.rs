//! Reflectors answer a run's own packets, each once, to the victim, and nothing that anybody else sends them.
#![allow(clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod support;

use ashiato::netns::{NetnsWorld, RunPaths, within};
use ashiato::plan::{Node, Plan, Reflects};
use ashiato::reflect::{MOST_TIMES, Reflector, Refused};
use ashiato::run::case;
use ashiato::scenario::spec::Datapath;
use ashiato::scope::{Gate, OutOfScope};
use ashiato::sim::Sim;
use ashiato::traffic;
use ashiato::world::World;
use ashiato_agent::datapath::socket::{Opening, PacketSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use support::{over, root, run_id, seen, shipped, side_by_side, state};
use traceback::checksum;
use traceback::packet::Packet;

/// Packets that set each reflector off, and answers to each.
const PACKETS: u64 = 200;
const TIMES: u64 = 6;
/// The first reflector's flows, and one of honest packets.
const TRIGGER: usize = 0;
const ANSWER: usize = 1;
const HONEST: usize = 4;

fn plan() -> Plan {
    let plan = shipped("x-reflected", &over(&["traffic.flood.packets=200"], &["fms", "spie"], 5));
    assert_eq!(plan.flows[ANSWER].reflects.unwrap().flow as usize, TRIGGER);
    plan
}

fn packet(plan: &Plan, flow: usize, seq: u64) -> Vec<u8> {
    let mut bytes = vec![];
    traffic::build(&mut bytes, plan, &plan.flows[flow], seq);
    bytes
}

/// The same in another name.
fn from(mut packet: Vec<u8>, source: [u8; 4]) -> Vec<u8> {
    packet[12..16].copy_from_slice(&source);
    packet[10..12].fill(0);
    let check = checksum::of(&packet[..20]);
    packet[10..12].copy_from_slice(&check.to_be_bytes());
    packet
}

/// What nobody may answer: other names, no cookie, the cookie of another run, of a flow that sets nothing off or of
/// a packet that the plan does not have.
fn hostile(plan: &Plan) -> Vec<(Vec<u8>, Refused)> {
    let mut other = plan.clone();
    other.key.0 ^= 1;
    let mut spoilt = packet(plan, TRIGGER, 0);
    spoilt[28..32].fill(0);
    vec![
        (from(packet(plan, TRIGGER, 0), [198, 18, 0, 1]), Refused::OtherName),
        (spoilt, Refused::Stranger),
        (packet(&other, TRIGGER, 0), Refused::Stranger),
        (packet(plan, HONEST, 0), Refused::Stranger),
        (packet(plan, ANSWER, 0), Refused::Stranger),
        (packet(plan, TRIGGER, PACKETS), Refused::Stranger),
    ]
}

#[test]
fn it_answers_each_packet_of_its_run_once() {
    let plan = plan();
    let mut reflector = Reflector::of(&plan, plan.flows[ANSWER].from).unwrap();
    let mut say = |bytes: &[u8]| reflector.answers(&plan, &Packet::parse(bytes).unwrap());
    for (bytes, why) in hostile(&plan) {
        assert_eq!(say(&bytes), Err(why));
    }
    for seq in (0..PACKETS).rev() {
        let bytes = packet(&plan, TRIGGER, seq);
        let flow = u32::try_from(ANSWER).unwrap();
        assert_eq!(say(&bytes), Ok((flow, seq * TIMES..(seq + 1) * TIMES)));
        assert_eq!(say(&bytes), Err(Refused::Again));
    }
    // Who has nothing to answer is no reflector.
    assert!(Reflector::of(&plan, plan.flows[TRIGGER].from).is_none());
}

#[test]
fn no_plan_makes_it_stronger() {
    let mut plan = plan();
    let reflects = plan.flows[ANSWER].reflects.unwrap();
    plan.flows[ANSWER].reflects = Some(Reflects { times: MOST_TIMES + 1, ..reflects });
    assert!(matches!(Gate::new(&plan), Err(OutOfScope::Broken { .. })));
    let mut reflector = Reflector::of(&plan, plan.flows[ANSWER].from).unwrap();
    let bytes = packet(&plan, TRIGGER, 0);
    let (_, numbers) = reflector.answers(&plan, &Packet::parse(&bytes[..]).unwrap()).unwrap();
    assert_eq!(numbers, 0..MOST_TIMES.into());
}

/// Says that all is over when it goes, also where a test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Sends frames to everybody on a link over and over, until all is over; how often.
fn pester(space: PathBuf, interface: String, packets: Vec<Vec<u8>>, over: &AtomicBool) -> u64 {
    within(&space, || {
        let interface = Some(interface.as_str());
        let opening = Opening { interface, ethertype: 0, ..Opening::default() };
        let socket = PacketSocket::open(&opening)?;
        let mut rounds = 0;
        while !over.load(Ordering::Relaxed) {
            for packet in &packets {
                socket.send(&[&[0xff; 6][..], &[2; 6], &[8, 0], packet].concat())?;
            }
            rounds += 1;
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(rounds)
    })
    .unwrap()
}

#[test]
fn answers_are_the_same_in_both_worlds_whoever_pesters_it() {
    if !root() {
        return;
    }
    let datapaths = [Datapath::Afpacket, Datapath::Tc, Datapath::Xdp];
    side_by_side(&datapaths, |&datapath| {
        let plan = plan();
        let id = run_id();
        let dir = state(&id);
        let paths = RunPaths { id, dir: dir.clone(), datapath };
        let mut netns = NetnsWorld::up(plan.clone(), paths, &|_| {}).unwrap();
        let mut sim = Sim::new(Arc::new(plan.clone()));
        // From the reflector's own router, where no gate keeps anybody from sending.
        let reflector = &plan.hosts[plan.flows[ANSWER].from];
        let router = netns.layout().router(reflector.router).clone();
        let gateway: Vec<_> = plan.ports(Node::Router(reflector.router));
        let port = gateway.iter().position(|link| *link == reflector.link).unwrap();
        let mut packets: Vec<_> = hostile(&plan).into_iter().map(|(packet, _)| packet).collect();
        // And once more what the attacker sends.
        packets.push(packet(&plan, TRIGGER, 0));
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let (space, interface) = (router.path(), router.ports[port].name.clone());
            let pest = scope.spawn(|| pester(space, interface, packets, &over));
            let all = Over(&over);
            for turn in 0..plan.schemes.len() {
                let (ours, theirs) = (netns.traffic(turn).unwrap(), sim.traffic(turn).unwrap());
                let answers = ours.sent[&u32::try_from(ANSWER).unwrap()];
                assert_eq!(answers, PACKETS * TIMES, "{datapath:?}");
                assert_eq!(ours.sent, theirs.sent, "{datapath:?}");
                let (mine, other) = (seen(&plan, &ours), seen(&plan, &theirs));
                assert_eq!(mine.len() as u64, 2 * PACKETS * TIMES + 600, "{datapath:?}");
                assert!(mine == other, "{datapath:?}: {} otherwise", plan.schemes[turn].id);
                let case = case::build(&plan, turn, &ours.tape).unwrap();
                netns.reconstruct(turn, &case).unwrap();
            }
            drop(all);
            assert!(pest.join().unwrap() > 10);
        });
        assert_eq!(netns.remove().unwrap(), 0);
        std::fs::remove_dir_all(dir).unwrap();
    });
}

#[test]
fn a_translator_on_the_way_breaks_the_trick() {
    // The reflector's answers are for the victim; who comes in a translator's name gets none.
    let mut plan = plan();
    let nearest = plan.flows[TRIGGER].path[0];
    plan.routers[nearest].nat = true;
    let traffic = Sim::new(Arc::new(plan.clone())).traffic(0).unwrap();
    let packets = |flow: usize| plan.flows[flow].packets;
    assert_eq!(traffic.sent[&0], packets(TRIGGER));
    assert_eq!(traffic.arrived[&0], packets(TRIGGER));
    assert!(!traffic.sent.contains_key(&1));
    assert_eq!(traffic.tape.len(), packets(HONEST));
}
