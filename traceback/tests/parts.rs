//! Following a packet part by part, where each part of the network is asked by somebody else, tells what
//! following it through the whole tells.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod support;

use support::{case, frame, id, line, routers, schemes, v6, walk};
use traceback::case::{Case, Sample, Step};
use traceback::disclose::changes;
use traceback::graph::Finding;
use traceback::handed::Handed;
use traceback::router::{ETHERNET, Router};
use traceback::scheme::Keeper;
use traceback::schemes::{Answers, AnyScheme};
use traceback::{Nanos, RouterId};

/// The only path of a case and who handed its sample over, as the routers of its part answer.
fn trace(
    scheme: &dyn AnyScheme,
    case: &Case,
    routers: &[Router],
) -> Option<(Vec<RouterId>, Vec<Handed>)> {
    let mut answers = Answers::new();
    loop {
        match scheme.reconstruct(case, &[], &answers) {
            Ok(Step::Ask(questions)) => {
                for (router, query) in questions {
                    assert!(!case.beyond.contains(&router), "{} asks beyond", scheme.card().id);
                    let asked = routers.iter().find(|r| r.place().id == router).unwrap();
                    let answer = asked.vantage.as_ref().unwrap().answer(&query);
                    answers.insert((router, query), Some(answer));
                }
            }
            Ok(Step::Done(Finding::Paths(graph))) => {
                let paths: Vec<_> = graph.paths.into_iter().collect();
                assert_eq!(paths.len(), 1, "{}", scheme.card().id);
                return Some((paths.concat(), scheme.handed(case, &answers)));
            }
            Ok(Step::Done(other)) => panic!("{other:?}"),
            Err(_) => return None,
        }
    }
}

fn sent(scheme: &dyn AnyScheme) -> Vec<u8> {
    let v6 = v6(scheme);
    frame(v6, 1, if v6 { 20 } else { 0 })
}

const ROUTERS: u16 = 40;

/// The path as parts of so many routers tell it, each asked about the packet as the one behind it got it.
fn in_parts(
    scheme: &dyn AnyScheme,
    whole: &Case,
    routers: &[Router],
    length: u16,
) -> Vec<RouterId> {
    let (mut part, mut rest, mut joined) = (whole.clone(), ROUTERS, vec![]);
    while rest > 0 {
        let first = rest.saturating_sub(length);
        part.gateway = id(rest - 1);
        part.beyond = (0..ROUTERS).filter(|r| !(first..rest).contains(r)).map(id).collect();
        let (path, handed) = trace(scheme, &part, routers).unwrap();
        joined.splice(0..0, path);
        // The router behind the part may stand there as well where nobody in it logged.
        let mut before = handed.into_iter().filter(|h| h.by < id(first));
        let over = before.next();
        assert_eq!(before.next(), None, "{}", scheme.card().id);
        let expected = first.checked_sub(1).filter(|_| changes(scheme)).map(id);
        assert_eq!(over.map(|h| h.by), expected, "{} {length}", scheme.card().id);
        if let Some(over) = over {
            let bytes = &part.samples[0].bytes;
            part.samples[0].bytes = over.packet(&scheme.card(), bytes).unwrap();
        }
        rest = first;
    }
    joined
}

#[test]
fn parts_join_to_the_whole_path() {
    let map = line(ROUTERS);
    let logging = schemes().into_iter().filter(|s| s.card().keeper == Keeper::Routers);
    for scheme in logging {
        let name = scheme.card().id;
        let mut routers = routers(&*scheme, &map);
        let mut bytes = sent(&*scheme);
        walk(&mut routers, &mut bytes, Nanos(5));
        let arrived = Sample { bytes: bytes[ETHERNET..].to_vec(), at: Nanos(5) };
        let whole = case(&map, vec![arrived], v6(&*scheme));
        let truth: Vec<RouterId> = (0..ROUTERS).map(id).collect();
        assert_eq!(trace(&*scheme, &whole, &routers).unwrap(), (truth.clone(), vec![]), "{name}");
        for length in 1..ROUTERS {
            let joined = in_parts(&*scheme, &whole, &routers, length);
            assert_eq!(joined, truth, "{name} in parts of {length}");
        }
    }
}

/// A packet that a domain is shown, but that never passed there, is not said to have passed where logs can tell.
#[test]
fn what_a_log_denies_is_not_believed() {
    let map = line(6);
    for id_ in ["spie", "hit", "dex"] {
        let scheme = schemes().into_iter().find(|s| s.card().id == id_).unwrap();
        let mut there = routers(&*scheme, &map);
        let mut bytes = sent(&*scheme);
        walk(&mut there, &mut bytes, Nanos(5));
        let arrived = Sample { bytes: bytes[ETHERNET..].to_vec(), at: Nanos(5) };
        let whole = case(&map, vec![arrived], v6(&*scheme));
        assert!(trace(&*scheme, &whole, &there).is_some(), "{id_}");
        assert_eq!(trace(&*scheme, &whole, &routers(&*scheme, &map)), None, "{id_}");
    }
}
