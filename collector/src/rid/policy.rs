//! `RIDPolicy`: what a message is, for whom, and the document in it. Source: RFC 6545 section 5.1.

use crate::iodef::{Document, IncidentId, Node, restriction};
use crate::xml::{BadDocument, Element, Ns, Read, Walk};
use traceback::disclose::Region;

/// The messages of RFC 6545.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Trace packets upstream.
    TraceRequest,
    /// An answer without content.
    Acknowledgement,
    /// What a trace found.
    Result,
    /// Look into what is known already to come from the domain that is asked.
    InvestigationRequest,
    /// A document told unasked, or as an answer.
    Report,
    /// A question for reports.
    Query,
}

/// The policy of a message.
#[derive(Debug)]
pub(super) struct Policy {
    pub(super) kind: Kind,
    /// The RID system that is to read it, empty where `MsgDestination` is another.
    pub(super) to: String,
    pub(super) region: Region,
    pub(super) id: Option<IncidentId>,
    pub(super) document: Option<Document>,
    pub(super) signatures: u32,
}

const KINDS: [(Kind, &str); 6] = [
    (Kind::TraceRequest, "TraceRequest"),
    (Kind::Acknowledgement, "Acknowledgement"),
    (Kind::Result, "Result"),
    (Kind::InvestigationRequest, "InvestigationRequest"),
    (Kind::Report, "Report"),
    (Kind::Query, "Query"),
];

const REGIONS: [(Region, &str); 5] = [
    (Region::ClientToSp, "ClientToSP"),
    (Region::SpToClient, "SPToClient"),
    (Region::IntraConsortium, "IntraConsortium"),
    (Region::PeerToPeer, "PeerToPeer"),
    (Region::BetweenConsortiums, "BetweenConsortiums"),
];

