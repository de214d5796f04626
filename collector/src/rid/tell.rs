//! Answers as incidents, and back.
//!
//! A reply is one event, whose contact of role `provider` is the domain: what RFC 6545 section 7.1 has every provider
//! add. Within it lie events of its passages, one of names, and those of the replies that it hands on.

use super::Body;
use super::hop::{hop_of, origin_of, source_of, system_of, word};
use super::own::{Own, own};
use super::status::{self, IncidentSource, RequestStatus};
use crate::exchange::{Passage, Reply, Status, Withheld};
use crate::iodef::{Contact, Document, EventData, Extension, Incident, IncidentId, Stamp, System};
use crate::xml::{BadDocument, parsed};
use traceback::disclose::{Origin, Tlp};

/// The incident that answers a question of `origin`.
pub(super) fn incident_of_reply(reply: &Reply, origin: &str, at: Stamp) -> Incident {
    let mut incident = Incident {
        purpose: "traceback".into(),
        ext_purpose: None,
        restriction: None,
        ext_restriction: None,
        incident_id: IncidentId { id: reply.inquiry.clone(), name: origin.into() },
        detect_time: None,
        generation_time: at,
        description: vec![],
        contact: vec![Contact::organization("creator", &reply.domain)],
        event_data: vec![event_of_reply(reply)],
        additional_data: vec![],
    };
    incident.set_label(reply.label());
    incident
}

/// A reply as an event.
pub(crate) fn event_of_reply(reply: &Reply) -> EventData {
    let passages = reply.passages.iter().map(|passage| passage_event(passage, &reply.domain));
    let names = (!reply.names.is_empty()).then(|| names_event(reply));
    let further = reply.further.iter().map(event_of_reply);
    let mut event = EventData {
        contact: vec![Contact::organization("provider", &reply.domain)],
        event_data: passages.chain(names).chain(further).collect(),
        additional_data: said(reply),
        ..EventData::default()
    };
    event.set_label(reply.label());
    event
}

/// What has no place in IODEF.
fn said(reply: &Reply) -> Vec<Extension> {
    let mut said = vec![
        own("kind", "string", REPLY),
        own("inquiry", "string", &reply.inquiry),
        own("status", "string", status_word(&reply.status)),
    ];
    match &reply.status {
        Status::Refused { justification, why } => {
            said.push(own("justification", "string", status::word(*justification)));
            said.push(own("why", "string", why));
        }
        Status::Failed { why } => said.push(own("why", "string", why)),
        Status::Pending { by_ms: Some(by) } => said.push(own("by", "integer", by)),
        Status::Pending { by_ms: None }
        | Status::Answered
        | Status::NotSeen
        | Status::AlreadySeen
        | Status::Silent => {}
    }
    said.push(own("rule", "string", &reply.rule));
    said.extend(reply.withheld.iter().map(|withheld| Extension {
        meaning: Some(withheld.rule.clone()),
        ..own("withheld", "string", &withheld.field)
    }));
    said.push(own("took", "integer", reply.took_ms));
    said
}

fn status_word(status: &Status) -> &'static str {
    match status {
        Status::Answered => "answered",
        Status::NotSeen => "not-seen",
        Status::Refused { .. } => "refused",
        Status::Pending { .. } => "pending",
        Status::AlreadySeen => "already-seen",
        Status::Silent => "silent",
        Status::Failed { .. } => "failed",
    }
}

const REPLY: &str = "reply";
const PASSAGE: &str = "passage";
const NAMES: &str = "names";

fn passage_event(passage: &Passage, domain: &str) -> EventData {
    let packets: Vec<String> = passage.packets.iter().map(u32::to_string).collect();
    let hops = passage.hops.iter().map(|hop| system_of(hop, domain));
    EventData {
        system: source_of(&passage.origin, domain).into_iter().chain(hops).collect(),
        additional_data: vec![
            own("kind", "string", PASSAGE),
            own("packets", "csv", packets.join(",")),
        ],
        ..EventData::default()
    }
}

fn names_event(reply: &Reply) -> EventData {
    let system = |(name, shown): &(_, _)| -> System {
        let mut system = system_of(shown, &reply.domain);
        let traceback::RouterId(bits) = name;
        system.additional_data.push(own("word", "string", format!("{bits:08x}")));
        system
    };
    EventData {
        system: reply.names.iter().map(system).collect(),
        additional_data: vec![own("kind", "string", NAMES)],
        ..EventData::default()
    }
}

/// The reply that an event is; the labels of what it lies in are its, too.
fn reply_of(event: &EventData, above: Tlp) -> Result<Reply, BadDocument> {
    let own = Own(&event.additional_data);
    let tlp = event.label().map_or(above, |label| label.max(above));
    let provider = event.contact.iter().find(|contact| contact.role == "provider");
    let mut reply = Reply {
        inquiry: own.text("inquiry")?,
        domain: provider.and_then(Contact::name).unwrap_or_default().to_owned(),
        status: status_of(own)?,
        tlp,
        passages: vec![],
        names: vec![],
        rule: own.text("rule")?,
        withheld: own.all("withheld").map(withheld_of).collect(),
        further: vec![],
        took_ms: own.parse("took")?.unwrap_or(0),
    };
    for inner in &event.event_data {
        match kind(inner)? {
            Some(REPLY) => reply.further.push(reply_of(inner, Tlp::Clear)?),
            Some(PASSAGE) => reply.passages.push(passage_of(inner)?),
            Some(NAMES) => {
                for system in &inner.system {
                    let name = Own(&system.additional_data).one("word")?;
                    let name = name.ok_or_else(|| BadDocument::missing("word", NAMES))?;
                    reply.names.push((word(name)?, hop_of(system)?));
                }
            }
            Some(other) => return Err(BadDocument::value("kind", other)),
            None => {}
        }
    }
    Ok(reply)
}

