//! What came of an inquiry, in words: ways of packets, who was asked, what is odd.

use crate::cli::poc;
use anyhow::Result;
use ashiato_collector::exchange::join::{Stretch, Way};
use ashiato_collector::exchange::{Asked, Joined, Status};
use std::fmt::Write;
use traceback::disclose::{Origin, Shown, not_disclosed};

/// What came of an inquiry, for people.
pub(super) fn text(joined: &Joined) -> Result<String> {
    let mut out = String::new();
    let mark = if joined.exercise { "  EXERCISE" } else { "" };
    let took = joined.ended_ms.saturating_sub(joined.begun_ms);
    writeln!(out, "{}  {}  {} packets, {took} ms{mark}", joined.id, joined.tlp, joined.packets)?;
    for way in &joined.ways {
        writeln!(out, "{} packets came from {}", way.packets.len(), origin(way))?;
        for stretch in &way.stretches {
            writeln!(out, "    {:<12} {}", stretch.domain, hops(stretch))?;
        }
    }
    if !joined.unseen.is_empty() {
        writeln!(out, "{} packets were seen by nobody", joined.unseen.len())?;
    }
    for named in &joined.names {
        writeln!(
            out,
            "{} is {} of {}",
            named.name,
            hop(&named.shown, &named.domain),
            named.domain
        )?;
    }
    writeln!(out, "asked:")?;
    for asked in &joined.asked {
        writeln!(out, "    {}", question(asked))?;
    }
    for flag in &joined.flags {
        writeln!(out, "odd: {} {}", flag.domain, flag.what)?;
    }
    for (domain, reach) in &joined.escalate {
        writeln!(out, "{domain} does not answer; turn to")?;
        out.extend(reach.iter().map(poc::person));
    }
    Ok(out)
}

fn origin(way: &Way) -> String {
    let first = way.stretches.first().map_or("-", |s| &s.domain);
    match &way.origin {
        Origin::Inside => format!("inside {first}"),
        Origin::Domain { id } => format!("{id}, which does not say how"),
        Origin::Unknown { maybe } if maybe.is_empty() => format!("beyond {first}: not disclosed"),
        Origin::Unknown { maybe } => format!("{first} or {}: not known", maybe.join(", ")),
    }
}

fn hops(stretch: &Stretch) -> String {
    if !stretch.told {
        return format!("passed; nothing disclosed by {}", stretch.domain);
    }
    let hops: Vec<String> = stretch.hops.iter().map(|h| hop(h, &stretch.domain)).collect();
    if hops.is_empty() { "passed".into() } else { hops.join(", ") }
}

fn hop(shown: &Shown, domain: &str) -> String {
    match shown {
        Shown::Router { id } => id.to_string(),
        Shown::As { asn } => format!("AS{asn}"),
        Shown::Nation { nation } => nation.clone(),
        Shown::Alias { id } => format!("alias {id}"),
        Shown::Present => "passed".into(),
        Shown::Hidden { hops } => not_disclosed(*hops, domain),
    }
}

fn question(asked: &Asked) -> String {
    let status = match &asked.status {
        Status::Answered => format!("answered ({} told, {})", asked.told, asked.tlp),
        Status::NotSeen => "did not see them".into(),
        Status::Refused { why, .. } => format!("refused: {why}"),
        Status::Pending { .. } => "people there have not decided".into(),
        Status::AlreadySeen => "has the question already".into(),
        Status::Silent => "silent".into(),
        Status::Failed { why } => format!("failed: {why}"),
    };
    let time = asked.asked_ms.zip(asked.answered_ms).map(|(a, b)| b.saturating_sub(a));
    let time = time.unwrap_or(asked.took_ms);
    let rule = if asked.rule.is_empty() { String::new() } else { format!(", rule {}", asked.rule) };
    format!("{} about {} packets: {status}{rule}, {time} ms", asked.domain, asked.packets.len())
}
