//! What an agent can do with which capabilities, and that `auto` takes the best of it. The agent enters
//! the namespace before it loses the rest.

use crate::agent::Agent;
use crate::config;
use crate::life::attached;
use crate::support::{Net, datagrams, privileged};
use ashiato_agent::config::Datapath::{self, Afpacket, Auto, Pnet, Tc, Xdp, XdpPass};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;

/// What a partner grants: no CAP_SYS_ADMIN.
const BPF: &str = "+bpf,+perfmon,+net_admin";

/// An agent of a scheme that logs in maps, with these capabilities and no others.
fn start(net: &Net, datapath: Datapath, capabilities: &str) -> (Agent, Value, PathBuf) {
    let mut vantage = config(net, "spie", datapath);
    let space = vantage.netns.take().unwrap();
    let words = capabilities.replace([',', '+'], "-");
    let dir = Agent::folder(&format!("cap-{datapath:?}{words}"), vantage);
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", space.display())).arg("setpriv");
    command.arg("--inh-caps=-all").arg(format!("--bounding-set=-all,{capabilities}"));
    command.arg(env!("CARGO_BIN_EXE_ashiato-agent")).env("ASHIATO_AGENT_STATE", dir.join("state"));
    let (agent, said) = Agent::by(command, dir.clone());
    (agent, said, dir)
}

/// Starts one, looks at what it says, and sends packets through the router.
fn works(net: &Net, datapath: Datapath, capabilities: &str) -> Value {
    let (agent, said, dir) = start(net, datapath, capabilities);
    assert_eq!(said["event"], "ready", "{datapath:?} by {capabilities}: {said}");
    let by_kernel = !["afpacket", "pnet"].map(Value::from).contains(&said["datapath"]);
    assert_eq!(attached(net, "p1").len(), usize::from(by_kernel), "{said}");
    assert_eq!(datagrams(net, "198.18.1.2:0", "198.18.2.2:5000", 10), 10, "{said}");
    // Nobody listens to its last report, for which it would wait.
    agent.kill();
    std::fs::remove_dir_all(dir).unwrap();
    said
}

fn refused(net: &Net, datapath: Datapath, capabilities: &str) -> String {
    let (_agent, said, dir) = start(net, datapath, capabilities);
    std::fs::remove_dir_all(dir).unwrap();
    assert_eq!(said["event"], "error", "{datapath:?} by {capabilities}: {said}");
    said["error"].as_str().unwrap().to_owned()
}

#[test]
fn programs_need_bpf_and_perfmon_and_no_sys_admin() {
    if !privileged() {
        return;
    }
    // A router that the kernel forwards for, and ends that XDP can send to.
    let net = Net::of("cap", Xdp);
    for datapath in [Tc, Xdp, XdpPass] {
        works(&net, datapath, BPF);
        works(&net, datapath, "+sys_admin,+net_admin");
        let error = refused(&net, datapath, "+bpf,+net_admin,+net_raw");
        assert!(error.contains("prohibited for !root") && error.contains("CAP_PERFMON"), "{error}");
        refused(&net, datapath, "+perfmon,+net_admin,+net_raw");
        refused(&net, datapath, "+bpf,+perfmon,+net_raw");
    }
    let said = works(&net, Auto, BPF);
    assert_eq!(said["datapath"], "tc");
    assert!(said["why"].as_str().unwrap().starts_with("CAP_BPF, CAP_PERFMON"), "{said}");
    // The kernel forwards here, so a router in user space would send everything twice.
    let error = refused(&net, Auto, "+net_raw");
    assert!(error.contains("tc needs CAP_BPF and CAP_PERFMON and CAP_NET_ADMIN"), "{error}");
    assert!(error.contains("sysctl"), "{error}");
}

#[test]
fn routers_in_user_space_need_raw_sockets() {
    if !privileged() {
        return;
    }
    let net = Net::of("raw", Afpacket);
    works(&net, Afpacket, "+net_raw");
    works(&net, Pnet, "+net_raw,+net_admin");
    let error = refused(&net, Pnet, "+net_raw");
    assert!(error.contains("CAP_NET_ADMIN"), "{error}");
    assert!(refused(&net, Afpacket, "+net_admin").contains("CAP_NET_RAW"));
    let said = works(&net, Auto, "+net_raw");
    assert_eq!(said["datapath"], "afpacket");
    assert!(said["why"].as_str().unwrap().contains("which this process lacks"), "{said}");
    // Everything is granted, but nobody told the kernel to forward: that is for the other datapath.
    let said = works(&net, Auto, "+bpf,+perfmon,+net_admin,+net_raw");
    assert_eq!(said["datapath"], "afpacket");
    assert!(said["why"].as_str().unwrap().contains("the kernel forwards nothing"), "{said}");
}
