//! The gate in the kernel at senders' links, against senders that do not ask.
#![allow(
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "a test that cannot go on may panic, and tells one story from start to end"
)]

mod support;

use ashiato::exit::Exit;
use ashiato::netns::guard::{Guard, Held, Limits};
use ashiato::netns::{NetnsWorld, RunPaths, within};
use ashiato::plan::Plan;
use ashiato::safety::Caps;
use ashiato::scenario::spec::Datapath;
use ashiato::traffic;
use ashiato::world::World;
use ashiato_agent::datapath::socket::{Opening, PacketSocket};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use support::{line, root, run_id, snapshot, state, unchanged};

/// Tests of this file look at the whole host, so they take turns.
static TURN: Mutex<()> = Mutex::new(());

/// Somebody in the sender's namespace who sends what he likes.
struct Rogue {
    plan: Plan,
    socket: PacketSocket,
    head: [u8; 12],
}

impl Rogue {
    fn of(world: &NetnsWorld) -> Self {
        let plan = world.plan().clone();
        let host = world.layout().host(0);
        let gateway = world.layout().router(0).ports.iter().find(|p| p.link == 0).unwrap();
        let opening = Opening { interface: Some("p0"), ethertype: 0, ..Opening::default() };
        let socket = within(&host.path(), || Ok(PacketSocket::open(&opening)?)).unwrap();
        let mut head = [0; 12];
        head[..6].copy_from_slice(&gateway.mac);
        head[6..].copy_from_slice(&host.ports[0].mac);
        Self { plan, socket, head }
    }

    /// Sends a packet of the plan's flow, changed before its checksums are made.
    fn send(&self, change: impl Fn(&mut Plan)) {
        let (mut plan, mut ip) = (self.plan.clone(), vec![]);
        change(&mut plan);
        traffic::build(&mut ip, &plan, &self.plan.flows[0], 0);
        let version = if ip[0] >> 4 == 4 { [0x08, 0x00] } else { [0x86, 0xdd] };
        // A packet that is dropped on the way out may be an error to its sender.
        let _ = self.socket.send(&[&self.head[..], &version, &ip].concat());
    }
}

fn world(v6: bool) -> (NetnsWorld, PathBuf) {
    let id = run_id();
    let dir = state(&id);
    let mut plan = line(3, v6, true);
    plan.schemes = vec![support::scheme("fms")];
    let paths = RunPaths { id, dir: dir.clone(), datapath: Datapath::Afpacket };
    (NetnsWorld::up(plan, paths, &|_| {}).unwrap(), dir)
}

fn held_since(world: &NetnsWorld, before: Held) -> Held {
    world.guard().unwrap().held().unwrap().since(&before)
}

#[test]
fn nothing_leaves_without_a_lease_out_of_scope_or_too_fast() {
    if !root() {
        return;
    }
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let before = snapshot();
    for v6 in [false, true] {
        let (mut world, dir) = world(v6);
        let sent = world.traffic(0).unwrap();
        let packets: u64 = sent.sent.values().sum();
        let first = world.guard().unwrap().held().unwrap();
        assert!(first.passed >= packets && packets > 0, "{first:?} of {packets}");
        assert!(first.judge().is_ok());
        let rogue = Rogue::of(&world);
        // The turn is over, and so is the lease.
        (0..50).for_each(|_| rogue.send(|_| {}));
        let held = held_since(&world, first);
        assert_eq!(held, Held { no_lease: 50, ..Held::default() });
        assert_eq!(Exit::of(&held.judge().unwrap_err()), Exit::Stopped);

        world.guard().unwrap().renew().unwrap();
        let second = world.guard().unwrap().held().unwrap();
        let elsewhere = if v6 { "2001:db8::1" } else { "192.0.2.1" };
        (0..10).for_each(|_| rogue.send(|plan| plan.hosts[1].address = elsewhere.parse().unwrap()));
        (0..10).for_each(|_| rogue.send(|_| {}));
        let held = held_since(&world, second);
        // The victim's kernel answers some of what nobody there waits for.
        assert!((10..30).contains(&held.passed), "{held:?}");
        assert_eq!(held, Held { passed: held.passed, out_of_scope: 10, ..Held::default() });
        assert_eq!(Exit::of(&held.judge().unwrap_err()), Exit::Safety);

        // Far more than a run may send in a tenth of a second, in well under a second.
        let third = world.guard().unwrap().held().unwrap();
        (0..30_000).for_each(|_| rogue.send(|_| {}));
        let held = held_since(&world, third);
        assert!(held.too_fast > 0, "{held:?}");
        let all = held.passed + held.too_fast + held.no_lease;
        assert!(held.out_of_scope == 0 && (30_000..30_100).contains(&all), "{held:?}");

        // Nobody renews it: two seconds later nothing leaves any more.
        world.guard().unwrap().renew().unwrap();
        std::thread::sleep(Duration::from_millis(2_100));
        let last = world.guard().unwrap().held().unwrap();
        rogue.send(|_| {});
        assert_eq!(held_since(&world, last), Held { no_lease: 1, ..Held::default() });
        drop(rogue);
        assert!(world.down().unwrap().left.is_empty());
        std::fs::remove_dir_all(dir).unwrap();
        unchanged(&before);
    }
}

