//! Checks traffic and case: who sends, how fast, and that the victim complains about the attack.

use super::check::known;
use super::problems::Problems;
use super::spec::{CaseSpec, Host, Spec, Traffic};
use crate::plan::{Class, HostKind};
use crate::reflect::MOST_TIMES;
use crate::units::Quantity;

/// Packets per second of all traffic together, at most.
pub const MOST_PER_SECOND: f64 = 50_000.0;
/// Packets of a run, all turns together, at most.
pub const MOST_PACKETS: u64 = 20_000_000;
/// Seconds that one stream may last.
pub const LONGEST_STREAM: f64 = 600.0;

/// Everything about traffic and case that needs no routes.
pub(super) fn check(spec: &Spec, problems: &mut Problems<'_>) {
    let hosts: Vec<_> = spec.topology.hosts.iter().map(|h| h.id.as_str()).collect();
    let (mut per_second, mut packets) = (0.0, 0_u64);
    for (i, traffic) in spec.traffic.iter().enumerate() {
        let path = format!("traffic.{i}");
        let senders = traffic.from.each();
        reflectors(spec, traffic, &path, problems);
        if senders.is_empty() {
            problems.add(format!("{path}.from"), "nobody sends this", "name a host");
        }
        for (step, name) in &senders {
            known(name, &hosts, format!("{path}.from{step}"), "host", problems);
            sender(spec, traffic, name, &format!("{path}.from{step}"), problems);
        }
        known(&traffic.to, &hosts, format!("{path}.to"), "host", problems);
        if traffic.class == Class::Legit && traffic.spoof.is_some() {
            let mend = "leave out spoof, or set class = \"attack\"";
            problems.add(format!("{path}.spoof"), "honest traffic forges no address", mend);
        }
        volume(traffic, &path, problems);
        let count = traffic.packets_each().saturating_mul(senders.len() as u64);
        per_second += traffic.rate.per_second() * count as f64;
        packets = packets.saturating_add(traffic.packets.saturating_mul(count));
        if per_second > MOST_PER_SECOND {
            let what = format!("with this, all traffic makes {per_second} pkt/s");
            let mend = format!("stay within {MOST_PER_SECOND} pkt/s, which is the safety limit");
            problems.add(format!("{path}.rate"), what, mend);
            per_second = 0.0;
        }
    }
    let turns = u64::try_from(spec.scheme.len()).unwrap_or(u64::MAX);
    if packets.saturating_mul(turns) > MOST_PACKETS {
        let what = format!("{packets} packets in each of {turns} turns are too many");
        problems.add("traffic", what, format!("stay within {MOST_PACKETS} for a run"));
    }
    case(spec, problems);
}

fn sender(spec: &Spec, traffic: &Traffic, name: &str, path: &str, problems: &mut Problems<'_>) {
    if name == traffic.to {
        problems.add(path, format!("\"{name}\" would send to itself"), "name two hosts");
    }
    let host = spec.topology.hosts.iter().find(|h| h.id == name);
    if host.is_some_and(|h| h.kind == HostKind::Reflector) {
        let mend = "name it in through: reflectors send nothing that nobody set off";
        problems.add(path, format!("\"{name}\" is a reflector"), mend);
    } else if traffic.class == Class::Attack && host.is_some_and(|h| h.kind != HostKind::Attacker) {
        let mend = format!("give \"{name}\" kind = \"attacker\", or choose another host");
        problems.add(path, format!("\"{name}\" is no attacker"), mend);
    }
    let twice = traffic.from.each().iter().filter(|(_, n)| *n == name).count() > 1;
    if twice {
        problems.add(path, format!("\"{name}\" is named twice"), "name each host once");
    }
}

