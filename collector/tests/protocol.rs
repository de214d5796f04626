//! The protocol over real TLS on loopback, spoken message by message.
#![allow(clippy::unwrap_used, reason = "a test stops where something is not as expected")]

mod rig;

use ashiato_collector::authority::Authority;
use ashiato_collector::client::{ClientError, Operator};
use ashiato_collector::identity::Identity;
use ashiato_collector::wire::{self, from_agent, to_agent};
use rig::{Raw, Rig, case, hello, report};
use std::time::Duration;
use tonic::Code;
use traceback::RouterId;
use traceback::case::Gap;

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_stored_acknowledged_and_handed_out() {
    let rig = Rig::new();
    let collector = rig.start().await;
    let channel = rig.channel(collector.listen(), "router/0.0.0.1").await;
    let mut agent = Raw::connect(channel, hello(1)).await.unwrap();
    let welcome = wire::Welcome { through: 0, highest: 0 };
    assert_eq!(agent.hear().await, to_agent::Kind::Welcome(welcome));
    agent.send(1, report(1).encode()).await;
    agent.send(2, report(1).encode()).await;
    assert!(agent.acked(2).await.is_empty());

    let mut operator = rig.operator(collector.listen()).await;
    let status = operator.status("none").await.unwrap();
    assert_eq!((status.tallies[0].stored, status.tallies[0].lost), (2, 0));
    assert_eq!(status.agents[0].sender, "router/0.0.0.1");
    assert!(status.agents[0].connected);
    let reports = operator.reports("none").await.unwrap();
    assert_eq!(reports.iter().map(|r| r.seq).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(reports[0].report, report(1));

    let patience = Duration::from_secs(1);
    let params = serde_json::json!({});
    let outcome = operator.trace("none", &params, &case(), patience).await.unwrap();
    assert!(matches!(outcome.traced.finding, Err(Gap::Nothing { .. })));
    assert_eq!(outcome.footprint_bytes, 100);
    assert_eq!(outcome.report_bytes, 2 * report(1).encode().len() as u64);
    collector.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_twice_or_out_of_turn_is_counted() {
    let rig = Rig::new();
    let collector = rig.start().await;
    let channel = rig.channel(collector.listen(), "router/0.0.0.1").await;
    let mut agent = Raw::connect(channel.clone(), hello(1)).await.unwrap();
    let mut foreign = report(1);
    foreign.router = RouterId(2);
    let mut ghost = report(1);
    ghost.scheme = "ghost".into();
    agent.send(1, report(1).encode()).await;
    agent.send(1, report(1).encode()).await;
    agent.send(2, b"no report".to_vec()).await;
    agent.send(3, foreign.encode()).await;
    agent.send(4, ghost.encode()).await;
    agent.send(7, report(1).encode()).await;
    let refusals = agent.acked(7).await;
    let reasons: Vec<_> = refusals.iter().map(|(seq, reason)| (*seq, reason.as_str())).collect();
    assert_eq!(reasons, [(2, "malformed"), (3, "foreign"), (4, "unknown-scheme")]);

    let mut operator = rig.operator(collector.listen()).await;
    let tally = operator.status("").await.unwrap().tallies.remove(0);
    assert_eq!((tally.stored, tally.duplicate, tally.lost), (2, 1, 2));
    assert_eq!(tally.refused.values().sum::<u64>(), 3);

    // Refused numbers are settled: they are not asked for again.
    let mut again = Raw::connect(channel, hello(1)).await.unwrap();
    let welcome = wire::Welcome { through: 4, highest: 7 };
    assert_eq!(again.hear().await, to_agent::Kind::Welcome(welcome));
    collector.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_speaks_in_anothers_name() {
    let rig = Rig::new();
    let collector = rig.start().await;
    let at = collector.listen();
    let as_router = async |hello| {
        let channel = rig.channel(at, "router/0.0.0.1").await;
        Raw::connect(channel, hello).await.err().map(|status| status.code())
    };
    assert_eq!(as_router(hello(2)).await, Some(Code::PermissionDenied));
    let observer = wire::Hello { role: wire::Role::Observer.into(), ..hello(1) };
    assert_eq!(as_router(observer).await, Some(Code::PermissionDenied));
    let ghost = wire::Hello { scheme: "ghost".into(), ..hello(1) };
    assert_eq!(as_router(ghost).await, Some(Code::InvalidArgument));
    let nameless = wire::Hello { agent: "a#b".into(), ..hello(1) };
    assert_eq!(as_router(nameless).await, Some(Code::InvalidArgument));
    let later = wire::Hello { protocol: 2, ..hello(1) };
    assert_eq!(as_router(later).await, Some(Code::FailedPrecondition));
    assert_eq!(as_router(hello(1)).await, None);

    let operator = rig.channel(at, "operator/test").await;
    let refused = Raw::connect(operator, hello(1)).await.err().unwrap();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let calls = rig.operator(at).await.status("").await.unwrap().refused_calls;
    assert_eq!((calls["foreign"], calls["unknown-scheme"], calls["malformed"]), (3, 1, 1));
    collector.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn only_operators_operate() {
    let rig = Rig::new();
    let collector = rig.start().await;
    let keys = rig.keys("router/0.0.0.1");
    let mut agent = Operator::connect(collector.listen(), &keys).await.unwrap();
    let denied = |e: ClientError| match e {
        ClientError::Call(status) => status.code() == Code::PermissionDenied,
        _ => false,
    };
    assert!(denied(agent.status("").await.unwrap_err()));
    assert!(denied(agent.cut("none", Duration::ZERO).await.unwrap_err()));
    assert!(denied(agent.reports("none").await.unwrap_err()));
    let traced = agent.trace("none", &serde_json::json!({}), &case(), Duration::ZERO).await;
    assert!(denied(traced.unwrap_err()));
    collector.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_another_authority_open_nothing() {
    let rig = Rig::new();
    let collector = rig.start().await;
    let other = Authority::new(Duration::from_secs(3600)).unwrap();
    let who = Identity::parse("operator/mallory").unwrap();
    let mut keys = other.write(&rig.dir.join("other"), &who, &[]).unwrap();
    // Mallory does not trust our collector ...
    assert!(Operator::connect(collector.listen(), &keys).await.is_err());
    // ... and our collector does not trust Mallory.
    keys.ca = rig.config.tls.ca.clone();
    if let Ok(mut mallory) = Operator::connect(collector.listen(), &keys).await {
        assert!(mallory.status("").await.is_err());
    }
    collector.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_ends_the_call_and_nothing_else() {
    let rig = Rig::new();
    let collector = rig.start().await;
    let channel = rig.channel(collector.listen(), "router/0.0.0.1").await;
    let unknown_errands = [
        from_agent::Kind::Reply(wire::Reply { id: 99, answer: None, refusal: String::new() }),
        from_agent::Kind::CutDone(wire::CutDone { id: 99, through: u64::MAX }),
    ];
    let mut agent = Raw::connect(channel.clone(), hello(1)).await.unwrap();
    agent.hear().await;
    for kind in unknown_errands {
        agent.say(kind).await;
    }
    agent.send(0, report(1).encode()).await;
    let end = agent.inward.message().await.unwrap_err();
    assert_eq!(end.code(), Code::InvalidArgument);
    let mut agent = Raw::connect(channel, hello(1)).await.unwrap();
    agent.send(1, report(1).encode()).await;
    agent.acked(1).await;
    collector.stop().await.unwrap();
}
