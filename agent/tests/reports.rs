//! What vantages report, and the program that runs several of them.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use ashiato_agent::config::{Collector, Config, KEEP_ROUTES_MS, Port, RING_MIB, Vantage};
use ashiato_agent::reporter::{self, Outlet};
use ashiato_agent::station::Station;
use ashiato_agent::uplink::Command;
use serde_json::Value;
use std::cell::RefCell;
use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::process::{Child, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};
use support::{Net, hear, privileged, udp4};
use tokio::sync::{mpsc, watch};
use traceback::case::{Answer, Filter, Query};
use traceback::report::{Report, Role};
use traceback::router::Far;
use traceback::{Nanos, schemes};

/// What an outlet was given, in order.
#[derive(Debug, Clone)]
enum Given {
    Report(Box<Report>),
    Reply(u64, Answer),
    Done(u64),
}

#[derive(Clone, Default)]
struct Tray(Rc<RefCell<Vec<Given>>>);

impl Tray {
    fn put(&self, given: Given) {
        self.0.borrow_mut().push(given);
    }

    fn reports(&self) -> Vec<Report> {
        let only = |g: &Given| if let Given::Report(r) = g { Some((**r).clone()) } else { None };
        self.0.borrow().iter().filter_map(only).collect()
    }
}

impl Outlet for Tray {
    fn report(&self, report: &Report) {
        self.put(Given::Report(Box::new(report.clone())));
    }
    fn reply(&self, id: u64, answer: Answer) {
        self.put(Given::Reply(id, answer));
    }
    fn cut_done(&self, id: u64) {
        self.put(Given::Done(id));
    }
    async fn drained(&self) {}
}

/// Runs a vantage, does something meanwhile, stops it, and returns what it reported.
fn session(config: &Vantage, during: impl AsyncFnOnce(mpsc::Sender<Command>)) -> Tray {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let tray = Tray::default();
        let station = Station::start(config).await.unwrap();
        let (commands, inbox) = mpsc::channel(8);
        let (stop, stopped) = watch::channel(false);
        let (done, ()) =
            tokio::join!(reporter::report(config, station, tray.clone(), inbox, stopped), async {
                during(commands).await;
                stop.send_replace(true);
            });
        done.unwrap();
        tray
    })
}

fn observer(net: &Net) -> Vantage {
    let victim = "198.18.2.2".parse().unwrap();
    let filter = Filter { victim, protocol: Some(17), source_port: None, port: Some(9) };
    Vantage {
        role: Role::Observer,
        netns: Some(net.path("dst")),
        keep_routes_ms: KEEP_ROUTES_MS,
        ring_mib: RING_MIB,
        spread: traceback::router::Spread::Flow,
        filter: Some(filter),
        ports: vec![Port::new("eth0", Far::default())],
        ..net.config("fms")
    }
}

#[test]
fn an_observer_reports_what_arrives_and_only_that() {
    if !privileged() {
        return;
    }
    let net = Net::new("observe");
    let sink = net.within("dst", || UdpSocket::bind("198.18.2.2:9").unwrap());
    let (out, to) = (net.socket("rtr-p1"), net.mac("dst", "eth0"));
    let tray = session(&observer(&net), async |commands| {
        for n in 0..300_u32 {
            let packet =
                udp4(to, [198, 18, 1, 2], [198, 18, 2, 2], 60, &[n.to_be_bytes(); 6].concat());
            out.send(&packet).unwrap();
        }
        sink.send_to(b"outgoing", "198.18.2.1:9").unwrap();
        commands.send(Command::Cut { id: 5 }).await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
    });
    assert!(tray.0.borrow().iter().any(|g| matches!(g, Given::Done(5))));
    let reports = tray.reports();
    let scheme = schemes::find("fms").unwrap().build(&serde_json::json!({})).unwrap();
    let mut merged = vec![];
    let mut received = 0;
    for (i, report) in reports.iter().enumerate() {
        assert_eq!((report.role, report.scheme.as_str()), (Role::Observer, "fms"));
        received += report.counters.received;
        let ledger = report.ledger.as_ref().unwrap();
        merged = if i == 0 { ledger.clone() } else { scheme.merge(&merged, ledger).unwrap() };
        if i > 0 {
            assert_eq!(report.window.from, reports[i - 1].window.to, "no gap between reports");
        }
    }
    assert!(received >= 300);
    assert_eq!(merged, expected_ledger(&net, to), "the ledger of these 300 packets");
}

/// What the library alone makes of the packets that the test sends.
fn expected_ledger(net: &Net, to: [u8; 6]) -> Vec<u8> {
    let scheme = schemes::find("fms").unwrap().build(&serde_json::json!({})).unwrap();
    let mut pure = scheme.vantage(traceback::vantage::Setting {
        place: net.config("fms").place(),
        key: support::KEY,
        draws: traceback::vantage::Draws::Keyed,
        filter: observer(net).filter,
    });
    for n in 0..300_u32 {
        let frame = udp4(to, [198, 18, 1, 2], [198, 18, 2, 2], 60, &[n.to_be_bytes(); 6].concat());
        let packet = traceback::packet::Packet::parse(&frame[14..]).unwrap();
        pure.see(Nanos(0), &packet);
    }
    pure.cut().unwrap()
}

