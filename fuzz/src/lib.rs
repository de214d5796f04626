//! What the fuzz targets do with their bytes, one function for each decoder.
//!
//! A function returns for any input: a panic, a hang or memory without bound is a finding. Where a
//! codec promises one encoding for each value, that is checked as well.

mod place;

pub use place::{ADDRESSES, case, ids, line, udp4};

use prost::Message;
use std::hint::black_box;
use std::sync::Arc;
use traceback::case::{Answer, Case, Query, Step};
use traceback::disclose::{Policy, Tlp};
use traceback::fib::{Fib, NextHop};
use traceback::invariant::Invariant;
use traceback::map::Map;
use traceback::packet::Packet;
use traceback::report::Report;
use traceback::router::{ETHERNET, Far, Port, Router};
use traceback::scheme::Keeper;
use traceback::schemes::{Answers, AnyScheme, SCHEMES};
use traceback::slot::Slot;
use traceback::vantage::{Draws, Setting};
use traceback::{Nanos, RouterId};

/// The scheme that a byte chooses, with its paper's parameters.
fn scheme(choice: u8) -> Arc<dyn AnyScheme> {
    let entry = SCHEMES[usize::from(choice) % SCHEMES.len()];
    let mut params = entry.defaults();
    // Full-sized pages would spend the time on clearing memory.
    if let Some(bits) = params.get_mut("bits") {
        *bits = 4096.into();
    }
    entry.build(&params).expect("a scheme takes its own defaults")
}

/// Frames: parsing, slots, reserved room, hashes, and the router with every scheme.
///
/// Input: scheme, ingress port, then the frame.
pub fn packet(bytes: &[u8]) {
    let [choice, port, frame @ ..] = bytes else { return };
    let scheme = scheme(*choice);
    let mut frame = frame.to_vec();
    let mut router = router(scheme.as_ref());
    black_box(router.forward(u16::from(*port % 3), &mut frame, Nanos(1), &mut ()));
    let Some(ip) = frame.get_mut(ETHERNET..) else { return };
    if let Ok(packet) = Packet::parse(&*ip) {
        let mut observer = scheme.vantage(setting());
        observer.see(Nanos(2), &packet);
        black_box(observer.cut());
        black_box((packet.payload(), packet.records(), Invariant::of(&packet, ADDRESSES.key)));
    }
    if let Ok(mut packet) = Packet::parse(ip) {
        for slot in [Slot::Id, Slot::IdReserved, Slot::IdTosReserved, Slot::FlowLabel] {
            let Some(value) = slot.read(&packet) else { continue };
            slot.write(&mut packet, !value);
            assert_eq!(slot.read(&packet), Some(!value & ((1 << slot.bits()) - 1)), "{slot:?}");
        }
        packet.push_record(7);
        // What we changed is still a packet: lengths and header checksum hold.
        assert!(Packet::parse(packet.as_bytes()).is_ok());
    }
}

fn setting() -> Setting {
    let place = line().place(ids()[1]).expect("the line has this router");
    Setting { place, key: ADDRESSES.key, draws: Draws::Keyed, filter: None }
}

fn router(scheme: &dyn AnyScheme) -> Router {
    let mut fib = Fib::default();
    for (net, len) in ADDRESSES.nets {
        fib.insert(net, len, NextHop { port: 1, via: None });
    }
    let port = |neighbour| Port {
        far: Far { neighbour, ..Far::default() },
        addresses: ADDRESSES.own.to_vec(),
        mtu: 1500,
    };
    let ports = vec![port(Some(ids()[0])), port(Some(ids()[2])), port(None)];
    let mut router = Router::new(setting().place, ports, &[], fib);
    router.vantage = Some(scheme.vantage(setting()));
    router
}

/// Reports: one encoding for each value.
pub fn report(bytes: &[u8]) {
    if let Ok(report) = Report::decode(bytes) {
        assert_eq!(report.encode(), bytes, "{report:?}");
    }
}

