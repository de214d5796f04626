//! The page of a run: drawn from the folder alone, whole without a network, and right about the graph.
#![allow(clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod support;

use ashiato::plan::Plan;
use ashiato::report::{self, Drawing};
use ashiato::summary::Summary;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::{run_id, state};
use traceback::RouterId;
use traceback::case::Gap;
use traceback::graph::{AttackGraph, Edge, Finding};

/// A finished run of the three nations, simulated.
fn run() -> PathBuf {
    let dir = state(&run_id());
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/three-nations.toml");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ashiato"));
    let ran = command.args(["run", "--out"]).args([dir.join("out"), scenario]).output().unwrap();
    assert!(ran.status.success());
    dir
}

fn read(dir: &Path, name: &str) -> String {
    std::fs::read_to_string(dir.join("out").join(name)).unwrap()
}

#[test]
fn a_page_can_be_made_again_from_its_folder() {
    let dir = run();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ashiato"));
    let again = command.arg("report").arg(dir.join("out")).args(["--as", "html"]).output().unwrap();
    let page = read(&dir, "report.html");
    assert!(again.stdout == page.as_bytes());
    for outside in ["<script", "http:", "https:", "url(", "@import"] {
        assert!(!page.contains(outside), "{outside} in the page");
    }
    // Two sides for each of five schemes, each named for readers who cannot see it.
    assert_eq!(page.matches(r#"role="img" aria-label=""#).count(), 10);
    assert_eq!(page.matches("Found: 15 edges correct, 0 missing, 0 wrong").count(), 2 * 4);
    assert!(page.contains("No finding: no usable evidence"), "the control says why");
    assert!(page.contains("Nothing to draw: this world does not time the marking step"));
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_drawing_shows_what_is_missing_and_what_is_wrong() {
    let dir = run();
    let plan: Plan = serde_json::from_str(&read(&dir, "plan.json")).unwrap();
    let summary: Summary = serde_json::from_str(&read(&dir, "summary.json")).unwrap();
    std::fs::remove_dir_all(dir).unwrap();
    let id = |i: &usize| plan.routers[*i].id;
    let truth: std::collections::BTreeSet<Vec<RouterId>> =
        plan.attacks().map(|f| f.path.iter().map(id).collect()).collect();
    let mut graph = AttackGraph::from_paths(truth.iter().cloned());
    let last = *graph.edges.last().unwrap();
    assert!(graph.edges.remove(&last));
    graph.edges.insert(Edge { distance: 9, from: RouterId(0xcb00_7109), to: Some(last.from) });
    let page = |finding| {
        let drawing = Drawing { scheme: "fms".into(), truth: truth.clone(), finding };
        report::html(&summary, &plan, &[drawing])
    };
    let drawn = page(Ok(Finding::Paths(graph)));
    assert!(drawn.contains("Found: 14 edges correct, 1 missing, 1 wrong"), "{drawn}");
    let name = plan.node_name(ashiato::plan::Node::Router(
        plan.routers.iter().position(|r| r.id == last.from).unwrap(),
    ));
    assert!(drawn.contains(&format!("<title>wrong: 203.0.113.9 to {name}</title>")));
    assert!(drawn.contains(&format!("<title>missing: {name} to ")));
    // Both sides show the whole map.
    let boxed = |r: &&ashiato::plan::RouterPlan| drawn.matches(&format!(">{}<", r.name)).count();
    assert!(plan.routers.iter().all(|r| boxed(&r) == 2));
    let gap = page(Err(Gap::TooFew { have: 1, want: 2 }));
    assert!(gap.contains("No finding: too little evidence"), "{gap}");
}

#[test]
fn what_went_wrong_is_listed() {
    let dir = run();
    let plan: Plan = serde_json::from_str(&read(&dir, "plan.json")).unwrap();
    let mut summary: Summary = serde_json::from_str(&read(&dir, "summary.json")).unwrap();
    std::fs::remove_dir_all(dir).unwrap();
    let page = |summary: &Summary| report::html(summary, &plan, &[]);
    assert!(page(&summary).contains("Nothing is known to have gone wrong."));
    assert!(report::markdown(&summary).ends_with("## What went wrong\n\nNothing is known.\n"));
    let row = &mut summary.schemes[1];
    (row.packets.dropped, row.observations.lost, row.honest.sent) = (7, 3, row.honest.arrived + 2);
    let (scheme, page) = (row.scheme.clone(), page(&summary));
    for what in ["7 packets dropped", "3 observations lost", "2 honest packets that did not arrive"]
    {
        assert!(page.contains(&format!("<li>{scheme}: {what}")), "{what}");
        assert!(report::markdown(&summary).contains(&format!("- {scheme}: {what}")), "{what}");
    }
    // Why it was made stands above what came of it.
    let purpose = plan.purpose.as_ref().unwrap();
    assert!(page.find(&purpose.statement).unwrap() < page.find("What went wrong").unwrap());
    assert!(plan.roles.iter().all(|role| page.contains(&role.duty)));
}

#[test]
fn every_timed_scheme_has_a_curve_and_the_control_lies_below() {
    let dir = run();
    let plan: Plan = serde_json::from_str(&read(&dir, "plan.json")).unwrap();
    let mut summary: Summary = serde_json::from_str(&read(&dir, "summary.json")).unwrap();
    std::fs::remove_dir_all(dir).unwrap();
    for row in &mut summary.schemes {
        let times = &mut row.mark_latency_ns;
        times.count = 1000;
        (times.p50, times.p99, times.max) = (Some(210), Some(1900), Some(47_000));
        times.percentiles = vec![(0.0, 80), (0.5, 210), (0.99, 1900), (0.999, 30_000)];
        (times.clock_cost, times.sampled_1_in) = (Some(40), Some(16));
    }
    let page = report::html(&summary, &plan, &[]);
    assert_eq!(page.matches("<polyline").count(), summary.schemes.len());
    let first = page.find("<polyline").unwrap();
    assert!(page[first..].starts_with(r#"<polyline class="curve control""#));
    for word in [
        "Sampled 1 packet in 16",
        ": p50 210 ns, p99 1.9 µs",
        "Reading the clock twice: 40 ns",
        ">50 %<",
        ">90 %<",
        ">99 %<",
        ">99.9 %<",
        ">50 µs<",
    ] {
        assert!(page.contains(word), "{word} is missing");
    }
    let table = report::csv(&summary);
    assert!(table.starts_with("run,scenario,world,seed,scheme,"), "{table}");
    assert!(
        table.contains("mark_ns_p50,mark_ns_p99,control_ns_p50,control_ns_p99,lost"),
        "{table}"
    );
}
