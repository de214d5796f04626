//! The program `ashiato-collector` as others run it.
#![allow(clippy::unwrap_used, reason = "a test stops where something is not as expected")]

mod rig;

use rig::{LONG, Program, Rig, case, report};
use std::process::{Command, Output};
use std::time::Duration;
use tokio::time::timeout;
use traceback::map::Map;

fn collector(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ashiato-collector")).args(args).output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_nine_loses_nothing_and_doubles_nothing() {
    let rig = Rig::new();
    let config = rig.config_file();
    let mut program = Program::start(&config, "127.0.0.1:0");
    let listen = program.listen;
    let (handle, _commands) = rig.uplink(listen, 1);
    const ROUNDS: u64 = 4;
    const EACH: u64 = 1000;
    for round in 0..ROUNDS {
        for n in 0..EACH {
            let mut report = report(1);
            report.counters.received = round * EACH + n;
            assert!(handle.report(report));
        }
        // Killed while reports and acknowledgements are under way.
        let flowing = async {
            while handle.stats().acked <= round * EACH {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(LONG, flowing).await.unwrap();
        program.kill();
        program = Program::start(&config, &listen.to_string());
    }
    timeout(LONG, handle.drained()).await.unwrap();
    let mut operator = rig.operator(listen).await;
    let reports = operator.reports("none").await.unwrap();
    let numbers: Vec<u64> = reports.iter().map(|r| r.report.counters.received).collect();
    assert_eq!(numbers, (0..ROUNDS * EACH).collect::<Vec<_>>());
    let tally = operator.status("none").await.unwrap().tallies.remove(0);
    assert_eq!((tally.stored, tally.lost), (ROUNDS * EACH, 0));
    // Where all was acknowledged before the last kill, the last connection is still to come.
    let connected = async {
        while handle.stats().connections <= ROUNDS {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(LONG, connected).await.unwrap();
    assert!(handle.stats().connections > ROUNDS);
    println!("duplicates {}, {:?}", tally.duplicate, handle.stats());
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_clean_on_sigterm() {
    let rig = Rig::new();
    let mut program = Program::start(&rig.config_file(), "127.0.0.1:0");
    let (handle, _commands) = rig.uplink(program.listen, 1);
    handle.report(report(1));
    timeout(LONG, handle.drained()).await.unwrap();
    let pid = i32::try_from(program.child.id()).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGTERM).unwrap();
    let ended = timeout(LONG, async {
        loop {
            if let Some(status) = program.child.try_wait().unwrap() {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert_eq!(ended.await.unwrap().code(), Some(0));
}

#[test]
fn traces_from_map_case_and_reports_alone() {
    let rig = Rig::new();
    let path = |name: &str| rig.dir.join(name).to_str().unwrap().to_owned();
    let (mut case, map) = (serde_json::to_value(case()).unwrap(), case().map);
    case["map"] = serde_json::Value::Null;
    std::fs::write(path("case.json"), case.to_string()).unwrap();
    std::fs::write(path("map.json"), serde_json::to_vec::<Map>(&map).unwrap()).unwrap();
    std::fs::write(path("r1.report"), report(1).encode()).unwrap();
    let (map, case, ledger) = (path("map.json"), path("case.json"), path("r1.report"));
    let trace = ["trace", "--scheme", "none", "--map", &map, "--case", &case, "--ledger", &ledger];
    let out = collector(&trace);
    assert_eq!(out.status.code(), Some(9), "{out:?}");
    let shown: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(shown["gap"]["gap"], "nothing");
    assert_eq!(shown["finding"], serde_json::Value::Null);

    std::fs::write(path("r1.report"), b"ASHR").unwrap();
    let out = collector(&trace);
    assert_eq!(out.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&out.stderr).contains("r1.report is no report"));
}

#[test]
fn refuses_what_it_cannot_use_and_says_how_to_mend_it() {
    let rig = Rig::new();
    let config = rig.config_file();
    std::fs::write(&config, "{\"listn\": 1}").unwrap();
    let out = collector(&["serve", "--config", config.to_str().unwrap()]);
    assert_eq!(out.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&out.stderr).contains("unknown field `listn`"));
    let out = collector(&["serve", "--config", "no/such/file"]);
    assert_eq!(out.status.code(), Some(2));

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let config = rig.config_file();
    let out = collector(&["serve", "--listen", &address, "--config", config.to_str().unwrap()]);
    assert_eq!(out.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&out.stderr).contains("choose another address"));
}

#[test]
fn makes_keys_that_only_their_owner_reads() {
    use std::os::unix::fs::PermissionsExt;
    let rig = Rig::new();
    let dir = rig.dir.join("new");
    let init = ["authority", "init", dir.to_str().unwrap(), "--router", "10.0.0.1,10.0.0.2"];
    assert!(collector(&init).status.success());
    for name in ["ca", "collector", "operator-local", "router-10.0.0.1", "router-10.0.0.2"] {
        let key = std::fs::metadata(dir.join(format!("{name}.key"))).unwrap();
        assert_eq!(key.permissions().mode() & 0o777, 0o600);
        assert!(dir.join(format!("{name}.pem")).exists());
    }
    let again = collector(&init);
    assert_eq!(again.status.code(), Some(3), "keys are never overwritten");
}
