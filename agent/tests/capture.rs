//! Capture files in every format, and what damaged ones do.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use ashiato_agent::capture::file::Broken;
use ashiato_agent::capture::{self, Counts};
use serde_json::json;
use std::process::Command;
use traceback::checksum;
use traceback::invariant::Key;
use traceback::packet::Packet;
use traceback::report::Report;
use traceback::scheme::Hop;
use traceback::vantage::{Draws, Setting, Vantage};
use traceback::{Nanos, Place, RouterId, schemes};

const PLACE: Place = Place { id: RouterId(0xc613_0001), index: 0, degree: 2, asn: 0 };

fn vantage(scheme: &str, params: &serde_json::Value) -> Box<dyn Vantage> {
    let setting = Setting { place: PLACE, key: Key(1, 2), draws: Draws::Keyed, filter: None };
    schemes::find(scheme).unwrap().build(params).unwrap().vantage(setting)
}

/// An IPv4 UDP packet with a number in its payload.
fn packet(n: u32, ttl: u8) -> Vec<u8> {
    let mut ip = b"\x45\0\0\x34\x1f\0\x40\0\0\x11\0\0\xc6\x12\x01\x02\xc6\x12\x02\x02".to_vec();
    ip[8] = ttl;
    let check = checksum::of(&ip);
    ip[10..12].copy_from_slice(&check.to_be_bytes());
    ip.extend(b"\x30\x39\0\x09\0\x20\0\0");
    ip.extend(n.to_be_bytes());
    ip.resize(52, 0);
    ip
}

fn ethernet(ip: &[u8]) -> Vec<u8> {
    [&[2; 12][..], &[8, 0], ip].concat()
}

fn frames() -> Vec<Vec<u8>> {
    let mut all: Vec<_> = (0..200).map(|n| ethernet(&packet(n, 64))).collect();
    all.push([&[2; 12][..], &[8, 6], &[0; 28]].concat());
    all.push(ethernet(&packet(0, 1)));
    all.push(ethernet(&packet(0, 64)[..40]));
    let mut bad = packet(0, 64);
    bad[10] ^= 1;
    all.push(ethernet(&bad));
    all
}

/// A capture with all of [`frames`], in little-endian pcap.
fn pcap() -> Vec<u8> {
    let mut out = b"\xd4\xc3\xb2\xa1\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\x04\0\x01\0\0\0".to_vec();
    for (n, frame) in (0_u32..).zip(frames()) {
        let len = u32::try_from(frame.len()).unwrap();
        for word in [1_000 + n, 5, len, len] {
            out.extend(word.to_le_bytes());
        }
        out.extend(frame);
    }
    out
}

/// The same in big-endian pcapng, with an option, a comment block and a resolution of nanoseconds.
fn pcapng() -> Vec<u8> {
    let block = |kind: u32, body: &[u8]| {
        let len = u32::try_from(12 + body.len()).unwrap().to_be_bytes();
        [&kind.to_be_bytes(), &len, body, &len].concat()
    };
    let section = b"\x1a\x2b\x3c\x4d\0\x01\0\0\xff\xff\xff\xff\xff\xff\xff\xff";
    let interface = b"\0\x01\0\0\0\0\0\0\0\x09\0\x01\x09\0\0\0\0\0\0\0";
    let mut out = [block(0x0a0d_0d0a, section), block(1, interface)].concat();
    out.extend(block(0x0bad, b"whatever"));
    for (n, frame) in (0_u64..).zip(frames()) {
        let ticks = (1_000 + n) * 1_000_000_000 + 5_000;
        let len = u32::try_from(frame.len()).unwrap().to_be_bytes();
        let mut body = [&[0; 4], &ticks.to_be_bytes()[..], &len, &len, &frame].concat();
        body.resize(body.len().next_multiple_of(4), 0);
        out.extend(block(6, &body));
    }
    out
}

const FOUND: Counts = Counts {
    frames: 204,
    packets: 201,
    not_ip: 1,
    cut_off: 1,
    malformed: 1,
    expired: 1,
    harms: traceback::vantage::Harms {
        marked: 0,
        fragments_skipped: 0,
        df_set: 0,
        ttl_changed: 0,
        no_slot: 0,
        no_room: 0,
        merged: 0,
    },
};

