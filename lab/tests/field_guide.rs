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

use machine::Lab;
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
    let done = Command::new(build)
        .arg(out)
        .env("CARGO_TARGET_DIR", built)
        .env("FAST", "1")
        .output()
        .unwrap();
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

/// What a host's owner types after copying the packages, from nothing to the end of a run, whose first report
/// came earlier. Keys and a policy for a network that leads nowhere else are there, as they are before a lab is invited.
fn joining_takes_three_commands_and_less_than_a_minute(lab: &mut Lab) {
    let desk = "ashiato-collector authority serve keys --listen 192.0.2.1:7403 > desk.log 2>&1 &\n\
                until grep -q ready desk.log; do sleep 0.1; done\n\
                ashiato-collector token keys host/lab-b --address 192.0.2.1:7403 > lab-b.token\n";
    lab.machine("director").run(desk, None);
    let token = lab.machine("director").home().join("lab-b.token");
    lab.machine("lab-b").take(&token, "lab-b.token".as_ref());
    let policy = "echo 'manifest = \"internal-networks-need-none\"' > /etc/ashiato/site.toml\n";
    lab.machine("lab-b").run(policy, None);
    lab.machine("lab-a").run(policy, None);
    let again = "kill %1; wait\nashiato host --config /etc/ashiato/host.toml > host.log 2>&1 &\n";
    lab.machine("lab-a").run(again, None);
    let start = Instant::now();
    let run = "ashiato run two.toml --world hosts --hosts placement.toml --scheme spie --out runs/join \
               > join.log 2>&1 &\n";
    lab.machine("director").run(run, None);
    let three = "dpkg -i ashiato-agent_*.deb ashiato_*.deb\n\
                 ashiato-agent enrol --token lab-b.token\n\
                 ashiato host --director 192.0.2.1:7401 --underlay 192.0.2.12 > host.log 2>&1 &\n";
    lab.machine("lab-b").run(three, None);
    let joined = start.elapsed();
    let said = lab.machine("director").run("wait $! || { cat join.log; false; }\n", None);
    let scored = start.elapsed();
    println!(
        "{said}from copied packages: {joined:.1?} to the call, {scored:.1?} to the scored run"
    );
    assert!(scored < Duration::from_secs(60), "{scored:?}");
}
