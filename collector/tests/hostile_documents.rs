//! Documents that nobody should send: each gets a typed refusal that says what is wrong, and none does harm.
#![allow(clippy::unwrap_used, reason = "a test stops where something is not as expected")]

mod paper;

use ashiato_collector::exchange::{Justification, Status};
use ashiato_collector::iodef::{Document, Stamp};
use ashiato_collector::rid::{Body, Message, Unread};
use ashiato_collector::xml::{
    BadDocument, MAX_ATTRIBUTES, MAX_BYTES, MAX_DEPTH, MAX_ELEMENTS, Malformed,
};
use proptest::prelude::*;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

fn request() -> String {
    let (_, message) = paper::messages().into_iter().next().unwrap();
    String::from_utf8(message.write()).unwrap()
}

fn refused(text: &str) -> Unread {
    let begun = Instant::now();
    let unread = Message::read(text.as_bytes()).unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(2), "a refusal takes no time");
    unread
}

fn malformed(text: &str) -> Malformed {
    match refused(text).why {
        BadDocument::Xml(why) => why,
        other => panic!("{other}"),
    }
}

/// The request with one part of it replaced.
fn with(old: &str, new: &str) -> String {
    let text = request();
    assert!(text.contains(old), "{old} in {text}");
    text.replacen(old, new, 1)
}