/// The word of a value in a table.
pub(super) fn word_of<T: PartialEq + Copy>(table: &[(T, &'static str)], value: T) -> &'static str {
    let found = table.iter().find(|(other, _)| *other == value);
    found.expect("invariant: every value has its word").1
}

/// The value of an attribute's word.
pub(super) fn value_of<T: Copy>(
    table: &[(T, &'static str)],
    at: &str,
    word: &str,
) -> Result<T, BadDocument> {
    let found = table.iter().find(|(_, other)| *other == word.trim());
    found.map(|(value, _)| *value).ok_or_else(|| BadDocument::value(at, word))
}

impl Kind {
    /// Its word.
    pub fn word(self) -> &'static str {
        word_of(&KINDS, self)
    }
}

impl Policy {
    pub(super) fn write(&self) -> Element {
        // Systems of RID are named by domain: their addresses change, and are nobody else's business.
        let node = Element::new(Ns::Iodef1, "Node")
            .and([Element::new(Ns::Iodef1, "NodeName").text(&self.to)]);
        let id = self
            .id
            .iter()
            .map(|id| Element::new(Ns::Iodef1, "IncidentID").with("name", &id.name).text(&id.id));
        let label = self.document.as_ref().map(|document| restriction::first(document.label()));
        Element::new(Ns::Rid, "RIDPolicy")
            .with("MsgType", self.kind.word())
            .with("MsgDestination", "RIDSystem")
            .with_some("restriction", label)
            .and([
                Element::new(Ns::Rid, "PolicyRegion")
                    .with("region", word_of(&REGIONS, self.region)),
                node,
                Element::new(Ns::Rid, "TrafficType").with("type", "Attack"),
            ])
            .and(id)
            .and(self.document.iter().map(report_schema))
    }
}

/// A document of version 2, which RFC 6545 does not know: as an extension of its list of schemas.
fn report_schema(document: &Document) -> Element {
    let content = Element::new(Ns::Rid, "XMLDocument").with("dtype", "xml").with("meaning", "xml");
    Element::new(Ns::Rid, "ReportSchema")
        .with("Version", "1.0")
        .with("XMLSchemaID", "ext-value")
        .with("ext-XMLSchemaID", Ns::Iodef2.uri())
        .and([content.and([document.to_element()])])
}

impl Read for Policy {
    fn read(walk: &mut Walk<'_>) -> Result<Self, BadDocument> {
        let kind = value_of(&KINDS, "RIDPolicy@MsgType", &walk.needed("MsgType")?)?;
        let destination = walk.needed("MsgDestination")?;
        let is_to_system = match destination.trim() {
            "RIDSystem" => true,
            "SourceOfIncident" => false,
            other => return Err(BadDocument::value("RIDPolicy@MsgDestination", other)),
        };
        let regions: Vec<PolicyRegion> = walk.all("PolicyRegion")?;
        let region =
            regions.first().ok_or_else(|| BadDocument::missing("PolicyRegion", "RIDPolicy"))?;
        if walk.all::<TrafficType>("TrafficType")?.is_empty() {
            return Err(BadDocument::missing("TrafficType", "RIDPolicy"));
        }
        let node: Option<Node> = walk.maybe_of(&Ns::Iodef1, "Node")?;
        let node = node.ok_or_else(|| BadDocument::missing("Node", "RIDPolicy"))?;
        let name = node.domain_data.first().map(|data| data.name.as_str());
        let to = name.or_else(|| node.address.first().map(|address| address.value.trim()));
        let to = to.filter(|_| is_to_system).unwrap_or_default().to_owned();
        let schema: Option<ReportSchema> = walk.maybe("ReportSchema")?;
        let (document, signatures) = schema.map_or((None, 0), |s| (Some(s.document), s.signatures));
        walk.attribute("restriction");
        let id = walk.maybe_of(&Ns::Iodef1, "IncidentID")?;
        Ok(Self { kind, to, region: region.0, id, document, signatures })
    }
}

struct PolicyRegion(Region);

impl Read for PolicyRegion {
    fn read(walk: &mut Walk<'_>) -> Result<Self, BadDocument> {
        Ok(Self(value_of(&REGIONS, "PolicyRegion@region", &walk.needed("region")?)?))
    }
}

struct TrafficType;

impl Read for TrafficType {
    fn read(walk: &mut Walk<'_>) -> Result<Self, BadDocument> {
        const TYPES: [&str; 7] = [
            "Attack",
            "Network",
            "Content",
            "DataWithHandlingRequirements",
            "AudienceRestriction",
            "Other",
            "ext-value",
        ];
        let word = walk.needed("type")?;
        // Everything that is asked here is about attacks, whatever else it is called.
        TYPES
            .contains(&word.trim())
            .then_some(Self)
            .ok_or_else(|| BadDocument::value("TrafficType@type", &word))
    }
}

struct ReportSchema {
    document: Document,
    signatures: u32,
}

impl Read for ReportSchema {
    fn read(walk: &mut Walk<'_>) -> Result<Self, BadDocument> {
        let schema = match walk.attribute("XMLSchemaID") {
            Some(id) if id.trim() == "ext-value" => Some(walk.needed("ext-XMLSchemaID")?),
            other => other,
        };
        if let Some(version) = walk.attribute("Version").filter(|v| v.trim() != "1.0") {
            return Err(BadDocument::value("ReportSchema@Version", &version));
        }
        let want = schema.as_deref().map(|id| match Ns::of(id.trim()) {
            known @ (Ns::Iodef1 | Ns::Iodef2) => Ok(known),
            Ns::Rid | Ns::Other(_) | Ns::None => {
                Err(BadDocument::value("ReportSchema@XMLSchemaID", id))
            }
        });
        let Content(ns, document) = walk.one("XMLDocument")?;
        if let Some(want) = want.transpose()?.filter(|want| *want != ns) {
            let said =
                format!("the document is said to be of {}, and is of {}", want.uri(), ns.uri());
            return Err(BadDocument::Contradiction(said));
        }
        let signatures: Vec<Signature> = walk.all("Signature")?;
        let signatures = signatures.len().try_into().unwrap_or(u32::MAX);
        Ok(Self { document, signatures })
    }
}

/// `XMLDocument`, and the version of what is in it.
struct Content(Ns, Document);

impl Read for Content {
    fn read(walk: &mut Walk<'_>) -> Result<Self, BadDocument> {
        walk.attribute("dtype");
        walk.attribute("meaning");
        let mut found = None;
        for ns in [Ns::Iodef1, Ns::Iodef2] {
            if let Some(document) = walk.maybe_of(&ns, "IODEF-Document")? {
                let before = found.replace(Self(ns, document));
                if before.is_some() {
                    return Err(BadDocument::twice("IODEF-Document", "XMLDocument"));
                }
            }
        }
        found.ok_or_else(|| BadDocument::missing("IODEF-Document", "XMLDocument"))
    }
}

/// Counted, neither kept nor verified.
struct Signature;

impl Read for Signature {
    fn read(_: &mut Walk<'_>) -> Result<Self, BadDocument> {
        Ok(Self)
    }
}
