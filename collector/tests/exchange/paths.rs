//! Paths over several domains: in the star and handed on, past those that refuse, lie or are late.

use crate::realm::{Realm, begin, border, hub, listen_as};
use crate::rig::LONG;
use ashiato_collector::exchange::http::{Arrival, Desk, Given};
use ashiato_collector::exchange::join::{Kind, Stretch, Way};
use ashiato_collector::exchange::letter::{self, Letter};
use ashiato_collector::exchange::{Joined, Mode, Passage, Reply, Status};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use traceback::disclose::{Detail, Origin, Shown, Tlp};

/// Domains of a way, the source first, in brackets where they told nothing.
fn domains(way: &Way) -> Vec<String> {
    let name = |s: &Stretch| if s.told { s.domain.clone() } else { format!("({})", s.domain) };
    way.stretches.iter().map(name).collect()
}

fn only(joined: &Joined) -> (Vec<String>, Origin) {
    assert_eq!(joined.ways.len(), 1, "{joined:#?}");
    (domains(&joined.ways[0]), joined.ways[0].origin.clone())
}

fn words(names: &[&str]) -> Vec<String> {
    names.iter().map(|n| (*n).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_is_joined_from_what_every_domain_tells() {
    // xa, the victim's, is next to xb, which is next to xc and xd.
    let mut realm = Realm::new(4, &[(0, 1), (1, 2), (1, 3)]);
    realm.lands[2].policy.answers.detail = Detail::As;
    realm.start().await;
    realm.walk(1, &[2, 1, 0]);
    realm.walk(2, &[1, 0]);
    realm.walk(3, &[0]);
    let mut operator = realm.operator(0, "alice").await;
    for mode in [Mode::Star, Mode::Recursive] {
        let joined = operator.inquire(&begin(0, &[1, 2, 3, 4], mode)).await.unwrap();
        assert_eq!(joined.flags, [], "{mode:?}");
        assert_eq!(joined.unseen, [3]);
        let ways: Vec<_> =
            joined.ways.iter().map(|w| (domains(w), w.packets.clone(), w.origin.clone())).collect();
        let way = |names: &[&str], packet| {
            let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
            (names, vec![packet], Origin::Inside)
        };
        let expected = [way(&["xc", "xb", "xa"], 0), way(&["xb", "xa"], 1), way(&["xa"], 2)];
        assert!(expected.iter().all(|e| ways.contains(e)) && ways.len() == 3, "{ways:?}");
        // At the detail that each discloses.
        let first = joined.ways.iter().find(|w| w.packets == [0]).unwrap();
        let routers = |ids: &[traceback::RouterId]| -> Vec<Shown> {
            ids.iter().map(|id| Shown::Router { id: *id }).collect()
        };
        assert_eq!(first.stretches[0].hops, [Shown::As { asn: 64_502 }]);
        assert_eq!(first.stretches[1].hops, routers(&[border(1, 2), hub(1), border(1, 0)]));
        assert_eq!(first.stretches[2].hops, routers(&[border(0, 1), hub(0)]));
        assert!(joined.asked.iter().any(|a| a.domain == "xc" && a.status == Status::Answered));
        assert!(joined.asked.iter().all(|a| a.domain == "xd" || a.rule == "answers"));
    }
    // What left about the victim is known at every domain.
    let mut there = realm.operator(2, "bob").await;
    let left = there.left_about("198.18.0.0/24".parse().unwrap()).await.unwrap();
    assert_eq!(left.iter().filter(|f| f.event == "told").count(), 2);
    assert!(there.left_about("198.18.7.0/24".parse().unwrap()).await.unwrap().is_empty());
    assert!(!std::fs::read_to_string(realm.lands[2].audit()).unwrap().contains("10.2.0.1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_refuses_or_is_silent_is_bypassed_and_said() {
    let mut realm = Realm::new(3, &[(0, 1), (1, 2)]);
    realm.lands[1].policy.answers.detail = Detail::None;
    realm.start().await;
    realm.walk(1, &[2, 1, 0]);
    realm.walk(2, &[1, 0]);
    let mut operator = realm.operator(0, "alice").await;
    for mode in [Mode::Star, Mode::Recursive] {
        let joined = operator.inquire(&begin(0, &[1], mode)).await.unwrap();
        assert_eq!(only(&joined), (words(&["xc", "(xb)", "xa"]), Origin::Inside));
        assert_eq!(joined.ways[0].stretches[1].hops, [Shown::Hidden { hops: None }]);
        let refused = joined.asked.iter().find(|a| a.domain == "xb").unwrap();
        assert!(matches!(refused.status, Status::Refused { .. }));
        // It may have begun there, or beyond: that is not known.
        let joined = operator.inquire(&begin(0, &[2], mode)).await.unwrap();
        let open = Origin::Unknown { maybe: vec!["xb".into()] };
        assert_eq!(only(&joined), (words(&["xa"]), open));
    }
    assert!(realm.lands[1].events().iter().all(|e| e == "refused"));
    // Nobody there at all.
    realm.lands[1].collector.take().unwrap().stop().await.unwrap();
    let joined = operator.inquire(&begin(0, &[1], Mode::Star)).await.unwrap();
    assert_eq!(only(&joined).0, words(&["xc", "(xb)", "xa"]));
    assert!(joined.asked.iter().any(|a| matches!(a.status, Status::Failed { .. })));
}

/// A domain that says what a test wants, when it wants, by the clock that it wants.
struct Liar {
    says: Status,
    origin: Origin,
    after: Duration,
    clock: Option<SystemTime>,
}

#[tonic::async_trait]
impl Desk for Liar {
    async fn take(&self, arrival: Arrival) -> Given {
        let Ok(Letter::Inquiry(inquiry)) = Letter::read(&arrival.body, &arrival.peer, "xb") else {
            panic!("no inquiry")
        };
        tokio::time::sleep(self.after).await;
        let passage = Passage { packets: vec![0], hops: vec![], origin: self.origin.clone() };
        let passages = if self.says == Status::Answered { vec![passage] } else { vec![] };
        let bare = Reply::bare(inquiry.id.clone(), "xb", self.says.clone(), Tlp::Amber, 1);
        let body = letter::answer(&Reply { passages, ..bare }, "xa", "xa");
        Given { clock: self.clock, ..Given::document(body) }
    }
}

/// Liars, each with what is said of it.
fn liars() -> [(Liar, Kind); 5] {
    let honest = || Liar {
        says: Status::Answered,
        origin: Origin::Unknown { maybe: vec!["xc".into()] },
        after: Duration::ZERO,
        clock: None,
    };
    let inside = Liar { origin: Origin::Inside, ..honest() };
    let denies = Liar { says: Status::NotSeen, ..honest() };
    let circle = Liar { origin: Origin::Domain { id: "xa".into() }, ..honest() };
    let late = Liar { after: Duration::from_millis(700), ..honest() };
    let yesterday = SystemTime::now() - Duration::from_secs(86_400);
    let clock = Liar { clock: Some(yesterday), ..honest() };
    [
        (inside, Kind::Contradiction),
        (denies, Kind::Contradiction),
        (circle, Kind::Loop),
        (late, Kind::Late),
        (clock, Kind::Clock),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn lies_lateness_and_wrong_clocks_are_said() {
    let mut realm = Realm::new(3, &[(0, 1), (1, 2)]);
    realm.start_one(0).await;
    realm.start_one(2).await;
    realm.start_one(1).await;
    realm.walk(1, &[2, 1, 0]);
    realm.lands[1].collector.take().unwrap().stop().await.unwrap();
    let mut operator = realm.operator(0, "alice").await;
    for (liar, kind) in liars() {
        let listening = listen_as(&realm, 1, Arc::new(liar)).await;
        let mut begin = begin(0, &[1], Mode::Star);
        (begin.verify, begin.patience_ms) = (true, 400);
        let mut joined = operator.inquire(&begin).await.unwrap();
        let is_said =
            |joined: &Joined| joined.flags.iter().any(|f| f.domain == "xb" && f.kind == kind);
        // What comes when everything is over is said in the case that is kept.
        let began = Instant::now();
        while kind == Kind::Late && !is_said(&joined) && began.elapsed() < LONG {
            let kept = operator.cases().await.unwrap().swap_remove(0);
            joined = serde_json::from_value(kept["joined"].clone()).unwrap();
        }
        assert!(is_said(&joined), "{kind:?}: {joined:#?}");
        listening.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_domains_in_a_row_take_as_long_as_their_answers() {
    let links: Vec<(usize, usize)> = (0..10).map(|n| (n, n + 1)).collect();
    let mut realm = Realm::new(11, &links);
    realm.start().await;
    realm.walk(1, &(0..11).rev().collect::<Vec<_>>());
    let mut operator = realm.operator(0, "alice").await;
    for mode in [Mode::Star, Mode::Recursive] {
        let began = Instant::now();
        let joined = operator.inquire(&begin(0, &[1], mode)).await.unwrap();
        let took = began.elapsed().as_millis();
        assert_eq!(only(&joined).0.len(), 11);
        let answers: u64 =
            joined.asked.iter().filter_map(|a| Some(a.answered_ms? - a.asked_ms?)).sum();
        if mode == Mode::Star {
            // One after the other; what the asker itself does between is small beside it.
            assert!(took <= u128::from(answers) * 11 / 10 + 200, "{took} ms, answers {answers} ms");
        }
        println!("{mode:?}: ten domains in a row: {took} ms, their answers {answers} ms");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_hides_its_members() {
    // The victim's domain xa, the relay xb, its members xc and xd, of which xc handed over.
    let mut realm = Realm::new(4, &[(0, 2), (0, 3)]);
    realm.exchange(0).neighbours.iter_mut().for_each(|n| n.id = "xb".into());
    let relay = realm.exchange(1);
    relay.members = vec!["xc".into(), "xd".into()];
    relay.prefixes = vec!["198.18.0.0/24".parse().unwrap()];
    for member in [2, 3] {
        let peers = &mut realm.exchange(member).peers;
        peers[1].prefixes = vec!["198.18.0.0/24".parse().unwrap()];
    }
    realm.start().await;
    realm.walk(1, &[2, 0]);
    let mut operator = realm.operator(0, "alice").await;
    let joined = operator.inquire(&begin(0, &[1], Mode::Star)).await.unwrap();
    assert_eq!(only(&joined), (words(&["xb", "xa"]), Origin::Inside));
    let told = serde_json::to_string(&joined).unwrap();
    for hidden in ["xc", "xd", "64502", "64503", "10.2.", "10.3."] {
        assert!(!told.contains(hidden), "{hidden} in {told}");
    }
    // Members do not learn who asked.
    for member in [2, 3] {
        let log = std::fs::read_to_string(realm.lands[member].audit()).unwrap();
        assert!(log.contains("\"xb\"") && !log.contains("\"xa\""), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn circles_end_also_where_questions_are_handed_on() {
    // A ring of six with two chords, in which everybody says that it came from everybody.
    let ring: Vec<(usize, usize)> =
        (0..6).map(|n| (n, (n + 1) % 6)).chain([(0, 3), (1, 4)]).collect();
    let mut realm = Realm::new(6, &ring);
    realm.start().await;
    realm.everywhere(1, 0);
    let mut operator = realm.operator(0, "alice").await;
    for mode in [Mode::Star, Mode::Recursive] {
        let began = Instant::now();
        let joined = operator.inquire(&begin(0, &[1], mode)).await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(15), "{mode:?}");
        // Nobody is on a way twice, and that all say so cannot be.
        for way in &joined.ways {
            let names: Vec<&str> = way.stretches.iter().map(|s| s.domain.as_str()).collect();
            let once: std::collections::BTreeSet<&str> = names.iter().copied().collect();
            assert_eq!(once.len(), names.len(), "{names:?}");
        }
        assert!(joined.flags.iter().any(|f| f.kind == Kind::Contradiction), "{joined:#?}");
    }
    let asked: usize = realm.lands.iter().map(|land| land.events().len()).sum();
    println!("six domains in circles: {asked} lines of evidence");
}
