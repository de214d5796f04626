//! Probabilities, and the one question that a step asks of its draw.

use super::BadParams;
use crate::stats::whole;

/// The number of 32-bit draws, of 2^32, that lie below probability `p`.
///
/// # Errors
/// [`BadParams`] under `key` where `p` is no probability above 0.
pub fn probability(key: &'static str, p: f64) -> Result<u64, BadParams> {
    if p > 0.0 && p <= 1.0 {
        Ok(whole((p * f64::from(u32::MAX) + p).round()))
    } else {
        Err(BadParams { key, must: "must lie above 0 and at most at 1", got: p.to_string() })
    }
}

/// A question to a router's draw: is it small, which it is with probability `p`, and which of 2^`bits`
/// equally likely values are its low bits?
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chance {
    /// Probability of a small draw: 0 is one, unless `p` is 0, and `u32::MAX` is none, unless it is 1.
    pub p: f64,
    /// Low bits that count, whatever the rest.
    pub bits: u32,
}
