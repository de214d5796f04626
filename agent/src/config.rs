//! The agent's configuration: which vantages it serves, as TOML. Unknown keys are refused, and paths of
//! keys start at the file's folder.
//!
//! The lab writes these files from a plan with [`Config::to_toml`]; people write them by hand.

mod interval;
mod port;
mod run_key;
mod vantage;

pub use interval::Interval;
pub use port::Port;
pub use run_key::RunKey;
pub use vantage::{Datapath, DrawKind, KEEP_ROUTES_MS, RING_MIB, Vantage};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

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

fn is_not(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests {
    use super::*;
    use traceback::invariant::Key;

    pub(super) const TEXT: &str = r#"
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
