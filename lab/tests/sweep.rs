//! Sweeps: the same bytes whatever the threads and however often it was killed.
#![allow(clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod support;

use ashiato::exit::Exit;
use ashiato::sweep::grid::{Axis, Grid};
use ashiato::sweep::{self, Request, tables};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::{run_id, state};

const FIRST: &str = include_str!("../../scenarios/first.toml");
const FILES: [&str; 5] =
    ["raw.csv", "summary.csv", "sweep.html", "curves/complete.svg", "curves/completion.svg"];

fn request(vary: &[&str], jobs: usize) -> Request {
    Request {
        name: "first.toml".into(),
        text: FIRST.into(),
        set: vec![],
        schemes: vec!["fms".into(), "pint".into()],
        seed: Some(3),
        grid: Grid { axes: vary.iter().map(|a| Axis::parse(a).unwrap()).collect() },
        repeat: 4,
        jobs,
    }
}

fn files(folder: &Path) -> Vec<String> {
    FILES.iter().map(|f| std::fs::read_to_string(folder.join(f)).unwrap()).collect()
}

#[test]
fn results_depend_on_neither_threads_nor_interruptions() {
    let dir = state(&run_id());
    let vary = ["traffic.flood.packets=300,900,2400", "scheme.fms.p=0.04,0.2"];
    let one = sweep::sweep(&request(&vary, 1), &dir.join("one"), &|_, _, _| {}).unwrap();
    sweep::sweep(&request(&vary, 4), &dir.join("four"), &|_, _, _| {}).unwrap();
    assert_eq!(files(&dir.join("one")), files(&dir.join("four")));
    assert_eq!((one.header.vary.len(), one.cells.len()), (6, 24));
    // A kill in the middle of a line, after some of the work.
    let cells = std::fs::read_to_string(dir.join("four/cells.ndjson")).unwrap();
    let cut: usize = cells.lines().take(7).map(|l| l.len() + 1).sum();
    std::fs::write(dir.join("four/cells.ndjson"), &cells[..cut + 25]).unwrap();
    let before = std::sync::atomic::AtomicUsize::new(0);
    let noted = |_, had, _| before.store(had, std::sync::atomic::Ordering::Relaxed);
    sweep::sweep(&request(&vary, 2), &dir.join("four"), &noted).unwrap();
    assert_eq!(before.into_inner(), 7);
    assert_eq!(files(&dir.join("one")), files(&dir.join("four")));
    // More packets complete more runs; what did not end is censored, not 0.
    let lines = tables::lines(&one);
    let share = |packets: &str| {
        let at = |l: &&tables::Line| {
            let is = |key: &str, v: &str| l.at.get(key).is_some_and(|x| x == v);
            l.scheme == "fms" && is("traffic.flood.packets", packets) && is("scheme.fms.p", "0.04")
        };
        let line = lines.iter().find(at).unwrap();
        let of = |id: &str| line.estimates.iter().find(|e| e.measure == id).unwrap().clone();
        (of("complete").mean.unwrap(), of("packets_to_complete"))
    };
    let (few, censored) = share("300");
    assert!(few < share("2400").0 && censored.mean.is_none() && censored.censored > 0);
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn another_sweeps_folder_and_bad_points_are_refused() {
    let dir = state(&run_id());
    let vary = ["traffic.flood.packets=100"];
    let run = |request: &Request, at: &str| {
        let error = sweep::sweep(request, &dir.join(at), &|_, _, _| {}).unwrap_err();
        (Exit::of(&error), error.to_string())
    };
    sweep::sweep(&request(&vary, 1), &dir.join("x"), &|_, _, _| {}).unwrap();
    let (exit, why) = run(&request(&["traffic.flood.packets=101"], 1), "x");
    assert!(exit == Exit::Usage && why.contains("another sweep"), "{why}");
    let (exit, why) = run(&request(&["scheme.fms.p=0.1,2"], 1), "y");
    assert!(exit == Exit::Usage && why.contains("at scheme.fms.p=2"), "{why}");
    assert!(!dir.join("y").exists());
    std::fs::write(dir.join("stray"), "").unwrap();
    let error = sweep::sweep(&request(&vary, 1), &dir, &|_, _, _| {}).unwrap_err();
    assert!(error.to_string().contains("holds no sweep"), "{error}");
    std::fs::remove_dir_all(dir).unwrap();
}

fn ashiato(out: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ashiato"));
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/first.toml");
    command.arg("sweep").arg(scenario).args(["--vary", "scheme.fms.p=0.04..0.4..0.04"]);
    command.args(["--repeat", "12", "--format", "csv", "--out"]).arg(out);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn cells(folder: &Path) -> usize {
    std::fs::read_to_string(folder.join("cells.ndjson")).map_or(0, |t| t.lines().count())
}

#[test]
fn a_killed_sweep_goes_on_and_ends_as_one_that_was_not() {
    let dir = state(&run_id());
    let out: PathBuf = dir.join("killed");
    let mut child = ashiato(&out).spawn().unwrap();
    let start = Instant::now();
    while cells(&out) < 10 && start.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let had = cells(&out);
    assert!((10..120).contains(&had), "{had}");
    let again = ashiato(&out).output().unwrap();
    assert_eq!(again.status.code(), Some(0), "{}", String::from_utf8_lossy(&again.stderr));
    assert_eq!(cells(&out), 120);
    let whole = ashiato(&dir.join("whole")).output().unwrap();
    assert!(again.stdout == whole.stdout && !whole.stdout.is_empty());
    std::fs::remove_dir_all(dir).unwrap();
}
