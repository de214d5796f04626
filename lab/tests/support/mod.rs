//! Plans and looks at the host that the tests of the world `netns` share.
#![allow(dead_code, reason = "every test file uses a part of this")]

use ashiato::cli;
use ashiato::plan::{
    CasePlan, Caution, Class, Conditions, Conduct, DrawKind, End, Flow, HostKind, HostPlan,
    LinkPlan, Node, Plan, RoutePlan, RouterPlan, SCHEMA, SchemePlan, Source, StartMark,
};
use ashiato::resolve;
use ashiato::run::{self, Options};
use ashiato::scenario::{self, Overrides};
use ashiato::sim::Sim;
use ashiato::summary::Summary;
use ashiato::traffic::tag;
use ashiato::truth::Opened;
use ashiato::world::Traffic;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use traceback::case::Filter;
use traceback::invariant::Key;
use traceback::packet::Packet;
use traceback::{Nanos, RouterId};

/// Whether a test that needs root can run; says so when it cannot.
pub(crate) fn root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        println!("skipped: needs root");
    }
    root
}

/// Does the work for each case, three at a time: worlds wait for packets most of their time.
pub(crate) fn side_by_side<T: Sync>(cases: &[T], work: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    let turn = || {
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            work(case);
        }
    };
    // A case that panics makes the scope panic.
    std::thread::scope(|scope| (0..3).for_each(|_| drop(scope.spawn(turn))));
}

/// A run id that no other test uses.
pub(crate) fn run_id() -> String {
    ulid::Ulid::new().to_string()
}

/// A state folder of this test's own.
pub(crate) fn state(run: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("ashiato-test-{run}"));
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

/// Address `host` on link `link`.
fn on_link(v6: bool, link: usize, host: u8) -> IpAddr {
    if v6 {
        let link = u16::try_from(link).unwrap();
        Ipv6Addr::new(0x2001, 2, 0, link, 0, 0, 0, u16::from(host)).into()
    } else {
        let base = u32::from(Ipv4Addr::new(198, 18, 0, 0)) + u32::try_from(link).unwrap() * 4;
        Ipv4Addr::from(base + u32::from(host)).into()
    }
}

/// Routers in a row, the attacker before the first, the victim behind the last; one attack flow.
/// Link 0 is the attacker's, link `n` the victim's, and link `i` comes before router `i`.
pub(crate) fn line(routers: usize, v6: bool, deployed: bool) -> Plan {
    let at = |i: usize, host| on_link(v6, i, host);
    let host = |name: &str, kind, link, mine, theirs, router| HostPlan {
        name: name.into(),
        kind,
        address: at(link, mine),
        gateway: at(link, theirs),
        router,
        link,
    };
    let victim = host("victim", HostKind::Victim, routers, 2, 1, routers - 1);
    let filter =
        Filter { victim: victim.address, protocol: Some(17), source_port: None, port: Some(9) };
    Plan {
        schema: SCHEMA.into(),
        name: "line".into(),
        seed: 1,
        key: Key(1, 2),
        draws: DrawKind::Keyed,
        domains: vec![],
        routers: (0..routers).map(|i| router(routers, i, v6, deployed)).collect(),
        hosts: vec![host("attacker", HostKind::Attacker, 0, 1, 2, 0), victim],
        links: (0..=routers).map(|i| link(routers, i, v6)).collect(),
        flows: vec![flow(routers, v6)],
        case: CasePlan { victim: 1, filter, samples: 4 },
        room: None,
        schemes: ["none", "fms", "pint"].map(scheme).into(),
        effects: vec![],
        process_per_router: false,
        spread: None,
        epochs: vec![],
        faults: vec![],
        caution: Caution::default(),
        exchange: None,
        purpose: None,
        roles: vec![],
    }
}

/// Link `i` of the row.
fn link(routers: usize, i: usize, v6: bool) -> LinkPlan {
    let node = |i: usize| match i {
        0 => Node::Host(0),
        i if i == routers + 1 => Node::Host(1),
        i => Node::Router(i - 1),
    };
    LinkPlan {
        a: End { node: node(i), address: on_link(v6, i, 1) },
        b: End { node: node(i + 1), address: on_link(v6, i, 2) },
        len: length(v6),
        mtu: 1500,
        loss_ppm: 0,
        ways: [Conditions::default(); 2],
    }
}

fn length(v6: bool) -> u8 {
    if v6 { 64 } else { 30 }
}

fn router(routers: usize, i: usize, v6: bool, deployed: bool) -> RouterPlan {
    let at = |i: usize, host| on_link(v6, i, host);
    let route = |link: usize| {
        let (by, via) = match link {
            l if l < i => (i, Some(at(i, 1))),
            l if l > i + 1 => (i + 1, Some(at(i + 1, 2))),
            l => (l, None),
        };
        RoutePlan { net: at(link, 0), len: length(v6), link: by, via }
    };
    RouterPlan {
        name: format!("r{i}"),
        id: RouterId(u32::from(Ipv4Addr::new(198, 19, 0, 1)) + u32::try_from(i).unwrap()),
        asn: 64496,
        nation: "XA".into(),
        domain: "xa".into(),
        deployed,
        conduct: Conduct::Honest,
        poses_as: None,
        nat: false,
        routes: [0, routers].into_iter().map(route).collect(),
        also: vec![],
    }
}

