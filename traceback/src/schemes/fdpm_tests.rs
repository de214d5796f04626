use super::*;
use crate::invariant::mix;

fn scheme(params: Params) -> Fdpm {
    Fdpm::new(&params).unwrap()
}

#[test]
fn bits_come_back_and_the_rest_of_tos_stays() {
    for length in [24, 19, 16] {
        let fdpm = scheme(Params { length, ..Params::default() });
        for n in 0..1_000 {
            let word = mix(n);
            let (before, bits) = (Mark::unpack(word as u32), (word >> 32) as u32 >> (32 - length));
            let mark = fdpm.place(before, bits);
            assert_eq!(fdpm.bits(mark), Some(bits));
            let spared = (1 << (24 - length)) - 1;
            assert_eq!(mark.0 >> 17 & spared, before.0 >> 17 & spared);
            assert_eq!(fdpm.bits(Mark(mark.0 & !MARKED)), None);
        }
    }
}

/// Share of packets marked in each of two flows, one with nine tenths of the load.
fn marked(params: Params, packets_a_second: u64) -> [f64; 2] {
    let fdpm = scheme(params);
    let mut ledger = Seen::default();
    let [mut marked, mut sent] = [[0_u32; 2]; 2];
    for n in 0..packets_a_second {
        let at = Nanos(n * 1_000_000_000 / packets_a_second);
        // The small flow is many: a flow of its own for each packet.
        let big = n % 10 > 0;
        let inv = Invariant { digest: 0, flow: if big { 1 } else { mix(n) } };
        let hop = Hop { edge: 1, at, draw: 7, ..Hop::default() };
        let mut after = fdpm.mark(&5, &hop, &inv, Mark(MARKED | 3));
        if let Some(key) = after.need {
            let cell = ledger.cell(key, at);
            after = fdpm.mark(&5, &Hop { cell, ..hop }, &inv, Mark(MARKED | 3));
        }
        sent[usize::from(big)] += 1;
        marked[usize::from(big)] += u32::from(after.mark.0 & MARKED != 0);
    }
    [0, 1].map(|flow| f64::from(marked[flow]) / f64::from(sent[flow]))
}

#[test]
fn under_load_only_flows_that_dominate_are_marked_then_none() {
    let params = Params { most: 10_000, none: 200_000, ..Params::default() };
    assert_eq!(marked(params, 9_000), [1.0, 1.0]);
    // The first window has nothing before it.
    let [small, big] = marked(params, 100_000);
    assert!(small < 0.011 && (big - 1.0).abs() < 1e-9, "{small} {big}");
    let [small, big] = marked(params, 1_000_000);
    assert!(small < 0.011 && big < 0.011, "{small} {big}");
}

#[test]
fn an_unmarked_packet_never_counts() {
    let fdpm = scheme(Params { most: 1, ..Params::default() });
    let busy = Hop { edge: 1, cell: 100 << 8 | 1, ..Hop::default() };
    let after = fdpm.mark(&5, &busy, &Invariant::NONE, Mark(MARKED | 77)).mark;
    let mut ledger = Seen::default();
    fdpm.observe(&busy, &Invariant::NONE, after, &[], &mut ledger);
    assert_eq!(ledger.marks.packets(), 0);
}

#[test]
fn parameters_have_ranges() {
    let bad = [
        Params { length: 25, ..Params::default() },
        Params { share: 0.0, ..Params::default() },
        Params { share: 1.5, ..Params::default() },
    ];
    assert!(bad.iter().all(|p| Fdpm::new(p).is_err()));
}
