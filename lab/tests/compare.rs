//! Comparisons: what may be compared, what is refused and why, and what the numbers say.
#![allow(clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod support;

use ashiato::compare::{self, By, Comparison, page, print};
use ashiato::exit::Exit;
use ashiato::run::finished::Finished;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::{over, run_id, simulate, state};

const FIRST: &str = include_str!("../../scenarios/first.toml");

/// A folder that goes away with the test.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Scratch {
    fn new() -> Self {
        Self(state(&run_id()))
    }

    /// Runs the first scenario and opens its folder.
    fn run(&self, name: &str, set: &[&str], schemes: &[&str], seed: u64) -> Finished {
        simulate(FIRST, &over(set, schemes, seed), &self.0.join(name));
        Finished::open(&self.0.join(name)).unwrap()
    }
}

fn refused(runs: &[Finished], by: By) -> (Exit, String) {
    let error = compare::compare(runs, by).unwrap_err();
    (Exit::of(&error), error.to_string())
}

fn estimate<'c>(c: &'c Comparison, name: &str, measure: &str) -> &'c compare::pairs::Estimate {
    let contender = c.groups[0].contenders.iter().find(|c| c.name == name).unwrap();
    contender.estimates.iter().find(|e| e.measure == measure).unwrap()
}

fn order(c: &Comparison, measure: &str) -> Option<Vec<String>> {
    c.groups[0].rankings.iter().find(|r| r.measure == measure).unwrap().order.clone()
}

#[test]
fn schemes_are_ranked_where_seeds_are_many_and_failures_are_censored() {
    let scratch = Scratch::new();
    // 800 packets are too few for FMS in about half of the runs, and plenty for PINT.
    let set = ["traffic.flood.packets=800"];
    let run = |seed: u64| scratch.run(&seed.to_string(), &set, &["fms", "pint", "none"], seed);
    let runs: Vec<_> = (1..=24).map(run).collect();
    let all = compare::compare(&runs, By::Scheme).unwrap();
    assert_eq!((all.runs.len(), all.blocks, all.groups.len()), (24, 24, 1));
    assert_eq!(order(&all, "packets_to_complete").unwrap(), ["pint", "fms"]);
    let fms = estimate(&all, "fms", "packets_to_complete");
    assert!(fms.censored > 0 && fms.mean.is_none() && fms.n == 24, "{fms:?}");
    let share = estimate(&all, "fms", "complete").mean.unwrap();
    assert!((share - (24 - fms.censored) as f64 / 24.0).abs() < 1e-12);
    assert!(estimate(&all, "pint", "packets_to_complete").mean.unwrap() > 1.0);
    // The first scenario's paths differ in length; the mean over lengths is there and labelled.
    let pint = &all.groups[0].contenders[1];
    let hops: Vec<_> = pint.lengths.iter().map(|l| l.hops).collect();
    assert!(pint.name == "pint" && !hops.is_empty(), "{hops:?}");
    assert_eq!(hops.len() > 1, hops.last() == Some(&None), "{hops:?}");
    // The control names nothing, so it is not measured by names; nor is any mean settled.
    assert!(all.groups[0].contenders[2].estimates.iter().all(|e| e.measure != "complete"));
    assert!(all.caveats.iter().any(|c| c.contains("24 runs of the 2000")));
    assert!(all.raw.iter().any(|r| r.censored && r.value.is_none()));
    let few = compare::compare(&runs[..5], By::Scheme).unwrap();
    assert_eq!(order(&few, "packets_to_complete"), None);
    for text in [print::table(&all), page::html(&all)] {
        assert!(
            text.contains("censored")
                && text.contains("pint &gt; fms") | text.contains("pint > fms")
        );
    }
    assert!(print::table(&few).contains("nothing is ranked"));
    assert_eq!(print::csv(&all).lines().count(), all.raw.len() + 1);
    assert!(!page::html(&all).contains("<script"));
}

#[test]
fn parameters_and_deployment_are_compared_over_the_same_packets() {
    let scratch = Scratch::new();
    let runs = [
        scratch.run("a", &[], &["fms"], 7),
        scratch.run("b", &["scheme.fms.p=0.2"], &["fms"], 7),
        scratch.run("c", &["topology.routers.c.deployed=false"], &["fms"], 7),
    ];
    let (exit, why) = refused(&runs[..2], By::Scheme);
    assert!(exit == Exit::Usage && why.contains("fms's p is 0.04 here and 0.2 there"), "{why}");
    let (_, why) = refused(&[&runs[0], &runs[2]].map(again), By::Scheme);
    assert!(why.contains("without-agent") && why.contains("--by params"), "{why}");
    let both = compare::compare(&runs, By::Params).unwrap();
    assert_eq!((both.blocks, both.groups[0].name.as_str()), (1, "fms"));
    let names: Vec<_> = both.groups[0].contenders.iter().map(|c| c.name.as_str()).collect();
    assert!(names[0].starts_with("p=0.04") && names[1].starts_with("p=0.2"), "{names:?}");
    assert!(names[2].contains("without-agent=[\"c\"]"), "{names:?}");
    let nations = compare::compare(&[&runs[0]].map(again), By::Nation);
    assert!(nations.unwrap_err().to_string().contains("one nation only"));
}

