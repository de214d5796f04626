//! What a host's kernel and a process's privileges allow.

use super::Kind;
use crate::privilege::{Held, Rank};
use serde::Serialize;
use std::fs;

/// The kernel and this process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Host {
    /// The kernel's release.
    pub kernel: String,
    /// Capabilities that some datapath or its trial can use and this process lacks.
    pub missing: Vec<&'static str>,
    /// What the capabilities that it has are enough for.
    pub rank: Rank,
    /// The same in words.
    pub privilege: String,
    /// The kernel's lockdown, where it has one.
    pub lockdown: Option<String>,
    /// The sysctl `kernel.unprivileged_bpf_disabled`.
    pub unprivileged_bpf: Option<String>,
    /// The limit of locked memory. Kernels from 5.11 on do not count BPF's memory against it.
    pub memlock: String,
    #[serde(skip)]
    version: (u32, u32),
    #[serde(skip)]
    held: Held,
}

impl Host {
    /// Looks at this host.
    pub fn look() -> Self {
        let read = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
        let kernel = read("/proc/sys/kernel/osrelease").unwrap_or_default();
        let mut numbers = kernel.split(['.', '-']).map(|n| n.parse().unwrap_or(0));
        let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        let line = |text: Option<String>, start: &str| {
            text?.lines().find_map(|l| Some(l.strip_prefix(start)?.trim().to_owned()))
        };
        let held = Held::look();
        let memlock = line(read("/proc/self/limits"), "Max locked memory");
        Self {
            kernel,
            missing: held.lacks(),
            rank: held.rank(),
            privilege: held.says(),
            lockdown: read("/sys/kernel/security/lockdown"),
            unprivileged_bpf: read("/proc/sys/kernel/unprivileged_bpf_disabled"),
            memlock: memlock.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" "),
            version,
            held,
        }
    }

    /// Why a datapath cannot run here, where that is known without a trial.
    pub fn refuses(&self, kind: Kind) -> Option<String> {
        let (lacks, least) = match kind {
            Kind::Pcap => return None,
            Kind::Afpacket => (self.held.lacks_for_rings(), (4, 20)),
            Kind::Pnet => (self.held.lacks_for_channels(), (4, 20)),
            Kind::Tc => (self.held.lacks_for_programs(), (5, 17)),
            Kind::Xdp | Kind::XdpGeneric | Kind::XdpPass => {
                (self.held.lacks_for_programs(), (5, 18))
            }
        };
        if self.version < least {
            let (major, minor) = least;
            return Some(format!("needs Linux {major}.{minor} or later, this is {}", self.kernel));
        }
        if !lacks.is_empty() {
            let lacks = lacks.join(" and ");
            return Some(format!("this process lacks {lacks}: run as root, or grant it"));
        }
        // Namespaces are made for the trial and entered; packets are sent and heard in them.
        let lacks = self.held.lacks_for_trials();
        let may = "it may work; its trial needs namespaces and raw frames";
        let lack = || format!("{may}, and this process lacks {}: run as root", lacks.join(" and "));
        (!lacks.is_empty()).then(lack)
    }

    /// A trial's error with what may be behind it.
    pub fn explain(&self, kind: Kind, error: &str) -> String {
        let mut text = error.to_owned();
        let is_kernel = !matches!(kind, Kind::Afpacket | Kind::Pnet | Kind::Pcap);
        if is_kernel && self.lockdown.as_ref().is_some_and(|l| l.contains("[confidentiality]")) {
            text += "\nthe kernel is locked down for confidentiality, which may forbid programs \
                     to read memory: boot with lockdown=integrity";
        }
        if error.contains("veth") {
            text += "\nthe trial needs virtual links: load the module veth";
        }
        text
    }
}
