//! Strangers, garbage, replays, and questions that are nobody's to ask: refused, noted, nothing told.

use crate::realm::{Realm, ask, begin, packet, put};
use ashiato_collector::exchange::http::PostError;
use ashiato_collector::exchange::{Exhibit, Inquiry, Justification, Mode, Reply, Status, Subject};
use hyper::StatusCode;
use traceback::disclose::Tlp;

async fn pair() -> Realm {
    let mut realm = Realm::new(3, &[(0, 1), (1, 2)]);
    // A stranger: xb does not know xc, and xc pretends to be xb's friend.
    realm.exchange(1).peers.retain(|peer| peer.id != "xc");
    realm.start_one(0).await;
    realm.start_one(1).await;
    realm.walk(1, &[1, 0]);
    realm
}

fn refusal(reply: Option<Reply>) -> Justification {
    match reply.expect("an answer at once").status {
        Status::Refused { justification, .. } => justification,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_anchored_questions_of_known_askers_are_looked_into() {
    let realm = pair().await;
    let question = |id: &str| realm.question(0, 1, id);
    let with = |id: &str, bytes: Vec<u8>| {
        let packets = vec![Exhibit { bytes, at_unix_ns: 5, gate: None }];
        let subject = Subject::Packets { scheme: "spie".into(), towards: "xa".into(), packets };
        Inquiry { subject, ..question(id) }
    };
    let empty = Subject::Packets { scheme: "spie".into(), towards: "xa".into(), packets: vec![] };
    let other = Subject::Packets { scheme: "dex".into(), towards: "xa".into(), packets: vec![] };
    use Justification::{Authentication, AuthenticationOrigin, CannotProcess, UnrecognizedFormat};
    let mut foreign = with("f", packet(1, 2));
    foreign.mode = Mode::Recursive;
    let cases = [
        (Inquiry { asker: "xc".into(), ..question("a") }, Authentication),
        (Inquiry { origin: "xc".into(), ..question("b") }, AuthenticationOrigin),
        (Inquiry { deadline_ms: 1_000, ..question("c") }, CannotProcess),
        (with("d", packet(1, 2)), AuthenticationOrigin),
        (foreign, AuthenticationOrigin),
        (with("e", vec![0x45, 0, 0]), UnrecognizedFormat),
        (Inquiry { subject: other, ..question("g") }, UnrecognizedFormat),
        (Inquiry { visited: vec!["xz".into(); 65], ..question("h") }, CannotProcess),
        (Inquiry { mode: Mode::Recursive, tlp: Tlp::Red, ..question("i") }, CannotProcess),
    ];
    for (inquiry, justification) in cases {
        let reply = ask(&realm, (0, 1), &inquiry).await;
        assert_eq!(refusal(reply), justification, "{inquiry:?}");
    }
    assert!(ask(&realm, (0, 1), &Inquiry { subject: empty, ..question("j") }).await.is_some());
    // In a circle, or put again: seen, and nothing told twice.
    let circle = Inquiry { visited: vec!["xa".into(), "xb".into()], ..question("k") };
    assert_eq!(ask(&realm, (0, 1), &circle).await.unwrap().status, Status::AlreadySeen);
    let good = question("l");
    assert_eq!(ask(&realm, (0, 1), &good).await.unwrap().status, Status::Answered);
    for again in [good.clone(), Inquiry { id: "l.7".into(), ..good }] {
        assert_eq!(ask(&realm, (0, 1), &again).await.unwrap().status, Status::AlreadySeen);
    }
    let events = realm.lands[1].events();
    assert_eq!(events.iter().filter(|e| *e == "told").count(), 1, "{events:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_is_seen_after_a_restart_too() {
    let mut realm = pair().await;
    let inquiry = realm.question(0, 1, "once");
    assert_eq!(ask(&realm, (0, 1), &inquiry).await.unwrap().status, Status::Answered);
    realm.lands[1].collector.take().unwrap().stop().await.unwrap();
    realm.start_one(1).await;
    assert_eq!(ask(&realm, (0, 1), &inquiry).await.unwrap().status, Status::AlreadySeen);
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_do_not_get_in_and_garbage_is_an_error() {
    let realm = pair().await;
    let stranger = realm.question(2, 1, "stranger");
    let body = ashiato_collector::exchange::letter::ask(&stranger, "xb", Default::default());
    let refused = put(&realm, (2, 1), body).await.unwrap_err();
    assert!(matches!(refused, PostError::Connect { .. } | PostError::Broken { .. }), "{refused}");
    let deep = format!("{}{}", "<a>".repeat(100_000), "</a>".repeat(100_000));
    let bomb = "<!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><x>&b;</x>";
    let outside = "<!DOCTYPE x [<!ENTITY e SYSTEM \"file:///etc/hostname\">]><x>&e;</x>";
    let json = "{\"letter\":\"inquiry\"}";
    for garbage in ["", "\0\u{1}\u{2}", "<RID", "<html/>", &deep, bomb, outside, json] {
        let said = put(&realm, (0, 1), garbage.into()).await.unwrap_err();
        let PostError::Status { status, .. } = said else { panic!("{said}") };
        assert_eq!(status, StatusCode::BAD_REQUEST);
    }
    let said = put(&realm, (0, 1), vec![b' '; 5 << 20]).await.unwrap_err();
    let large = matches!(said, PostError::Status { status: StatusCode::PAYLOAD_TOO_LARGE, .. });
    assert!(large || matches!(said, PostError::Broken { .. }), "{said}");
    // It goes on.
    let inquiry = realm.question(0, 1, "after");
    assert_eq!(ask(&realm, (0, 1), &inquiry).await.unwrap().status, Status::Answered);
    let mut operator = realm.operator(0, "alice").await;
    let mut foreign = begin(0, &[1], Mode::Star);
    foreign.case.samples[0].bytes = packet(1, 2);
    let refused = operator.inquire(&foreign).await.unwrap_err();
    assert!(refused.to_string().contains("not this domain's"), "{refused}");
}