fn again(run: &Finished) -> Finished {
    Finished::open(run.path()).unwrap()
}

#[test]
fn what_differs_or_was_touched_is_refused_with_the_reason() {
    let scratch = Scratch::new();
    let run = scratch.run("a", &[], &["fms", "none"], 7);
    let with = |runs: &[&Finished]| {
        refused(&runs.iter().map(|r| again(r)).collect::<Vec<_>>(), By::Scheme)
    };
    let longer = scratch.run("b", &["traffic.flood.packets=4001"], &["fms", "none"], 7);
    let (exit, why) = with(&[&run, &longer]);
    assert!(exit == Exit::Usage && why.contains("flows.0.packets is 4000 here and 4001"), "{why}");
    let roomy = scratch.run("c", &[], &["fms", "recorder"], 7);
    assert!(with(&[&run, &roomy]).1.contains("reserve room for records"));
    let shorter = scratch.0.join("a/truth.json");
    let text = std::fs::read_to_string(&shorter).unwrap();
    std::fs::write(&shorter, text.replace("198.19.0.4", "198.19.0.6")).unwrap();
    assert!(with(&[&run]).1.contains("truth.json is not what the run wrote"));
    assert!(refused(&[], By::Scheme).1.contains("no run"));
}

#[test]
fn worlds_that_mark_alike_are_equal_in_every_block() {
    let scratch = Scratch::new();
    let run = scratch.run("a", &[], &["fms"], 7);
    let other = scratch.run("b", &[], &["fms"], 7);
    // The same folder as another world would have left it.
    let summary = scratch.0.join("b/summary.json");
    let text = std::fs::read_to_string(&summary).unwrap();
    std::fs::write(&summary, text.replace("\"world\": \"sim\"", "\"world\": \"netns\"")).unwrap();
    resum(&scratch.0.join("b"));
    let runs = [run, again(&other)];
    assert!(refused(&runs, By::Scheme).1.contains("--by world compares them"));
    let worlds = compare::compare(&runs, By::World).unwrap();
    let pair = worlds.groups[0].pairs.iter().find(|p| p.measure == "packets_to_complete").unwrap();
    assert_eq!((pair.n, pair.ties, pair.difference), (1, 1, Some(0.0)));
}

/// Two labs: the second has another kernel, and draws of its own in half of its runs.
#[test]
fn labs_say_what_differs_and_are_tested_for_one_law() {
    let scratch = Scratch::new();
    let lab = |name: &str, set: &[&str], seeds: std::ops::Range<u64>| {
        for seed in seeds {
            scratch.run(&format!("{name}/{seed}"), set, &["fms"], seed);
        }
        let path = scratch.0.join(name).join("1000/provenance.json");
        if name != "here" && path.exists() {
            let text = std::fs::read_to_string(&path).unwrap();
            let mut facts: serde_json::Value = serde_json::from_str(&text).unwrap();
            facts["kernel"] = "6.1.0-theirs".into();
            std::fs::write(&path, facts.to_string()).unwrap();
            resum(&scratch.0.join(name).join("1000"));
        }
        Finished::open_all(&scratch.0.join(name)).unwrap()
    };
    let join = |a: Vec<Finished>, b: Vec<Finished>| a.into_iter().chain(b).collect::<Vec<_>>();
    let set = ["traffic.flood.packets=3000"];
    lab("here", &set, 1000..1024);
    let here = || Finished::open_all(&scratch.0.join("here")).unwrap();
    let same = compare::compare(&join(here(), lab("same", &set, 1000..1024)), By::Lab).unwrap();
    let labs = same.labs.as_ref().unwrap();
    assert_eq!(labs.differs.len(), 1, "{:?}", labs.differs);
    assert_eq!(labs.differs[0].what, "kernel");
    assert!(labs.laws.iter().all(|l| l.equal == Some(true) && l.distance == 0.0));
    let pair = same.groups[0].pairs.iter().find(|p| p.measure == "packets_to_complete").unwrap();
    assert_eq!((pair.n, pair.ties), (24, 24), "keyed draws are equal in every block");

    // Other seeds are other packets and other draws, of the same law.
    let fresh = compare::compare(&join(here(), lab("fresh", &set, 2000..2024)), By::Lab).unwrap();
    let labs = fresh.labs.as_ref().unwrap();
    assert!(labs.differs.iter().any(|d| d.what.contains("packets sent")), "{:?}", labs.differs);
    let law = |of: &compare::labs::Labs, measure: &str| {
        of.laws.iter().find(|l| l.measure == measure).unwrap().clone()
    };
    let packets = law(labs, "packets_to_complete");
    assert!(packets.equal == Some(true) && packets.distance > 0.0, "{packets:?}");
    assert!(print::table(&fresh).contains("equality in law"));
    assert!(page::html(&fresh).contains("packets sent (block) differs"));

    // Too few runs tell nothing.
    let few = compare::compare(&join(here(), lab("few", &set, 3000..3003)), By::Lab).unwrap();
    let packets = law(few.labs.as_ref().unwrap(), "packets_to_complete");
    assert!(packets.equal.is_none() && packets.why.unwrap().contains("3 runs of the 20"));
}

