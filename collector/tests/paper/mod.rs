//! Questions and replies of every kind, generated and chosen.
#![allow(clippy::unwrap_used, reason = "a test stops where something is not as expected")]
#![allow(dead_code, reason = "each test program uses a part of this")]

use ashiato_collector::dossier::Dossier;
use ashiato_collector::exchange::{
    Exhibit, Inquiry, Justification, Mode, Passage, Reply, Status, Subject, Withheld,
};
use ashiato_collector::iodef::Stamp;
use ashiato_collector::rid::{Body, Envelope, Message};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use traceback::RouterId;
use traceback::disclose::{Origin, Region, Shown, Tlp};

/// Texts for people, with everything that XML treats in its own way.
pub(crate) fn text() -> impl Strategy<Value = String> {
    let chars = select(" a<>&\"'\n\t\r]]>é足\u{1F463}\u{fffd};#x0".chars().collect::<Vec<_>>());
    vec(chars, 0..12).prop_map(|chars| chars.into_iter().collect())
}

/// Words of domains and identities of questions.
pub(crate) fn word() -> impl Strategy<Value = String> {
    let chars = select("abcxyz019-._#".chars().collect::<Vec<_>>());
    vec(chars, 1..10).prop_map(|chars| chars.into_iter().collect())
}

fn tlp() -> impl Strategy<Value = Tlp> {
    select(&Tlp::ALL[..])
}

fn router() -> impl Strategy<Value = RouterId> {
    any::<u32>().prop_map(RouterId)
}

/// The last time that RFC 3339 can say.
const LAST_MS: u64 = 253_402_300_799_999;

fn subject() -> impl Strategy<Value = Subject> {
    let packet = (vec(any::<u8>(), 0..60), any::<u64>(), any::<Option<u16>>())
        .prop_map(|(bytes, at_unix_ns, gate)| Exhibit { bytes, at_unix_ns, gate });
    prop_oneof![
        (text(), text(), vec(packet, 1..5))
            .prop_map(|(scheme, towards, packets)| Subject::Packets { scheme, towards, packets }),
        vec(router(), 1..5).prop_map(|names| Subject::Names { names }),
    ]
}

pub(crate) fn inquiry() -> impl Strategy<Value = Inquiry> {
    let who = (word(), word(), word(), vec(word(), 0..4));
    let purpose = prop_oneof![Just("traceback".to_owned()), word()];
    let deadline = prop_oneof![0..=LAST_MS, Just(u64::MAX)];
    let mode = select(vec![Mode::Star, Mode::Recursive]);
    (who, purpose, deadline, mode, tlp(), any::<bool>(), subject()).prop_map(
        |((id, origin, asker, visited), purpose, deadline_ms, mode, tlp, exercise, subject)| {
            Inquiry {
                id,
                origin,
                asker,
                purpose,
                tlp,
                mode,
                visited,
                deadline_ms,
                exercise,
                subject,
            }
        },
    )
}

fn shown() -> impl Strategy<Value = Shown> {
    prop_oneof![
        router().prop_map(|id| Shown::Router { id }),
        any::<u32>().prop_map(|asn| Shown::As { asn }),
        select(vec!["XA", "XB"]).prop_map(|nation| Shown::Nation { nation: nation.into() }),
        router().prop_map(|id| Shown::Alias { id }),
        Just(Shown::Present),
        option::of(any::<u16>()).prop_map(|hops| Shown::Hidden { hops }),
    ]
}

fn origin() -> impl Strategy<Value = Origin> {
    prop_oneof![
        Just(Origin::Inside),
        word().prop_map(|id| Origin::Domain { id }),
        vec(word(), 0..3).prop_map(|maybe| Origin::Unknown { maybe }),
    ]
}

fn status() -> impl Strategy<Value = Status> {
    let reasons = select(vec![
        Justification::SystemResource,
        Justification::Authentication,
        Justification::AuthenticationOrigin,
        Justification::Encryption,
        Justification::UnrecognizedFormat,
        Justification::CannotProcess,
        Justification::Other,
    ]);
    prop_oneof![
        4 => Just(Status::Answered),
        1 => Just(Status::NotSeen),
        2 => (reasons, text()).prop_map(|(justification, why)| Status::Refused { justification, why }),
        1 => option::of(any::<u64>()).prop_map(|by_ms| Status::Pending { by_ms }),
        1 => Just(Status::AlreadySeen),
        1 => Just(Status::Silent),
        1 => text().prop_map(|why| Status::Failed { why }),
    ]
}

fn alone() -> impl Strategy<Value = Reply> {
    let passage = (vec(any::<u32>(), 0..4), vec(shown(), 0..5), origin())
        .prop_map(|(packets, hops, origin)| Passage { packets, hops, origin });
    let withheld = (text(), text()).prop_map(|(field, rule)| Withheld { field, rule });
    let told = (vec(passage, 0..3), vec((router(), shown()), 0..3), vec(withheld, 0..3));
    (word(), word(), status(), tlp(), told, text(), any::<u64>()).prop_map(
        |(inquiry, domain, status, tlp, (passages, names, withheld), rule, took_ms)| Reply {
            inquiry,
            domain,
            status,
            tlp,
            passages,
            names,
            rule,
            withheld,
            further: vec![],
            took_ms,
        },
    )
}

