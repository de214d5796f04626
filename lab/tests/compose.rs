//! The world `compose`: a container engine of this test's own, in a network namespace of its own, runs
//! three nations in containers that score like the simulator.
#![allow(clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod support;

use ashiato::process::Process;
use ashiato::summary::Ending;
use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use support::{over, root, run_id, simulate, snapshot, state, unchanged, whole_folder};

const BORDERS: &str = include_str!("../../scenarios/borders.toml");
const NATIONS: &str = include_str!("../../scenarios/three-nations.toml");
const PROGRAMS: [&str; 3] = ["ashiato", "ashiato-agent", "ashiato-collector"];

fn program(name: &str) -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_ashiato")).with_file_name(name)
}

fn done(command: &mut Command) -> Output {
    let out = command.output().unwrap();
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
    out
}

/// A container engine of this test's own.
struct Engine {
    dir: PathBuf,
    space: String,
    daemon: Child,
}

impl Engine {
    /// Starts one; `None`, and a word on why, where it is not installed.
    fn start() -> Option<Self> {
        let there = |name: &str| Command::new(name).arg("--version").output().is_ok();
        if !["dockerd", "docker", "docker-compose"].into_iter().all(there) {
            println!("skipped: needs docker.io and docker-compose");
            return None;
        }
        let run = run_id();
        let (dir, space) =
            (state(&run), format!("t{}-engine", run[run.len() - 6..].to_lowercase()));
        done(Command::new("ip").args(["netns", "add", &space]));
        done(Command::new("ip").args(["-n", &space, "link", "set", "lo", "up"]));
        let log = fs::File::create(dir.join("log")).unwrap();
        let path = |name: &str| dir.join(name).display().to_string();
        // In namespaces of its own, so that bridges, rules and mounts of it are seen by nobody.
        let daemon = Command::new("nsenter")
            .arg(format!("--net=/run/netns/{space}"))
            .args(["unshare", "--mount", "dockerd", "--data-root", &path("data")])
            .args(["--exec-root", &path("exec"), "--pidfile", &path("pid")])
            .args(["--host", &format!("unix://{}", path("sock"))])
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let engine = Self { dir, space, daemon };
        let end = Instant::now() + Duration::from_secs(60);
        while !engine.call("docker").args(["version"]).output().unwrap().status.success() {
            let log = fs::read_to_string(engine.dir.join("log")).unwrap();
            assert!(Instant::now() < end, "the engine does not start: {log}");
            std::thread::sleep(Duration::from_millis(100));
        }
        engine.build();
        Some(engine)
    }

    fn call(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("DOCKER_HOST", format!("unix://{}", self.dir.join("sock").display()));
        command.env("ASHIATO_STATE", self.dir.join("state"));
        command
    }

    /// An image from scratch: the programs of this build and the libraries that they name. (The shipped
    /// one holds static programs, which need none.)
    fn build(&self) {
        let image = self.dir.join("image");
        let mut files = BTreeSet::new();
        for program in PROGRAMS.map(program) {
            let said = done(Command::new("ldd").arg(&program)).stdout;
            let said = String::from_utf8(said).unwrap();
            let libraries = said.split_whitespace().filter(|w| w.starts_with('/'));
            files.extend(libraries.map(str::to_owned));
            fs::create_dir_all(&image).unwrap();
            fs::copy(&program, image.join(program.file_name().unwrap())).unwrap();
        }
        for file in files {
            let to = image.join(&file[1..]);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(file, to).unwrap();
        }
        fs::write(image.join("Dockerfile"), "FROM scratch\nCOPY . /\nENTRYPOINT [\"/ashiato\"]\n")
            .unwrap();
        done(self.call("docker").args(["build", "--tag", "ashiato:local"]).arg(image));
    }

