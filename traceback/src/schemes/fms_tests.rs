use super::*;

fn step(fms: &Fms, me: u32, draw: u32, before: Mark) -> Mark {
    let hop = Hop { me: RouterId(me), draw, ..Hop::default() };
    let inv = Invariant { digest: 0, flow: 0 };
    fms.mark(&name(RouterId(me)), &hop, &inv, before).mark
}

#[test]
fn layout_is_offset_distance_fragment() {
    let mark = Mark { offset: 5, distance: 31, fragment: 0xa7 };
    assert_eq!(mark.pack(), 5 << 13 | 31 << 8 | 0xa7);
    assert!((0..=0xffff).all(|bits| Mark::unpack(bits).pack() == bits));
}

#[test]
fn name_interleaves_address_on_even_bits() {
    let bits = u64::from_be_bytes(name(RouterId(0x8000_0001)));
    assert_eq!(bits >> 63, 1); // first address bit
    assert_eq!(bits >> 1 & 1, 1); // last address bit
    assert_eq!(check(name(RouterId(0xc613_0007))), Some(RouterId(0xc613_0007)));
    let mut wrong = name(RouterId(0xc613_0007));
    wrong[3] ^= 0x10;
    assert_eq!(check(wrong), None);
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
        assert_eq!(Fms::new(&Params { p }).unwrap_err().key, "p");
    }
    assert_eq!(Fms::new(&Params { p: 1.0 }).unwrap().threshold, 1 << 32);
}