/// Who answers, how much, and in whose name it is asked to.
fn reflectors(spec: &Spec, traffic: &Traffic, path: &str, problems: &mut Problems<'_>) {
    let hosts: Vec<_> = spec.topology.hosts.iter().map(|h| h.id.as_str()).collect();
    let all = traffic.reflectors();
    for (n, (step, name)) in all.iter().enumerate() {
        let at = format!("{path}.through{step}");
        known(name, &hosts, at.clone(), "host", problems);
        let host = spec.topology.hosts.iter().find(|h| h.id == *name);
        if host.is_some_and(|h| h.kind != HostKind::Reflector) {
            let mend = format!("give \"{name}\" kind = \"reflector\", or choose another host");
            problems.add(&at, format!("\"{name}\" is no reflector"), mend);
        }
        if all[..n].iter().any(|(_, other)| other == name) {
            problems.add(&at, format!("\"{name}\" is named twice"), "name each host once");
        }
    }
    let times = traffic.amplify;
    if !(1..=MOST_TIMES).contains(&times) {
        let what = format!("{times} answers to a packet");
        problems.add(format!("{path}.amplify"), what, format!("use 1 to {MOST_TIMES}"));
    } else if all.is_empty() && times != 1 {
        let mend = "name a reflector in through, or leave out amplify";
        problems.add(format!("{path}.amplify"), "nobody answers this", mend);
    }
    if all.is_empty() {
        return;
    }
    if traffic.class == Class::Legit {
        let mend = "leave out through, or set class = \"attack\"";
        problems.add(format!("{path}.through"), "honest traffic is not reflected", mend);
    }
    if traffic.spoof.is_some() {
        let what = "what a reflector is to answer comes in the name of the host that it is to hit";
        problems.add(format!("{path}.spoof"), what, "leave out spoof");
    }
}

fn volume(traffic: &Traffic, path: &str, problems: &mut Problems<'_>) {
    if traffic.rate.amount() == 0 {
        problems.add(format!("{path}.rate"), "a rate of nothing", "write \"900 pkt/s\"");
    } else if traffic.packets as f64 / traffic.rate.per_second() > LONGEST_STREAM {
        let what = "at this rate the stream takes too long";
        let mend = format!("raise the rate or lower packets: {LONGEST_STREAM} s at most");
        problems.add(format!("{path}.rate"), what, mend);
    }
    if traffic.start.nanos().0 as f64 / 1e9 > LONGEST_STREAM {
        let what = "the stream starts too late";
        problems.add(format!("{path}.start"), what, format!("{LONGEST_STREAM} s at most"));
    }
    if traffic.packets == 0 {
        problems.add(format!("{path}.packets"), "no packets at all", "send at least 1");
    }
    if traffic.ttl == 0 {
        let what = "a TTL of 0 leaves no host";
        problems.add(format!("{path}.ttl"), what, "64 is usual");
    }
}

fn case(spec: &Spec, problems: &mut Problems<'_>) {
    if spec.case.samples == 0 {
        let mend = "keep at least 1; SPIE asks about kept packets";
        problems.add("case.samples", "the victim keeps no packet", mend);
    }
    let Some(victim) = victim(spec, problems) else { return };
    let attacks: Vec<_> =
        spec.traffic.iter().enumerate().filter(|(_, t)| t.class == Class::Attack).collect();
    if attacks.is_empty() {
        let mend = "add a [[traffic]] with class = \"attack\"";
        problems.add("traffic", "no traffic is an attack, so there is nothing to trace", mend);
    }
    for (i, attack) in attacks {
        let path = format!("traffic.{i}");
        let host = spec.topology.hosts.iter().any(|h| h.id == attack.to);
        if host && attack.to != victim.id {
            let what = format!("the attack does not go to the victim \"{}\"", victim.id);
            problems.add(format!("{path}.to"), what, "every attack is one that the case is about");
        }
        if let Some(port) = spec.case.port.filter(|p| *p != attack.port) {
            let what = format!("the case is about port {port}, the attack goes to {}", attack.port);
            let mend = format!("set port = {port} here, or change it in [case]");
            problems.add(format!("{path}.port"), what, mend);
        }
    }
}

fn victim<'s>(spec: &'s Spec, problems: &mut Problems<'_>) -> Option<&'s Host> {
    let hosts = &spec.topology.hosts;
    let CaseSpec { victim: named, .. } = &spec.case;
    if let Some(name) = named {
        let all: Vec<_> = hosts.iter().map(|h| h.id.as_str()).collect();
        known(name, &all, "case.victim".to_owned(), "host", problems);
    }
    let found = spec.victim();
    match found {
        None if named.is_none() => {
            let victims = hosts.iter().filter(|h| h.kind == HostKind::Victim).count();
            let what = format!("{victims} hosts are victims, so the case must name its own");
            problems.add("case", what, "write victim = \"...\" in [case]");
        }
        Some(host) if host.kind != HostKind::Victim => {
            let mend = format!("give \"{}\" kind = \"victim\"", host.id);
            problems.add("case.victim", format!("\"{}\" is no victim", host.id), mend);
        }
        _ => {}
    }
    found
}
