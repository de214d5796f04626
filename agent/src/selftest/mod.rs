//! `selftest`: which datapaths this host can run, each proved by packets through network namespaces
//! that are made for the trial and go with it.
//!
//! [`host`] says what the kernel and the process's privileges are, [`trial`] sends the packets.

pub mod host;
pub mod trial;

use clap::ValueEnum;
use host::Host;
use serde::Serialize;

/// A datapath, as it is asked for and told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Userspace router over rings.
    Afpacket,
    /// Userspace router over pnet's channels.
    Pnet,
    /// Marks at tc egress.
    Tc,
    /// Forwards at XDP, in the driver.
    Xdp,
    /// Forwards at XDP, in the network stack.
    XdpGeneric,
    /// Marks at XDP, the kernel routes.
    XdpPass,
    /// Capture files.
    Pcap,
}

/// What became of one datapath.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// Which.
    pub datapath: Kind,
    /// Whether it was proved.
    pub works: bool,
    /// The proof, or the reason and how to mend it.
    pub says: String,
}

/// Everything that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// The kernel and this process.
    pub host: Host,
    /// By datapath, in the order of [`Kind`].
    pub datapaths: Vec<Outcome>,
}

/// Tries the datapaths that are asked for, all where none is.
pub fn selftest(asked: &[Kind]) -> Findings {
    let host = Host::look();
    let all = Kind::value_variants();
    let wanted = all.iter().filter(|kind| asked.is_empty() || asked.contains(kind));
    let outcome = |kind: &Kind| {
        let (works, says) = match host.refuses(*kind) {
            Some(reason) => (false, reason),
            None => match trial::run(*kind) {
                Ok(proof) => (true, proof),
                Err(e) => (false, host.explain(*kind, &format!("{e:#}"))),
            },
        };
        Outcome { datapath: *kind, works, says }
    };
    let datapaths = wanted.map(outcome).collect();
    Findings { host, datapaths }
}

impl Findings {
    /// Whether everything works.
    pub fn all(&self) -> bool {
        self.datapaths.iter().all(|o| o.works)
    }

    /// Whether something works that needs the host's help: more than capture files.
    pub fn some(&self) -> bool {
        self.datapaths.iter().any(|o| o.works && o.datapath != Kind::Pcap)
    }

    /// Lines for people.
    pub fn table(&self) -> String {
        let Host { kernel, missing, privilege, lockdown, unprivileged_bpf, memlock, .. } =
            &self.host;
        let none = || "none".to_owned();
        let missing = if missing.is_empty() { none() } else { missing.join(" ") };
        let mut text = format!(
            "Linux {kernel}; missing capabilities: {missing}; lockdown: {}; unprivileged BPF \
             disabled: {}; memlock: {memlock}\nprivilege: {privilege}\n",
            lockdown.clone().unwrap_or_else(none),
            unprivileged_bpf.clone().unwrap_or_else(|| "unknown".into()),
        );
        for Outcome { datapath, works, says } in &self.datapaths {
            let name = datapath.to_possible_value().map_or_else(none, |v| v.get_name().to_owned());
            let says = says.replace('\n', "\n                   ");
            text += &format!("{name:12} {:5} {says}\n", if *works { "works" } else { "no" });
        }
        text
    }
}
