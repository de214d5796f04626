//! How programs are attached, and that they go.

use crate::agent::Agent;
use crate::said::{listen, said};
use crate::support::{Net, Running, datagrams, privileged};
use crate::{always, config};
use ashiato_agent::config::Datapath;
use ashiato_agent::datapath::ethtool;
use ashiato_agent::datapath::kernel::layout::Setting;
use ashiato_agent::datapath::kernel::program::{Hook, Program};
use ashiato_agent::journal::{self, Change, Record};
use aya::programs::tc::{NlOptions, TcAttachOptions, qdisc_add_clsact};
use aya::programs::{LinkOrder, SchedClassifier, TcAttachType};
use std::time::Duration;
use traceback::{RouterId, schemes};

/// Numbers of the programs on a router's port: XDP's and those of tcx.
pub(crate) fn attached(net: &Net, port: &str) -> Vec<String> {
    let link = net.say("rtr", &format!("-d link show {port}"));
    let words: Vec<&str> = link.split_whitespace().collect();
    let xdp = words.windows(2).filter(|w| w[0] == "prog/xdp").map(|w| format!("id {}", w[1]));
    let mut ids: Vec<String> = xdp.collect();
    let query = || SchedClassifier::query_tcx(port, TcAttachType::Egress).unwrap().1;
    ids.extend(net.within("rtr", query).iter().map(|p| format!("tcx {}", p.id())));
    ids
}

fn nothing_attached(net: &Net) {
    for port in ["p0", "p1", "p2"] {
        // The kernel takes links off when the last descriptor goes, which it may put off.
        let gone = (0..100).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            attached(net, port).is_empty()
        });
        assert!(gone, "{port}: {:?}", attached(net, port));
    }
}

pub(crate) fn a_second_agent_is_refused_and_harms_nothing(datapath: Datapath) {
    if !privileged() {
        return;
    }
    let net = Net::of("second", datapath);
    let mut first = Running::start(&always(&net, datapath)).unwrap();
    let before = ["p0", "p1", "p2"].map(|port| attached(&net, port));
    assert!(before.iter().all(|ids| ids.len() == 1), "{before:?}");
    let error = Running::start(&config(&net, "none", datapath)).err().expect("refused");
    let words = if datapath == Datapath::Tc { "another agent" } else { "another XDP program" };
    let error = format!("{error:#}");
    assert!(error.contains(words) && error.contains("p0"), "{error}");
    assert_eq!(before, ["p0", "p1", "p2"].map(|port| attached(&net, port)));
    assert_eq!(datagrams(&net, "198.18.1.2:0", "198.18.2.2:5000", 10), 10);
    assert!(first.cut().counters.harms.marked >= 9, "the first one goes on");
}

#[test]
fn a_strangers_xdp_program_stays() {
    if !privileged() {
        return;
    }
    let net = Net::of("stranger", Datapath::Xdp);
    let _stranger = net.within("rtr", || {
        let mut program = load(Hook::Xdp);
        program.attach("p1").unwrap();
        program
    });
    let before = attached(&net, "p1");
    assert_eq!(before.len(), 1);
    let error = Running::start(&config(&net, "none", Datapath::Xdp)).err().expect("refused");
    let error = format!("{error:#}");
    assert!(error.contains("p1") && error.contains("datapath tc"), "{error}");
    assert_eq!(attached(&net, "p1"), before);
    assert!(attached(&net, "p0").is_empty(), "nothing is left of the attempt");
    // tc has room for both.
    let _marks = Running::start(&config(&net, "none", Datapath::Tc)).unwrap();
    assert_eq!(attached(&net, "p1").len(), 2);
}

fn load(hook: Hook) -> Program {
    let scheme = schemes::find("none").unwrap().build(&serde_json::json!({})).unwrap();
    let place = traceback::Place { id: RouterId(1), index: 0, degree: 0, asn: 0 };
    let setting = Setting::new(crate::support::KEY, [198, 19, 0, 9].into(), 0, true, 0);
    Program::load(hook, &*scheme, &place, &setting, &[1]).unwrap()
}

pub(crate) fn dropping_a_station_leaves_nothing(datapath: Datapath) {
    if !privileged() {
        return;
    }
    let net = Net::of("drop", datapath);
    net.within("rtr", || ethtool::merging_on("p0").unwrap());
    let router = Running::start(&always(&net, datapath)).unwrap();
    assert!(!attached(&net, "p0").is_empty());
    net.within("rtr", || assert!(!ethtool::merges("p0").unwrap()));
    drop(router);
    nothing_attached(&net);
    net.within("rtr", || assert!(ethtool::merges("p0").unwrap(), "settings come back"));
    assert_eq!(datagrams(&net, "198.18.1.2:0", "198.18.2.2:5000", 10), 10, "the kernel goes on");
}