    /// What the engine holds of anybody's run.
    fn held(&self) -> String {
        let list = |words: &[&str]| {
            let words = [words, &["--quiet", "--filter", "label=ashiato"]].concat();
            String::from_utf8(done(self.call("docker").args(words)).stdout).unwrap()
        };
        list(&["ps", "--all"]) + &list(&["network", "ls"]) + &list(&["volume", "ls"])
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let pid = fs::read_to_string(self.dir.join("pid")).ok().and_then(|p| p.trim().parse().ok());
        let process = pid.and_then(Process::of);
        process.inspect(|p| p.signal(Signal::SIGTERM));
        let _ = self.daemon.wait();
        let _ = Command::new("ip").args(["netns", "del", &self.space]).status();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

#[test]
fn containers_score_like_the_simulator_and_leave_nothing() {
    if !root() {
        return;
    }
    let before = snapshot();
    let Some(engine) = Engine::start() else { return };
    let schemes = ["none", "fms"];
    for (datapath, out) in [("afpacket", "out"), ("tc", "out-tc")] {
        let out = engine.dir.join(out);
        let mut run = engine.call(env!("CARGO_BIN_EXE_ashiato"));
        run.args(["run", "--world", "compose", "--scheme", &schemes.join(",")]);
        run.args(["--set", &format!("datapath={datapath}"), "--out"]).arg(&out);
        let run =
            run.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/three-nations.toml"));
        done(run);
        let summary = whole_folder(&out);
        assert_eq!((summary.world.as_str(), summary.left_behind), ("compose", Some(0)));
        let simulated = simulate(NATIONS, &over(&[], &schemes, 20081), &out.with_extension("sim"));
        for (real, simulated) in summary.schemes.iter().zip(&simulated.schemes) {
            assert_eq!(real.levels, simulated.levels, "{datapath} {}", real.scheme);
            assert_eq!(real.paths, simulated.paths, "{datapath} {}", real.scheme);
        }
        assert_eq!(engine.held(), "");
    }
    the_shipped_file_runs_by_itself(&engine);
    nations_ask_each_other(&engine);
    killed_runs_are_swept(&engine);
    drop(engine);
    unchanged(&before);
}

/// What a newcomer does: the file at the top of the repository, and nothing but the engine's own tool.
fn the_shipped_file_runs_by_itself(engine: &Engine) {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let here = engine.dir.join("ashiato-top");
    fs::create_dir_all(here.join("scenarios")).unwrap();
    for file in ["docker-compose.yml", "scenarios/three-nations.toml"] {
        fs::copy(top.join(file), here.join(file)).unwrap();
    }
    let start = Instant::now();
    done(engine.call("docker-compose").arg("up").current_dir(&here));
    let took = start.elapsed();
    println!("docker-compose up: a scored report after {took:?}");
    assert!(took < Duration::from_secs(180), "{took:?}");
    let mut runs = fs::read_dir(here.join("runs")).unwrap().map(|entry| entry.unwrap().path());
    let summary = whole_folder(&runs.next().unwrap());
    assert!(runs.next().is_none());
    assert_eq!(summary.outcome, Ending::Met, "{:?}", summary.reasons);
    let simulated = simulate(NATIONS, &over(&[], &[], 20081), &here.join("sim"));
    for (real, simulated) in summary.schemes.iter().zip(&simulated.schemes) {
        assert_eq!((real.levels, real.paths), (simulated.levels, simulated.paths));
        assert_eq!(real.packets.reflected, 5000, "{}", real.scheme);
    }
    done(engine.call("docker-compose").args(["down", "--volumes"]).current_dir(&here));
    assert_eq!(engine.held(), "");
}

/// Where domains have collectors of their own, all of them run beside the director, in its container.
fn nations_ask_each_other(engine: &Engine) {
    let (out, schemes) = (engine.dir.join("asked"), ["none", "spie"]);
    let mut run = engine.call(env!("CARGO_BIN_EXE_ashiato"));
    run.args(["run", "--world", "compose", "--scheme", &schemes.join(","), "--out"]).arg(&out);
    done(run.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/borders.toml")));
    let summary = whole_folder(&out);
    let simulated = simulate(BORDERS, &over(&[], &schemes, 20095), &out.with_extension("sim"));
    for (real, simulated) in summary.schemes.iter().zip(&simulated.schemes) {
        assert_eq!((real.levels, real.paths), (simulated.levels, simulated.paths));
        assert_eq!(real.stages, simulated.stages, "{}", real.scheme);
    }
    assert!(summary.domains.iter().filter(|domain| domain.answered > 0).count() > 1);
    assert_eq!(engine.held(), "");
}

/// What a killed run left in the engine goes by `ashiato gc`.
fn killed_runs_are_swept(engine: &Engine) {
    let mut run = engine.call(env!("CARGO_BIN_EXE_ashiato"));
    run.args(["run", "--world", "compose", "--out"]).arg(engine.dir.join("killed"));
    run.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/first.toml"));
    let mut run = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    while engine.held().lines().count() < 6 {
        assert!(Instant::now() < end, "no containers came");
        std::thread::sleep(Duration::from_millis(100));
    }
    run.kill().unwrap();
    run.wait().unwrap();
    let said = done(engine.call(env!("CARGO_BIN_EXE_ashiato")).arg("gc")).stdout;
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(said.contains("left 0"), "{said}");
    assert_eq!(engine.held(), "");
}
