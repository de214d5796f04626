//! However a run ends, its folder is whole: what had finished is scored, and what is missing is named.
#![allow(clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod support;

use anyhow::{Result, bail};
use ashiato::exit::Exit;
use ashiato::plan::Plan;
use ashiato::run::{self, Options, Ran};
use ashiato::scenario::{self, Overrides};
use ashiato::sim::Sim;
use ashiato::summary::Ending;
use ashiato::world::{Outcome, Traffic, World};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::{run_id, state, whole_folder};
use traceback::case::Case;

/// The simulator, with accidents.
struct Frail {
    sim: Sim,
    /// The turn that fails, and how.
    fails: Option<(usize, fn() -> anyhow::Error)>,
    stays: bool,
}

impl World for Frail {
    fn traffic(&mut self, scheme: usize) -> Result<Traffic> {
        match self.fails {
            Some((turn, error)) if turn == scheme => Err(error()),
            _ => self.sim.traffic(scheme),
        }
    }

    fn reconstruct(&mut self, scheme: usize, case: &Case) -> Result<Outcome> {
        self.sim.reconstruct(scheme, case)
    }

    fn remove(&mut self) -> Result<u64> {
        if self.stays {
            bail!("the kernel does not let go");
        }
        self.sim.remove()
    }
}

fn scenario() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/first.toml")
}

fn plan() -> Arc<Plan> {
    let schemes = ["none", "recorder", "spie", "fms", "pint"].map(String::from).into();
    let set = vec!["traffic.flood.packets=2000".into()];
    let scenario = scenario::load(&scenario(), &Overrides { set, seed: None, schemes });
    Arc::new(ashiato::resolve::plan(&scenario.unwrap()).unwrap())
}

/// Runs the plan in a frail world; its folder must be whole whatever happens.
fn run(fails: Option<(usize, fn() -> anyhow::Error)>, stays: bool) -> Ran {
    let (id, plan) = (run_id(), plan());
    let dir = state(&id);
    let options = Options {
        id: id.clone(),
        scenario: std::fs::read_to_string(scenario()).unwrap(),
        world: "sim",
        datapath: "sim".into(),
        tolerance: 0.0,
        keep: false,
        progress: &|_| {},
    };
    let mut world = Frail { sim: Sim::new(plan.clone()), fails, stays };
    let folder = run::folder(Some(&dir.join("out")), &id).unwrap();
    let ran = run::run(&plan, &mut world, folder, &options).unwrap();
    assert_eq!(whole_folder(&dir.join("out")), ran.summary);
    std::fs::remove_dir_all(dir).unwrap();
    ran
}

#[test]
fn a_failure_in_the_third_turn_leaves_two_rows() {
    let Ran { summary, exit } = run(Some((2, || anyhow::anyhow!("a cable broke"))), false);
    assert_eq!((summary.outcome, exit), (Ending::Partial, Exit::Partial));
    let rows: Vec<&str> = summary.schemes.iter().map(|r| r.scheme.as_str()).collect();
    assert_eq!(rows, ["none", "recorder"]);
    let reasons = [
        "turn 3 of 5 (spie): traffic: a cable broke",
        "2 of 5 turns are complete; there is no row of spie, fms, pint",
    ];
    assert_eq!(summary.reasons, reasons);
    let (ran, never): (Vec<_>, Vec<_>) =
        summary.effects.iter().partition(|e| rows.contains(&e.effect.scheme.as_str()));
    assert!(ran.iter().all(|e| e.met), "{ran:?}");
    assert!(never.iter().any(|e| e.effect.scheme == "pint"));
    for row in never {
        assert!(row.got.is_null() && !row.met, "{row:?}");
        assert_eq!(row.why, Some(format!("{} had no complete turn", row.effect.scheme)));
    }
    assert_eq!(summary.left_behind, Some(0));
}

#[test]
fn a_stop_and_a_refusal_keep_their_exit_codes() {
    let stopped = run(Some((1, || Exit::Stopped.refuse("stopped by `ashiato stop`"))), false);
    assert_eq!((stopped.summary.outcome, stopped.exit), (Ending::Stopped, Exit::Stopped));
    let refused = run(Some((1, || Exit::Safety.refuse("out of scope"))), false);
    assert_eq!((refused.summary.outcome, refused.exit), (Ending::Partial, Exit::Safety));
}

#[test]
fn a_world_that_stays_is_not_passed_over() {
    let Ran { summary, exit } = run(None, true);
    assert_eq!((summary.outcome, exit), (Ending::Partial, Exit::Internal));
    assert_eq!((summary.schemes.len(), summary.left_behind), (5, None));
    assert!(summary.reasons[0].contains("does not let go"), "{:?}", summary.reasons);
    // Interrupted, but not clean.
    let Ran { summary, exit } = run(Some((0, || Exit::Interrupted.refuse("interrupted"))), true);
    assert_eq!((summary.outcome, exit), (Ending::Stopped, Exit::Stopped));
}

#[test]
fn the_simulator_is_interrupted_in_its_traffic_and_starts_no_other_run() {
    let dir = state(&run_id());
    let out = dir.join("out");
    let mut child = Command::new(env!("CARGO_BIN_EXE_ashiato"))
        .args(["run", "--repeat", "3", "--set", "traffic.flood.packets=20000000"])
        .args(["--set", "traffic.flood.rate=40 kpkt/s", "--out"])
        .args([&out, &scenario()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let end = Instant::now() + Duration::from_secs(30);
    let events = || std::fs::read_to_string(out.join("000/events.ndjson")).unwrap_or_default();
    while !events().contains(r#""event":"turn""#) {
        assert!(Instant::now() < end && child.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(20));
    }
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let summary = whole_folder(&out.join("000"));
    assert_eq!((summary.outcome, summary.schemes.len()), (Ending::Stopped, 0));
    assert!(!out.join("001").exists());
    std::fs::remove_dir_all(dir).unwrap();
}
