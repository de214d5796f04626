//! Many at a time.

use crate::realm::{Realm, ask, begin};
use ashiato_collector::exchange::{Justification, Mode, Status};
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

/// Most memory that this process had, in MiB.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_domains_in_circles_all_end() {
    const DOMAINS: usize = 100;
    const WITHIN_MS: u64 = 60_000;
    // A ring with a chord from every other domain, in which everybody says that it came from everybody.
    let ring = (0..DOMAINS).map(|n| (n, (n + 1) % DOMAINS));
    let chords = (0..DOMAINS / 2).map(|n| (2 * n, (2 * n + 37) % DOMAINS));
    let links: Vec<(usize, usize)> = ring.chain(chords).collect();
    let mut realm = Realm::new(DOMAINS, &links);
    let began = Instant::now();
    realm.start().await;
    realm.everywhere(1, 0);
    println!("{DOMAINS} collectors are up after {:?}, {} MiB", began.elapsed(), peak_mib());
    let mut operator = realm.operator(0, "alice").await;
    for mode in [Mode::Star, Mode::Recursive] {
        let mut begin = begin(0, &[1], mode);
        (begin.deadline_ms, begin.patience_ms) = (WITHIN_MS, WITHIN_MS / 2);
        let began = Instant::now();
        let joined = operator.inquire(&begin).await.unwrap();
        let took = began.elapsed();
        assert!(took.as_millis() < u128::from(WITHIN_MS) + 5_000, "{mode:?}: {took:?}");
        assert!(!joined.ways.is_empty());
        let (asked, silent) = (joined.asked.len(), |s: &Status| *s == Status::Silent);
        let silent = joined.asked.iter().filter(|a| silent(&a.status)).count();
        println!("{mode:?}: {asked} questions, {silent} silent, {took:?}, {} MiB", peak_mib());
        assert!(mode == Mode::Recursive || asked >= DOMAINS - 1, "{asked}");
    }
    let mut received = 0;
    for at in 0..DOMAINS {
        let mut there = realm.operator(at, "bob").await;
        loop {
            let all = there.received().await.unwrap();
            let open = all.iter().filter(|r| r.state == "working" || r.state == "pending").count();
            if open == 0 {
                received += all.len();
                break;
            }
            assert!(began.elapsed().as_millis() < 4 * u128::from(WITHIN_MS), "{at}: {open} open");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }
    println!("all {received} questions ended, {:?} in all, {} MiB", began.elapsed(), peak_mib());
}
