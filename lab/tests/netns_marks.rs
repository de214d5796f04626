//! The worlds `sim` and `netns` mark every packet alike, byte for byte, and log it at the same
//! routers, under keyed draws.
#![allow(clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod support;

use ashiato::journal;
use ashiato::netns::layout::CONTROL;
use ashiato::netns::{NetnsWorld, RunPaths, within};
use ashiato::plan::{Plan, Room, RoomKind};
use ashiato::run::case;
use ashiato::scenario::spec::Datapath;
use ashiato::sim::Sim;
use ashiato::traffic::{self, Tag, tag};
use ashiato::world::{Outcome, Traffic, World};
use ashiato_collector::authority::Tls;
use ashiato_collector::client::Operator;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::{line, root, run_id, scheme, side_by_side, state};
use traceback::case::{Case, Gap, Sample};
use traceback::graph::{AttackGraph, Finding};
use traceback::packet::Packet;

const SCHEMES: [&str; 5] = ["none", "recorder", "fms", "spie", "pint"];
const ROUTERS: usize = 4;
/// Every so many packets, one is asked about by itself.
const ASKED_1_IN: usize = 50;

#[test]
fn both_worlds_mark_every_packet_alike() {
    if !root() {
        return;
    }
    use Datapath::{Afpacket, Tc, Xdp, XdpPass};
    let cases = [
        (Afpacket, false, false, RoomKind::Option),
        (Afpacket, true, true, RoomKind::Option),
        (Afpacket, false, true, RoomKind::Payload),
        (Tc, true, true, RoomKind::Option),
        (Tc, false, false, RoomKind::Payload),
        (Xdp, true, true, RoomKind::Option),
        (Xdp, false, false, RoomKind::Payload),
        (XdpPass, false, false, RoomKind::Option),
    ];
    side_by_side(&cases, |&(datapath, v6, process_per_router, kind)| {
        let room = Some(Room {
            kind,
            records: ROUTERS,
            trace_nodes: if v6 { ROUTERS } else { 0 },
            export: v6,
        });
        let schemes = SCHEMES.map(scheme).into();
        println!("{datapath:?}, v6 {v6}, {kind:?}");
        let mut plan = Plan { process_per_router, room, schemes, ..line(ROUTERS, v6, true) };
        for flow in &mut plan.flows {
            flow.size = flow.size.max(traffic::smallest(v6, room));
        }
        alike(&plan, datapath);
    });
}

fn alike(plan: &Plan, datapath: Datapath) {
    let id = run_id();
    let dir = state(&id);
    let paths = RunPaths { id, dir: dir.clone(), datapath };
    let mut netns = NetnsWorld::up(plan.clone(), paths, &|_| {}).unwrap();
    let mut sim = Sim::new(Arc::new(plan.clone()));
    for turn in 0..plan.schemes.len() {
        let name = &plan.schemes[turn].id;
        let ours = netns.traffic(turn).unwrap();
        let theirs = sim.traffic(turn).unwrap();
        assert_eq!(ours.sent, theirs.sent);
        assert_eq!((&ours.taps, ours.leaked), (&theirs.taps, 0));
        assert_eq!(ours.arrived, theirs.arrived);
        let marks = marked(plan, &ours);
        assert_eq!(marks.len(), 2000);
        assert!(marks == marked(plan, &theirs), "{name} marks otherwise");
        if name == "spie" {
            logs_alike(plan, turn, &netns, &mut sim, [&ours, &theirs]);
            sim.traffic(turn).unwrap();
        }
        let [ours, theirs] = [ours, theirs].map(|t| case::build(plan, turn, &t.tape).unwrap());
        let ours = netns.reconstruct(turn, &ours).unwrap();
        let theirs = sim.reconstruct(turn, &theirs).unwrap();
        same_results(name, datapath, &ours, &theirs);
    }
    assert_eq!(netns.remove().unwrap(), 0);
    std::fs::remove_dir_all(dir).unwrap();
}

/// Packets of ours as the victim got them.
fn marked(plan: &Plan, traffic: &Traffic) -> BTreeMap<Tag, Vec<u8>> {
    let read = |bytes: &Vec<u8>| tag(plan.key.0, &Packet::parse(bytes.as_slice()).ok()?);
    let ours = |bytes: &Vec<u8>| Some((read(bytes)?, bytes.clone()));
    traffic.tape.iter().filter_map(|a| ours(&a.bytes)).collect()
}

