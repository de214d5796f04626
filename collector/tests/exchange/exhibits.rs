//! What domains are shown of the packets that they are asked about.

use crate::realm::{Realm, begin, packet};
use ashiato_collector::exchange::{Begin, Mode, Subject};
use traceback::checksum;
use traceback::disclose::Exhibits;

const WORDS: &[u8] = b"what people said to each other";

/// Packet 1 to the first domain, with more in its payload than routers know it by.
fn wordy() -> Begin {
    let mut begin = begin(0, &[1], Mode::Star);
    let mut bytes = packet(1, 0);
    // 24 bytes of the payload count; those that the packet on the way did not have are zeros.
    bytes.resize(28 + 24, 0);
    bytes.extend(WORDS);
    let total = u16::try_from(bytes.len()).unwrap();
    bytes[2..4].copy_from_slice(&total.to_be_bytes());
    bytes[10..12].fill(0);
    let check = checksum::of(&bytes[..20]);
    bytes[10..12].copy_from_slice(&check.to_be_bytes());
    begin.case.samples[0].bytes = bytes;
    begin
}

#[tokio::test(flavor = "multi_thread")]
async fn payloads_stay_with_who_asks() {
    for (exhibits, hidden) in [(Exhibits::Needed, WORDS.len()), (Exhibits::Whole, 0)] {
        let mut realm = Realm::new(2, &[(0, 1)]);
        realm.lands[0].policy.exhibits = exhibits;
        realm.start().await;
        realm.walk(1, &[1, 0]);
        let mut asker = realm.operator(0, "alice").await;
        let joined = asker.inquire(&wordy()).await.unwrap();
        // What is shown suffices to find the packet in all logs.
        assert_eq!(joined.ways[0].stretches.len(), 2, "{joined:#?}");
        assert_eq!(joined.hidden_bytes, hidden as u64);
        let received = realm.operator(1, "bob").await.received().await.unwrap();
        let Subject::Packets { packets, .. } = &received[0].inquiry.subject else { panic!() };
        let shown = &packets[0].bytes;
        let is_shown = shown.windows(WORDS.len()).any(|window| window == WORDS);
        assert_eq!(is_shown, exhibits == Exhibits::Whole, "{shown:?}");
        assert_eq!(shown.len(), 28 + 24 + WORDS.len());
        let log = std::fs::read_to_string(realm.lands[0].audit()).unwrap();
        assert!(log.contains(&format!("\"hidden_bytes\":{hidden}")), "{log}");
    }
}
