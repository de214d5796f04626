//! What a plan asks of the network, over several hosts: links between them and within them are as slow, narrow and lossy
//! as asked, packets are translated, spread and led otherwise, and what fails, fails on the host where it is.
#![allow(clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod lab;
mod support;

use ashiato::cli;
use ashiato::summary::{Ending, FaultRow, LinkRow, SchemeRow, Summary};
use lab::{INTERNAL, Lab};
use std::fs;
use support::{over, root, simulate, snapshot, unchanged, whole_folder};

const LINKS: &str = include_str!("../../scenarios/x-link-conditions.toml");
const FAULTS: &str = include_str!("../../scenarios/x-faults.toml");

/// The slow and lossy link leads from host to host, the narrow one is within one.
const LINKED: [(&str, &str); 2] = [("lab-a", "a b victim client"), ("lab-b", "c d attacker")];
/// Of two ways between the hosts' nodes one goes through both hosts again.
const BRAIDED: [(&str, &str); 2] =
    [("lab-a", "a b c victim"), ("lab-b", "k d e f g attacker client")];
/// Two ways lead from host to host, one of which fails.
const FAILING: [(&str, &str); 2] = [("lab-a", "a b k victim"), ("lab-b", "c d e attacker")];

/// What a run in a lab came to, and the simulator's for the same choices.
fn both(lab: &Lab, text: &str, set: &[&str], schemes: &[&str], seed: u64) -> (Summary, Summary) {
    let out = lab.out();
    let _ = fs::remove_dir_all(&out);
    let (seed_word, schemes_word) = (seed.to_string(), schemes.join(","));
    let mut words = vec!["--seed", &seed_word, "--scheme", &schemes_word];
    words.extend(set.iter().flat_map(|set| ["--set", set]));
    let code = lab.run(text, &words).wait().unwrap().code();
    assert!(matches!(code, Some(0 | 7)), "{code:?} {}", lab.logs());
    let sim = lab.dir.join("sim");
    let _ = fs::remove_dir_all(&sim);
    (whole_folder(&out), simulate(text, &over(set, schemes, seed), &sim))
}

fn way<'s>(summary: &'s Summary, from: &str, to: &str) -> &'s LinkRow {
    summary.links.iter().find(|l| (l.from.as_str(), l.to.as_str()) == (from, to)).unwrap()
}

fn row<'s>(summary: &'s Summary, fault: &str) -> &'s FaultRow {
    summary.faults.iter().find(|f| f.fault == fault).unwrap()
}

/// One test function, because the look at the host before and after must see no other test's work.
#[test]
fn hosts_do_to_packets_what_the_simulator_does() {
    if !root() {
        return;
    }
    let before = snapshot();
    conditions_are_met();
    unchanged(&before);
    faults_happen_where_they_belong();
    unchanged(&before);
    networks_and_routers_do_as_in_the_simulator();
    unchanged(&before);
}

fn conditions_are_met() {
    let lab = Lab::open(&LINKED, INTERNAL);
    let (hosts, sim) = both(&lab, LINKS, &[], &["fms"], 3);
    assert_eq!((hosts.outcome, hosts.left_behind), (Ending::Met, Some(0)), "{:?}", hosts.reasons);
    for (from, to, delay) in
        [("b", "a", 5.0), ("c", "b", 40.0), ("b", "c", 60.0), ("client", "b", 10.0)]
    {
        let [hosts, sim] = [&hosts, &sim].map(|s| {
            let measured = &way(s, from, to).measured;
            measured.delay_p50_ns.unwrap() as f64 / 1e6
        });
        println!("{from} {to}: hosts {hosts} ms, sim {sim} ms");
        assert!((hosts - delay).abs() < 4.0 && (hosts - sim).abs() < 3.0, "{from} {to}: {hosts}");
    }
    let [narrow, simulated] = [&hosts, &sim].map(|s| &way(s, "d", "c").measured);
    println!("full: hosts {}, sim {}", narrow.full, simulated.full);
    assert!(simulated.full > 150 && narrow.full.abs_diff(simulated.full) < 60);
    let rate = narrow.rate_bps.unwrap();
    assert!((rate / 2.4e6 - 1.0).abs() < 0.03, "{rate}");
    // Where no queue is full, the very same packets are lost, and the same marks arrive.
    let wide = ["topology.links.2.rate=100 Mbit/s", "topology.links.2.queue=64 KiB"];
    for datapath in ["afpacket", "tc", "xdp"] {
        let chosen = format!("datapath={datapath}");
        let set = [&wide[..], &[&*chosen]].concat();
        let (hosts, sim) = both(&lab, LINKS, &set, &["fms", "pint"], 5);
        let lost = |s: &Summary, from, to| {
            let measured = &way(s, from, to).measured;
            (measured.packets, measured.lost)
        };
        for (from, to) in [("c", "b"), ("b", "c")] {
            assert_eq!(lost(&hosts, from, to), lost(&sim, from, to), "{datapath}");
        }
        assert!(lost(&hosts, "c", "b").1 > 40);
        for (ours, theirs) in hosts.schemes.iter().zip(&sim.schemes) {
            assert_eq!(
                (&ours.levels, &ours.packets),
                (&theirs.levels, &theirs.packets),
                "{datapath}"
            );
            assert_eq!(ours.observations.lost, 0);
        }
    }
}

