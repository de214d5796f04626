//! The table of harms: what each adversary gains is measured, and as the schemes' designs foretell.
#![allow(clippy::unwrap_used, reason = "a test ends at its first surprise")]

use ashiato::cli::new::SHIPPED;
use ashiato::compare::pairs::Estimate;
use ashiato::harms::{self, Row, Side};
use ashiato::scenario::{self, Overrides, Scenario};
use std::process::Command;

fn shipped(name: &str) -> Scenario {
    let (_, text) = SHIPPED.iter().find(|(n, _)| *n == name).unwrap();
    scenario::parse(name, text, &Overrides::default()).unwrap()
}

fn mean(side: &Side, id: &str) -> f64 {
    side.get(id).and_then(|e: &Estimate| e.mean).unwrap()
}

#[test]
fn adversaries_gain_what_schemes_leave_them() {
    let names = ["x-router-denies", "x-fragments", "x-marks-replayed", "x-loss"];
    let scenarios: Vec<_> = names.iter().map(|n| shipped(n)).collect();
    let rows = harms::measure(&scenarios, 2, &|_, _| {}).unwrap();
    assert_eq!(rows, harms::measure(&scenarios, 2, &|_, _| {}).unwrap());
    let row = |scenario: &str, scheme: &str| -> &Row {
        rows.iter().find(|r| r.scenario == scenario && r.scheme == scheme).unwrap()
    };
    assert!(rows.iter().all(|r| (mean(&r.calm, "complete") - 1.0).abs() < 1e-12), "calm is calm");
    // Logs are as good as those who keep them; marks ask nobody.
    let denied = row("x-router-denies", "spie");
    assert!(
        mean(&denied.hostile, "router.recall") < 0.7 && mean(&denied.hostile, "complete") < 0.5
    );
    assert!(mean(&row("x-router-denies", "fms").hostile, "complete") > 0.9);
    // A mark in a fragment would break it, so there is none; logs take fragments as they come.
    assert_eq!(row("x-fragments", "fms").hostile.gaps.values().sum::<u32>(), 2);
    assert!(mean(&row("x-fragments", "spie").hostile, "complete") > 0.9);
    // Whoever believes marks blames the way that they were copied from, and nobody else.
    let blamed = row("x-marks-replayed", "fms");
    assert!((mean(&blamed.hostile, "source.wrong") - 1.0).abs() < 1e-12);
    assert!(mean(&row("x-marks-replayed", "spie").hostile, "source.wrong") < 1e-12);
    // Honest packets: PINT writes into each of them, SPIE into none; a fifth of them is lost.
    let lossy = |scheme| &row("x-loss", scheme).hostile;
    assert!(mean(lossy("pint"), "honest.rewritten") > 0.9);
    assert!(mean(lossy("spie"), "honest.rewritten") < 1e-12);
    assert!((0.1..0.3).contains(&mean(lossy("fms"), "honest.lost")));
}

#[test]
fn the_verb_prints_a_row_for_every_scheme() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ashiato"));
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios/x-nat.toml");
    let out = command.args(["harms", file, "--repeat", "1", "--format", "md"]).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8(out.stdout).unwrap();
    assert_eq!(text.lines().count(), 2 + shipped("x-nat").spec.scheme.len(), "{text}");
    assert!(text.contains("| x-nat | spie | 1 > 0 |"), "{text}");
}
