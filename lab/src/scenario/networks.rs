//! Networks that a testbed may use, and those that a scenario names.

use super::problems::Problems;
use super::spec::{Ip, Spec};
use ipnet::IpNet;
use std::net::IpAddr;

/// The testbed's networks for one version of IP.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ranges {
    /// All test traffic. Source: RFC 2544 and RFC 5180, which reserve them for benchmarks.
    pub(crate) all: IpNet,
    /// Links whose domain names no prefix.
    pub(crate) links: IpNet,
    /// Routers' identities; IPv4 in both versions.
    pub(crate) loopbacks: IpNet,
    /// Forged sources.
    pub(crate) spoofed: IpNet,
    /// Prefix length of a link.
    pub(crate) link_len: u8,
}

impl Ranges {
    /// Those of a version of IP.
    pub(crate) fn of(ip: Ip) -> Self {
        let net = |text: &str| text.parse().expect("invariant: written out below");
        let loopbacks = net("198.19.0.0/17");
        match ip {
            Ip::V4 => Self {
                all: net("198.18.0.0/15"),
                links: net("198.18.0.0/16"),
                loopbacks,
                spoofed: net("198.19.192.0/18"),
                link_len: 30,
            },
            Ip::V6 => Self {
                all: net("2001:2::/48"),
                links: net("2001:2::/49"),
                loopbacks,
                spoofed: net("2001:2:0:ffff::/64"),
                link_len: 64,
            },
        }
    }

    /// Reads a network and says what is wrong with it.
    pub(crate) fn read(&self, text: &str) -> Result<IpNet, (String, String)> {
        let all = self.all;
        let net: IpNet = text.parse().map_err(|_| {
            (format!("\"{text}\" is no network"), format!("write it as {}", self.spoofed))
        })?;
        if net.trunc() != net {
            let what = format!("{net} has bits behind its prefix length");
            return Err((what, format!("write \"{}\"", net.trunc())));
        }
        if !all.contains(&net) {
            let what = format!("{net} lies outside {all}");
            let why = "no packet of a testbed may carry an address that somebody else may own";
            return Err((what, format!("choose a part of {all}: {why}")));
        }
        Ok(net)
    }
}

/// Whether two networks share an address.
pub(crate) fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(b) || b.contains(a)
}

/// Checks the prefixes of domains and the pools of forged addresses.
pub(super) fn check(spec: &Spec, problems: &mut Problems<'_>) {
    let ranges = Ranges::of(spec.ip);
    let mut taken: Vec<(String, IpNet)> = vec![];
    if spec.ip == Ip::V4 {
        taken.push(("the routers' own addresses".to_owned(), ranges.loopbacks));
    }
    for (i, domain) in spec.domain.iter().enumerate() {
        let Some(prefix) = &domain.prefix else { continue };
        let path = format!("domain.{i}.prefix");
        let Some(net) = read(&ranges, prefix, &path, problems) else { continue };
        if net.prefix_len() > ranges.link_len {
            let what = format!("{net} has no room for a link, which needs /{}", ranges.link_len);
            problems.add(&path, what, format!("a /{} is usual", ranges.link_len - 10));
        }
        clash(&taken, &net, &path, problems);
        taken.push((format!("the prefix of domain \"{}\"", domain.id), net));
    }
    for (i, traffic) in spec.traffic.iter().enumerate() {
        let Some(spoof) = &traffic.spoof else { continue };
        let path = format!("traffic.{i}.spoof.pool");
        let pool = spoof.pool.clone().unwrap_or_else(|| ranges.spoofed.to_string());
        let Some(net) = read(&ranges, &pool, &path, problems) else { continue };
        clash(&taken, &net, &path, problems);
        if net.prefix_len() + 2 > net.max_prefix_len() {
            problems.add(&path, format!("{net} has too few addresses"), "a /24 is small");
        }
    }
}

fn read(ranges: &Ranges, text: &str, path: &str, problems: &mut Problems<'_>) -> Option<IpNet> {
    ranges.read(text).map_err(|(what, mend)| problems.add(path, what, mend)).ok()
}

fn clash(taken: &[(String, IpNet)], net: &IpNet, path: &str, problems: &mut Problems<'_>) {
    for (whose, other) in taken.iter().filter(|(_, other)| overlap(net, other)) {
        let mend = "networks of a testbed are apart: choose another part";
        problems.add(path, format!("{net} overlaps {other}, {whose}"), mend);
    }
}

/// The network of an address and a prefix length.
pub(crate) fn net_of(address: IpAddr, len: u8) -> IpNet {
    IpNet::new(address, len).map_or_else(|_| address.into(), |net| net.trunc())
}
