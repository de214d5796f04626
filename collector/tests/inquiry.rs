//! An inquiry from end to end: SPIE's logs stay at the routers, the question travels.
#![allow(clippy::unwrap_used, reason = "a test stops where something is not as expected")]

mod rig;

use ashiato_agent::uplink::{Command, UplinkHandle};
use rig::{LONG, Rig, case, report};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::timeout;
use traceback::case::{Gap, Sample};
use traceback::graph::Finding;
use traceback::map::{Map, MapRouter};
use traceback::packet::Packet;
use traceback::report::Report;
use traceback::scheme::Hop;
use traceback::schemes;
use traceback::vantage::{Draws, Setting, Vantage};
use traceback::{Nanos, RouterId, checksum};

/// A UDP packet to the case's victim.
fn packet(n: u8) -> Vec<u8> {
    let mut bytes = vec![0x45, 0, 0, 36, 0, 0, 0, 0, 60, 17, 0, 0, 198, 18, 9, 9, 198, 18, 0, 1];
    let check = checksum::of(&bytes);
    bytes[10..12].copy_from_slice(&check.to_be_bytes());
    bytes.extend([1, 0, 2, 0, 0, 16, 0, 0, n, n, n, n, n, n, n, n]);
    bytes
}

/// A gateway 1 with neighbours 2 and 3, and 4 behind 2.
fn map() -> Map {
    let router = |n: u32| MapRouter {
        id: RouterId(n),
        name: format!("r{n}"),
        asn: 64496,
        nation: "XA".into(),
        aliases: vec![],
    };
    Map::new((1..=4).map(router).collect(), vec![(0, 1), (0, 2), (1, 3)]).unwrap()
}

/// An agent that answers from its log.
async fn answer_with(
    rig: &Rig,
    collector: SocketAddr,
    n: u32,
    vantage: Box<dyn Vantage>,
) -> UplinkHandle {
    let (handle, mut commands) = rig.uplink_of(collector, n, "spie");
    handle.report(Report { scheme: "spie".into(), ..report(n) });
    timeout(LONG, handle.drained()).await.unwrap();
    let agent = handle.clone();
    tokio::spawn(async move {
        while let Some(Command::Ask { id, query }) = commands.recv().await {
            agent.reply(id, vantage.answer(&query));
        }
    });
    handle
}

#[tokio::test(flavor = "multi_thread")]
async fn one_packet_is_followed_from_router_to_router() {
    let rig = Rig::new();
    let collector = rig.start().await;
    let spie = schemes::find("spie").unwrap();
    let params = spie.defaults();
    let mut case = case();
    case.map = map();
    case.samples = vec![Sample { bytes: packet(7), at: Nanos(5) }];
    // Packet 7 went 4, 2, 1; the others went 3, 1.
    let saw: [(u32, &[u8]); 4] = [(1, &[1, 2, 7]), (2, &[7]), (3, &[1, 2]), (4, &[7])];
    let mut handles = vec![];
    for (n, numbers) in saw {
        let place = case.map.place(RouterId(n)).unwrap();
        let setting = Setting { place, key: case.key, draws: Draws::Keyed, filter: None };
        let mut vantage = spie.build(&params).unwrap().vantage(setting);
        for number in numbers {
            let mut bytes = packet(*number);
            let mut packet = Packet::parse(bytes.as_mut_slice()).unwrap();
            let hop = Hop { at: Nanos(5), me: place.id, ttl: 60, ..Hop::default() };
            vantage.forward(hop, &mut packet);
        }
        handles.push(answer_with(&rig, collector.listen(), n, vantage).await);
    }
    let mut operator = rig.operator(collector.listen()).await;
    let outcome = operator.trace("spie", &params, &case, Duration::from_secs(5)).await.unwrap();
    let Ok(Finding::Paths(graph)) = &outcome.traced.finding else { panic!("{outcome:?}") };
    let path = [4, 2, 1].map(RouterId).to_vec();
    assert_eq!(graph.paths.iter().collect::<Vec<_>>(), [&path]);
    assert_eq!(outcome.traced.asked.len(), 4);
    assert_eq!(outcome.traced.answered, outcome.traced.asked);
    assert_eq!(outcome.footprint_bytes, 400);

    // A packet that nobody saw, and a wish that makes no sense.
    case.samples = vec![Sample { bytes: packet(99), at: Nanos(5) }];
    let outcome = operator.trace("spie", &params, &case, Duration::from_secs(5)).await.unwrap();
    assert!(matches!(outcome.traced.finding, Err(Gap::Nothing { .. })));
    let odd = serde_json::json!({ "colour": 1 });
    let refused = operator.trace("spie", &odd, &case, LONG).await.unwrap_err();
    assert!(refused.to_string().contains("unknown field"), "{refused}");
    collector.stop().await.unwrap();
}
