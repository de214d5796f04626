//! Checks adversaries and faults: what is forged, who lies, which links fail, who takes part.

use super::check::known;
use super::problems::Problems;
use super::spec::{Ip, Multipath, Spec, Traffic};
use super::streams::LONGEST_STREAM;
use crate::plan::{Class, StartMark};
use crate::units::Quantity;

/// Changes of routes in one scenario, at most.
const MOST_CHANGES: usize = 16;
/// Packets of one sender whose ways are found one by one, at most.
const MOST_SPREAD: u64 = 1_000_000;

/// Everything about them that needs no routes.
pub(super) fn check(spec: &Spec, problems: &mut Problems<'_>) {
    let routers: Vec<_> = spec.topology.routers.iter().map(|r| r.id.as_str()).collect();
    for (i, traffic) in spec.traffic.iter().enumerate() {
        forged(traffic, &routers, &format!("traffic.{i}"), problems);
        if traffic.fragment && spec.ip == Ip::V6 {
            let mend = "fragments are made for IPv4 only";
            problems.add(format!("traffic.{i}.fragment"), "fragments of IPv6", mend);
        }
    }
    for (i, router) in spec.topology.routers.iter().enumerate() {
        let path = format!("topology.routers.{i}");
        if let Some(other) = &router.poses_as {
            known(other, &routers, format!("{path}.poses_as"), "router", problems);
            if *other == router.id {
                let what = format!("\"{other}\" poses as itself");
                problems.add(format!("{path}.poses_as"), what, "name another router");
            }
        }
        if router.nat && spec.ip == Ip::V6 {
            let what = "address translation in IPv6";
            problems.add(format!("{path}.nat"), what, "it is made for IPv4 only");
        }
    }
    if spec.deployment.share.part() > 1.0 {
        let what = format!("{} of the routers are more than there are", spec.deployment.share);
        problems.add("deployment.share", what, "100 % at most");
    }
    changes(spec, problems);
}

/// What senders forge.
fn forged(traffic: &Traffic, routers: &[&str], path: &str, problems: &mut Problems<'_>) {
    for (n, router) in traffic.imitates.iter().enumerate() {
        known(router, routers, format!("{path}.imitates.{n}"), "router", problems);
    }
    let forges = traffic.mark_value.is_some() || !traffic.imitates.is_empty();
    let at = if traffic.mark_value.is_some() { "mark_value" } else { "imitates" };
    if forges && traffic.class == Class::Legit {
        let what = "honest traffic forges no mark";
        problems.add(format!("{path}.{at}"), what, "set class = \"attack\", or leave it out");
    }
    let several = traffic.mark_value.is_some() && !traffic.imitates.is_empty();
    if several || forges && traffic.mark != StartMark::Clean {
        let what = "one field cannot hold two forged marks";
        problems.add(format!("{path}.{at}"), what, "give one of mark, mark_value and imitates");
    }
    if traffic.ttl_spread >= traffic.ttl {
        let what = format!("TTLs from 0 to {} leave no host", traffic.ttl);
        problems.add(format!("{path}.ttl_spread"), what, "spread by less than the TTL");
    }
    let hosts = traffic.from.each().len();
    if traffic.senders.is_some_and(|n| n == 0 || usize::try_from(n).is_ok_and(|n| n > hosts)) {
        let what = format!("{} of {hosts} senders", traffic.senders.unwrap_or(0));
        problems.add(format!("{path}.senders"), what, format!("use 1 to {hosts}"));
    }
}

/// Links that change, and what cannot be planned with them.
fn changes(spec: &Spec, problems: &mut Problems<'_>) {
    for (i, change) in spec.change.iter().enumerate() {
        let path = format!("change.{i}");
        let joins = |l: &super::spec::Link| {
            (l.a == change.a && l.b == change.b) || (l.a == change.b && l.b == change.a)
        };
        if !spec.topology.links.iter().any(joins) {
            let what = format!("no link joins \"{}\" and \"{}\"", change.a, change.b);
            problems.add(&path, what, "name the two routers of a link");
        }
        let seconds = change.at.nanos().0 as f64 / 1e9;
        if !(seconds > 0.0 && seconds <= LONGEST_STREAM) {
            let what = format!("a change after {}", change.at);
            problems.add(
                format!("{path}.at"),
                what,
                format!("above 0 and up to {LONGEST_STREAM} s"),
            );
        }
        if spec.change[..i].iter().any(|c| c.at.amount() > change.at.amount()) {
            let what = "changes are not in the order of their times";
            problems.add(format!("{path}.at"), what, "put the earliest first");
        }
    }
    if spec.change.len() > MOST_CHANGES {
        let what = format!("{} changes of routes", spec.change.len());
        problems.add("change", what, format!("{MOST_CHANGES} at most: each has tables of its own"));
    }
    let nat = spec.topology.routers.iter().any(|r| r.nat);
    if spec.routing.multipath != Multipath::First && (nat || !spec.change.is_empty()) {
        let what = "several ways at once do not go with address translation or changes of routes";
        problems.add("routing.multipath", what, "make two scenarios: their truths would mix");
    }
    for (i, traffic) in spec.traffic.iter().enumerate() {
        if spec.routing.multipath != Multipath::First && traffic.packets > MOST_SPREAD {
            let what = format!("the ways of {} packets are too many to plan", traffic.packets);
            let mend = format!("send {MOST_SPREAD} at most, or leave out multipath");
            problems.add(format!("traffic.{i}.packets"), what, mend);
        }
    }
}