/// Ledgers of every scheme: decoded, merged, and used to rebuild paths.
///
/// Input: scheme, then a ledger's encoding.
pub fn ledger(bytes: &[u8]) {
    let [choice, ledger @ ..] = bytes else { return };
    let scheme = scheme(*choice);
    let case = case();
    if let Ok(merged) = scheme.merge(ledger, ledger) {
        // What merging wrote decodes, and merging goes on.
        scheme.merge(&merged, ledger).expect("a merged ledger decodes");
    }
    black_box(scheme.reconstruct(&case, &[(case.gateway, ledger)], &Answers::new())).ok();
}

/// Answers of routers, to schemes that ask: any answer, silence or refusal, in every round.
///
/// Input: scheme, then one byte for each question: refused, wrong length, or seen and not seen.
pub fn answer(bytes: &[u8]) {
    let [choice, replies @ ..] = bytes else { return };
    pursue(&*scheme(*choice), &case(), &[], replies);
}

/// Reconstructs to the end; routers that no reply is left for refuse.
fn pursue(scheme: &dyn AnyScheme, case: &Case, evidence: &[(RouterId, &[u8])], replies: &[u8]) {
    let mut answers = Answers::new();
    let mut replies = replies.iter().copied();
    // More rounds than the map has routers make no sense: the scheme must have ended by then.
    for _ in 0..=case.map.routers().len() {
        let Ok(Step::Ask(questions)) = scheme.reconstruct(case, evidence, &answers) else {
            return;
        };
        for (router, query) in questions {
            let reply = reply(replies.next().unwrap_or(0), &query);
            answers.insert((router, query), reply);
        }
    }
    panic!("{} asks without end", scheme.card().id);
}

fn reply(byte: u8, query: &Query) -> Option<Answer> {
    let keys = query.keys.len();
    match byte & 3 {
        0 => None,
        1 => Some(Answer { values: vec![Some(u64::from(byte)); usize::from(byte >> 2)] }),
        2 => Some(Answer { values: vec![None; keys] }),
        _ => Some(Answer { values: vec![Some(u64::from(byte >> 2)); keys] }),
    }
}

/// Messages of the wire protocol in both directions, and their translation into our types.
pub fn wire(bytes: &[u8]) {
    use ashiato_collector::wire;
    if let Ok(message) = wire::FromAgent::decode(bytes) {
        match message.kind {
            Some(wire::from_agent::Kind::Hello(hello)) => {
                black_box((wire::router(&hello.router), wire::is_name(&hello.agent)));
                black_box(hello.role().as_report());
            }
            Some(wire::from_agent::Kind::Envelope(envelope)) => report(&envelope.report),
            Some(wire::from_agent::Kind::Reply(reply)) => {
                black_box(reply.answer.map(Answer::from));
            }
            Some(wire::from_agent::Kind::CutDone(_)) | None => {}
        }
    }
    black_box(wire::ToAgent::decode(bytes)).ok();
    black_box(wire::TraceRequest::decode(bytes)).ok();
}

/// Messages between domains, documents in XML and JSON: what is read says the same when it is written again.
pub fn rid(bytes: &[u8]) {
    use ashiato_collector::iodef::{Document, Stamp};
    use ashiato_collector::rid::Message;
    match Message::read(bytes) {
        Ok(read) => {
            let again = Message::read(&read.message.write()).expect("what was written is read");
            assert_eq!((&again.message, again.ignored.len()), (&read.message, 0));
        }
        Err(unread) => {
            let refusal = unread.refusal("xb", "xa", Stamp::from_unix_ns(0));
            Message::read(&refusal.write()).expect("a refusal is read");
        }
    }
    for read in [Document::from_xml(bytes), Document::from_json(bytes)].into_iter().flatten() {
        let xml = Document::from_xml(&read.document.to_xml()).expect("what was written is read");
        assert_eq!(xml.document.label(), read.document.label());
        let json = Document::from_json(&read.document.to_json()).expect("what was written is read");
        assert_eq!(json.document, read.document);
    }
}

