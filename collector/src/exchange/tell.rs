//! What is told of what was found, and what is written down about it.

use super::domain::{Domain, destination};
use super::look::Stretch;
use super::{Inquiry, Passage, Reply, Status, Subject};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::IpAddr;
use traceback::RouterId;
use traceback::disclose::{Field, Origin, Shown, Terms, Treatment};

/// A reply, and on which terms it leaves.
#[derive(Debug, Clone)]
pub(super) struct Told {
    /// The reply.
    pub reply: Reply,
    /// How long it may be kept, in seconds.
    pub retain_s: u64,
    /// How much of its routers the domain shows in it.
    pub detail: String,
}

impl Told {
    /// A reply that tells nothing of routers.
    pub(super) fn nothing(reply: Reply, domain: &Domain) -> Self {
        Self { reply, retain_s: domain.config.bounds.keep_s, detail: "none".into() }
    }

    /// The line of the log.
    pub(super) fn line(&self, inquiry: &Inquiry, now_ms: u64) -> Value {
        let reply = &self.reply;
        json!({
            "to": inquiry.asker, "origin": inquiry.origin, "id": inquiry.id, "about": about(inquiry),
            "status": reply.status, "rule": reply.rule, "detail": self.detail, "tlp": reply.tlp,
            "passages": reply.passages, "names": reply.names, "withheld": reply.withheld,
            "further": reply.further.iter().map(|r| &r.domain).collect::<Vec<_>>(),
            "exercise": inquiry.exercise, "took_ms": reply.took_ms,
            "until": now_ms / 1_000 + self.retain_s,
        })
    }
}

/// Addresses that an inquiry is about, so that it can be said later what left about a prefix.
pub(super) fn about(inquiry: &Inquiry) -> BTreeSet<IpAddr> {
    match &inquiry.subject {
        Subject::Packets { packets, .. } => packets.iter().filter_map(destination).collect(),
        Subject::Names { .. } => BTreeSet::new(),
    }
}

/// What the terms let out of what was found; `further` are replies of domains that were asked in turn.
pub(super) fn tell(
    domain: &Domain,
    inquiry: &Inquiry,
    terms: &Terms,
    found: &[Stretch],
    further: Vec<Reply>,
) -> Told {
    let grounds = domain.grounds();
    let mut passages: Vec<Passage> = vec![];
    for stretch in found {
        let passage = Passage {
            packets: stretch.packets.clone(),
            hops: grounds.show(terms, &stretch.path),
            origin: terms.origin(stretch.origin.clone()),
        };
        match passages.iter_mut().find(|p| p.hops == passage.hops && p.origin == passage.origin) {
            // Ways that look alike from outside are one.
            Some(same) => same.packets.extend(passage.packets),
            None => passages.push(passage),
        }
    }
    for passage in &mut passages {
        passage.packets.sort_unstable();
    }
    if terms.treatment(Field::Packets) != Treatment::Pass && passages.len() > 1 {
        passages = vec![alike(&passages)];
    }
    // Who may not know where packets came from may not know who was asked next.
    let open = terms.origin(Origin::Inside) == Origin::Inside;
    let further = if open { further } else { vec![] };
    let status = if passages.is_empty() { Status::NotSeen } else { Status::Answered };
    let label = further.iter().map(|reply| reply.tlp).fold(terms.tlp.max(inquiry.tlp), Ord::max);
    let bare = Reply::bare(inquiry.id.clone(), domain.id(), status, label, 0);
    let reply =
        Reply { passages, rule: terms.rule.clone(), withheld: terms.withheld(), further, ..bare };
    Told { reply, retain_s: terms.retain.0, detail: terms.shown().to_string() }
}

/// What the terms let out of who stands behind words.
pub(super) fn resolve(
    domain: &Domain,
    inquiry: &Inquiry,
    terms: &Terms,
    names: &[RouterId],
) -> Told {
    let grounds = domain.grounds();
    let shown = |name: &RouterId| {
        let router = grounds.behind(*name)?;
        Some((*name, grounds.show(terms, &[router]).into_iter().next()?))
    };
    let names: Vec<(RouterId, Shown)> = names.iter().filter_map(shown).collect();
    let status = if names.is_empty() { Status::NotSeen } else { Status::Answered };
    let label = terms.tlp.max(inquiry.tlp);
    let bare = Reply::bare(inquiry.id.clone(), domain.id(), status, label, 0);
    let reply = Reply { names, rule: terms.rule.clone(), withheld: terms.withheld(), ..bare };
    Told { reply, retain_s: terms.retain.0, detail: terms.shown().to_string() }
}

/// One passage for all packets, which says of none which way it came.
fn alike(passages: &[Passage]) -> Passage {
    let packets: BTreeSet<u32> = passages.iter().flat_map(|p| p.packets.iter().copied()).collect();
    let origins: BTreeSet<&Origin> = passages.iter().map(|p| &p.origin).collect();
    let origin = match origins.into_iter().collect::<Vec<_>>()[..] {
        [one] => one.clone(),
        _ => Origin::Unknown { maybe: vec![] },
    };
    Passage {
        packets: packets.into_iter().collect(),
        hops: vec![Shown::Hidden { hops: None }],
        origin,
    }
}
