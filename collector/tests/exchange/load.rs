//! Many at a time.

use crate::realm::{Realm, ask};
use ashiato_collector::exchange::{Justification, Status};
use futures_util::future::join_all;
use std::sync::Arc;
use std::time::Instant;

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_at_once_are_all_answered() {
    const MANY: usize = 1_000;
    let mut realm = Realm::new(2, &[(0, 1)]);
    realm.exchange(1).bounds.connections = MANY;
    realm.start().await;
    realm.walk(1, &[1, 0]);
    let realm = Arc::new(realm);
    let began = Instant::now();
    let all = (0..MANY).map(|n| {
        let realm = realm.clone();
        tokio::spawn(async move {
            let inquiry = realm.question(0, 1, &format!("q{n}"));
            ask(&realm, (0, 1), &inquiry).await.map(|reply| reply.status)
        })
    });
    let said = join_all(all.collect::<Vec<_>>()).await;
    let took = began.elapsed().as_millis();
    let said: Vec<Option<Status>> = said.into_iter().map(Result::unwrap).collect();
    let answered = said.iter().filter(|s| **s == Some(Status::Answered)).count();
    let later = said.iter().filter(|s| s.is_none()).count();
    println!("{MANY} at once: {answered} answered, {later} promised for later, {took} ms");
    assert_eq!(answered + later, MANY);
    let mut operator = realm.operator(1, "bob").await;
    let mut states = operator.received().await.unwrap();
    while states.iter().any(|r| r.state == "working") {
        assert!(began.elapsed().as_secs() < 30);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        states = operator.received().await.unwrap();
    }
    assert_eq!(states.iter().filter(|r| r.state == "answered").count(), MANY);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_finds_no_room_is_refused_and_may_be_put_again() {
    let mut realm = Realm::new(2, &[(0, 1)]);
    realm.exchange(1).bounds.inquiries = 0;
    realm.start().await;
    let inquiry = realm.question(0, 1, "q");
    for _ in 0..2 {
        let reply = ask(&realm, (0, 1), &inquiry).await.unwrap();
        let Status::Refused { justification, .. } = reply.status else { panic!("{reply:?}") };
        assert_eq!(justification, Justification::SystemResource);
    }
    assert_eq!(realm.lands[1].events(), ["refused", "refused"]);
}