fn same_results(name: &str, datapath: Datapath, ours: &Outcome, theirs: &Outcome) {
    assert_eq!(ours.finding, theirs.finding, "{name}");
    // Logs in the kernel have all their pages from the start.
    if name == "spie" && datapath == Datapath::Afpacket {
        // As many pages: what only a kernel sends, such as neighbour discovery, fills no other.
        assert_eq!(ours.ledger_bytes, theirs.ledger_bytes);
    }
    assert_eq!((&ours.asked, &ours.answered), (&theirs.asked, &theirs.answered), "{name}");
    assert_eq!(ours.observations.lost, 0);
    let forwarded: u64 = ours.counters.values().map(|c| c.forwarded).sum();
    assert!(forwarded >= ROUTERS as u64 * 2000, "only {forwarded} forwarded");
}

/// SPIE salts each page with the time of its first packet, so the bits of two worlds differ. What the
/// logs say must not: about every packet asked for, each router of one world says what its double says,
/// and nobody claims to have seen a packet that was never sent.
fn logs_alike(plan: &Plan, turn: usize, netns: &NetnsWorld, sim: &mut Sim, traffic: [&Traffic; 2]) {
    let [mut ours, mut theirs] = traffic.map(|t| case::build(plan, turn, &t.tape).unwrap());
    let mut bytes: Vec<Vec<u8>> =
        marked(plan, traffic[0]).into_values().step_by(ASKED_1_IN).collect();
    let sent = bytes.len();
    bytes.extend((2000..2010).map(|seq| {
        let mut unsent = vec![];
        traffic::build(&mut unsent, plan, &plan.flows[0], seq);
        unsent
    }));
    let samples: Vec<Sample> =
        bytes.into_iter().map(|bytes| Sample { bytes, at: ours.window.from }).collect();
    let answers = ask_netns(turn, netns, &mut ours, &samples);
    for (at, (sample, answer)) in samples.into_iter().zip(answers).enumerate() {
        theirs.samples = vec![sample];
        sim.traffic(turn).unwrap();
        assert_eq!(answer, sim.reconstruct(turn, &theirs).unwrap().finding, "packet {at}");
        let path = plan.flows[0].path.iter().map(|r| plan.routers[*r].id).collect();
        match answer {
            Ok(finding) => {
                assert_eq!(finding, Finding::Paths(AttackGraph::from_paths([path])));
                assert!(at < sent, "packet {at} was never sent");
            }
            Err(gap) => assert!(at >= sent, "packet {at}: {gap}"),
        }
    }
}

/// Asks the routers of the standing world about one packet after the other.
fn ask_netns(
    turn: usize,
    netns: &NetnsWorld,
    case: &mut Case,
    samples: &[Sample],
) -> Vec<Result<Finding, Gap>> {
    let (records, _) = journal::records(&journal::state_dir().unwrap());
    let record = records.iter().find(|r| r.folder == netns.folder()).unwrap();
    let file = |name: &str| record.dir.join("keys").join(name);
    let (cert, key) = (file("operator-lab.pem"), file("operator-lab.key"));
    let tls = Tls { ca: file("ca.pem"), cert, key };
    let chosen = &netns.plan().schemes[turn];
    within(&netns.layout().control().path(), || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let address = format!("{CONTROL}:7400").parse()?;
            let mut operator = Operator::connect(address, &tls).await?;
            all_connected(&mut operator, &chosen.id).await;
            let mut findings = vec![];
            for sample in samples {
                case.samples = vec![sample.clone()];
                let patience = Duration::from_secs(5);
                let traced = operator.trace(&chosen.id, &chosen.params, case, patience).await?;
                findings.push(traced.traced.finding);
            }
            Ok(findings)
        })
    })
    .unwrap()
}

/// Waits for every router and the observer.
async fn all_connected(operator: &mut Operator, scheme: &str) {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let status = operator.status(scheme).await.unwrap();
        let here = status.agents.iter().filter(|a| a.connected && a.scheme == scheme).count();
        if here > ROUTERS {
            return;
        }
        assert!(Instant::now() < end, "only {here} agents connected");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
