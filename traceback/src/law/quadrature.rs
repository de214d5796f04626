//! Adaptive integration: Gauss-Kronrod with 7 and 15 points, halving where the two disagree.
//!
//! Source: Piessens et al., QUADPACK, 1983, the rule `qk15`.

/// Integrates `f` from `a` to `b` until the estimated error is below `tolerance`.
///
/// An integrand that is not a number ends it at once; an interval is halved at most `DEPTH` times.
pub(super) fn integrate(f: &impl Fn(f64) -> f64, a: f64, b: f64, tolerance: f64) -> f64 {
    halve(f, a, b, tolerance, DEPTH)
}

fn halve(f: &impl Fn(f64) -> f64, a: f64, b: f64, tolerance: f64, depth: u32) -> f64 {
    let (fine, coarse) = rule(f, a, b);
    let error = (fine - coarse).abs();
    if error <= tolerance || error.is_nan() || depth == 0 {
        return fine;
    }
    let middle = f64::midpoint(a, b);
    halve(f, a, middle, tolerance / 2.0, depth - 1)
        + halve(f, middle, b, tolerance / 2.0, depth - 1)
}

/// The 15-point value and the 7-point value inside it.
fn rule(f: &impl Fn(f64) -> f64, a: f64, b: f64) -> (f64, f64) {
    let (centre, half) = (f64::midpoint(a, b), (b - a) / 2.0);
    let at_centre = f(centre);
    let (mut fine, mut coarse) = (KRONROD[7] * at_centre, GAUSS[3] * at_centre);
    for (i, x) in NODES.iter().enumerate() {
        let pair = f(centre - half * x) + f(centre + half * x);
        fine += KRONROD[i] * pair;
        if i % 2 == 1 {
            coarse += GAUSS[i / 2] * pair;
        }
    }
    (fine * half, coarse * half)
}

const DEPTH: u32 = 40;
/// Distances of the points from the centre, outermost first; every second one is also Gauss's.
const NODES: [f64; 7] = [
    0.991_455_371_120_812_6,
    0.949_107_912_342_758_5,
    0.864_864_423_359_769_1,
    0.741_531_185_599_394_4,
    0.586_087_235_467_691_1,
    0.405_845_151_377_397_2,
    0.207_784_955_007_898_47,
];
const KRONROD: [f64; 8] = [
    0.022_935_322_010_529_224,
    0.063_092_092_629_978_56,
    0.104_790_010_322_250_18,
    0.140_653_259_715_525_92,
    0.169_004_726_639_267_9,
    0.190_350_578_064_785_4,
    0.204_432_940_075_298_9,
    0.209_482_141_084_727_82,
];
const GAUSS: [f64; 4] = [
    0.129_484_966_168_869_7,
    0.279_705_391_489_276_64,
    0.381_830_050_505_118_9,
    0.417_959_183_673_469_4,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_integrals() {
        let sine = integrate(&f64::sin, 0.0, std::f64::consts::PI, 1e-12);
        assert!((sine - 2.0).abs() < 1e-12);
        let peak = integrate(&|x: f64| 1.0 / (1e-6 + x * x), -1.0, 1.0, 1e-9);
        assert!((peak - 2.0 * 1000_f64.atan() * 1000.0).abs() < 1e-6, "{peak}");
    }
}