fn kind(event: &EventData) -> Result<Option<&str>, BadDocument> {
    Own(&event.additional_data).one("kind")
}

fn withheld_of(value: &Extension) -> Withheld {
    Withheld { field: value.value.clone(), rule: value.meaning.clone().unwrap_or_default() }
}

fn status_of(own: Own<'_>) -> Result<Status, BadDocument> {
    let word = own.one("status")?.ok_or_else(|| BadDocument::missing("status", REPLY))?;
    let why = own.text("why")?;
    Ok(match word {
        "answered" => Status::Answered,
        "not-seen" => Status::NotSeen,
        "refused" => {
            let reason = own.one("justification")?.unwrap_or("Other");
            Status::Refused { justification: status::justification("justification", reason)?, why }
        }
        "pending" => Status::Pending { by_ms: own.parse("by")? },
        "already-seen" => Status::AlreadySeen,
        "silent" => Status::Silent,
        "failed" => Status::Failed { why },
        other => return Err(BadDocument::value("status", other)),
    })
}

fn passage_of(event: &EventData) -> Result<Passage, BadDocument> {
    let packets = Own(&event.additional_data).text("packets")?;
    let packets = packets.split(',').filter(|text| !text.trim().is_empty());
    let is_hop = |system: &&System| system.category.as_deref() == Some("intermediate");
    Ok(Passage {
        packets: packets.map(|text| parsed("packets", text)).collect::<Result<_, _>>()?,
        hops: event.system.iter().filter(is_hop).map(hop_of).collect::<Result<_, _>>()?,
        origin: origin_of(&event.system),
    })
}

/// The reply in a document, where it is one of ours.
pub(crate) fn ours(document: &Document) -> Result<Option<Reply>, BadDocument> {
    let [incident] = document.incident.as_slice() else {
        return Err(BadDocument::twice("Incident", "the document of an answer"));
    };
    for event in &incident.event_data {
        if kind(event)? == Some(REPLY) {
            let reply = reply_of(event, incident.label())?;
            if reply.inquiry != incident.incident_id.id {
                let (inquiry, id) = (&reply.inquiry, &incident.incident_id);
                let said = format!("the reply is to {inquiry}, its document about {id}");
                return Err(BadDocument::Contradiction(said));
            }
            return Ok(Some(reply));
        }
    }
    Ok(None)
}

/// The reply in a result.
pub(super) fn result_of(document: &Document, found: bool) -> Result<Reply, BadDocument> {
    let Some(reply) = ours(document)? else { return foreign(document, found) };
    match IncidentSource::of(&reply) {
        Some(source) if source.found == found => Ok(reply),
        _ => Err(contradiction(&reply)),
    }
}

/// What an acknowledgement says.
pub(super) fn acknowledged(
    status: &RequestStatus,
    id: IncidentId,
    document: Option<&Document>,
) -> Result<Body, BadDocument> {
    if let Some(reply) = document.map(ours).transpose()?.flatten() {
        return match RequestStatus::of(&reply.status).as_ref() == Some(status) {
            true => Ok(Body::Answer(reply)),
            false => Err(contradiction(&reply)),
        };
    }
    if *status == RequestStatus::Approved {
        return Ok(Body::Taken { id: id.id });
    }
    let tlp = document.map_or(Tlp::default(), Document::label);
    Ok(Body::Answer(Reply::bare(id.id, "", status.status(), tlp, 0)))
}

fn contradiction(reply: &Reply) -> BadDocument {
    let word = status_word(&reply.status);
    BadDocument::Contradiction(format!("the message and its document disagree: \"{word}\" within"))
}

/// A result of others: each event with a way in it is a passage, of which packets it does not say.
fn foreign(document: &Document, found: bool) -> Result<Reply, BadDocument> {
    let [incident] = document.incident.as_slice() else {
        return Err(BadDocument::twice("Incident", "the document of an answer"));
    };
    let id = incident.incident_id.id.clone();
    let mut reply = Reply::bare(id, "", Status::Answered, incident.label(), 0);
    let creator = incident.contact.iter().find(|contact| contact.role == "creator");
    reply.domain = creator.and_then(Contact::name).unwrap_or_default().to_owned();
    let on_way =
        |system: &System| matches!(system.category.as_deref(), Some("source" | "intermediate"));
    for event in incident.event_data.iter().filter(|event| event.system.iter().any(on_way)) {
        let mut passage = passage_of(event)?;
        if found {
            passage.origin = Origin::Inside;
        }
        reply.passages.push(passage);
    }
    if reply.passages.is_empty() && !found {
        reply.status = Status::NotSeen;
    }
    Ok(reply)
}
