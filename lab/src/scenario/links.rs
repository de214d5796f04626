//! Checks conditions of links: what a link cannot be.

use super::problems::Problems;
use super::spec::{Direction, Spec};
use crate::units::Quantity;

/// Longest delay of a link in nanoseconds: a minute is no network.
pub(super) const LONGEST_DELAY: u64 = 60_000_000_000;
/// Rates between which a link may have one, in bits per second.
pub(super) const RATES: std::ops::RangeInclusive<u64> = 8_000..=100_000_000_000;
/// Bytes that may wait at a link: a frame at least, and no more than a run can hold in memory.
const QUEUES: std::ops::RangeInclusive<u64> = 9_018..=64 << 20;

/// All conditions of all links.
pub(super) fn check(spec: &Spec, problems: &mut Problems<'_>) {
    for (i, link) in spec.topology.links.iter().enumerate() {
        ways(link.there(), link.back.as_ref(), &format!("topology.links.{i}"), problems);
    }
    for (i, host) in spec.topology.hosts.iter().enumerate() {
        let Some(link) = &host.link else { continue };
        ways(link.there(), link.back.as_ref(), &format!("topology.hosts.{i}.link"), problems);
    }
}

/// Both ways of one link.
fn ways(there: Direction, back: Option<&Direction>, path: &str, problems: &mut Problems<'_>) {
    direction(&there, path, problems);
    if back.is_some() {
        direction(&there.under(back), &format!("{path}.back"), problems);
    }
}

/// One way of one link.
fn direction(way: &Direction, path: &str, problems: &mut Problems<'_>) {
    if let Some(loss) = way.loss.filter(|l| l.part() >= 1.0) {
        let what = format!("a loss of {loss} leaves no packet");
        problems.add(format!("{path}.loss"), what, "stay below 100 %");
    }
    if let Some(delay) = way.delay.filter(|d| d.amount() > LONGEST_DELAY) {
        problems.add(format!("{path}.delay"), format!("a delay of {delay}"), "1 min at most");
    }
    if let Some(jitter) = way.jitter
        && jitter.amount() > way.delay.map_or(0, |d| d.amount())
    {
        let what = format!("a jitter of {jitter} around a shorter delay");
        problems.add(
            format!("{path}.jitter"),
            what,
            "packets cannot come before they left: raise delay",
        );
    }
    if let Some(rate) = way.rate.filter(|r| !RATES.contains(&r.amount())) {
        let mend = "use 8 kbit/s to 100 Gbit/s";
        problems.add(format!("{path}.rate"), format!("a rate of {rate}"), mend);
    }
    match (way.queue, way.rate) {
        (Some(_), None) => {
            let mend = "add rate, or leave queue out";
            problems.add(format!("{path}.queue"), "a queue where nothing waits", mend);
        }
        (Some(queue), Some(_)) if !QUEUES.contains(&queue.amount()) => {
            let mend = "use 9018 B, which is the longest frame, to 65536 KiB";
            problems.add(format!("{path}.queue"), format!("a queue of {queue}"), mend);
        }
        _ => {}
    }
}
