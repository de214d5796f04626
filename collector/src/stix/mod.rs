//! STIX 2.1: what is known of a question, for tools that read nothing else.
//!
//! Of routers and systems there is only what replies show; the packets are the asker's own. Every object that can
//! bear a label bears the dossier's, as TLP 2.0 and as TLP 1. The same dossier gives the same bytes: identities of
//! observables are those that the standard computes, those of other objects are computed likewise, in a namespace
//! of our own.

mod object;
mod seen;
mod tlp;

pub use tlp::label;

use crate::dossier::Dossier;
use crate::exchange::{EXERCISE, Reply, Status};
use crate::iodef::Stamp;
use object::{Objects, domain_id};
use serde_json::{Value, json};
use traceback::disclose::{Origin, Shown, not_disclosed};

/// The bundle of a dossier.
pub fn bundle(dossier: &Dossier) -> Value {
    let inquiry = &dossier.inquiry;
    let mut objects = Objects::new(dossier.label(), dossier.at());
    objects.domain(&inquiry.origin);
    let mut told = seen::packets(&mut objects, inquiry);
    for reply in &dossier.replies {
        tell(&mut objects, dossier, reply, &mut told);
    }
    // Whoever is named belongs to it, also where nothing was seen or told.
    told.push(domain_id(&inquiry.origin));
    told.sort_unstable();
    told.dedup();
    let mut group = json!({
        "name": format!("trace {}", inquiry.id),
        "context": "suspicious-activity",
        "object_refs": told,
    });
    if inquiry.exercise {
        group["labels"] = json!(["exercise"]);
        group["description"] = EXERCISE.into();
    }
    objects.add("grouping", &inquiry.origin, &inquiry.id, group);
    objects.bundle()
}

/// Adds what a reply says, and those that it hands on; `told` gets the identities.
fn tell(objects: &mut Objects, dossier: &Dossier, reply: &Reply, told: &mut Vec<String>) {
    objects.domain(&reply.domain);
    let first = told.len();
    for (n, passage) in reply.passages.iter().enumerate() {
        let shown: Vec<String> = passage.hops.iter().filter_map(|hop| objects.shown(hop)).collect();
        if shown.is_empty() {
            continue;
        }
        let (from, to) = span(dossier, &passage.packets);
        told.extend(shown.iter().cloned());
        let what = json!({
            "first_observed": from.to_string(),
            "last_observed": to.to_string(),
            "number_observed": passage.packets.len().max(1),
            "object_refs": object::unique(shown),
        });
        let key = format!("{}/{}/{n}", reply.inquiry, reply.domain);
        told.push(objects.add("observed-data", &reply.domain, &key, what));
    }
    told.extend(reply.names.iter().filter_map(|(_, shown)| objects.shown(shown)));
    let mut about: Vec<String> = told[first..].to_vec();
    about.push(domain_id(&reply.domain));
    let note = json!({
        "abstract": format!("{}: {}", reply.domain, outcome(&reply.status)),
        "content": content(reply),
        "object_refs": object::unique(about),
    });
    let key = format!("{}/{}", reply.inquiry, reply.domain);
    told.push(objects.add("note", &reply.domain, &key, note));
    for further in &reply.further {
        tell(objects, dossier, further, told);
    }
}

/// When the first and the last of some packets were seen; of all, where none is named.
fn span(dossier: &Dossier, packets: &[u32]) -> (Stamp, Stamp) {
    let times = seen::times(&dossier.inquiry);
    let named = |n: &u32| times.get(usize::try_from(*n).ok()?).copied();
    let mut of: Vec<u64> = packets.iter().filter_map(named).collect();
    if of.is_empty() {
        of = times;
    }
    let at = |ns: Option<&u64>| ns.map_or_else(|| dossier.at(), |ns| Stamp::from_unix_ns(*ns));
    (at(of.iter().min()), at(of.iter().max()))
}

fn outcome(status: &Status) -> String {
    match status {
        Status::Answered => "answered".into(),
        Status::NotSeen => "none of the packets seen".into(),
        Status::Refused { why, .. } => format!("refused: {why}"),
        Status::Pending { .. } => "not decided yet".into(),
        Status::AlreadySeen => "asked before".into(),
        Status::Silent => "no answer in time".into(),
        Status::Failed { why } => format!("failed: {why}"),
    }
}

/// The whole of a reply for people, one line for each way.
fn content(reply: &Reply) -> String {
    let mut lines = vec![outcome(&reply.status)];
    for passage in &reply.passages {
        let from = match &passage.origin {
            Origin::Inside => format!("began in {}", reply.domain),
            Origin::Domain { id } => format!("came from {id}"),
            Origin::Unknown { maybe } if maybe.is_empty() => "came from an unknown place".into(),
            Origin::Unknown { maybe } => format!("came from one of {}", maybe.join(", ")),
        };
        let hops: Vec<String> = passage.hops.iter().map(|hop| said(hop, &reply.domain)).collect();
        let count = passage.packets.len();
        lines.push(format!("{count} packets {from}, way: {}", hops.join(" > ")));
    }
    let names = reply.names.iter();
    lines.extend(
        names.map(|(name, shown)| format!("{:08x} is {}", name.0, said(shown, &reply.domain))),
    );
    let withheld = reply.withheld.iter();
    lines.extend(withheld.map(|w| format!("withheld: {} (rule {})", w.field, w.rule)));
    lines.push(format!("rule applied: {}", if reply.rule.is_empty() { "-" } else { &reply.rule }));
    lines.join("\n")
}

fn said(hop: &Shown, domain: &str) -> String {
    match hop {
        Shown::Router { id } => format!("router {id}"),
        Shown::As { asn } => format!("AS{asn}"),
        Shown::Nation { nation } => format!("nation {nation}"),
        Shown::Alias { id } => format!("router {:08x} (only {domain} knows which)", id.0),
        Shown::Present => format!("through {domain}"),
        Shown::Hidden { hops } => not_disclosed(*hops, domain),
    }
}
