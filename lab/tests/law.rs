//! Packets drawn from the law of their path: they tell the same as packets that are carried, and what has no
//! law is refused by name.
#![allow(clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod support;

use ashiato::exit::Exit;
use ashiato::plan::Plan;
use ashiato::resolve;
use ashiato::run;
use ashiato::scenario;
use ashiato::sim::Sim;
use std::sync::Arc;
use support::over;

const FIRST: &str = include_str!("../../scenarios/first.toml");

fn plan(set: &[&str], schemes: &[&str], seed: u64) -> Plan {
    let overrides = over(set, schemes, seed);
    let given = scenario::parse("x.toml", FIRST, &overrides).map_err(|r| r.to_string()).unwrap();
    resolve::plan(&given).map_err(|r| r.to_string()).unwrap()
}

/// Whether the whole truth was found, and after how many packets.
fn complete(set: &[&str], scheme: &str, seed: u64) -> Option<u64> {
    let plan = Arc::new(plan(set, &[scheme], seed));
    let measured = run::measure(&plan, &mut Sim::new(plan.clone())).unwrap();
    assert!(measured.void.is_empty(), "{:?}", measured.void);
    measured.rows[0].packets_to_path.complete
}

#[test]
fn paths_stand_after_as_many_packets_as_when_packets_are_carried() {
    for scheme in ["fms", "dpm"] {
        let mean = |draws: &str| {
            let ends = (1..=40).map(|seed| complete(&[draws], scheme, seed).unwrap() as f64);
            ends.sum::<f64>() / 40.0
        };
        let (law, keyed) = (mean("draws=\"law\""), mean("draws=\"keyed\""));
        assert!((law / keyed - 1.0).abs() < 0.25, "{scheme}: {law} and {keyed}");
    }
    let again = || complete(&["draws=\"law\""], "fms", 7);
    assert_eq!(again(), again());
}

#[test]
fn what_has_no_law_is_refused_by_name() {
    let refused = |set: &[&str], scheme: &str| {
        let error = Sim::suits(&plan(set, &[scheme], 7)).unwrap_err();
        assert_eq!(Exit::of(&error), Exit::Usage);
        error.to_string()
    };
    let law = "draws=\"law\"";
    assert!(refused(&[law], "pint").contains("pint has none"));
    assert!(refused(&[law, "topology.routers.c.deployed=false"], "fms").contains("no part"));
    assert!(refused(&[law, "traffic.flood.mark=\"stock\""], "fms").contains("marks of many kinds"));
    assert!(Sim::suits(&plan(&["draws=\"kernel\""], &["pint"], 7)).is_ok());
}