/// Capture files: marked by a router into a copy, and watched by an observer.
///
/// Input: scheme, then the file.
pub fn capture(bytes: &[u8]) {
    use ashiato_agent::capture;
    let [choice, file @ ..] = bytes else { return };
    let scheme = scheme(*choice);
    let (place, mut copy) = (setting().place, vec![]);
    let mut router = scheme.vantage(setting());
    let (counts, done) = capture::mark(file, &mut copy, place, router.as_mut());
    black_box((counts, done.is_ok()));
    let mut observer = scheme.vantage(setting());
    let (_, seen, _) = capture::observe(file, scheme.card().id, ids()[0], observer.as_mut());
    report(&seen.encode());
}

/// Scenario files: parsed, checked and resolved. A plan that comes out serves every later stage.
pub fn scenario(bytes: &[u8]) {
    use ashiato::{plan::Plan, resolve, scenario};
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(scenario) = scenario::parse("fuzz.toml", text, &scenario::Overrides::default()) else {
        return;
    };
    let Ok(plan) = resolve::plan(&scenario) else { return };
    plan.map().expect("a plan's map holds");
    let again: Plan = serde_json::from_slice(&plan.to_json()).expect("a plan reads back");
    assert_eq!(again, plan);
    (0..plan.routers.len()).for_each(|i| drop(black_box((plan.router_ports(i), plan.fib(i)))));
}

/// Domains' policies: parsed, checked, and asked by everybody. No answer shows more than its rule.
pub fn policy(bytes: &[u8]) {
    use ashiato::policy::{Question, Record, requesters};
    use ashiato::scenario::policies;
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(policy) = policies::parse("fuzz.toml", text) else { return };
    let text = serde_json::to_string(&policy).expect("a policy is plain data");
    assert_eq!(serde_json::from_str::<Policy>(&text).expect("a policy reads back"), policy);
    for requester in requesters(&policy) {
        let question = Question {
            origin: requester.clone(),
            requester,
            purpose: "traceback".into(),
            tlp: Tlp::Green,
            at_unix_s: 1_700_000_000,
            asked_in_last_hour: 1,
        };
        let answer = question.put(&policy, &Record::example());
        assert!(answer.terms.is_none_or(|terms| terms.detail.allows(terms.shown())));
    }
}

/// Manifests as directors hand them over, and beacons as they come in.
pub fn manifest(bytes: &[u8]) {
    use ashiato::safety::{Manifest, beacon};
    black_box(beacon::understand(bytes, "", &[0; 32]));
    let Ok(manifest) = Manifest::parse(bytes) else { return };
    black_box((manifest.unsigned(), manifest.terms.digest(), manifest.terms.bounds().table()));
    let text = serde_json::to_vec(&manifest).expect("a manifest is plain data");
    assert_eq!(Manifest::parse(&text).expect("a manifest reads back"), manifest);
}

/// Maps and cases as JSON, and every scheme's reconstruction over such a map.
///
/// Input: JSON; where more is wanted, a zero, the scheme, then its ledger, whose bytes are the routers' replies as well.
pub fn map(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let (json, rest) = bytes.split_at(end);
    if let Ok(map) = serde_json::from_slice::<Map>(json) {
        for router in map.routers() {
            assert_eq!(map.place(router.id).map(|p| p.id), Some(router.id));
            black_box(map.neighbours(router.id).count());
        }
        let text = serde_json::to_vec(&map).expect("a map is plain data");
        assert_eq!(serde_json::from_slice::<Map>(&text).expect("a map reads back"), map);
    }
    if let Ok(found) = serde_json::from_slice::<Case>(json) {
        black_box(found.digests());
        black_box(found.map.neighbours(RouterId(0)).count());
        let [_, choice, ledger @ ..] = rest else { return };
        // How long it may take is the operator's word, not that of a map.
        let case = Case { budget: case().budget, ..found };
        let scheme = scheme(*choice);
        let told = scheme.card().keeper == Keeper::Victim;
        let evidence = [(case.gateway, ledger)];
        pursue(&*scheme, &case, if told { &evidence } else { &[] }, ledger);
    }
}
