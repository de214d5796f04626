//! Faults in namespaces: each happens, is over when it is to be, is told, and costs what it costs.
#![allow(clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod support;

use ashiato::netns::{NetnsWorld, RunPaths};
use ashiato::run::{self, Options};
use ashiato::scenario::spec::Datapath;
use ashiato::scenario::{self, Overrides};
use ashiato::summary::{Ending, FaultRow, Summary};
use ashiato::{cli, resolve};
use std::fs;
use support::{over, root, run_id, state, whole_folder};

/// Runs a scenario in namespaces from plan to summary; its events, too.
fn run(text: &str, overrides: &Overrides) -> (Summary, String) {
    let scenario = scenario::parse("x.toml", text, overrides).map_err(|r| r.to_string()).unwrap();
    let plan = resolve::plan(&scenario).map_err(|r| r.to_string()).unwrap();
    let id = run_id();
    let dir = state(&id);
    let options = Options {
        id: id.clone(),
        scenario: text.into(),
        world: "netns",
        datapath: "afpacket".into(),
        tolerance: run::TOLERANCE,
        keep: false,
        progress: &|_| {},
    };
    let folder = run::folder(Some(&dir.join("out")), &id).unwrap();
    let paths = RunPaths { id, dir: dir.join("out"), datapath: Datapath::Afpacket };
    let mut world = NetnsWorld::up(plan.clone(), paths, &|_| {}).unwrap();
    let ran = run::run(&plan, &mut world, folder, &options).unwrap();
    let events = fs::read_to_string(dir.join("out/events.ndjson")).unwrap();
    assert_eq!(whole_folder(&dir.join("out")), ran.summary);
    fs::remove_dir_all(dir).unwrap();
    (ran.summary, events)
}

fn shipped() -> &'static str {
    cli::new::SHIPPED.iter().find(|(name, _)| *name == "x-faults").unwrap().1
}

/// The scenario with other faults.
fn with(faults: &str) -> String {
    let text = shipped();
    let from = text.find("[[fault]]").unwrap();
    let to = text.find("[[effect]]").unwrap();
    format!("{}{faults}\n{}", &text[..from], &text[to..])
}

fn row<'s>(summary: &'s Summary, fault: &str) -> &'s FaultRow {
    summary.faults.iter().find(|f| f.fault == fault).unwrap()
}

/// Began and ended in time, give or take what a busy machine takes.
fn on_time(row: &FaultRow) {
    let late = row.began_s.unwrap() - row.asked_at_s;
    assert!((0.0..0.5).contains(&late), "{row:?}");
    if let Some(lasts) = row.asked_for_s {
        let late = row.ended_s.unwrap() - row.asked_at_s - lasts;
        assert!((0.0..0.5).contains(&late), "{row:?}");
    }
}

#[test]
fn all_of_the_shipped_faults_happen_and_are_told() {
    if !root() {
        return;
    }
    let (summary, events) = run(shipped(), &over(&[], &["fms"], 1));
    println!("{:#?} {:#?}", summary.faults, summary.clocks);
    assert_eq!(summary.outcome, Ending::Met, "{:?}", summary.reasons);
    assert_eq!(summary.left_behind, Some(0));
    assert_eq!(summary.faults.len(), 7);
    summary.faults.iter().for_each(on_time);
    for fault in &summary.faults {
        let begun = format!("\"fault\":\"{}\"", fault.fault);
        assert!(events.lines().any(|l| l.contains("fault-begin") && l.contains(&begun)), "{begun}");
    }
    // The routes went round the cut link, so it cost what was under way and what came before all had changed.
    assert!(row(&summary, "cable").packets_lost.unwrap() < 100);
    let slow = summary.links.iter().find(|l| l.from == "b" && l.to == "a").unwrap();
    let max = slow.measured.delay_max_ns.unwrap();
    assert!((80_000_000..120_000_000).contains(&max), "{max}");
    // Nothing that was acknowledged is lost, nothing counts twice.
    let fms = &summary.schemes[0];
    println!("{:?}", fms.observations);
    assert_eq!(fms.observations.lost, 0);
    assert!(row(&summary, "out-of-reach").reports_late.unwrap() > 0);
    assert!(row(&summary, "out-of-reach").recovery_s.unwrap() < 20.0);
    assert!(row(&summary, "full").reports_late.unwrap() > 0);
    // A router in user space forwards nothing while its agent is dead: half a second and the start.
    let crash = row(&summary, "crash");
    let lost = crash.packets_lost.unwrap();
    assert!((400..4000).contains(&lost), "{lost}");
    assert!(crash.observations_lost.unwrap() >= lost / 2 && crash.recovery_s.unwrap() < 20.0);
    let jump = row(&summary, "clock-jump").clock_off_s.unwrap();
    assert!((1.2..1.8).contains(&jump), "{jump}");
    assert_eq!(summary.clocks.len(), 1);
}

