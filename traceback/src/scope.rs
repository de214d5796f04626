//! The address ranges set aside for benchmarks, where all traffic of the testbed stays.
//!
//! These bounds are compiled in: no scenario, flag or environment variable widens them.
//!
//! Source: RFC 2544 (198.18.0.0/15) and RFC 5180 with its erratum 1752 (2001:2::/48).

use std::net::IpAddr;

/// Whether an address lies in the testbed's ranges.
pub fn contains(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => a.octets()[0] == 198 && a.octets()[1] & 0xfe == 18,
        IpAddr::V6(a) => a.segments()[..3] == [0x2001, 2, 0],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_where_the_standards_put_them() {
        let inside = |text: &str| contains(text.parse().unwrap());
        assert!(
            ["198.18.0.0", "198.19.255.255", "2001:2::", "2001:2::ffff:1"].into_iter().all(inside)
        );
        let outside = ["198.17.255.255", "198.20.0.0", "10.0.0.1", "2001:2:1::", "2001:1::", "::1"];
        assert!(!outside.into_iter().any(inside));
    }
}
