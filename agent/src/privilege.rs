//! Which capabilities this process has, and which datapaths follow from them.
//!
//! ```text
//! bpf         CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN     programs in the kernel
//! sys-admin   CAP_SYS_ADMIN and CAP_NET_ADMIN            the same, where engines do not know the former
//! raw         CAP_NET_RAW                                the router in user space
//! none        less                                       capture files
//! ```
//! CAP_BPF alone makes maps, but its programs are verified as an unprivileged user's: no arithmetic with
//! pointers into the packet, which headers of varying length need. CAP_PERFMON lifts that.

use serde::Serialize;
use std::fs;

/// The capabilities that a thread may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held(u64);

/// A capability's number in `linux/capability.h`, and its name.
type Capability = (u32, &'static str);

const NET_ADMIN: Capability = (12, "CAP_NET_ADMIN");
const NET_RAW: Capability = (13, "CAP_NET_RAW");
const SYS_ADMIN: Capability = (21, "CAP_SYS_ADMIN");
const PERFMON: Capability = (38, "CAP_PERFMON");
const BPF: Capability = (39, "CAP_BPF");

/// What of the agent's work is possible, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rank {
    /// Programs in the kernel, by the capabilities that are made for them.
    Bpf,
    /// Programs in the kernel, by the capability that allows nearly everything.
    SysAdmin,
    /// Packet sockets.
    Raw,
    /// Files.
    None,
}

impl Held {
    /// Those of the calling thread.
    pub fn look() -> Self {
        let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
        let line = status.lines().find_map(|l| l.strip_prefix("CapEff:"));
        Self(line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0))
    }

    fn has(self, (bit, _): Capability) -> bool {
        self.0 >> bit & 1 == 1
    }

    fn without(self, wanted: &[Capability]) -> Vec<&'static str> {
        wanted.iter().filter(|c| !self.has(**c)).map(|(_, name)| *name).collect()
    }

    /// What is missing for programs in the kernel.
    pub fn lacks_for_programs(self) -> Vec<&'static str> {
        if self.has(SYS_ADMIN) {
            return self.without(&[NET_ADMIN]);
        }
        self.without(&[BPF, PERFMON, NET_ADMIN])
    }

    /// What is missing for a router in user space over rings.
    pub fn lacks_for_rings(self) -> Vec<&'static str> {
        self.without(&[NET_RAW])
    }

    /// What is missing for one over pnet's channels, whose buffers have to be forced.
    pub fn lacks_for_channels(self) -> Vec<&'static str> {
        self.without(&[NET_RAW, NET_ADMIN])
    }

    /// What is missing to make namespaces, and to send packets through them.
    pub fn lacks_for_trials(self) -> Vec<&'static str> {
        self.without(&[SYS_ADMIN, NET_RAW])
    }

    /// What is missing of all that is of use.
    pub fn lacks(self) -> Vec<&'static str> {
        self.without(&[NET_ADMIN, NET_RAW, SYS_ADMIN, PERFMON, BPF])
    }

    /// The best that is possible.
    pub fn rank(self) -> Rank {
        let rest = self.lacks_for_programs().is_empty();
        match rest {
            true if self.without(&[BPF, PERFMON]).is_empty() => Rank::Bpf,
            true => Rank::SysAdmin,
            false if self.has(NET_RAW) => Rank::Raw,
            false => Rank::None,
        }
    }

    /// The rank in a sentence: which capabilities, and what follows.
    pub fn says(self) -> String {
        let (by, follows) = match self.rank() {
            Rank::Bpf => ("CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN", "tc, xdp and xdp-pass"),
            Rank::SysAdmin => ("CAP_SYS_ADMIN and CAP_NET_ADMIN", "tc, xdp and xdp-pass"),
            Rank::Raw if self.has(NET_ADMIN) => {
                ("CAP_NET_RAW and CAP_NET_ADMIN", "no kernel programs")
            }
            Rank::Raw => ("CAP_NET_RAW", "no kernel programs, and interfaces keep merging frames"),
            Rank::None => ("no capability of use", "only capture files"),
        };
        let rings =
            if self.has(NET_RAW) { "afpacket" } else { "no observers or routers in user space" };
        match self.rank() {
            Rank::None => format!("{by}: {follows}"),
            Rank::Raw => format!("{by}: {rings}; {follows}"),
            Rank::Bpf | Rank::SysAdmin => format!("{by}: {follows}; {rings}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(all: &[Capability]) -> Held {
        Held(all.iter().map(|(bit, _)| 1 << bit).sum())
    }

    #[test]
    fn ranks_follow_in_order() {
        let bpf = held(&[BPF, PERFMON, NET_ADMIN]);
        assert_eq!(bpf.rank(), Rank::Bpf);
        assert_eq!(held(&[SYS_ADMIN, NET_ADMIN]).rank(), Rank::SysAdmin);
        let raw = held(&[BPF, NET_ADMIN, NET_RAW]);
        assert_eq!((raw.rank(), raw.lacks_for_programs()), (Rank::Raw, vec!["CAP_PERFMON"]));
        assert_eq!(held(&[BPF, PERFMON]).rank(), Rank::None);
        assert!(bpf.says().contains("no observers"), "{}", bpf.says());
        assert!(held(&[NET_RAW]).says().contains("keep merging"));
    }
}
