//! Runs that travel between labs: packed, unpacked, checked, run again. What was tampered with shows.
#![allow(clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod support;

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use support::{run_id, state};

fn ashiato(args: &[&str]) -> (i32, String, String) {
    let done: Output = Command::new(env!("CARGO_BIN_EXE_ashiato")).args(args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (done.status.code().unwrap(), text(&done.stdout), text(&done.stderr))
}

/// A finished run of five schemes in the simulator.
fn finished(dir: &Path) -> PathBuf {
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/first.toml");
    let out = dir.join("run");
    let (code, _, said) = ashiato(&[
        "run",
        scenario.to_str().unwrap(),
        "--scheme",
        "none,recorder,fms,spie,pi",
        "--set",
        "traffic.flood.packets=3000",
        "--out",
        out.to_str().unwrap(),
    ]);
    assert!(code == 0 || code == 7, "{said}");
    out
}

/// Names of checks that fail.
fn failing(args: &[&str], want: i32) -> Vec<String> {
    let (code, out, said) = ashiato(&[args, &["--format", "json"]].concat());
    assert_eq!(code, want, "{out}{said}");
    let checks: Vec<Value> = serde_json::from_str(&out).unwrap();
    assert!(checks.len() > 5);
    let failed = checks.iter().filter(|check| check["holds"] == false);
    failed.map(|check| check["what"].as_str().unwrap().to_string()).collect()
}

#[test]
fn a_run_travels_and_is_run_again() {
    let dir = state(&run_id());
    let run = finished(&dir);
    let [packed, there, again] =
        ["run.tar.gz", "there", "again"].map(|n| dir.join(n).to_str().unwrap().to_string());
    let (code, out, said) = ashiato(&["export", run.to_str().unwrap(), "--out", &packed]);
    assert_eq!((code, out), (0, format!("{packed}\n")), "{said}");
    assert_eq!(failing(&["import", &packed, "--out", &there], 0), [""; 0]);
    assert_eq!(failing(&["verify", &there], 0), [""; 0]);
    assert_eq!(failing(&["replay", &there, "--out", &again], 0), [""; 0]);
    // Once is enough, and a second archive does not overwrite what is there.
    let (code, _, said) = ashiato(&["import", &packed, "--out", &there]);
    assert_eq!(code, 2);
    assert!(said.contains("exists"), "{said}");
    fs::remove_dir_all(dir).unwrap();
}

/// Changes a file, and makes the sums fit, as somebody with an interest would.
fn forge(run: &Path, name: &str, change: impl Fn(&mut Value)) {
    let file = run.join(name);
    let mut value: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    change(&mut value);
    fs::write(&file, serde_json::to_vec_pretty(&value).unwrap()).unwrap();
    let sums = "find . -type f ! -name SHA256SUMS -printf '%P\\n' | LC_ALL=C sort | xargs sha256sum > sums \
                && mv sums SHA256SUMS && sed -i '/  sums$/d' SHA256SUMS";
    assert!(Command::new("sh").args(["-c", sums]).current_dir(run).status().unwrap().success());
}

#[test]
fn what_was_tampered_with_shows() {
    let dir = state(&run_id());
    let run = finished(&dir);
    let copy = |name: &str| {
        let to = dir.join(name);
        let done = Command::new("cp").arg("-a").args([&run, &to]).status().unwrap();
        assert!(done.success());
        to
    };
    let check = |run: &Path| failing(&["verify", run.to_str().unwrap()], 8);

    let touched = copy("touched");
    fs::write(touched.join("report.html"), "better").unwrap();
    fs::write(touched.join("more"), "").unwrap();
    assert_eq!(check(&touched), ["files"]);
    let (code, _, said) = ashiato(&["export", touched.to_str().unwrap(), "--out", "never"]);
    assert_eq!(code, 2);
    assert!(said.contains("report.html is not what the run wrote; more is no file"), "{said}");

    let flattered = copy("flattered");
    forge(&flattered, "summary.json", |s| s["schemes"][2]["levels"]["router"]["found"] = 99.into());
    assert_eq!(check(&flattered), ["fms: score"]);

    // A better graph with a fitting score is not what the reports say.
    let painted = copy("painted");
    let graph = fs::read(painted.join("graph/recorder.json")).unwrap();
    forge(&painted, "graph/pi.json", |g| *g = serde_json::from_slice(&graph).unwrap());
    assert!(check(&painted).contains(&"pi: reconstruction".to_string()));

    // Another truth is not what was promised.
    let turned = copy("turned");
    forge(&turned, "truth.json", |t| t["expected"]["flows"]["0"]["attack"] = false.into());
    let failed = check(&turned);
    assert!(failed.starts_with(&["truth".into(), "commitments".into()]), "{failed:?}");

    let miscounted = copy("miscounted");
    forge(&miscounted, "truth.json", |t| t["counted"]["fms"]["sent"]["0"] = 7.into());
    let failed = check(&miscounted);
    assert!(failed.contains(&"commitments".into()) && failed.contains(&"fms: counts".into()));
    fs::remove_dir_all(dir).unwrap();
}
