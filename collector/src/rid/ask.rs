//! Questions as incidents, and back.
//!
//! A question of others, of IODEF 1 or 2, becomes an [`Inquiry`], too: what it does not say is empty (the scheme,
//! the domain `towards` which packets went), or without end (the deadline).

use super::hop::{alias, alias_of};
use super::own::{Own, own};
use crate::exchange::{EXERCISE, Exhibit, Inquiry, Mode, Subject};
use crate::iodef::{
    Contact, Document, EventData, Expectation, Extension, Incident, IncidentId, Node, RecordData,
    Stamp, System, Text,
};
use crate::xml::BadDocument;

/// The incident that asks.
pub(crate) fn incident_of_inquiry(inquiry: &Inquiry, at: Stamp) -> Incident {
    let known = PURPOSES.contains(&inquiry.purpose.as_str());
    let (purpose, ext_purpose) = match known {
        true => (inquiry.purpose.clone(), None),
        false => ("ext-value".into(), Some(inquiry.purpose.clone())),
    };
    let visited = inquiry.visited.iter().map(|domain| EventData {
        contact: vec![Contact::organization("provider", domain)],
        ..EventData::default()
    });
    let mut incident = Incident {
        purpose,
        ext_purpose,
        restriction: None,
        ext_restriction: None,
        incident_id: IncidentId { id: inquiry.id.clone(), name: inquiry.origin.clone() },
        detect_time: None,
        generation_time: at,
        description: inquiry.exercise.then(|| Text(EXERCISE.into())).into_iter().collect(),
        contact: vec![Contact::organization("creator", &inquiry.asker)],
        event_data: [subject(inquiry)].into_iter().chain(visited).collect(),
        additional_data: vec![own("exercise", "boolean", inquiry.exercise)],
    };
    incident.set_label(inquiry.tlp);
    incident
}

/// Words that IODEF has for purposes.
const PURPOSES: [&str; 5] = ["traceback", "mitigation", "reporting", "watch", "other"];

/// What is asked.
fn subject(inquiry: &Inquiry) -> EventData {
    let mode = match inquiry.mode {
        Mode::Star => "star",
        Mode::Recursive => "recursive",
    };
    let wanted = Expectation {
        action: Some("investigate".into()),
        end_time: Stamp::from_unix_ms(inquiry.deadline_ms),
        ..Expectation::default()
    };
    let mut event = EventData {
        expectation: vec![wanted],
        additional_data: vec![own("mode", "string", mode)],
        ..EventData::default()
    };
    match &inquiry.subject {
        Subject::Packets { scheme, towards, packets } => {
            event.system = vec![System {
                category: Some("target".into()),
                node: Node::named(towards),
                ..System::default()
            }];
            event.record_data = packets.iter().map(record_of).collect();
            event.additional_data.push(own("scheme", "string", scheme));
        }
        Subject::Names { names } => {
            let category = Some("intermediate".to_owned());
            let system = |name| System {
                category: category.clone(),
                node: alias(name),
                ..System::default()
            };
            event.system = names.iter().copied().map(system).collect();
        }
    }
    event
}

fn record_of(packet: &Exhibit) -> RecordData {
    let dtype = match packet.bytes.first().map(|byte| byte >> 4) {
        Some(4) => "ipv4-packet",
        Some(6) => "ipv6-packet",
        _ => "packet",
    };
    let value = hex::encode(&packet.bytes);
    RecordData {
        date_time: Some(Stamp::from_unix_ns(packet.at_unix_ns)),
        record_item: vec![Extension { value, dtype: dtype.into(), ..Extension::default() }],
        additional_data: packet.gate.map(|gate| own("gate", "integer", gate)).into_iter().collect(),
        ..RecordData::default()
    }
}

