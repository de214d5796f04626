//! Loops, told by the routers that are in them: what PINT's bits can do besides path tracing.
//!
//! Idea: a router that finds its own hash on a packet has met the packet before, or another router's hash is the
//! same by chance. From the first match on nobody overwrites the hash, so that in a loop it comes back to the
//! same router, and on a path it must match by chance again. After `more` matches beyond the first the packet is
//! said to loop; bits that count matches are taken from those of the hash.
//!
//! Paper: Ben Basat et al., SIGCOMM 2020, appendix A.4 (pint2020). The appendix is known here from what is said
//! about it: this rule gives its printed rates of false loops ([`crate::law::false_loop`]).
//!
//! Departs: the first router clears what the sender wrote. No datapath marks packets so, since path tracing needs
//! the bits: this is the step alone, for measuring what it would find.

use crate::invariant::mix2;
use crate::scheme::RouterId;

/// How loops are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loops {
    bits: u32,
    more: u8,
}

/// What a packet carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Trail {
    /// The hash of the router that wrote last.
    pub hash: u32,
    /// How often a router found its own.
    pub matches: u8,
}

impl Loops {
    /// Hashes of so many bits, 1 to 32, and so many matches beyond the first; `None` out of range.
    pub fn new(bits: u32, more: u8) -> Option<Self> {
        ((1..=32).contains(&bits) && more < u8::MAX).then_some(Self { bits, more })
    }

    /// What a router does, the packet's `number`-th, counted from 1; whether it says that the packet loops.
    pub fn step(&self, me: RouterId, number: u8, digest: u64, trail: &mut Trail) -> bool {
        let own = self.hash(me, digest);
        if number <= 1 {
            *trail = Trail { hash: own, matches: 0 };
            return false;
        }
        if trail.hash == own {
            trail.matches = trail.matches.saturating_add(1);
            return trail.matches > self.more;
        }
        // Every router so far is as likely to have written last.
        let draw = mix2(digest, number.into()) >> 32;
        if trail.matches == 0 && draw * u64::from(number) < 1 << 32 {
            trail.hash = own;
        }
        false
    }

    /// A space of numbers apart from those of path tracing.
    fn hash(&self, router: RouterId, digest: u64) -> u32 {
        let word = mix2(digest, 3 << 32 | u64::from(router.0));
        (word >> (64 - self.bits) & 0xffff_ffff) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::mix;

    #[test]
    fn what_came_back_is_counted_and_kept() {
        let loops = Loops::new(32, 1).unwrap();
        // Routers 1 to 3, then 4 and 5 in a circle.
        let way = |hop: u8| RouterId(if hop <= 3 { hop.into() } else { 4 + u32::from(hop % 2) });
        for digest in (0..200).map(mix) {
            let mut trail = Trail { hash: 7, matches: 200 };
            let said: Vec<u8> =
                (1..=64).filter(|hop| loops.step(way(*hop), *hop, digest, &mut trail)).collect();
            let Some(first) = said.first() else { continue };
            // The first match is never enough, and each further one comes a circle later.
            assert!(*first >= 3 + 2 + 1 + 2, "{said:?}");
            assert!(said.iter().eq((*first..=64).step_by(2).collect::<Vec<_>>().iter()));
        }
    }

    #[test]
    fn widths_have_a_range() {
        assert!(Loops::new(0, 0).is_none() && Loops::new(33, 0).is_none());
        assert!(Loops::new(8, u8::MAX).is_none() && Loops::new(1, 3).is_some());
    }
}
