//! Writes a small corpus for every target into a folder: `seeds DIR`.
//!
//! Seeds are made by the real encoders, so they stay valid when a format changes; none is kept in
//! the repository.

// Supplies what instrumented code calls; the `main` is this file's own.
use libfuzzer_sys as _;

use ashiato_collector::wire;
use ashiato_fuzz::{case, ids, line, udp4};
use pcap_file::DataLink;
use pcap_file::pcap::{PcapHeader, PcapPacket, PcapWriter};
use prost::Message;
use std::path::Path;
use std::time::Duration;
use traceback::Nanos;
use traceback::case::Window;
use traceback::packet::Packet;
use traceback::report::{Counters, Report, Role};
use traceback::schemes::SCHEMES;
use traceback::vantage::{Draws, Setting};

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> Outcome {
    let dir = std::env::args().nth(1).ok_or("usage: seeds DIR")?;
    let dir = Path::new(&dir);
    packets(dir)?;
    ledgers(dir)?;
    captures(dir)?;
    put(dir, "map", "line", serde_json::to_vec(&line())?)?;
    put(dir, "map", "case", serde_json::to_vec(&case())?)?;
    for (name, text) in SCENARIOS {
        put(dir, "scenario", name, text)?;
    }
    put(dir, "policy", "xc", include_str!("../../../scenarios/policies/xc.policy.toml"))?;
    put(dir, "manifest", "signed", manifest()?)?;
    messages(dir)?;
    let hello = wire::Hello {
        agent: "a".into(),
        version: "0".into(),
        scheme: "fms".into(),
        role: wire::Role::Router.into(),
        router: ids()[0].to_string(),
        epoch: 1,
        protocol: wire::PROTOCOL,
    };
    message(dir, "hello", wire::from_agent::Kind::Hello(hello))
}

/// A manifest of the smallest scenario, signed by one.
fn manifest() -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    use ashiato::safety::clock::Utc;
    use ashiato::safety::manifest::SCHEMA;
    use ashiato::safety::signature::{Role, Signer};
    use ashiato::safety::{Caps, Manifest, Party, Terms};
    let party = Party {
        key: "00".repeat(32),
        underlay: [192, 0, 2, 11].into(),
        nodes: ["a".into()].into(),
        plan_sha256: Some("00".repeat(32)),
        collector: Some(7500),
    };
    let terms = Terms {
        schema: SCHEMA.into(),
        scenario: "first".into(),
        scenario_sha256: "00".repeat(32),
        plan_sha256: "00".repeat(32),
        prefixes: ["198.18.0.0/15".parse()?].into(),
        caps: Caps::USUAL,
        hosts: [("lab-a".to_owned(), party)].into(),
        not_before: Utc(1_800_000_000),
        not_after: Utc(1_800_003_600),
        nonce: "00".repeat(32),
        roles: [Role::Director, Role::Safety, Role::Nation("XA".into())].into(),
    };
    let mut manifest = Manifest { terms, signatures: vec![] };
    manifest.sign(&Signer::generate()?, Role::Safety)?;
    Ok(serde_json::to_vec(&manifest)?)
}

/// A question, replies to it and a report, and the document in it by itself.
fn messages(dir: &Path) -> Outcome {
    use ashiato_collector::dossier::Dossier;
    use ashiato_collector::exchange::{Exhibit, Inquiry, Mode, Passage, Reply, Status, Subject};
    use ashiato_collector::rid::{Body, Envelope, Message};
    use traceback::disclose::{Origin, Shown, Tlp, Withheld};
    let packets = vec![Exhibit { bytes: udp4(1), at_unix_ns: 1, gate: None }];
    let inquiry = Inquiry {
        id: "1".into(),
        origin: "xa".into(),
        asker: "xa".into(),
        purpose: "traceback".into(),
        tlp: Tlp::Amber,
        mode: Mode::Recursive,
        visited: vec!["xa".into()],
        deadline_ms: 1,
        exercise: true,
        subject: Subject::Packets { scheme: "spie".into(), towards: "xa".into(), packets },
    };
    let hops =
        vec![Shown::As { asn: 1 }, Shown::Hidden { hops: Some(3) }, Shown::Alias { id: ids()[0] }];
    let inner = Reply {
        inquiry: "1".into(),
        domain: "xb".into(),
        status: Status::Answered,
        tlp: Tlp::Green,
        passages: vec![Passage { packets: vec![0], hops, origin: Origin::Inside }],
        names: vec![(ids()[0], Shown::Nation { nation: "XB".into() })],
        rule: "r".into(),
        withheld: vec![Withheld { field: "hops".into(), rule: "r".into() }],
        further: vec![],
        took_ms: 1,
    };
    let late = Reply { status: Status::Pending { by_ms: Some(1) }, ..inner.clone() };
    let reply = Reply { further: vec![inner], tlp: Tlp::AmberStrict, ..late.clone() };
    let reply = Reply { status: Status::NotSeen, ..reply };
    let dossier = Dossier { inquiry: inquiry.clone(), replies: vec![reply.clone()], at_unix_ms: 1 };
    let envelope = Envelope::asking(&inquiry, "xb", dossier.at());
    let message = |body| Message { envelope: envelope.clone(), body }.write();
    put(dir, "rid", "ask", message(Body::Ask(inquiry)))?;
    put(dir, "rid", "result", message(Body::Answer(reply)))?;
    put(dir, "rid", "pending", message(Body::Answer(late)))?;
    put(dir, "rid", "report", dossier.report("xe").write())?;
    put(dir, "rid", "xml", dossier.iodef().to_xml())?;
    put(dir, "rid", "json", dossier.iodef().to_json())
}

