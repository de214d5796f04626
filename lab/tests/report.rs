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
    assert_eq!(page.matches("Found: 13 edges correct, 0 missing, 0 wrong").count(), 2 * 4);
    assert!(page.contains("No finding: no usable evidence"), "the control says why");
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
    assert!(drawn.contains("Found: 12 edges correct, 1 missing, 1 wrong"), "{drawn}");
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
