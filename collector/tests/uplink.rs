//! Agents' uplinks against a collector, in one process.
#![allow(clippy::unwrap_used, reason = "a test stops where something is not as expected")]

mod rig;

use ashiato_agent::uplink::Command;
use rig::{LONG, Rig, report};
use std::time::{Duration, Instant};
use tokio::time::timeout;
use traceback::case::{Answer, Query};
use traceback::{Nanos, RouterId};

fn query(keys: &[u64]) -> Query {
    Query { keys: keys.to_vec(), from: Nanos(0), to: Nanos(9) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_returns_when_the_reports_are_stored() {
    let rig = Rig::new();
    let collector = rig.start().await;
    let (handle, mut commands) = rig.uplink(collector.listen(), 1);
    handle.report(report(1));
    timeout(LONG, handle.drained()).await.unwrap();
    let agent = handle.clone();
    tokio::spawn(async move {
        while let Some(command) = commands.recv().await {
            if let Command::Cut { id } = command {
                agent.report(report(1));
                agent.cut_done(id);
            }
        }
    });
    // A second agent is connected, and mute.
    let (mute, _unread) = rig.uplink(collector.listen(), 2);
    mute.report(report(2));
    timeout(LONG, mute.drained()).await.unwrap();
    let mut operator = rig.operator(collector.listen()).await;
    let cut = operator.cut("none", Duration::from_millis(800)).await.unwrap();
    assert_eq!((cut.asked, cut.silent), (2, vec!["router/0.0.0.2#a".to_owned()]));
    assert_eq!(operator.status("none").await.unwrap().tallies[0].stored, 3);
    assert_eq!(operator.cut("other", Duration::ZERO).await.unwrap().asked, 0);
    assert_eq!(handle.stats().acked, 2);
    collector.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_go_to_their_routers_and_silence_has_an_end() {
    let rig = Rig::new();
    let collector = rig.start().await;
    let mut handles = vec![];
    for n in 1..=3 {
        let (handle, mut commands) = rig.uplink(collector.listen(), n);
        handle.report(report(n));
        timeout(LONG, handle.drained()).await.unwrap();
        handles.push(handle.clone());
        tokio::spawn(async move {
            while let Some(command) = commands.recv().await {
                match (n, command) {
                    (1, Command::Ask { id, query }) => {
                        let values = query.keys.iter().map(|k| (*k > 1).then_some(k * 10));
                        handle.reply(id, Answer { values: values.collect() });
                    }
                    (2, Command::Ask { id, .. }) => handle.reply(id, None),
                    _ => {}
                }
            }
        });
    }
    let questions: Vec<_> = (1..=4).map(|n| (RouterId(n), query(&[1, 2]))).collect();
    let started = Instant::now();
    let patience = Duration::from_millis(500);
    let answers = collector.hub().ask("none", &questions, patience).await;
    let elapsed = started.elapsed();
    // Router 2 refuses, 3 is silent, 4 has no agent.
    let one = Answer { values: vec![None, Some(20)] };
    assert_eq!(answers, [Some(one), None, None, None]);
    assert!(elapsed >= patience && elapsed < patience * 4, "took {elapsed:?}");
    assert_eq!(collector.hub().ask("other", &questions, LONG).await, vec![None; 4]);
    collector.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_questions_find_their_answers() {
    let rig = Rig::new();
    let collector = rig.start().await;
    let (handle, mut commands) = rig.uplink(collector.listen(), 1);
    handle.report(report(1));
    timeout(LONG, handle.drained()).await.unwrap();
    tokio::spawn(async move {
        while let Some(Command::Ask { id, query }) = commands.recv().await {
            handle.reply(id, Answer { values: query.keys.into_iter().map(Some).collect() });
        }
    });
    let questions: Vec<_> = (0..1000).map(|n| (RouterId(1), query(&[n]))).collect();
    let answers = collector.hub().ask("none", &questions, LONG).await;
    for (n, answer) in (0..1000).zip(answers) {
        assert_eq!(answer.unwrap().values, [Some(n)]);
    }
    collector.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_agent_is_told_once_and_stops() {
    let rig = Rig::new();
    let collector = rig.start().await;
    let keys = rig.keys("router/0.0.0.2");
    let (handle, mut commands) = rig.uplink_as(collector.listen(), 1, keys);
    handle.report(report(1));
    assert_eq!(timeout(LONG, commands.recv()).await.unwrap(), Some(Command::Closed));
    timeout(LONG, handle.drained()).await.unwrap();
    let stats = handle.stats();
    assert_eq!((stats.given_up, stats.acked), (1, 0));
    assert!(stats.last_error.unwrap().contains("foreign"));
    collector.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_store_acknowledges_nothing_and_loses_nothing() {
    let mut rig = Rig::new();
    rig.config.store_limit_bytes = Some(256 << 10);
    let collector = rig.start().await;
    let (handle, _commands) = rig.uplink(collector.listen(), 1);
    let mut large = report(1);
    large.ledger = Some(vec![7; 32 << 10]);
    for _ in 0..16 {
        assert!(handle.report(&large));
    }
    let told = async {
        loop {
            let error = handle.stats().last_error.unwrap_or_default();
            if error.contains("full") {
                return error;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(timeout(LONG, told).await.unwrap().contains("limit in the configuration"));
    let stored = rig.operator(collector.listen()).await.status("none").await.unwrap().tallies;
    let stored = stored.first().map_or(0, |tally| tally.stored);
    assert!(handle.stats().acked <= stored && stored < 16, "{stored} stored");
    rig.config.listen = collector.listen();
    collector.stop().await.unwrap();

    // With more room at the same address, everything arrives, once.
    rig.config.store_limit_bytes = None;
    let collector = rig.start().await;
    timeout(LONG, handle.drained()).await.unwrap();
    let tally = rig.operator(collector.listen()).await.status("none").await.unwrap().tallies;
    assert_eq!((tally[0].stored, tally[0].lost, tally[0].refused.len()), (16, 0, 0));
    collector.stop().await.unwrap();
}
