use super::*;
use crate::law::filter;

#[test]
fn the_law_on_what_was_seen_is_the_binomial_law() {
    let mut seen = Seen::new(8, 8);
    // 64 of 256 values of every function.
    (0..8).for_each(|f| (0..64).for_each(|v| seen.add(3, f, v * 4)));
    // As many as n true links leave on average, where 1 - (1 - 1/256)^n is a quarter.
    let n = (0.75_f64.ln() / (1.0 - 1.0 / 256.0_f64).ln()).round();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "about 74")]
    let law = filter::false_match(n as u32, 8, 8, 6);
    assert!((seen.false_match(3, 6) / law - 1.0).abs() < 0.05);
    assert!(seen.false_match(2, 1).abs() < 1e-12 && (seen.false_match(2, 0) - 1.0).abs() < 1e-12);
}

#[test]
fn values_lie_where_they_were_put() {
    for (functions, bits, last) in [(1_u8, 11, 0x7ff), (8, 8, 0xff), (1, 27, 0x7ff_ffff)] {
        let mut seen = Seen::new(functions.into(), bits);
        seen.add(30, functions - 1, last);
        seen.add(31, 0, 1); // saturated: ignored
        seen.add(4, functions, 1); // no such function: ignored
        let mut alone = [0; FUNCTIONS];
        alone[usize::from(functions) - 1] = last;
        assert_eq!(seen.matches(30, &alone, &[0; FUNCTIONS]), 1);
        assert_eq!(seen.cells.iter().map(Cell::len).sum::<u64>(), 1);
    }
}
