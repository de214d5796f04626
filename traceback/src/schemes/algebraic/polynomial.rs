//! Polynomials over the integers modulo 257.

/// The prime: the first above all values of a byte.
pub(crate) const P: u16 = 257;

/// The coefficients, that of `x^0` first, of the polynomial of least degree through these points, whose
/// `x` are all different and below [`P`]. As many as there are points.
///
/// Newton's form: the polynomial through the first `i` points plus a multiple of the one that is zero at
/// all of them.
pub(crate) fn interpolate(points: &[(u16, u16)]) -> Vec<u16> {
    let p = u32::from(P);
    let mut sum = vec![0_u32; points.len()];
    let mut zero = vec![1_u32];
    for (x, y) in points {
        let (x, y) = (u32::from(*x), u32::from(*y));
        let at = |poly: &[u32]| poly.iter().rev().fold(0, |v, c| (v * x + c) % p);
        let factor = (y + p - at(&sum)) % p * inverse(at(&zero)) % p;
        for (s, z) in sum.iter_mut().zip(&zero) {
            *s = (*s + factor * z) % p;
        }
        // zero * (X - x)
        let shifted = [0].into_iter().chain(zero.iter().copied());
        let scaled = zero.iter().map(|z| z * (p - x) % p).chain([0]);
        zero = shifted.zip(scaled).map(|(a, b)| (a + b) % p).collect();
    }
    sum.into_iter().map(|c| u16::try_from(c).unwrap_or(P)).collect()
}

/// By Fermat: `a^(p-2)`.
fn inverse(a: u32) -> u32 {
    (0..P - 2).fold(1, |power, _| power * a % u32::from(P))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_polynomial_is_its_values() {
        let coefficients: Vec<u16> = (0..40).map(|i| (i * 37 + 5) % 257).collect();
        let value = |x: u16| {
            coefficients.iter().rev().fold(0_u32, |v, c| (v * u32::from(x) + u32::from(*c)) % 257)
        };
        let points: Vec<(u16, u16)> =
            (100..140).map(|x| (x, u16::try_from(value(x)).unwrap())).collect();
        assert_eq!(interpolate(&points), coefficients);
        assert_eq!(interpolate(&[(0, 7)]), [7]);
        assert!(interpolate(&[]).is_empty());
    }

    #[test]
    fn inverses() {
        assert!((1..257).all(|a| a * inverse(a) % 257 == 1));
    }
}