/// Replies that hand on replies. A reply's label is never below those: what types promise.
pub(crate) fn reply() -> impl Strategy<Value = Reply> {
    alone().prop_recursive(3, 8, 3, |inner| {
        (alone(), vec(inner, 0..3)).prop_map(|(mut reply, further)| {
            reply.further = further;
            reply.tlp = reply.label();
            reply
        })
    })
}

pub(crate) fn dossier() -> impl Strategy<Value = Dossier> {
    (inquiry(), vec(reply(), 0..3), 0..=LAST_MS)
        .prop_map(|(inquiry, replies, at_unix_ms)| Dossier { inquiry, replies, at_unix_ms })
}

/// The packet of RFC 6545 section 7.1.1.
pub(crate) const PACKET: &str = "450000522ad90000ff06c41fc0a801020a010102976d0050103e020810d94a1350021000ad6700005468616e6b20796f7520666f72206361726566756c6c792072656164696e672074686973205246432e0a";

/// A question as it is usually asked.
pub(crate) fn question() -> Inquiry {
    let packet = Exhibit {
        bytes: hex::decode(PACKET).unwrap(),
        at_unix_ns: 1_795_309_200_250_000_001,
        gate: None,
    };
    Inquiry {
        id: "01KAMXA1".into(),
        origin: "xa".into(),
        asker: "xa".into(),
        purpose: "traceback".into(),
        tlp: Tlp::Amber,
        mode: Mode::Recursive,
        visited: vec!["xa".into(), "xb".into()],
        deadline_ms: 1_795_309_260_000,
        exercise: true,
        subject: Subject::Packets {
            scheme: "spie".into(),
            towards: "xa".into(),
            packets: vec![packet],
        },
    }
}

/// A reply with every kind of hop, and what it hands on.
pub(crate) fn answer() -> Reply {
    let id = RouterId(0x0aff_0001);
    let hops = vec![
        Shown::As { asn: 64_500 },
        Shown::Nation { nation: "XB".into() },
        Shown::Alias { id },
        Shown::Present,
        Shown::Hidden { hops: Some(3) },
        Shown::Hidden { hops: None },
        Shown::Router { id },
    ];
    let passage = Passage { packets: vec![0], hops, origin: Origin::Domain { id: "xc".into() } };
    let inside = Passage { packets: vec![0], hops: vec![], origin: Origin::Inside };
    let justification = Justification::Other;
    let refused = Status::Refused { justification, why: "no agreement <with> \"xd\"".into() };
    let plain = Reply::bare("01KAMXA1".into(), "xd", refused, Tlp::Green, 12);
    let plain = Reply { rule: "default".into(), ..plain };
    let passages = vec![inside];
    let status = Status::Answered;
    let found = Reply { domain: "xc".into(), status: status.clone(), passages, ..plain.clone() };
    Reply {
        domain: "xb".into(),
        status,
        tlp: Tlp::AmberStrict,
        passages: vec![passage],
        names: vec![(id, Shown::As { asn: 64_500 })],
        rule: "xa-traceback".into(),
        withheld: vec![Withheld { field: "hops".into(), rule: "xa-traceback".into() }],
        further: vec![found, plain.clone()],
        ..plain
    }
}

/// One message of every kind that is sent, by name.
pub(crate) fn messages() -> Vec<(&'static str, Message)> {
    let (inquiry, reply) = (question(), answer());
    let at = Stamp::from_unix_ms(1_795_309_200_000).unwrap();
    let asking = Envelope { region: Region::PeerToPeer, ..Envelope::asking(&inquiry, "xb", at) };
    let answering = Envelope { to: inquiry.asker.clone(), ..asking.clone() };
    let with = |status| Body::Answer(Reply { status, ..reply.clone() });
    let names = Subject::Names { names: vec![RouterId(7), RouterId(0xffff_ffff)] };
    let who = Inquiry { subject: names, tlp: Tlp::AmberStrict, exercise: false, ..inquiry.clone() };
    let (justification, why) = (Justification::SystemResource, "too many today".to_owned());
    let dossier = Dossier {
        inquiry: inquiry.clone(),
        replies: vec![reply.clone()],
        at_unix_ms: 1_795_309_300_000,
    };
    // Without a document there is no place for a time.
    let untimed = |envelope: Envelope| Envelope { at: Stamp::from_unix_ns(0), ..envelope };
    let message = |envelope: &Envelope, body| Message { envelope: envelope.clone(), body };
    vec![
        ("trace-request", message(&asking, Body::Ask(inquiry.clone()))),
        ("investigation-request", message(&asking, Body::Ask(who))),
        ("result", message(&answering, Body::Answer(reply.clone()))),
        ("result-not-seen", message(&answering, with(Status::NotSeen))),
        ("denied", message(&answering, with(Status::Refused { justification, why: why.clone() }))),
        ("pending", message(&answering, with(Status::Pending { by_ms: Some(9) }))),
        ("already-seen", message(&answering, with(Status::AlreadySeen))),
        ("silent", message(&answering, with(Status::Silent))),
        ("failed", message(&answering, with(Status::Failed { why }))),
        ("taken", message(&untimed(answering.clone()), Body::Taken { id: inquiry.id.clone() })),
        ("report", dossier.report("xe")),
        ("query", message(&untimed(asking), Body::Query { id: Some(inquiry.id) })),
    ]
}