fn faults_happen_where_they_belong() {
    let lab = Lab::open(&FAILING, INTERNAL);
    let out = lab.out();
    let code = lab.run(FAULTS, &["--seed", "1", "--scheme", "fms"]).wait().unwrap().code();
    assert_eq!(code, Some(0), "{}", lab.logs());
    let summary = whole_folder(&out);
    println!("{:#?} {:#?}", summary.faults, summary.clocks);
    assert_eq!((summary.outcome, summary.left_behind), (Ending::Met, Some(0)));
    for row in &summary.faults {
        let late = row.began_s.unwrap() - row.asked_at_s;
        assert!((0.0..0.5).contains(&late), "{row:?}");
        let asked = row.asked_for_s.map(|lasts| row.asked_at_s + lasts);
        let late = asked.map(|asked| row.ended_s.unwrap() - asked);
        assert!(late.is_none_or(|late| (0.0..0.5).contains(&late)), "{row:?}");
    }
    // Routes went round the cut link on both hosts, so it cost what was under way and what came before all had changed.
    assert!(row(&summary, "cable").packets_lost.unwrap() < 150);
    let slow = way(&summary, "b", "a").measured.delay_max_ns.unwrap();
    assert!((80_000_000..120_000_000).contains(&slow), "{slow}");
    assert_eq!(summary.schemes[0].observations.lost, 0);
    for late in ["out-of-reach", "full"] {
        assert!(row(&summary, late).reports_late.unwrap() > 0, "{late}");
    }
    assert!(row(&summary, "out-of-reach").recovery_s.unwrap() < 20.0);
    let crash = row(&summary, "crash");
    assert!((400..4000).contains(&crash.packets_lost.unwrap()), "{crash:?}");
    assert!(crash.recovery_s.unwrap() < 20.0);
    // Told without a common clock: good to the time that a message takes.
    let jump = row(&summary, "clock-jump").clock_off_s.unwrap();
    assert!((1.2..1.8).contains(&jump), "{jump}");
    assert_eq!(summary.clocks.len(), 1);
}

fn networks_and_routers_do_as_in_the_simulator() {
    let lab = Lab::open(&BRAIDED, INTERNAL);
    let few = "traffic.flood.packets=2000";
    for name in [
        "x-loss",
        "x-nat",
        "x-multipath",
        "x-router-poses",
        "x-router-erases",
        "x-router-denies",
        "x-router-silent",
    ] {
        let text = cli::new::SHIPPED.iter().find(|(shipped, _)| *shipped == name).unwrap().1;
        let (hosts, sim) = both(&lab, text, &[few], &["fms", "spie"], 5);
        for (ours, theirs) in hosts.schemes.iter().zip(&sim.schemes) {
            let what = |row: &SchemeRow| {
                let mut row = serde_json::to_value(row).unwrap();
                // A silent router tells nobody what it forwarded; the simulator sees it all the same.
                row["packets"]["forwarded"].take();
                ["levels", "paths", "packets"].map(|key| row[key].clone())
            };
            assert_eq!(what(ours), what(theirs), "{name} {}", ours.scheme);
            let graph = |dir: &str| {
                let path = lab.dir.join(dir).join(format!("graph/{}.json", ours.scheme));
                fs::read_to_string(path).unwrap()
            };
            assert_eq!(graph("out"), graph("sim"), "{name} {}", ours.scheme);
        }
    }
    // How many packets leave before a change depends on the host; that both ways are found does not.
    let text =
        cli::new::SHIPPED.iter().find(|(shipped, _)| *shipped == "x-route-change").unwrap().1;
    let (hosts, _) = both(&lab, text, &[], &["fms", "spie"], 5);
    for row in &hosts.schemes {
        assert_eq!((row.paths.exact, row.paths.wrong), (2, 0), "{}: {:?}", row.scheme, row.paths);
    }
}