fn put(dir: &Path, target: &str, name: &str, bytes: impl AsRef<[u8]>) -> Outcome {
    std::fs::create_dir_all(dir.join(target))?;
    Ok(std::fs::write(dir.join(target).join(name), bytes)?)
}

fn message(dir: &Path, name: &str, kind: wire::from_agent::Kind) -> Outcome {
    put(dir, "wire", name, wire::FromAgent { kind: Some(kind) }.encode_to_vec())
}

fn packets(dir: &Path) -> Outcome {
    for (i, scheme) in (0_u8..).zip(SCHEMES) {
        let id = scheme.card().id;
        let mut v4 = vec![i, 0];
        v4.extend([2; 12]);
        v4.extend([8, 0]);
        v4.extend(udp4(i.into()));
        put(dir, "packet", &format!("{id}-v4"), v4)?;
        let mut v6 = vec![i, 1];
        v6.extend([2; 12]);
        v6.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 8, 17, 64]);
        v6.extend([0x20, 1, 0, 2, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 7]);
        v6.extend([0x20, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
        v6.extend([0x12, 0x34, 0, 9, 0, 8, 0, 0]);
        put(dir, "packet", &format!("{id}-v6"), v6)?;
        put(dir, "answer", id, [i, 3, 3, 7, 2, 0, 1, 255])?;
    }
    Ok(())
}

fn ledgers(dir: &Path) -> Outcome {
    let map = line();
    let place = map.place(ids()[0]).ok_or("the line has a gateway")?;
    for (i, entry) in (0_u8..).zip(SCHEMES) {
        let id = entry.card().id;
        let scheme = entry.build(&entry.defaults())?;
        let key = case().key;
        let mut observer =
            scheme.vantage(Setting { place, key, draws: Draws::Keyed, filter: None });
        for seq in 0..20 {
            let bytes = udp4(seq);
            observer.see(Nanos(seq), &Packet::parse(&bytes[..])?);
        }
        let ledger = observer.cut();
        let marks = [&[i], &ledger.clone().unwrap_or_default()[..]].concat();
        let over = [&serde_json::to_vec(&case())?[..], &[0], &marks].concat();
        put(dir, "map", id, over)?;
        put(dir, "ledger", id, marks)?;
        let report = Report {
            scheme: id.into(),
            router: ids()[0],
            role: Role::Observer,
            window: Window::ALWAYS,
            counters: Counters::default(),
            lost: 0,
            footprint: 0,
            ledger,
            latency: vec![],
        };
        let report = report.encode();
        put(dir, "report", id, &report)?;
        let envelope = wire::Envelope { epoch: 1, seq: 1, report };
        message(dir, id, wire::from_agent::Kind::Envelope(envelope))?;
    }
    Ok(())
}

/// Raw IP packets in a pcap file, and the shortest pcapng file with one interface and one packet.
fn captures(dir: &Path) -> Outcome {
    let header = PcapHeader { datalink: DataLink::RAW, ..PcapHeader::default() };
    let mut pcap = PcapWriter::with_header(vec![2], header)?;
    for seq in 0..3 {
        let packet = udp4(seq);
        let length = u32::try_from(packet.len())?;
        pcap.write_packet(&PcapPacket::new(Duration::from_secs(seq), length, &packet))?;
    }
    put(dir, "capture", "pcap", pcap.into_writer())?;
    let mut ng = vec![2];
    ng.extend([0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0]);
    ng.extend([0xff; 8]);
    ng.extend([28, 0, 0, 0, 1, 0, 0, 0, 20, 0, 0, 0, 101, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0]);
    let packet = udp4(1);
    let (kept, block) = (u32::try_from(packet.len())?, u32::try_from(32 + packet.len())?);
    for word in [6, block, 0, 0, 1, kept, kept] {
        ng.extend(word.to_le_bytes());
    }
    ng.extend(packet);
    ng.extend(block.to_le_bytes());
    put(dir, "capture", "pcapng", ng)
}

const SCENARIOS: [(&str, &str); 3] = [
    ("first", include_str!("../../../scenarios/first.toml")),
    ("first-v6", include_str!("../../../scenarios/first-v6.toml")),
    ("borders", include_str!("../../../scenarios/borders.toml")),
];