/// What a gate of these limits did with so many packets of the plan's flow.
fn through(limits: &Limits, packets: u64) -> Held {
    let (world, dir) = world(false);
    let guard = Guard::stand(world.layout(), limits).unwrap();
    guard.renew().unwrap();
    let rogue = Rogue::of(&world);
    (0..packets).for_each(|_| rogue.send(|_| {}));
    let held = guard.held().unwrap();
    assert!(world.down().unwrap().left.is_empty());
    std::fs::remove_dir_all(dir).unwrap();
    held
}

#[test]
fn a_gate_between_hosts_has_networks_a_budget_and_an_end() {
    if !root() {
        return;
    }
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let before = snapshot();
    let narrow = |caps: Caps, networks: &[(&str, bool)]| {
        let networks = networks.iter().map(|(net, pass)| (net.parse().unwrap(), *pass)).collect();
        Limits { caps, networks: Some(networks), strict: true }
    };
    let all = [("198.18.0.0/15", true)];
    // The source of the flow is 198.19.200.7, and a longer match counts.
    let denied = narrow(Caps::CEILING, &[all[0], ("198.19.200.0/24", false)]);
    let held = through(&denied, 10);
    assert_eq!(held, Held { passed: held.passed, out_of_scope: 10, ..Held::default() });
    assert_eq!(Exit::of(&held.judge().unwrap_err()), Exit::Safety);
    // The destination is on no network that is allowed.
    let elsewhere = narrow(Caps::CEILING, &[("198.19.200.0/24", true)]);
    assert!(through(&elsewhere, 10).out_of_scope >= 10);
    // So many packets in all, and no more.
    let held = through(&narrow(Caps { packets: 20, ..Caps::CEILING }, &all), 50);
    assert!(held.passed <= 20 && held.spent >= 30, "{held:?}");
    assert_eq!(Exit::of(&held.judge().unwrap_err()), Exit::Safety);
    // So many bits in a second: ten packets of 114 bytes in each tenth.
    let bits = Caps { bits_per_second: 8 * 114 * 100, ..Caps::CEILING };
    let held = through(&narrow(bits, &all), 200);
    assert!(held.too_fast > 0 && held.passed > 0, "{held:?}");
    // No time left to send in.
    let held = through(&narrow(Caps { attack_seconds: 0, ..Caps::CEILING }, &all), 5);
    assert_eq!(held, Held { spent: held.spent, ..Held::default() });
    assert!(held.spent >= 5);
    unchanged(&before);
}

#[test]
fn a_gate_that_was_taken_away_does_not_open() {
    if !root() {
        return;
    }
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let (world, dir) = world(false);
    let limits = Limits { strict: true, ..Limits::default() };
    let guard = Guard::stand(world.layout(), &limits).unwrap();
    guard.renew().unwrap();
    let name = world.layout().host(0).name.clone();
    let mut tc = Command::new("ip");
    tc.args(["netns", "exec", &name, "tc", "filter", "del", "dev", "p0", "egress"]);
    assert!(tc.status().unwrap().success());
    let error = guard.renew().unwrap_err();
    assert_eq!(Exit::of(&error), Exit::Safety);
    assert!(error.to_string().contains("the gate at p0"), "{error}");
    assert!(world.down().unwrap().left.is_empty());
    std::fs::remove_dir_all(dir).unwrap();
}