#[test]
fn bombs_and_what_is_outside_are_refused() {
    let laughs = r#"<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><RID>&b;</RID>"#;
    let outside = r#"<!DOCTYPE l [<!ENTITY f SYSTEM "file:///etc/passwd">]><RID>&f;</RID>"#;
    let parameter = r#"<!DOCTYPE l SYSTEM "http://192.0.2.1/l.dtd"><RID/>"#;
    for text in [laughs, outside, parameter] {
        assert_eq!(malformed(text), Malformed::DocumentType);
    }
    for (entity, said) in [("&nbsp;", "nbsp"), ("&xxe;", "xxe"), ("&#xD800;", "#xD800")] {
        assert_eq!(malformed(&format!("<RID>{entity}</RID>")), Malformed::Entity(said.into()));
    }
    assert!(matches!(malformed(r#"<RID a="&xxe;"/>"#), Malformed::Syntax(_)));
    assert_eq!(malformed("<RID>&#1;</RID>"), Malformed::Character('\u{1}'));
    assert_eq!(malformed("<RID a=\"\u{ffff}\"/>"), Malformed::Character('\u{ffff}'));
}

#[test]
fn sizes_have_ends() {
    let deep = "<a>".repeat(MAX_DEPTH + 1);
    assert_eq!(malformed(&deep), Malformed::Deep);
    let many = format!("<RID>{}</RID>", "<a/>".repeat(MAX_ELEMENTS));
    assert_eq!(malformed(&many), Malformed::Many);
    let long = format!("<RID>{}</RID>", " ".repeat(MAX_BYTES));
    assert!(matches!(malformed(&long), Malformed::Long(_)));
    let attributes: String = (0..=MAX_ATTRIBUTES).map(|n| format!(" a{n}=''")).collect();
    assert_eq!(malformed(&format!("<RID{attributes}/>")), Malformed::Attributes("RID".into()));
    let named = format!("<{}/>", "a".repeat(200));
    assert_eq!(malformed(&named), Malformed::Name);
    for limit in [&deep, &many, &long] {
        assert_eq!(refused(limit).justification(), Justification::CannotProcess);
    }
    // Many namespaces cost a look-up each.
    let spaces: String = (0..20_000).map(|n| format!(" xmlns:n{n}='u'")).collect();
    refused(&format!("<RID{spaces}/>"));
    refused(&format!("<RID a='1'{}", " a='1'".repeat(100_000)));
    // As JSON, too.
    let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(matches!(Document::from_json(nested.as_bytes()), Err(BadDocument::Json(_))));
    let long = vec![b' '; MAX_BYTES + 1];
    assert!(matches!(Document::from_json(&long), Err(BadDocument::Xml(Malformed::Long(_)))));
}

#[test]
fn what_is_no_xml_is_refused() {
    for text in [
        "",
        "text",
        "<RID>",
        "<RID></DIR>",
        "<RID/><RID/>",
        "<RID/>text",
        "<RID a='1' a='2'/>",
        "<RID",
    ] {
        let why = malformed(text);
        assert!(matches!(why, Malformed::Root | Malformed::Syntax(_)), "{text}: {why}");
    }
    assert_eq!(malformed("<x:RID/>"), Malformed::Prefix("x".into()));
    assert_eq!(malformed("<?xml version='1.0' encoding='UTF-16'?><RID/>"), Malformed::Encoding);
    let latin = Message::read(b"<RID>\xe9</RID>").unwrap_err();
    assert_eq!(latin.why, BadDocument::Xml(Malformed::Encoding));
    assert!(Message::read(b"\xff\xfe<\0R\0").is_err());
}

#[test]
fn wrong_schemas_and_parts_are_refused() {
    for (old, new, said) in WRONG {
        let unread = refused(&with(old, new));
        assert!(unread.to_string().contains(said), "{new}: {unread}");
    }
}

/// A part of a request, what stands in its place, and what is said to that.
const WRONG: &[(&str, &str, &str)] = &[
    (
        "urn:ietf:params:xml:ns:iodef-rid-2.0",
        "urn:ietf:params:xml:ns:iodef-rid-1.0",
        "is no RID message",
    ),
    ("version=\"2.00\"", "version=\"3.00\"", "version cannot be"),
    (
        "ext-XMLSchemaID=\"urn:ietf:params:xml:ns:iodef-2.0\"",
        "ext-XMLSchemaID=\"urn:x\"",
        "XMLSchemaID cannot be",
    ),
    ("ext-XMLSchemaID=\"urn:ietf:params:xml:ns:iodef-2.0\"", "", "no ext-XMLSchemaID"),
    (
        "ext-XMLSchemaID=\"urn:ietf:params:xml:ns:iodef-2.0\"",
        "ext-XMLSchemaID=\"urn:ietf:params:xml:ns:iodef-1.0\"",
        "is said to be of",
    ),
    ("MsgType=\"TraceRequest\"", "MsgType=\"TraceReqest\"", "MsgType cannot be \"TraceReqest\""),
    ("MsgType=\"TraceRequest\"", "", "no MsgType"),
    ("region=\"PeerToPeer\"", "region=\"Everybody\"", "region cannot be"),
    ("type=\"Attack\"", "type=\"Fun\"", "type cannot be"),
    ("<iodef:NodeName>xb</iodef:NodeName>", "", "no name or address"),
    ("<iodef-rid:PolicyRegion", "<iodef-rid:Policyregion", "no PolicyRegion"),
    ("<Contact role=\"creator\"", "<Contact role=\"creator\"><x></Contact", "no well-formed XML"),
    ("Contact role=\"creator\" type=\"organization\"", "Contact role=\"creator\"", "no type"),
    ("<GenerationTime>2026", "<GenerationTime>26", "GenerationTime cannot be"),
    ("01:00:00Z</GenerationTime>", "01:00:00</GenerationTime>", "GenerationTime cannot be"),
    ("restriction=\"amber\"", "restriction=\"orange\"", "restriction cannot be \"orange\""),
    ("purpose=\"traceback\"", "", "no purpose"),
    ("dtype=\"ipv4-packet\">45", "dtype=\"ipv4-packet\">4g", "RecordItem cannot be"),
    ("dtype=\"ipv4-packet\"", "dtype=\"string\"", "no packet to trace"),
    (">recursive<", ">sideways<", "mode cannot be"),
    (">true<", ">perhaps<", "exercise cannot be"),
];

#[test]
fn what_contradicts_itself_is_refused() {
    // One identity outside, another within.
    let id = "<iodef:IncidentID name=\"xa\">01KAMXA1<";
    let forged = refused(&with(id, "<iodef:IncidentID name=\"xa\">01KAMXA2<"));
    assert!(matches!(forged.why, BadDocument::Contradiction(_)), "{forged}");
    assert_eq!(forged.justification(), Justification::CannotProcess);
    assert_eq!(forged.about.unwrap().id, "01KAMXA2");
    // Two policies, two documents, two incidents, two answers to one question of ours.
    let policy = "<iodef-rid:RIDPolicy MsgType=\"Query\" MsgDestination=\"RIDSystem\"><iodef-rid:PolicyRegion \
                  region=\"PeerToPeer\"/><iodef:Node><iodef:NodeName>x</iodef:NodeName></iodef:Node>\
                  <iodef-rid:TrafficType type=\"Attack\"/></iodef-rid:RIDPolicy>";
    let twice = refused(&with("</iodef-rid:RID>", &format!("{policy}</iodef-rid:RID>")));
    assert_eq!(twice.to_string(), "RID has more than one RIDPolicy");
    let text = request();
    let (from, to) = (text.find("<Incident ").unwrap(), text.find("</IODEF-Document>").unwrap());
    let incident = &text[from..to];
    let two = refused(&text.replacen(incident, &format!("{incident}{incident}"), 1));
    assert!(two.to_string().contains("more than one Incident"), "{two}");
    let mode = r#"<AdditionalData name="mode" dtype="string" formatid="ashiato.exchange/1">star</AdditionalData>"#;
    let two = refused(&with(
        "<AdditionalData name=\"mode\"",
        &format!("{mode}<AdditionalData name=\"mode\""),
    ));
    assert_eq!(two.to_string(), "AdditionalData has more than one mode");
    // The same word for two parts.
    let same = with("<EventData>", "<EventData observable-id=\"a\">");
    let same = same.replacen("<System ", "<System observable-id=\"a\" ", 1);
    assert_eq!(malformed(&same), Malformed::SameId("a".into()));
}

#[test]
fn a_refusal_that_says_approved_is_refused() {
    let messages = paper::messages();
    let find = |name| messages.iter().find(|(other, _)| *other == name).unwrap().1.write();
    let denied = String::from_utf8(find("denied")).unwrap();
    for status in ["AuthorizationStatus=\"Approved\"", "AuthorizationStatus=\"Pending\""] {
        let forged = denied.replace("AuthorizationStatus=\"Denied\"", status);
        assert!(matches!(refused(&forged).why, BadDocument::Contradiction(_)), "{status}");
    }
    let found = String::from_utf8(find("result")).unwrap();
    let forged = found.replace("SourceFound>true<", "SourceFound>false<");
    assert!(matches!(refused(&forged).why, BadDocument::Contradiction(_)));
}

/// What is not known is counted, and changes nothing.
#[test]
fn unknown_extensions_are_counted() {
    let extended =
        with("</IODEF-Document>", "<x:More xmlns:x=\"urn:x\"><x:Deep/></x:More></IODEF-Document>");
    let extended = extended.replacen("<EventData>", "<EventData colour=\"blue\"><Discovery/>", 1);
    let extended =
        extended.replace("formatid=\"ashiato.exchange/1\">star", "formatid=\"other/1\">star");
    let read = Message::read(extended.as_bytes()).unwrap();
    let plain = Message::read(request().as_bytes()).unwrap();
    assert_eq!(read.message, plain.message);
    let names: Vec<&str> = read.ignored.keys().map(String::as_str).collect();
    assert_eq!(names, ["EventData/Discovery", "EventData@colour", "IODEF-Document/More"]);
    let json = r#"{"version":"2.0","Incident":[{"purpose":"other","IncidentID":{"id":"1","name":"x"},
        "GenerationTime":"2026-11-22T01:00:00Z","Contact":[{"role":"irt","type":"person","Fax":"1"},
        {"role":"irt","type":"person","Fax":"2"}],"Colour":{"a":[1]}}]}"#;
    let read = Document::from_json(json.as_bytes()).unwrap();
    let counts: Vec<(&str, u32)> = read.ignored.iter().map(|(k, n)| (k.as_str(), *n)).collect();
    assert_eq!(counts, [("Incident/Colour", 1), ("Incident/Contact/Fax", 2)]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    /// Messages with parts of them lost, doubled and exchanged: what is read at all says the same when it is written
    /// again, and for what is not there is an answer.
    #[test]
    fn damage_does_no_harm(
        which in any::<prop::sample::Index>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..4_u8), 1..4),
    ) {
        let messages = MESSAGES.get_or_init(|| {
            paper::messages().iter().map(|(_, message)| pieces(&message.write())).collect()
        });
        let mut pieces = which.get(messages).clone();
        for (a, b, how) in damage {
            let (a, b) = (a.index(pieces.len()), b.index(pieces.len()));
            match how {
                0 => pieces[a].clear(),
                1 => pieces.swap(a, b),
                2 => pieces[a] = pieces[b].clone(),
                _ => pieces.insert(a, "0".into()),
            }
        }
        let text = pieces.concat();
        match Message::read(text.as_bytes()) {
            Ok(read) => {
                let again = Message::read(&read.message.write()).unwrap();
                prop_assert_eq!((&again.message, again.ignored.len()), (&read.message, 0));
            }
            Err(unread) => {
                let refusal = unread.refusal("xb", "xa", Stamp::from_unix_ns(0));
                prop_assert_eq!(Message::read(&refusal.write()).unwrap().message, refusal);
            }
        }
    }
}

