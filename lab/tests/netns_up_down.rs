//! Namespaces, links and routes of a plan stand, carry packets, and are gone without a trace.
#![allow(
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "a test that cannot go on may panic"
)]

mod support;

use ashiato::netns::{NetnsWorld, RunPaths, within};
use ashiato::plan::Plan;
use ashiato::scenario::spec::Datapath;
use std::net::UdpSocket;
use std::time::{Duration, Instant};
use support::{line, root, run_id, snapshot, state, unchanged};

fn up(plan: Plan) -> anyhow::Result<NetnsWorld> {
    let id = run_id();
    let dir = state(&id);
    let world = NetnsWorld::up(
        plan,
        RunPaths { id, dir: dir.clone(), datapath: Datapath::Afpacket },
        &|_| {},
    );
    // Nothing runs here that would fill it.
    std::fs::remove_dir_all(dir).unwrap();
    world
}

/// One test function, because the look at the host before and after must see no other test's work.
#[test]
fn worlds_stand_and_fall() {
    if !root() {
        return;
    }
    let before = snapshot();
    for v6 in [false, true] {
        the_kernel_carries_packets(v6);
        unchanged(&before);
    }
    a_hundred_routers();
    unchanged(&before);
    a_failure_leaves_nothing();
    unchanged(&before);
}

fn the_kernel_carries_packets(v6: bool) {
    // No agent: the kernel forwards.
    let world = up(line(4, v6, false)).unwrap();
    let (from, to) = (world.plan().hosts[0].address, world.plan().hosts[1].address);
    let receiver =
        within(&world.layout().host(1).path(), || Ok(UdpSocket::bind((to, 9))?)).unwrap();
    let sender =
        within(&world.layout().host(0).path(), || Ok(UdpSocket::bind((from, 0))?)).unwrap();
    receiver.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    sender.send_to(b"hello", (to, 9)).unwrap();
    let mut buffer = [0; 16];
    let (len, source) = receiver.recv_from(&mut buffer).unwrap();
    assert_eq!((&buffer[..len], source.ip()), (&b"hello"[..], from));
    drop((receiver, sender));
    let removed = world.down().unwrap();
    assert_eq!((removed.namespaces, removed.links, removed.left), (7, 5, vec![]));
}

fn a_hundred_routers() {
    let start = Instant::now();
    let world = up(line(100, false, true)).unwrap();
    let made = start.elapsed();
    let removed = world.down().unwrap();
    println!("100 routers: up {made:?}, up and down {:?}", start.elapsed());
    assert_eq!((removed.namespaces, removed.links, removed.left), (103, 101, vec![]));
}

fn a_failure_leaves_nothing() {
    let mut plan = line(5, false, true);
    // The kernel refuses a gateway that is on no link.
    plan.routers[4].routes[0].via = Some("198.18.99.99".parse().unwrap());
    let error = format!("{:#}", up(plan).unwrap_err());
    assert!(error.contains("cannot route 198.18.0.0/30 by 198.18.99.99"), "{error}");
}