/// A testbed that loses what it should not is found out.
#[test]
fn a_lab_that_follows_another_law_is_told() {
    let scratch = Scratch::new();
    let lab = |name: &str, p: &str| {
        for seed in 0..24 {
            let set = ["traffic.flood.packets=3000", p];
            let folder = format!("{name}/{seed}");
            scratch.run(
                &folder,
                &set,
                &["fms"],
                if p.ends_with("0.04") { seed } else { 100 + seed },
            );
            // It says that it marked as planned.
            for file in ["plan.json", "summary.json", "provenance.json"] {
                let path = scratch.0.join(&folder).join(file);
                let text = std::fs::read_to_string(&path).unwrap();
                std::fs::write(&path, text.replace("0.015", "0.04")).unwrap();
            }
            let plan: ashiato::plan::Plan = serde_json::from_slice(
                &std::fs::read(scratch.0.join(&folder).join("plan.json")).unwrap(),
            )
            .unwrap();
            let path = scratch.0.join(&folder).join("summary.json");
            let mut summary: serde_json::Value =
                serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            summary["plan_sha256"] = plan.sha256().into();
            std::fs::write(&path, summary.to_string()).unwrap();
            resum(&scratch.0.join(&folder));
        }
        Finished::open_all(&scratch.0.join(name)).unwrap()
    };
    let mut runs = lab("honest", "scheme.fms.p=0.04");
    runs.extend(lab("wrong", "scheme.fms.p=0.015"));
    let both = compare::compare(&runs, By::Lab).unwrap();
    let laws = &both.labs.as_ref().unwrap().laws;
    let packets = laws.iter().find(|l| l.measure == "packets_to_complete").unwrap();
    assert_eq!(packets.equal, Some(false), "{packets:?}");
    assert!(print::table(&both).contains("follows another law"));
}

/// Writes the sums of a folder anew.
fn resum(folder: &Path) {
    let sums = std::fs::read_to_string(folder.join("SHA256SUMS")).unwrap();
    let names: Vec<&str> =
        sums.lines().filter_map(|l| l.split_once("  ").map(|(_, n)| n)).collect();
    let out = Command::new("sha256sum").args(names).current_dir(folder).output().unwrap();
    std::fs::write(folder.join("SHA256SUMS"), out.stdout).unwrap();
}

#[test]
fn the_verb_reads_folders_of_repeated_runs() {
    let scratch = Scratch::new();
    for seed in [1, 2] {
        scratch.run(&format!("all/{seed:03}"), &[], &["fms", "pint"], seed);
    }
    let ashiato = || Command::new(env!("CARGO_BIN_EXE_ashiato"));
    let out = ashiato().arg("compare").arg(scratch.0.join("all")).arg("--json").output().unwrap();
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
    let json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(
        (json["schema"].as_str(), json["blocks"].as_u64()),
        (Some(compare::SCHEMA), Some(2))
    );
    let gone = ashiato().args(["compare", "no-such-run"]).output().unwrap();
    assert_eq!(gone.status.code(), Some(2));
}

#[test]
fn nations_are_compared_by_what_was_found_of_each() {
    let scratch = Scratch::new();
    let folder = scratch.0.join("denied");
    let text = include_str!("../../scenarios/x-router-denies.toml");
    simulate(text, &over(&[], &["spie"], 1), &folder);
    let nations = compare::compare(&[Finished::open(&folder).unwrap()], By::Nation).unwrap();
    assert_eq!(nations.groups[0].name, "spie");
    // The trail goes cold at the border: nobody asks beyond a router that denies.
    let recall = |nation| estimate(&nations, nation, "router.recall").mean.unwrap();
    assert!((recall("XA") - 1.0).abs() < 1e-12 && recall("XB") < 1e-12);
}
