//! Documents between domains: what is written is read again, and what others wrote is read at all.
#![allow(clippy::unwrap_used, reason = "a test stops where something is not as expected")]

mod paper;

use ashiato_collector::dossier::Dossier;
use ashiato_collector::exchange::{Justification, Mode, Status, Subject};
use ashiato_collector::iodef::{Document, Stamp};
use ashiato_collector::rid::{Body, Envelope, Kind, Message};
use ashiato_collector::stix;
use proptest::prelude::*;
use std::sync::atomic::{AtomicU32, Ordering};
use traceback::disclose::{Origin, Region, Shown, Tlp};
use traceback::packet::Packet;

macro_rules! data {
    ($path:literal) => {
        include_bytes!(concat!("data/", $path)).as_slice()
    };
}

fn envelope() -> Envelope {
    let at = "2026-11-22T10:00:00.25+09:00".parse().unwrap();
    Envelope { to: "xb".into(), origin: "xa".into(), region: Region::BetweenConsortiums, at }
}

/// What is read of what the message is written as; nothing may be left over.
fn there_and_back(message: &Message) -> Message {
    let bytes = message.write();
    assert_eq!(message.write(), bytes, "the same message gives the same bytes");
    let read = Message::read(&bytes)
        .unwrap_or_else(|e| panic!("{e}\n{}", String::from_utf8_lossy(&bytes)));
    assert_eq!((read.ignored.len(), read.signatures), (0, 0), "{:?}", read.ignored);
    read.message
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn questions_come_as_they_went(inquiry in paper::inquiry()) {
        let message = Message {
            envelope: Envelope { origin: inquiry.origin.clone(), ..envelope() },
            body: Body::Ask(inquiry),
        };
        prop_assert_eq!(there_and_back(&message), message);
    }

    #[test]
    fn replies_come_as_they_went(reply in paper::reply()) {
        let message = Message { envelope: envelope(), body: Body::Answer(reply) };
        prop_assert_eq!(there_and_back(&message), message);
    }

    /// XML and JSON say the same, and no way out of here has a lower label than what went in.
    #[test]
    fn dossiers_keep_their_label(dossier in paper::dossier()) {
        let document = dossier.iodef();
        prop_assert_eq!(document.label(), dossier.label());
        let xml = Document::from_xml(&document.to_xml()).unwrap();
        let json = Document::from_json(&document.to_json()).unwrap();
        prop_assert_eq!((xml.ignored.len(), json.ignored.len()), (0, 0));
        prop_assert_eq!(&xml.document, &document);
        prop_assert_eq!(&json.document, &document);
        let bundle = dossier.stix();
        prop_assert_eq!(bundle.to_string(), dossier.stix().to_string());
        let labels = labels_of(&bundle);
        prop_assert!(!labels.is_empty());
        prop_assert!(labels.iter().all(|label| *label == Some(dossier.label())), "{:?}", labels);
        let report = dossier.report("xb");
        prop_assert_eq!(there_and_back(&report), report);
    }
}

/// The label of every object that is not a marking itself.
fn labels_of(bundle: &serde_json::Value) -> Vec<Option<Tlp>> {
    let objects = bundle["objects"].as_array().unwrap().iter();
    let marked = objects.filter(|object| object["type"] != "marking-definition");
    marked
        .map(|object| {
            let refs = object["object_marking_refs"].as_array().unwrap();
            stix::label(&refs.iter().map(|id| id.as_str().unwrap()).collect::<Vec<_>>())
        })
        .collect()
}

#[test]
fn every_kind_of_message_comes_as_it_went() {
    for (name, message) in paper::messages() {
        assert_eq!(there_and_back(&message), message, "{name}");
    }
    let kinds: Vec<Kind> = paper::messages().iter().map(|(_, message)| message.kind()).collect();
    for kind in [
        Kind::TraceRequest,
        Kind::InvestigationRequest,
        Kind::Acknowledgement,
        Kind::Result,
        Kind::Report,
        Kind::Query,
    ] {
        assert!(kinds.contains(&kind), "{kind:?}");
    }
}

