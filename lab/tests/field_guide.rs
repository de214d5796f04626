//! The field guide's commands, as they are written there, in order, on machines made of namespaces: each has
//! its own network, mounts, processes and file system, and the packages are really installed there.
//!
//! A fence ` ```sh MACHINE ` runs on that machine and must succeed, line by line; ` ```sh MACHINE N ` must end with
//! exit code N. ` ```text carry ` lists files that a person carries between machines.
#![allow(clippy::unwrap_used, reason = "a test ends at its first surprise")]

#[path = "guide/machine.rs"]
mod machine;
#[path = "guide/steps.rs"]
mod steps;
mod support;

use machine::{Lab, Machine};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use steps::Step;
use support::{root, snapshot, unchanged};

/// Which machine has which address of the guide's network.
const MACHINES: [(&str, &str); 3] =
    [("director", "192.0.2.1"), ("lab-a", "192.0.2.11"), ("lab-b", "192.0.2.12")];

fn guide(name: &str) -> Vec<Step> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    steps::read(&fs::read_to_string(path).unwrap())
}

#[test]
fn both_languages_say_the_same_commands() {
    let (english, japanese) = (guide("field-guide.md"), guide("field-guide.ja.md"));
    for (a, b) in english.iter().zip(&japanese) {
        assert_eq!(a.without_comments(), b.without_comments());
    }
    assert_eq!(english.len(), japanese.len());
    let ran = english.iter().filter(|s| matches!(s, Step::Run { .. })).count();
    assert!(ran > 15, "only {ran} fences were found");
}

/// The packages of the programs of this build.
fn packages(out: &Path) -> Vec<PathBuf> {
    let built = Path::new(env!("CARGO_BIN_EXE_ashiato")).ancestors().nth(2).unwrap();
    let build = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/build");
    let done = Command::new(build).arg(out).env("CARGO_TARGET_DIR", built).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let all = fs::read_dir(out).unwrap().map(|e| e.unwrap().path());
    let all: Vec<_> = all.filter(|p| p.extension().is_some_and(|e| e == "deb")).collect();
    assert_eq!(all.len(), 3, "{all:?}");
    all
}

#[test]
fn the_guide_works_as_it_is_written() {
    if !root() {
        return;
    }
    if Command::new("dpkg-deb").arg("--version").output().is_err() {
        println!("skipped: needs Debian's dpkg");
        return;
    }
    let before = snapshot();
    let mut lab = Lab::open(&MACHINES);
    let packages = packages(&lab.dir.join("packages"));
    for (name, _) in MACHINES {
        for package in &packages {
            lab.machine(name).take(package, package.file_name().unwrap().as_ref());
        }
    }
    for step in guide("field-guide.md") {
        follow(&mut lab, &step);
    }
    joining_takes_three_commands_and_less_than_a_minute(&mut lab);
    drop(lab);
    unchanged(&before);
}

fn follow(lab: &mut Lab, step: &Step) {
    match step {
        Step::Run { machine, code, text } => {
            let start = Instant::now();
            let said = lab.machine(machine).run(text, *code);
            println!("{machine}, {:.1?}:\n{text}{said}", start.elapsed());
        }
        Step::Carry { from, file, to } => {
            let source = lab.machine(from).home().join(file);
            lab.machine(to).take(&source, file.as_ref());
        }
    }
}