#[test]
fn both_formats_are_marked_as_a_router_would() {
    for file in [pcap(), pcapng()] {
        let mut out = vec![];
        let mut router = vantage("fms", &json!({}));
        let (counts, done) = capture::mark(file.as_slice(), &mut out, PLACE, &mut *router);
        done.unwrap();
        assert!(counts.harms.marked > 0);
        let plain = Counts { harms: FOUND.harms, ..counts };
        assert_eq!(plain, FOUND);
        assert_eq!(out.len(), file.len());
        let mut expected = file.clone();
        let mut pure = vantage("fms", &json!({}));
        for n in 0..200 {
            let original = packet(n, 64);
            let mut changed = original.clone();
            let mut parsed = Packet::parse(changed.as_mut_slice()).unwrap();
            let hop = Hop { me: PLACE.id, degree: 2, ttl: 64, edge: 1, ..Hop::default() };
            pure.forward(hop, &mut parsed);
            parsed.decrement_ttl();
            let at = expected.windows(52).position(|w| w == original).unwrap();
            expected[at..at + 52].copy_from_slice(&changed);
        }
        assert!(out == expected, "nothing but marks, TTL and checksums changes");
    }
}

#[test]
fn observers_read_both_formats_alike() {
    let see = |file: &[u8]| {
        let mut observer = vantage("fms", &json!({}));
        capture::observe(file, "fms", PLACE.id, &mut *observer)
    };
    let (counts, report, done) = see(&pcap());
    done.unwrap();
    assert_eq!(counts.packets, 201);
    assert_eq!(Report::decode(&report.encode()).unwrap(), report);
    assert_eq!(report.window.from, Nanos(1_000_000_005_000));
    assert_eq!(report.window.to, Nanos(1_203_000_005_000));
    assert!(report.ledger.as_ref().is_some_and(|l| !l.is_empty()));
    assert_eq!(see(&pcapng()).1, report);
}

#[test]
fn damage_is_named_and_what_came_before_is_kept() {
    for file in [pcap(), pcapng()] {
        for cut in (0..file.len()).step_by(97) {
            let mut out = vec![];
            let mut router = vantage("none", &json!({}));
            let (counts, done) = capture::mark(&file[..cut], &mut out, PLACE, &mut *router);
            assert!(out.len() <= cut && counts.frames <= 204);
            if let Err(e) = done {
                assert!(!matches!(e, Broken::Write(_) | Broken::Read(_)), "{e} at {cut}");
            }
        }
    }
    let (_, done) =
        capture::mark(&b"GIF89a"[..], std::io::sink(), PLACE, &mut *vantage("none", &json!({})));
    assert!(matches!(done, Err(Broken::Format([0x47, 0x49, 0x46, 0x38]))));
}

#[test]
fn changed_bytes_never_panic() {
    for file in [pcap(), pcapng()] {
        for at in 0..600 {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bad = file.clone();
                bad[at] = value;
                let mut router = vantage("none", &json!({}));
                // Whether it can be read does not matter, only that it ends.
                let _ = capture::mark(bad.as_slice(), std::io::sink(), PLACE, &mut *router);
            }
        }
    }
}

#[test]
fn the_program_says_what_it_found() {
    let dir = std::env::temp_dir().join(format!("ashiato-capture-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let (input, output) = (dir.join("a.pcap"), dir.join("b.pcap"));
    std::fs::write(&input, &pcap()[..3000]).unwrap();
    let mut mark = Command::new(env!("CARGO_BIN_EXE_ashiato-agent"));
    mark.args(["mark", "--scheme", "fms", "--router", "198.19.0.1", "--key", "1,2"]);
    let done = mark.arg("--in").arg(&input).arg("--out").arg(&output).output().unwrap();
    let counts: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(done.status.code(), Some(9), "partial");
    assert_eq!(counts["frames"], 36);
    assert!(String::from_utf8_lossy(&done.stderr).contains("damaged behind 36 frames"));
    assert_eq!(std::fs::metadata(&output).unwrap().len(), 24 + 36 * 82);
    let mut observe = Command::new(env!("CARGO_BIN_EXE_ashiato-agent"));
    observe.args(["observe", "--scheme", "fms", "--victim", "198.18.2.2", "--port", "9"]);
    let report = dir.join("r.bin");
    let done = observe.arg("--in").arg(&output).arg("--out").arg(&report).output().unwrap();
    assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(Report::decode(&std::fs::read(&report).unwrap()).unwrap().counters.received, 36);
    std::fs::remove_dir_all(&dir).unwrap();
}