pub(crate) fn killing_an_agent_leaves_nothing_attached(datapath: Datapath) {
    if !privileged() {
        return;
    }
    let net = Net::of("kill", datapath);
    let merges = |port: &'static str| net.within("rtr", || ethtool::merges(port).unwrap());
    net.within("rtr", || ethtool::merging_on("p0").unwrap());
    let agent = Agent::start(&format!("kill-{datapath:?}"), always(&net, datapath));
    assert!(!attached(&net, "p0").is_empty());
    assert!(!merges("p0"));
    let dir = agent.kill();
    nothing_attached(&net);
    assert_eq!(datagrams(&net, "198.18.1.2:0", "198.18.2.2:5000", 10), 10);
    assert!(!merges("p0"), "nobody could give it back yet");
    // The next one does, before it takes it again; and when it ends, it leaves it as it was.
    let agent = Agent::again(dir);
    assert!(!merges("p0"));
    let dir = agent.end();
    assert!(merges("p0"), "as before the first one came");
    assert_eq!(Agent::journals(&dir), 0);
    // What lives is left alone; what was killed is taken back by hand.
    let agent = Agent::again(dir.clone());
    let gc = || Agent::program(&dir).arg("gc").output().unwrap();
    assert_eq!(gc().stdout, b"");
    assert!(!merges("p0"), "its agent lives");
    agent.kill();
    let out = gc();
    assert!(out.status.success());
    assert!(String::from_utf8_lossy(&out.stdout).contains("p0: gave back"), "{out:?}");
    assert!(merges("p0"));
    assert_eq!(Agent::journals(&dir), 0);
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn an_agent_says_what_its_program_costs() {
    if !privileged() {
        return;
    }
    let net = Net::of("cost", Datapath::Tc);
    let agent = Agent::start("cost", always(&net, Datapath::Tc));
    // The kernel measures in the first moment of each second.
    let started = std::time::Instant::now();
    let mut port = 5000;
    while started.elapsed() < Duration::from_millis(1500) {
        // A port for each: a process that another test starts may hold the last one's for a moment.
        port += 1;
        assert_eq!(datagrams(&net, "198.18.1.2:0", &format!("198.18.2.2:{port}"), 100), 100);
    }
    let last = agent.last_words();
    assert_eq!(last["event"], "ended", "{last}");
    assert!((10..100_000).contains(&last["program_ns"].as_u64().unwrap()), "{last}");
}

/// At once, whoever attaches it.
#[test]
fn what_is_attached_behind_the_tc_program_runs() {
    if !privileged() {
        return;
    }
    let net = Net::of("behind", Datapath::Tc);
    let mut router = Running::start(&always(&net, Datapath::Tc)).unwrap();
    let send = || assert_eq!(datagrams(&net, "198.18.1.2:0", "198.18.2.2:5000", 10), 10);
    send();
    let attach = |options| {
        let mut behind = load(Hook::Tc);
        let side = TcAttachType::Egress;
        behind.tc().unwrap().attach_with_options("p1", side, options).unwrap();
        behind
    };
    let link = TcAttachOptions::TcxOrder(LinkOrder::default());
    let link = net.within("rtr", || attach(link));
    send();
    assert!(link.counts().unwrap().received >= 10, "a link of tcx");
    drop(link);
    let filter = net.within("rtr", || {
        qdisc_add_clsact("p1").unwrap();
        attach(TcAttachOptions::Netlink(NlOptions::default()))
    });
    send();
    assert!(filter.counts().unwrap().received >= 10, "a filter of clsact");
    assert!(router.cut().counters.harms.marked >= 9, "and the agent's program before them");
}

/// Kernels before 6.6 have no links for tc: the filter outlives its agent.
#[test]
fn a_filter_of_clsact_that_a_killed_agent_left_is_removed() {
    if !privileged() {
        return;
    }
    let net = Net::of("clsact", Datapath::Tc);
    let index = net.within("rtr", || {
        qdisc_add_clsact("p0").unwrap();
        let mut program = load(Hook::Tc);
        let options = TcAttachOptions::Netlink(NlOptions::default());
        program.tc().unwrap().attach_with_options("p0", TcAttachType::Egress, options).unwrap();
        // As if the process had been killed: nobody detaches it.
        std::mem::forget(program);
        ashiato_agent::datapath::socket::interface_index("p0").unwrap()
    });
    let filters = || {
        let ns = net.path("rtr");
        let args = format!("-n {} filter show dev p0 egress", ns.file_name().unwrap().display());
        let out = std::process::Command::new("tc").args(args.split_whitespace()).output().unwrap();
        String::from_utf8(out.stdout).unwrap()
    };
    assert!(filters().contains("mark_forwarded"), "{}", filters());
    let dir = std::env::temp_dir().join(format!("ashiato-clsact-{}", std::process::id()));
    let interface = "p0".to_owned();
    let change =
        Change { interface, index: index.cast_unsigned(), filter: true, ..Change::default() };
    let namespace = journal::inode(&net.path("rtr")).unwrap();
    let record = Record { namespace, netns: None, changes: vec![change] };
    std::fs::create_dir_all(dir.join("state")).unwrap();
    let text = serde_json::to_vec(&record).unwrap();
    std::fs::write(dir.join("state/1-1-1.json"), text).unwrap();
    assert!(Agent::program(&dir).arg("gc").status().unwrap().success());
    assert_eq!(filters(), "");
    std::fs::remove_dir_all(&dir).unwrap();
}

pub(crate) fn a_port_that_vanishes_is_said_and_survived(datapath: Datapath) {
    if !privileged() {
        return;
    }
    listen();
    let net = Net::of("vanish", datapath);
    let id = RouterId(0xc613_0b00 + datapath as u32);
    let config = ashiato_agent::config::Vantage { router: id, ..always(&net, datapath) };
    let mut router = Running::start(&config).unwrap();
    net.ip("rtr", "link del p2");
    let name = format!("router/198.19.11.{}", datapath as u32);
    assert!(said(&[&name, "p2 is gone"]));
    assert_eq!(datagrams(&net, "198.18.1.2:0", "198.18.2.2:5000", 10), 10);
    assert!(router.cut().counters.harms.marked >= 9);
    drop(router);
    assert!(attached(&net, "p0").is_empty());
}