/// A label within counts for what bears it, in XML and in JSON; a lower one within changes nothing.
#[test]
fn a_label_within_raises_what_bears_it() {
    let xml = String::from_utf8(data!("iodef/sample-traceback.xml").to_vec()).unwrap();
    let red = xml.replacen("<System category", "<System restriction=\"red\" category", 1);
    for (text, event, incident) in [(xml, None, Tlp::Amber), (red, Some(Tlp::Red), Tlp::Red)] {
        let document = Document::from_xml(text.as_bytes()).unwrap().document;
        assert_eq!(document.incident[0].event_data[0].label(), event);
        assert_eq!(document.label(), incident);
    }
    let json = r#"{"version":"2.0","Incident":[{"purpose":"traceback","restriction":"white",
        "IncidentID":{"id":"1","name":"xa"},"GenerationTime":"2026-11-22T01:00:00Z",
        "Contact":[{"role":"creator","type":"organization"}],"EventData":[
        {"restriction":"green","System":[{"restriction":"ext-value","ext-restriction":"amber+strict",
        "Node":{"Address":[{"value":"192.0.2.1","category":"ipv4-addr"}]}}]},{}]}]}"#;
    let document = Document::from_json(json.as_bytes()).unwrap().document;
    let events = &document.incident[0].event_data;
    assert_eq!((events[0].label(), events[1].label()), (Some(Tlp::AmberStrict), None));
    assert_eq!(document.label(), Tlp::AmberStrict);
    let unsaid = json.replace(r#""restriction":"white","#, "");
    assert_eq!(Document::from_json(unsaid.as_bytes()).unwrap().document.label(), Tlp::Red);
}

/// RFC 6545 section 7.1.1, with IODEF 1 inside.
#[test]
fn the_rfcs_own_request_is_read() {
    let read = Message::read(data!("rid/rfc6545-tracerequest.xml")).unwrap();
    assert_eq!(read.message.kind(), Kind::TraceRequest);
    let Envelope { to, origin, region, .. } = &read.message.envelope;
    assert_eq!((to.as_str(), origin.as_str()), ("192.0.2.3", "CERT-FOR-OUR-DOMAIN"));
    assert_eq!(*region, Region::IntraConsortium);
    let Body::Ask(inquiry) = read.message.body else { panic!("{:?}", read.message.body) };
    assert_eq!(inquiry.id, "CERT-FOR-OUR-DOMAIN#207-1");
    assert_eq!(inquiry.asker, "Constituency-contact for 192.0.2.35");
    assert_eq!((inquiry.purpose.as_str(), inquiry.mode), ("traceback", Mode::Star));
    // Need to know, which is no word of the Traffic Light Protocol.
    assert_eq!(inquiry.tlp, Tlp::AmberStrict);
    assert_eq!(inquiry.deadline_ms, u64::MAX);
    let Subject::Packets { scheme, towards, packets } = inquiry.subject else {
        panic!("no packets")
    };
    assert_eq!((scheme.as_str(), towards.as_str(), packets.len()), ("", "", 1));
    assert_eq!(packets[0].bytes, hex::decode(paper::PACKET).unwrap());
    let detected: Stamp = "2004-02-02T22:49:24+00:00".parse().unwrap();
    assert_eq!(Some(packets[0].at_unix_ns), detected.unix_ns());
    // Parsing proves the header's checksum.
    let packet = Packet::parse(&packets[0].bytes[..]).unwrap();
    assert_eq!((packet.as_bytes().len(), packet.protocol(), packet.ports()), (82, 6, (38765, 80)));
    assert!(packet.payload().ends_with(b"Thank you for carefully reading this RFC.\n"));
    // What a trace does not need is said to have been there.
    for left in ["Incident/Assessment", "Incident/History", "System/Service"] {
        assert!(read.ignored.contains_key(left), "{left} in {:?}", read.ignored);
    }
}

