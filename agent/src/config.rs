//! The agent's configuration: which vantages it serves, as TOML. Unknown keys are refused, and paths of
//! keys start at the file's folder.
//!
//! The lab writes these files from a plan with [`Config::to_toml`]; people write them by hand.

use anyhow::Context;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use traceback::case::Filter;
use traceback::invariant::Key;
use traceback::report::Role;
use traceback::router::{Far, Spread};
use traceback::{Place, RouterId};

/// A whole file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where reports go.
    pub collector: Collector,
    /// What this process serves; vantages share nothing but the process.
    #[serde(rename = "vantage")]
    pub vantages: Vec<Vantage>,
}

/// The collector that all vantages of a file report to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Collector {
    /// Address and port, no name: an agent may not depend on a resolver.
    pub address: SocketAddr,
    /// Name that its certificate must carry.
    pub server_name: String,
    /// Certificate of the authority that both sides trust, in PEM.
    pub ca: PathBuf,
}

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

/// One interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// Its name in the namespace.
    pub ifname: String,
    /// The router at the other end; left out where the link leads to hosts.
    pub neighbour: Option<RouterId>,
    /// Whether that router belongs to another autonomous system.
    #[serde(default)]
    pub border: bool,
    /// Whether that router takes no part in any scheme.
    #[serde(default)]
    pub legacy: bool,
    /// Whether packets that come in here are forwarded and nothing else.
    #[serde(default, skip_serializing_if = "is_not")]
    pub silent: bool,
    /// Rank of the router at the other end among all neighbours, where the ports do not show all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<u16>,
}

impl Port {
    /// An interface by name, and who is at its other end.
    pub fn new(ifname: &str, far: Far) -> Self {
        let Far { neighbour, border, legacy, silent, link } = far;
        Self { ifname: ifname.into(), neighbour, border, legacy, silent, link }
    }

    /// Who is at the other end.
    pub fn far(&self) -> Far {
        let Self { neighbour, border, legacy, silent, link, .. } = *self;
        Far { neighbour, border, legacy, silent, link }
    }
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

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// Names the file, and the line and key that is wrong.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        let mut config: Self =
            toml::from_str(&text).with_context(|| format!("in {}", path.display()))?;
        config.rebase(path.parent().unwrap_or(Path::new("")));
        for vantage in &config.vantages {
            vantage.check().with_context(|| format!("{} in {}", vantage.name(), path.display()))?;
        }
        Ok(config)
    }

    /// Lets the keys' paths that are not absolute start at a folder.
    fn rebase(&mut self, folder: &Path) {
        let own = self.vantages.iter_mut().flat_map(|v| [&mut v.cert, &mut v.key_file]);
        own.chain([&mut self.collector.ca]).for_each(|path| *path = folder.join(&path));
    }

    /// The file's text.
    ///
    /// # Panics
    /// Never for values that TOML can hold: parameters without null.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("invariant: schemes' parameters hold no null")
    }
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

    fn check(&self) -> anyhow::Result<()> {
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

fn is_not(flag: &bool) -> bool {
    !flag
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

/// The run's key, written as two hexadecimal words: TOML's integers are too short for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunKey(pub Key);

impl Serialize for RunKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        [format!("{:016x}", self.0.0), format!("{:016x}", self.0.1)].serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RunKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let [first, second] = <[String; 2]>::deserialize(deserializer)?;
        let word = |text: &str| {
            u64::from_str_radix(text, 16).map_err(|_| {
                de::Error::custom(format!("{text:?} is no word of up to 16 hexadecimal digits"))
            })
        };
        Ok(Self(Key(word(&first)?, word(&second)?)))
    }
}

/// A length of time, written with its unit: `"500 ms"`, `"2 s"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval(pub Duration);

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} us", self.0.as_micros())
    }
}

impl std::str::FromStr for Interval {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let make = match unit.trim() {
            "us" => Duration::from_micros,
            "ms" => Duration::from_millis,
            "s" => Duration::from_secs,
            _ => return Err(format!("{text:?} needs a unit: us, ms or s, as in \"500 ms\"")),
        };
        number.parse().map(|n| Self(make(n))).map_err(|_| format!("{text:?} is no whole number"))
    }
}

impl Serialize for Interval {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Interval {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
[collector]
address = "10.255.0.1:7400"
server_name = "collector"
ca = "ca.pem"
[[vantage]]
role = "observer"
router = "198.19.0.1"
cert = "o.pem"
key_file = "o.key"
scheme = "fms"
params = { p = 0.04 }
key = ["ffffffffffffffff", "2"]
report_every = "250 ms"
filter = { victim = "198.18.0.2", protocol = 17, port = 9 }
ports = [{ ifname = "p0", neighbour = "198.19.0.2" }, { ifname = "p1" }]
"#;

    #[test]
    fn files_read_back_as_they_were_written() {
        let config: Config = toml::from_str(TEXT).unwrap();
        let vantage = &config.vantages[0];
        assert_eq!(vantage.name(), "observer/198.19.0.1");
        assert_eq!(vantage.key, RunKey(Key(u64::MAX, 2)));
        assert_eq!(vantage.sample_1_in, 64);
        assert_eq!(toml::from_str::<Config>(&config.to_toml()).unwrap(), config);
    }

    #[test]
    fn a_ring_has_room_and_an_end() {
        let mut vantage = toml::from_str::<Config>(TEXT).unwrap().vantages.remove(0);
        assert_eq!((vantage.ring_mib, vantage.check().is_ok()), (RING_MIB, true));
        for mib in [0, MOST_MIB + 1] {
            vantage.ring_mib = mib;
            assert!(vantage.check().unwrap_err().to_string().contains("ring_mib"), "{mib}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        let wrong = |from: &str, to: &str| {
            toml::from_str::<Config>(&TEXT.replace(from, to)).unwrap_err().to_string()
        };
        let error = wrong("report_every", "report_evry");
        assert!(error.contains("line 14") && error.contains("report_evry"), "{error}");
        assert!(wrong("250 ms", "250").contains("needs a unit"));
        assert!(wrong("\"2\"", "\"xyz\"").contains("hexadecimal"));
    }
}
