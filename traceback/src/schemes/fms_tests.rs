use super::*;

fn step(fms: &Fms, me: u32, draw: u32, before: Mark) -> Mark {
    let hop = Hop { me: RouterId(me), draw, ..Hop::default() };
    let inv = Invariant::NONE;
    fms.mark(&Check::default().name(RouterId(me)), &hop, &inv, before).mark
}

#[test]
fn distance_saturates_on_forty_hops() {
    let fms = Fms::new(&Params::default()).unwrap();
    let mut mark = Mark { offset: 0, distance: 0, fragment: 0 };
    for hop in 1..=40 {
        mark = step(&fms, hop, u32::MAX, mark);
        assert_eq!(u32::from(mark.distance), hop.min(31));
    }
}

#[test]
fn forged_marks_never_arrive_nearer_than_their_sender() {
    let fms = Fms::new(&Params::default()).unwrap();
    for bits in 0..=0xffff {
        let mut mark = Mark::unpack(bits);
        for hop in 1..=6 {
            mark = step(&fms, hop, u32::MAX, mark);
        }
        assert!(mark.distance >= 6);
    }
}

#[test]
fn p_must_be_a_probability() {
    for p in [0.0, -0.1, 1.4, f64::NAN] {
        assert_eq!(Fms::new(&Params { p, ..Params::default() }).unwrap_err().key, "p");
    }
    let always = Fms::new(&Params { p: 1.0, ..Params::default() }).unwrap();
    assert_eq!(always.threshold, 1 << 32);
}
