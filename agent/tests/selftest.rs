//! `ashiato-agent selftest`, as root and without.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

/// The program, where anybody may run it.
struct Anybodys(std::path::PathBuf);

impl Anybodys {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("ashiato-agent-{}", std::process::id()));
        std::fs::copy(env!("CARGO_BIN_EXE_ashiato-agent"), &path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self(path)
    }
}

impl Drop for Anybodys {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn selftest(program: &str, args: &[&str]) -> Output {
    Command::new(program).args(args).output().unwrap()
}

fn names() -> Vec<u8> {
    Command::new("ip").args(["netns", "list"]).output().unwrap().stdout
}

#[test]
fn root_can_run_every_datapath() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: needs root");
        return;
    }
    let before = Command::new("ip").args(["-br", "link"]).output().unwrap().stdout;
    let out = selftest(env!("CARGO_BIN_EXE_ashiato-agent"), &["selftest", "--format", "json"]);
    let text = String::from_utf8_lossy(&out.stdout);
    assert_eq!(out.status.code(), Some(0), "{text}");
    let found: Value = serde_json::from_str(&text).unwrap();
    let datapaths = found["datapaths"].as_array().unwrap();
    assert_eq!(datapaths.len(), 7, "{text}");
    for one in datapaths {
        assert!(one["works"].as_bool().unwrap(), "{one}");
        let says = one["says"].as_str().unwrap();
        assert!(says.contains("marked"), "{one}");
        assert_eq!(one["datapath"] == "xdp", says.contains("keep_routes_ms works"), "{one}");
    }
    let after = Command::new("ip").args(["-br", "link"]).output().unwrap().stdout;
    assert_eq!(String::from_utf8_lossy(&before), String::from_utf8_lossy(&after));
    assert!(!String::from_utf8_lossy(&names()).contains("selftest"));
}

#[test]
fn what_is_missing_is_named() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: needs root");
        return;
    }
    let program = Anybodys::new();
    let agent = program.0.to_str().unwrap();
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all"];
    let all = selftest("setpriv", &[&nobody[..], &[agent, "selftest"]].concat());
    let text = String::from_utf8_lossy(&all.stdout);
    assert_eq!(all.status.code(), Some(3), "{text}");
    let raw = "afpacket     no    this process lacks CAP_NET_RAW:";
    let bpf = "lacks CAP_BPF and CAP_PERFMON and CAP_NET_ADMIN:";
    let none = "privilege: no capability of use: only capture files";
    for word in [raw, bpf, none, "CAP_SYS_ADMIN", "pcap         works"] {
        assert!(text.contains(word), "{word} in {text}");
    }
    let kernel = ["--inh-caps=-bpf,-sys_admin", "--bounding-set=-bpf,-sys_admin"];
    let one = ["selftest", "--datapath", "tc"];
    let tc = selftest("setpriv", &[&kernel[..], &[agent][..], &one].concat());
    let text = String::from_utf8_lossy(&tc.stdout);
    assert_eq!(tc.status.code(), Some(3), "{text}");
    assert!(text.contains("lacks CAP_BPF:") && !text.contains("afpacket  "), "{text}");
    assert!(text.contains("CAP_NET_RAW and CAP_NET_ADMIN: afpacket; no kernel programs"), "{text}");
    // What containers of old engines have instead is as good.
    let kernel = ["--inh-caps=-bpf,-perfmon", "--bounding-set=-bpf,-perfmon"];
    let tc = selftest("setpriv", &[&kernel[..], &[agent][..], &one].concat());
    let text = String::from_utf8_lossy(&tc.stdout);
    assert_eq!(tc.status.code(), Some(0), "{text}");
    assert!(text.contains("privilege: CAP_SYS_ADMIN and CAP_NET_ADMIN: tc"), "{text}");
    let pcap =
        selftest("setpriv", &[&nobody[..], &[agent, "selftest", "--datapath", "pcap"]].concat());
    assert_eq!(pcap.status.code(), Some(0));
}
