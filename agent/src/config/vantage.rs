//! What is said of one vantage, and what its keys are where nobody says otherwise.

use super::{Interval, Port, RunKey, is_not};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;
use traceback::case::Filter;
use traceback::report::Role;
use traceback::router::Spread;
use traceback::{Place, RouterId};

/// One role at one place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vantage {
    /// Forwards and marks, or watches what arrives.
    pub role: Role,
    /// The router's loopback address; for an observer, that of the victim's gateway.
    pub router: RouterId,
    /// The router's position in the map.
    #[serde(default)]
    pub index: u16,
    /// Links to other routers.
    #[serde(default)]
    pub degree: u16,
    /// Its autonomous system.
    #[serde(default)]
    pub asn: u32,
    /// The name under which it marks, where its domain shows another than the router's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acts_as: Option<RouterId>,
    /// Whether it keeps its errors (such as Time Exceeded) to itself, since their source would tell an address
    /// that its domain does not show.
    #[serde(default, skip_serializing_if = "is_not")]
    pub mute: bool,
    /// Network namespace to work in; the process's own where it is left out.
    pub netns: Option<PathBuf>,
    /// Certificate in PEM; its common name is the vantage's name.
    pub cert: PathBuf,
    /// The certificate's private key in PEM.
    pub key_file: PathBuf,
    /// Scheme by id.
    pub scheme: String,
    /// The scheme's parameters; keys left out take the paper's values.
    #[serde(default = "no_params")]
    pub params: Value,
    /// The run's key: two words of 16 hexadecimal digits.
    pub key: RunKey,
    /// Where chance comes from.
    #[serde(default)]
    pub draws: DrawKind,
    /// Time between reports.
    #[serde(default = "half_a_second")]
    pub report_every: Interval,
    /// The marking step of one packet in so many is timed; 0 times none.
    #[serde(default = "one_in_64")]
    pub sample_1_in: u32,
    /// How packets are moved.
    #[serde(default)]
    pub datapath: Datapath,
    /// How long the datapath `xdp` goes by the kernel's word about a packet's way before it asks again, in
    /// milliseconds: a route, neighbour or link that changes takes effect so much later at most. It asks for
    /// every packet where this is 0, or where more than the destination decides. `ashiato-agent selftest` proves
    /// whether a host's kernel lets it.
    #[serde(default = "keep_routes_ms")]
    pub keep_routes_ms: u32,
    /// Memory of each port's ring for frames that come in, in MiB, at datapath `afpacket`. A MiB holds what
    /// comes in 16 ms (64 ms from the ninth port of a process on), or 7,200 of the smallest frames.
    #[serde(default = "ring_mib")]
    pub ring_mib: u8,
    /// How a router in user space chooses between next hops that are equally good; kernels choose for
    /// themselves.
    #[serde(default = "by_flow")]
    pub spread: Spread,
    /// What an observer counts.
    pub filter: Option<Filter>,
    /// Interfaces, in the order of the plan's ports.
    pub ports: Vec<Port>,
    /// HdrHistogram log of the marking step.
    pub hlog: Option<PathBuf>,
    /// The run's zero, in nanoseconds since the Unix epoch; times in reports count from it.
    #[serde(default)]
    pub zero_unix_ns: u64,
    /// How long every answer waits before it goes to the collector: for experiments about points of
    /// contact that take their time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_after: Option<Interval>,
}

/// Where a router's chance comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DrawKind {
    /// A hash of key, router and packet: every world marks alike.
    #[default]
    Keyed,
    /// A generator that the kernel seeds.
    Kernel,
}

/// How packets are moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Datapath {
    /// Userspace router over rings of AF_PACKET.
    #[default]
    Afpacket,
    /// The same router over pnet's channels: simpler, slower, and no frame waits for its block.
    Pnet,
    /// The kernel routes; an eBPF program marks at tc egress.
    Tc,
    /// An eBPF program at XDP marks and forwards by the kernel's tables.
    Xdp,
    /// An eBPF program at XDP marks, and the kernel routes.
    XdpPass,
    /// `tc` where this process and host can, else `afpacket`.
    Auto,
}

impl Vantage {
    /// The name by which collectors know it: `router/<id>` or `observer/<id>`.
    pub fn name(&self) -> String {
        let role = match self.role {
            Role::Router => "router",
            Role::Observer => "observer",
        };
        format!("{role}/{}", self.router)
    }

    /// The place as which schemes are put to work.
    pub fn place(&self) -> Place {
        let id = self.acts_as.unwrap_or(self.router);
        Place { id, index: self.index, degree: self.degree, asn: self.asn }
    }

    pub(super) fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(!self.ports.is_empty(), "no ports: name at least one interface in `ports`");
        anyhow::ensure!(
            !self.report_every.0.is_zero(),
            "report_every must be longer than 0, such as \"500 ms\""
        );
        anyhow::ensure!(
            (1..=MOST_MIB).contains(&self.ring_mib),
            "ring_mib must lie between 1 and {MOST_MIB}, not {}",
            self.ring_mib
        );
        match self.role {
            Role::Router => anyhow::ensure!(
                self.filter.is_none(),
                "a router treats all packets alike: remove `filter`, or make this an observer"
            ),
            Role::Observer => anyhow::ensure!(
                self.filter.is_some(),
                "an observer needs a filter, such as filter = {{ victim = \"198.18.0.2\" }}"
            ),
        }
        Ok(())
    }
}

fn no_params() -> Value {
    Value::Object(serde_json::Map::new())
}

const fn half_a_second() -> Interval {
    Interval(Duration::from_millis(500))
}

const fn by_flow() -> Spread {
    Spread::Flow
}

const fn one_in_64() -> u32 {
    64
}

/// [`Vantage::keep_routes_ms`] where nobody says otherwise.
pub const KEEP_ROUTES_MS: u32 = 20;

const fn keep_routes_ms() -> u32 {
    KEEP_ROUTES_MS
}

/// [`Vantage::ring_mib`] where nobody says otherwise: with two ports and a million entries of a table, an
/// agent then stays under 30 MiB.
pub const RING_MIB: u8 = 2;
/// Most that it may be.
const MOST_MIB: u8 = 64;

const fn ring_mib() -> u8 {
    RING_MIB
}

#[cfg(test)]
mod tests {
    use super::super::{Config, tests::TEXT};
    use super::*;

    #[test]
    fn a_ring_has_room_and_an_end() {
        let mut vantage = toml::from_str::<Config>(TEXT).unwrap().vantages.remove(0);
        assert_eq!((vantage.ring_mib, vantage.check().is_ok()), (RING_MIB, true));
        for mib in [0, MOST_MIB + 1] {
            vantage.ring_mib = mib;
            assert!(vantage.check().unwrap_err().to_string().contains("ring_mib"), "{mib}");
        }
    }
}