static MESSAGES: OnceLock<Vec<Vec<String>>> = OnceLock::new();

/// A message cut where tags, attributes and values begin and end.
fn pieces(bytes: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(bytes).unwrap();
    text.split_inclusive(['<', '>', '"', '=', ' ', '/']).map(str::to_owned).collect()
}

/// Whatever came, there is an answer that the sender can read.
#[test]
fn every_refusal_is_a_message() {
    let at: Stamp = "2026-11-22T01:00:00Z".parse().unwrap();
    let wrong = with("dtype=\"ipv4-packet\">45", "dtype=\"ipv4-packet\">4g");
    for (text, about, want) in [
        (wrong.as_str(), "01KAMXA1", Justification::UnrecognizedFormat),
        ("<!DOCTYPE x><x/>", "unknown", Justification::UnrecognizedFormat),
        (&"<a>".repeat(1000), "unknown", Justification::CannotProcess),
    ] {
        let refusal = refused(text).refusal("xb", "xa", at);
        let read = Message::read(&refusal.write()).unwrap().message;
        assert_eq!(read, refusal);
        let Body::Answer(reply) = read.body else { panic!("a refusal is an answer") };
        assert_eq!((reply.inquiry.as_str(), reply.domain.as_str()), (about, "xb"));
        let Status::Refused { justification, why } = reply.status else { panic!("{reply:?}") };
        assert!(justification == want && !why.is_empty(), "{why}");
    }
}