#[test]
fn a_router_answers_cuts_and_questions_in_order() {
    if !privileged() {
        return;
    }
    let net = Net::new("ask");
    let _sink = net.within("dst", || UdpSocket::bind("198.18.2.2:9").unwrap());
    let (out, dst) = (net.socket("src"), net.socket("dst"));
    let hlog = std::env::temp_dir().join(format!("ashiato-ask-{}.hlog", std::process::id()));
    let mut config = net.config("spie");
    config.hlog = Some(hlog.clone());
    config.report_every.0 = Duration::from_secs(3600);
    let packet = udp4(net.mac("rtr", "p0"), [198, 18, 1, 2], [198, 18, 2, 2], 64, b"look for me");
    let parsed = traceback::packet::Packet::parse(&packet[14..]).unwrap();
    let digest = traceback::invariant::Invariant::of(&parsed, support::KEY).digest;
    let query = Query { keys: vec![digest, digest ^ 1], from: Nanos(0), to: Nanos(u64::MAX) };
    let tray = session(&config, async |commands| {
        out.send(&packet).unwrap();
        tokio::task::spawn_blocking(move || hear(&dst, |f| f.ends_with(b"look for me")))
            .await
            .unwrap()
            .expect("arrives");
        commands.send(Command::Ask { id: 8, query }).await.unwrap();
        commands.send(Command::Cut { id: 9 }).await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
    });
    let given = tray.0.borrow().clone();
    let [Given::Reply(8, answer), Given::Report(first), Given::Done(9), Given::Report(_)] =
        &given[..]
    else {
        panic!("{given:?}");
    };
    assert!(answer.values[0].is_some() && answer.values[1].is_none(), "{answer:?}");
    assert_eq!((first.counters.forwarded, &first.ledger), (1, &None));
    assert!(first.footprint > 0);
    assert!(!first.latency.is_empty());
    let log = std::fs::read_to_string(&hlog).unwrap();
    std::fs::remove_file(&hlog).unwrap();
    assert!(log.contains("Tag=spie,"), "{log}");
}

/// The program with a configuration, its standard input held by us.
fn program(config: &Config, dir: &std::path::Path) -> Child {
    let file = dir.join("agent.toml");
    std::fs::write(&file, config.to_toml()).unwrap();
    std::process::Command::new(env!("CARGO_BIN_EXE_ashiato-agent"))
        .args(["run", "--die-with-parent", "--config"])
        .arg(file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Names of the vantages that are ready, sorted, and what the others say.
fn outcomes(
    lines: &mut impl Iterator<Item = std::io::Result<String>>,
) -> (Vec<String>, Vec<String>) {
    let (mut ready, mut errors) = (vec![], vec![]);
    for line in lines.take(3) {
        let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
        match line["event"].as_str().unwrap() {
            "ready" => ready.push(line["vantage"].as_str().unwrap().to_owned()),
            "error" => errors.push(line["error"].as_str().unwrap().to_owned()),
            other => panic!("{other}"),
        }
    }
    ready.sort();
    (ready, errors)
}

#[test]
fn the_program_forwards_without_a_collector_and_ends_with_its_parent() {
    if !privileged() {
        return;
    }
    let net = Net::new("run");
    let dir = std::env::temp_dir().join(format!("ashiato-run-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let pair = rcgen::generate_simple_self_signed(vec!["collector".into()]).unwrap();
    let (cert, key) = (dir.join("cert.pem"), dir.join("key.pem"));
    std::fs::write(&cert, pair.cert.pem()).unwrap();
    std::fs::write(&key, pair.signing_key.serialize_pem()).unwrap();
    let with = |v: Vantage| Vantage { cert: cert.clone(), key_file: key.clone(), ..v };
    let collector = Collector {
        // Nobody listens here.
        address: "127.0.0.1:1".parse().unwrap(),
        server_name: "collector".into(),
        ca: cert.clone(),
    };
    let missing = Vantage { scheme: "nosuch".into(), ..net.config("none") };
    let vantages = vec![with(net.config("none")), with(observer(&net)), with(missing)];
    let mut child = program(&Config { collector, vantages }, &dir);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (ready, errors) = outcomes(&mut lines);
    assert_eq!(ready, ["observer/198.19.0.1", "router/198.19.0.1"]);
    assert!(errors[0].contains("no scheme \"nosuch\""), "{errors:?}");
    let receiver = net.within("dst", || UdpSocket::bind("198.18.2.2:9").unwrap());
    receiver.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let sender = net.within("src", || UdpSocket::bind("198.18.1.2:0").unwrap());
    sender.send_to(b"still here", "198.18.2.2:9").unwrap();
    assert_eq!(receiver.recv(&mut [0; 64]).unwrap(), 10);
    let started = Instant::now();
    drop(child.stdin.take());
    // Two vantages did their work to the end; the third could not begin.
    assert_eq!(child.wait().unwrap().code(), Some(3));
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    std::fs::remove_dir_all(&dir).unwrap();
}