fn flow(routers: usize, v6: bool) -> Flow {
    let spoofed: IpAddr = if v6 {
        Ipv6Addr::new(0x2001, 2, 0, 0xffff, 0, 0, 0, 7).into()
    } else {
        Ipv4Addr::new(198, 19, 200, 7).into()
    };
    Flow {
        id: 0,
        traffic: "flood".into(),
        class: Class::Attack,
        from: 0,
        to: 1,
        source: Source::Fixed(spoofed),
        source_port: 5000,
        port: 9,
        packets: 2000,
        start: Nanos(0),
        gap: Nanos(500_000),
        size: 100,
        ttl: 64,
        mark: StartMark::Clean,
        forged: None,
        ttl_spread: 0,
        fragment: false,
        reflects: None,
        path: (0..routers).collect(),
        ways: vec![],
    }
}

/// A turn of a scheme in a plan.
pub(crate) fn scheme(id: &str) -> SchemePlan {
    let ceiling = ashiato::plan::Ceiling { router: 1.0, r#as: 1.0, nation: 1.0 };
    let params = if id == "fms" { serde_json::json!({"p": 0.25}) } else { serde_json::json!({}) };
    let (id, marks_ceiling) = (id.into(), None);
    SchemePlan { id, params, ceiling, marks_ceiling, expected_false_routers: None }
}

/// Runs a scenario's text in the simulator into a folder.
pub(crate) fn simulate(text: &str, overrides: &Overrides, folder: &Path) -> Summary {
    let scenario = scenario::parse("x.toml", text, overrides).map_err(|r| r.to_string()).unwrap();
    let plan = Arc::new(resolve::plan(&scenario).map_err(|r| r.to_string()).unwrap());
    let options = Options {
        id: run_id(),
        scenario: text.into(),
        world: "sim",
        datapath: "sim".into(),
        tolerance: 0.0,
        keep: false,
        progress: &|_| {},
    };
    let folder = run::folder(Some(folder), &options.id).unwrap();
    run::run(&plan, &mut Sim::new(plan.clone()), folder, &options).unwrap().summary
}

/// Values that go over a scenario.
pub(crate) fn over(set: &[&str], schemes: &[&str], seed: u64) -> Overrides {
    let own = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
    Overrides { set: own(set), seed: Some(seed), schemes: own(schemes) }
}

/// The plan of a shipped scenario.
pub(crate) fn shipped(name: &str, overrides: &Overrides) -> Plan {
    let (_, text) = cli::new::SHIPPED.iter().find(|(n, _)| *n == name).unwrap();
    let scenario = scenario::parse(name, text, overrides).map_err(|r| r.to_string()).unwrap();
    resolve::plan(&scenario).map_err(|r| r.to_string()).unwrap()
}

/// Every packet of ours as the victim got it.
pub(crate) fn seen(plan: &Plan, traffic: &Traffic) -> BTreeMap<(u32, u64), Vec<u8>> {
    let read = |bytes: &Vec<u8>| {
        let tag = tag(plan.key.0, &Packet::parse(bytes.as_slice()).ok()?)?;
        Some(((tag.flow, tag.seq), bytes.clone()))
    };
    traffic.tape.iter().filter_map(|a| read(&a.bytes)).collect()
}

/// The summary of a run folder, which must hold every file that a run leaves, each as its sum says.
pub(crate) fn whole_folder(folder: &Path) -> Summary {
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let sums = read("SHA256SUMS");
    for name in [
        "scenario.toml",
        "plan.json",
        "truth.sealed",
        "truth.json",
        "events.ndjson",
        "provenance.json",
        "summary.json",
        "report.html",
    ] {
        assert!(sums.lines().any(|l| l.ends_with(&format!("  {name}"))), "no sum of {name}");
    }
    let mut check = Command::new("sha256sum");
    let checked = check.args(["--check", "--quiet", "SHA256SUMS"]).current_dir(folder).status();
    assert!(checked.unwrap().success());
    let opened: Opened = serde_json::from_str(&read("truth.json")).unwrap();
    assert!(opened.agrees(&serde_json::from_str(&read("truth.sealed")).unwrap()));
    serde_json::from_str(&read("summary.json")).unwrap()
}

/// Everything on this host that a run could leave behind, as text.
pub(crate) fn snapshot() -> String {
    let show = |program: &str, args: &[&str]| {
        let out = Command::new(program).args(args).output();
        out.map_or_else(|e| e.to_string(), |o| String::from_utf8_lossy(&o.stdout).into_owned())
    };
    let ours = std::fs::read_dir("/proc").unwrap().filter_map(|e| {
        let pid: i32 = e.ok()?.file_name().to_str()?.parse().ok()?;
        let environ = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
        let mark = ashiato::process::CHILD_OF.as_bytes();
        environ.windows(mark.len()).any(|w| w == mark).then(|| format!("process {pid}\n"))
    });
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let mounts: Vec<&str> = mounts.lines().filter(|l| l.contains("netns")).collect();
    [
        show("ip", &["netns", "list"]),
        show("ip", &["-o", "link", "show"]),
        show("ip", &["route", "show", "table", "all"]),
        show("ip", &["-6", "route", "show", "table", "all"]),
        show("nft", &["list", "ruleset"]),
        ours.collect(),
        mounts.join("\n"),
    ]
    .concat()
}

/// Fails where the host differs from an earlier look, with the lines that differ.
pub(crate) fn unchanged(before: &str) {
    let after = snapshot();
    let only = |a: &str, b: &str| -> Vec<String> {
        a.lines().filter(|l| !b.lines().any(|other| other == *l)).map(str::to_owned).collect()
    };
    let (gone, new) = (only(before, &after), only(&after, before));
    assert!(gone.is_empty() && new.is_empty(), "gone: {gone:#?}\nnew: {new:#?}");
}
