use super::*;
use crate::graph::Finding;
use crate::invariant::mix;
use crate::schemes::ases::tests::case;

fn scheme(slots: u8) -> Fast {
    Fast::new(&Params { slots, ..Params::default() }).unwrap()
}

/// What arrives of a packet that passes two routers of each AS, of which the second takes no notice.
fn send(fast: &Fast, ases: &[u32], draw: impl Fn(usize) -> u32, mut mark: Mark) -> Mark {
    for (i, asn) in ases.iter().enumerate() {
        for second in [0, 1] {
            let (edge, border) = (u8::from(i == 0) & !second, u8::from(i > 0) & !second);
            let hop = Hop { draw: draw(i), edge, border, ..Hop::default() };
            mark = fast.mark(&fast.hash(*asn), &hop, &Invariant::NONE, mark).mark;
        }
    }
    mark
}

fn trace(fast: &Fast, case: &Case, marks: &[Mark]) -> Result<Step, Gap> {
    let mut evidence = Evidence::default();
    let ledger: &mut Marks = evidence.ledgers.entry(RouterId(1)).or_default();
    marks.iter().for_each(|mark| ledger.add(mark.0, 1 << 16));
    fast.reconstruct(case, &evidence)
}

#[test]
fn two_slots_and_one_hold_what_the_drawing_says() {
    let (one, two) = (scheme(1), scheme(2));
    // Nobody after the second AS wins a slot.
    let mark = |fast: &Fast| send(fast, &[7, 5, 9], |_| u32::MAX, Mark(0x01ff_ffff));
    assert_eq!((mark(&one).ases(), mark(&two).ases()), (3, 3));
    assert_eq!(one.slots(mark(&one)).collect::<Vec<_>>(), [(1, one.hash(7))]);
    assert_eq!(two.slots(mark(&two)).collect::<Vec<_>>(), [(1, two.hash(7)), (2, two.hash(5))]);
    // The last wins the first slot, or the second.
    let second = send(&two, &[7, 5, 9], |_| 1, Mark(0));
    assert_eq!(two.slots(second).collect::<Vec<_>>(), [(1, two.hash(7)), (3, two.hash(9))]);
    assert_eq!(one.slots(send(&one, &[7, 5, 9], |_| 0, Mark(0))).next(), Some((3, one.hash(9))));
}

#[test]
fn every_system_is_shown_as_often_as_any_other() {
    for slots in [1, 2] {
        let fast = scheme(slots);
        let mut shown = [0_u32; 6];
        for n in 0..60_000 {
            let draw = |i: usize| (mix(n * 8 + i as u64) >> 32) as u32;
            let mark = send(&fast, &[1, 2, 3, 4, 5, 6], draw, Mark(0));
            fast.slots(mark).for_each(|(place, _)| shown[usize::from(place) - 1] += 1);
        }
        // Mean 10,000 for each slot; five standard deviations are at most 600.
        let mean = 10_000 * u32::from(slots);
        assert!(shown.iter().all(|n| n.abs_diff(mean) < 600), "{shown:?}");
    }
}

#[test]
fn paths_of_different_lengths_stand_when_all_their_systems_were_seen() {
    for slots in [1, 2] {
        let fast = scheme(slots);
        let (ases, case) = ([7, 5, 11, 9], case(&[7, 5, 11, 9]));
        let marks = |path: &[u32], packets: u64| -> Vec<Mark> {
            let draw = |n: u64| move |i: usize| (mix(n * 8 + i as u64) >> 32) as u32;
            (0..packets).map(|n| send(&fast, path, draw(n), Mark(0x155_5555))).collect()
        };
        let both = [marks(&ases, 200), marks(&ases[1..], 200)].concat();
        let paths = [ases.to_vec(), ases[1..].to_vec()].into();
        assert_eq!(trace(&fast, &case, &both), Ok(Step::Done(Finding::AsPaths { paths })));
        // One packet shows no more than its slots.
        assert!(matches!(trace(&fast, &case, &marks(&ases, 1)), Err(Gap::TooFew { have: 1, .. })));
    }
}

#[test]
fn more_than_seven_systems_and_senders_without_a_first_one_say_nothing() {
    let fast = scheme(2);
    let ases = [1, 2, 3, 4, 5, 6, 7, 8, 9];
    for n in 8..=9 {
        assert_eq!(send(&fast, &ases[..n], |_| u32::MAX, Mark(0)).ases(), 0);
    }
    let lone = Hop { border: 1, ..Hop::default() };
    let mark = fast.mark(&fast.hash(3), &lone, &Invariant::NONE, Mark(0x3f_ffff)).mark;
    assert_eq!(mark.ases(), 0);
    assert!(matches!(trace(&fast, &case(&ases), &[mark]), Err(Gap::TooFew { .. })));
}