#[test]
fn a_full_disk_loses_nothing_that_was_acknowledged() {
    if !root() {
        return;
    }
    let fault =
        "[[fault]]\nid = \"full\"\nat = \"500 ms\"\nfor = \"3 s\"\ndisk_full = \"collector\"";
    let (full, _) = run(&with(fault), &over(&["traffic.flood.packets=5000"], &["fms"], 1));
    let (calm, _) = run(&with(""), &over(&["traffic.flood.packets=5000"], &["fms"], 1));
    println!("{:?} {:?}", row(&full, "full"), full.schemes[0].observations);
    assert!(row(&full, "full").reports_late.unwrap() >= 5);
    for summary in [&full, &calm] {
        assert_eq!(summary.schemes[0].observations.lost, 0);
        assert_eq!(summary.schemes[0].observations.refused, 0);
    }
    // The same finding from the same packets, as though nothing had been.
    assert_eq!(full.schemes[0].levels, calm.schemes[0].levels);
    assert_eq!(full.schemes[0].packets, calm.schemes[0].packets);
}

#[test]
fn slow_answers_are_waited_for_and_too_slow_ones_are_a_gap() {
    if !root() {
        return;
    }
    let fault = |delay: &str| {
        with(&format!("[[fault]]\nid = \"poc\"\nslow = {{ domain = \"xb\", delay = \"{delay}\" }}"))
    };
    let few = over(&["traffic.flood.packets=1000", "case.samples=4"], &["spie"], 1);
    let (slow, _) = run(&fault("700 ms"), &few);
    let (late, _) = run(&fault("8 s"), &few);
    let [slow, late] = [slow, late].map(|s| s.schemes[0].clone());
    println!("{} s, {} s", slow.reconstruct_s, late.reconstruct_s);
    // d and e are asked one after the other.
    assert!(slow.reconstruct_s > 1.2 && slow.paths.exact == 1, "{}", slow.reconstruct_s);
    // The nation's routers are as good as silent: a path that is cut short, and no hang.
    assert!(late.reconstruct_s < 60.0 && late.paths.exact == 0, "{}", late.reconstruct_s);
    assert!(late.levels.router.recall.unwrap_or(0.0) < 1.0);
}

#[test]
fn an_agent_that_stays_dead_does_not_stop_the_run() {
    if !root() {
        return;
    }
    let fault = "[[fault]]\nid = \"crash\"\nat = \"1 s\"\nkill = \"k\"";
    let (summary, _) = run(&with(fault), &over(&["traffic.flood.packets=2000"], &["fms"], 1));
    println!("{:?}", summary.faults);
    // k is on nobody's way.
    assert_eq!(summary.outcome, Ending::Met, "{:?}", summary.reasons);
    assert_eq!(row(&summary, "crash").ended_s, None);
    assert_eq!(row(&summary, "crash").packets_lost, Some(0));
}

#[test]
fn a_clock_that_is_put_back_is_noticed() {
    if !root() {
        return;
    }
    let fault =
        "[[fault]]\nid = \"jump\"\nat = \"500 ms\"\nclock = { agent = \"b\", step = \"-2 s\" }";
    let (summary, _) = run(&with(fault), &over(&["traffic.flood.packets=2000"], &["fms"], 1));
    let off = row(&summary, "jump").clock_off_s.unwrap();
    assert!((-2.3..-1.7).contains(&off), "{off}");
    assert_eq!(summary.outcome, Ending::Met, "{:?}", summary.reasons);
}

#[test]
fn faults_of_links_cost_the_same_in_both_worlds() {
    if !root() {
        return;
    }
    let faults = "[[fault]]\nid = \"lossy\"\nat = \"500 ms\"\nfor = \"1 s\"\nlink = [\"d\", \"e\"]\nloss = \"30 %\"\n\
                  [[fault]]\nid = \"cut\"\nat = \"500 ms\"\nfor = \"600 ms\"\nlink = [\"a\", \"victim\"]\ncut = true\n\
                  [[fault]]\nid = \"narrow\"\nat = \"1600 ms\"\nfor = \"1 s\"\nlink = [\"a\", \"b\"]\nrate = \"200 kbit/s\"\n";
    let text = with(faults);
    let few = over(&["traffic.flood.packets=4000", "traffic.flood.size=200 B"], &["none"], 1);
    let (netns, _) = run(&text, &few);
    let dir = state(&run_id());
    let sim = support::simulate(&text, &few, &dir.join("sim"));
    for (fault, least) in [("lossy", 200), ("cut", 300), ("narrow", 300)] {
        let [netns, sim] = [&netns, &sim].map(|s| row(s, fault).packets_lost.unwrap());
        println!("{fault}: netns {netns}, sim {sim}");
        // They begin and end a few milliseconds apart: some packets, at 1000 a second.
        assert!(sim >= least && netns.abs_diff(sim) < 100, "{fault}: {netns} and {sim}");
    }
    fs::remove_dir_all(dir).unwrap();
}