/// The question that a document asks.
pub(super) fn inquiry_of(document: &Document) -> Result<Inquiry, BadDocument> {
    let [incident] = document.incident.as_slice() else {
        return Err(BadDocument::twice("Incident", "the document of a request"));
    };
    let mut found = Found::default();
    incident.event_data.iter().try_for_each(|event| found.event(incident, event))?;
    let creator = incident.contact.iter().find(|contact| contact.role == "creator");
    let subject = found.subject()?;
    let exercise = Own(&incident.additional_data).parse("exercise")?.unwrap_or(false);
    let purpose = match incident.purpose.as_str() {
        "ext-value" => incident.ext_purpose.clone().unwrap_or_default(),
        purpose => purpose.to_owned(),
    };
    Ok(Inquiry {
        id: incident.incident_id.id.clone(),
        origin: incident.incident_id.name.clone(),
        asker: creator.and_then(Contact::name).unwrap_or_default().to_owned(),
        purpose,
        tlp: incident.label(),
        mode: found.mode.unwrap_or_default(),
        visited: found.visited,
        deadline_ms: found.deadline_ms.unwrap_or(u64::MAX),
        exercise,
        subject,
    })
}

/// What the events of a question say.
#[derive(Default)]
struct Found {
    packets: Vec<Exhibit>,
    names: Vec<traceback::RouterId>,
    towards: Option<String>,
    scheme: Option<String>,
    visited: Vec<String>,
    mode: Option<Mode>,
    deadline_ms: Option<u64>,
}

impl Found {
    fn event(&mut self, incident: &Incident, event: &EventData) -> Result<(), BadDocument> {
        let providers = event.contact.iter().filter(|contact| contact.role == "provider");
        self.visited.extend(providers.filter_map(|c| c.name().map(str::to_owned)));
        for system in &event.system {
            self.names.extend(alias_of(&system.node)?);
            if system.category.as_deref() == Some("target") && self.towards.is_none() {
                self.towards = system.node.domain_data.first().map(|data| data.name.clone());
            }
        }
        for record in &event.record_data {
            for item in record.record_item.iter().filter(|item| is_packet(&item.dtype)) {
                self.packets.push(exhibit(incident, record, item)?);
            }
        }
        let ends = event.expectation.iter().filter_map(|wanted| wanted.end_time);
        self.deadline_ms = self.deadline_ms.or(ends.filter_map(|end| end.unix_ms()).min());
        let own = Own(&event.additional_data);
        if let Some(scheme) = own.one("scheme")? {
            self.scheme = Some(scheme.to_owned());
        }
        if let Some(mode) = own.one("mode")? {
            self.mode = Some(match mode {
                "star" => Mode::Star,
                "recursive" => Mode::Recursive,
                other => return Err(BadDocument::value("mode", other)),
            });
        }
        event.event_data.iter().try_for_each(|inner| self.event(incident, inner))
    }

    fn subject(&mut self) -> Result<Subject, BadDocument> {
        let (packets, names) = (std::mem::take(&mut self.packets), std::mem::take(&mut self.names));
        match (packets.is_empty(), names.is_empty()) {
            (false, true) => Ok(Subject::Packets {
                scheme: self.scheme.take().unwrap_or_default(),
                towards: self.towards.take().unwrap_or_default(),
                packets,
            }),
            (true, false) => Ok(Subject::Names { names }),
            (true, true) => Err(BadDocument::missing("packet to trace", "the request")),
            (false, false) => {
                let said = "the request asks about packets and about names; ask one at a time";
                Err(BadDocument::Contradiction(said.into()))
            }
        }
    }
}

fn is_packet(dtype: &str) -> bool {
    ["ipv4-packet", "ipv6-packet", "packet"].contains(&dtype)
}

fn exhibit(
    incident: &Incident,
    record: &RecordData,
    item: &Extension,
) -> Result<Exhibit, BadDocument> {
    let digits: String = item.value.split_whitespace().collect();
    let bytes = hex::decode(&digits).map_err(|_| BadDocument::value("RecordItem", &item.value))?;
    let at = record.date_time.or(incident.detect_time).unwrap_or(incident.generation_time);
    let at_unix_ns =
        at.unix_ns().ok_or_else(|| BadDocument::value("RecordData/DateTime", &at.to_string()))?;
    let gate = Own(&record.additional_data).parse("gate")?;
    Ok(Exhibit { bytes, at_unix_ns, gate })
}
