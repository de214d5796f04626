//! Domains that ask each other: real TLS, real logs, real answers.
#![allow(clippy::unwrap_used, reason = "a test stops where something is not as expected")]

mod realm;
mod rig;

use ashiato_collector::exchange::join::Way;
use ashiato_collector::exchange::{Mode, Status};
use realm::{Realm, begin, border, hub};
use traceback::disclose::{Detail, Origin, Shown};

/// Domains of a way, the source first, in brackets where they told nothing.
fn domains(way: &Way) -> Vec<String> {
    let name = |s: &ashiato_collector::exchange::join::Stretch| match s.told {
        true => s.domain.clone(),
        false => format!("({})", s.domain),
    };
    way.stretches.iter().map(name).collect()
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
