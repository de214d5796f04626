use super::*;
use crate::map::Map;
use crate::schemes::rig::case;

const ROUTER: RouterId = RouterId(0xc613_0001);

fn flows(marks: &[(u64, Mark)]) -> Evidence<Flows> {
    let mut ledger = Flows::default();
    marks.iter().for_each(|(flow, mark)| ledger.add(*flow, *mark, 8));
    Evidence { ledgers: [(ROUTER, ledger)].into(), ..Evidence::default() }
}

fn rebuild(marks: &[(u64, Mark)]) -> Result<Step, Gap> {
    let dpm = Dpm::new(&Params::default()).unwrap();
    dpm.reconstruct(&case(Map::default(), vec![]), &flows(marks))
}

#[test]
fn both_halves_of_one_flow_name_the_ingress() {
    let [left, right] = [0, 1].map(|half| Mark::of(ROUTER, half));
    assert_eq!((left.bits, right.bits), (0xc613, 0x0001));
    let found = Finding::Ingress { routers: [ROUTER].into() };
    assert_eq!(rebuild(&[(7, left), (7, right), (7, left)]), Ok(Step::Done(found)));
    // Halves of different flows are never put together.
    let few = Gap::TooFew { have: 2, want: 3 };
    assert_eq!(rebuild(&[(7, left), (8, right)]), Err(few));
}

#[test]
fn a_flow_from_two_routers_is_set_aside() {
    let mark = |id: u32, half| (7, Mark::of(RouterId(id), half));
    let marks = [mark(1 << 16, 0), mark(1 << 16, 1), mark(2 << 16, 0)];
    assert_eq!(rebuild(&marks), Err(Gap::Mixed { packets: 3 }));
}

#[test]
fn only_the_edge_marks_and_it_wipes_what_was_there() {
    let dpm = Dpm::new(&Params::default()).unwrap();
    let inv = Invariant::NONE;
    let forged = Mark { half: 1, bits: 0xbad };
    let inside = Hop { draw: 1, ..Hop::default() };
    assert_eq!(dpm.mark(&ROUTER, &inside, &inv, forged).mark, forged);
    let edge = Hop { edge: 1, ..inside };
    assert_eq!(dpm.mark(&ROUTER, &edge, &inv, forged).mark, Mark::of(ROUTER, 1));
}

#[test]
fn flows_beyond_the_capacity_are_counted() {
    let marks: Vec<_> = (0..10).map(|flow| (flow, Mark::of(ROUTER, 0))).collect();
    let ledger = flows(&marks).ledgers.remove(&ROUTER).unwrap();
    assert_eq!((ledger.flows.len(), ledger.lost), (8, 2));
}