#[test]
fn acknowledgements_of_others_are_read() {
    let approved = data!("rid/rfc6545-ack.xml");
    let read = Message::read(approved).unwrap().message;
    assert_eq!(read.body, Body::Taken { id: "CERT-FOR-OUR-DOMAIN#207-1".into() });
    let text = String::from_utf8(approved.to_vec()).unwrap();
    let cases = [
        (r#""Pending""#, Status::Pending { by_ms: None }),
        (r#""Denied""#, refused(Justification::Other)),
        (r#""Denied" Justification="SystemResource""#, refused(Justification::SystemResource)),
        (
            r#""Denied" Justification="ext-value" ext-Justification="x""#,
            refused(Justification::Other),
        ),
    ];
    for (status, want) in cases {
        let text = text.replace(r#""Approved""#, status);
        let Body::Answer(reply) = Message::read(text.as_bytes()).unwrap().message.body else {
            panic!("{status} is an answer");
        };
        assert_eq!((reply.status, reply.domain.as_str()), (want, ""));
    }
}

fn refused(justification: Justification) -> Status {
    Status::Refused { justification, why: String::new() }
}

#[test]
fn a_result_of_others_is_read() {
    let document = String::from_utf8(data!("iodef/sample-traceback.xml").to_vec()).unwrap();
    let document = document.split_once("?>").unwrap().1;
    let text = format!(
        r#"<r:RID lang="en" xmlns:r="urn:ietf:params:xml:ns:iodef-rid-2.0" xmlns:i="urn:ietf:params:xml:ns:iodef-1.0">
        <r:RIDPolicy MsgType="Result" MsgDestination="RIDSystem"><r:PolicyRegion region="PeerToPeer"/>
        <i:Node><i:Address>192.0.2.9</i:Address></i:Node><r:TrafficType type="Attack"/>
        <r:ReportSchema XMLSchemaID="ext-value" ext-XMLSchemaID="urn:ietf:params:xml:ns:iodef-2.0">
        <r:XMLDocument dtype="xml">{document}</r:XMLDocument>
        <r:Signature dtype="xml"><ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"/></r:Signature>
        </r:ReportSchema></r:RIDPolicy>
        <r:IncidentSource><r:SourceFound> true </r:SourceFound></r:IncidentSource></r:RID>"#
    );
    let read = Message::read(text.as_bytes()).unwrap();
    assert_eq!(read.signatures, 1);
    let Body::Answer(reply) = read.message.body else { panic!("a result is an answer") };
    assert_eq!((reply.status, reply.tlp), (Status::Answered, Tlp::Amber));
    let [passage] = &reply.passages[..] else { panic!("{:?}", reply.passages) };
    let id = std::net::Ipv4Addr::new(198, 51, 100, 1).into();
    assert_eq!(
        (&passage.hops[..], &passage.origin),
        (&[Shown::Router { id }][..], &Origin::Inside)
    );
}

#[test]
fn other_independent_documents_are_read() {
    let query = Message::read(data!("rid/emc-query-good.xml")).unwrap().message;
    assert_eq!(query.body, Body::Query { id: None });
    let empty = Message::read(data!("rid/emc-query-bad.xml")).unwrap_err();
    assert_eq!(empty.about.as_ref().unwrap().id, "CERT-FOR-OUR-DOMAIN#2012-10-29");
    assert_eq!(empty.to_string(), "RIDPolicy has no ReportSchema");
    let json = Document::from_json(data!("iodef/rfc8727-ex-7.1.json")).unwrap();
    assert!(json.ignored.is_empty());
    let incident = &json.document.incident[0];
    assert_eq!((incident.incident_id.id.as_str(), incident.label()), ("492382", Tlp::Red));
    assert_eq!(incident.generation_time.to_string(), "2015-07-18T09:00:00-05:00");
    assert_eq!(incident.contact[0].email[0].email_to, "contact@csirt.example.com");
    let xml = Document::from_xml(data!("iodef/sample-traceback.xml")).unwrap();
    assert!(xml.ignored.is_empty(), "{:?}", xml.ignored);
    assert_eq!(xml.document.incident[0].event_data[0].system.len(), 3);
}

/// What the program makes of a file, or says is wrong with it.
fn program(input: &[u8], args: &[&str]) -> std::process::Output {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("dossier-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&file, input).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ashiato-collector"));
    let out = command.arg("document").args(args).arg(&file).output().unwrap();
    std::fs::remove_file(&file).unwrap();
    out
}

#[test]
fn the_program_makes_the_same_documents() {
    let (inquiry, replies) = (paper::question(), vec![paper::answer()]);
    let dossier = Dossier { inquiry, replies, at_unix_ms: 1_795_309_300_000 };
    let known = serde_json::to_vec(&dossier).unwrap();
    let line = |bytes: Vec<u8>| [bytes, b"\n".to_vec()].concat();
    let made = |args: &[&str]| program(&known, args).stdout;
    assert_eq!(made(&["--as", "rid", "--to", "xe"]), line(dossier.report("xe").write()));
    assert_eq!(made(&["--as", "iodef-xml"]), line(dossier.iodef().to_xml()));
    assert_eq!(made(&["--as", "iodef-json"]), line(dossier.iodef().to_json()));
    let stix: serde_json::Value = serde_json::from_slice(&made(&["--as", "stix"])).unwrap();
    assert_eq!(stix, dossier.stix());
    for (input, args, said) in [
        (known.as_slice(), &["--as", "rid"][..], "say --to"),
        (b"{}", &["--as", "stix"], "has \"inquiry\""),
        (b"<!DOCTYPE x><x/>", &["--as", "json"], "leave it out"),
        (b"<x/>", &["--as", "json"], "is no IODEF document"),
    ] {
        let out = program(input, args);
        assert_eq!(out.status.code(), Some(2));
        let error = String::from_utf8_lossy(&out.stderr);
        assert!(error.contains(said) && error.contains("dossier-"), "{error}");
    }
}

#[test]
fn the_program_says_what_documents_of_others_hold() {
    for (input, at, value) in [
        (data!("rid/rfc6545-tracerequest.xml"), "/message", "TraceRequest"),
        (data!("iodef/sample-traceback.xml"), "/document/Incident/0/restriction", "amber"),
        (data!("iodef/rfc8727-ex-7.1.json"), "/document/Incident/0/restriction", "private"),
    ] {
        let out = program(input, &["--as", "json"]);
        let shown: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
        assert_eq!(shown.pointer(at), Some(&value.into()), "{shown}");
    }
}
