//! A router's forwarding table: longest prefix first.
//!
//! Pure and small: routers of a testbed have tens of routes. Filled from a plan in the simulator,
//! and from the kernel's tables by the agent.

use std::net::IpAddr;

/// Where a packet goes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NextHop {
    /// Index of the port it leaves by.
    pub port: u16,
    /// The neighbour's address; `None` where the destination itself is on the link.
    pub via: Option<IpAddr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Route {
    len: u8,
    net: u128,
    /// `None` refuses: no shorter prefix is tried.
    next: Option<NextHop>,
}

/// What is compared for IPv4, most of all packets: a quarter of the bits, and no shifts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Short {
    mask: u32,
    net: u32,
}

/// Longest-prefix look-up for both versions of IP.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fib {
    v4: Vec<Route>,
    v6: Vec<Route>,
    /// As `v4`, entry by entry.
    short: Vec<Short>,
    /// Further next hops of prefixes that have one above, as good as that, by version of IP (whether it
    /// is the sixth) and prefix.
    also: Vec<(bool, Route)>,
}

impl Fib {
    /// Adds a route, or replaces the one with the same prefix. Bits beyond `len` are ignored, and a
    /// `len` beyond the address's width counts as that width.
    pub fn insert(&mut self, net: IpAddr, len: u8, next: NextHop) {
        self.put(net, len, Some(next));
    }

    /// Refuses a prefix, whatever shorter ones say: a blackhole, or a way out that is not ours.
    pub fn refuse(&mut self, net: IpAddr, len: u8) {
        self.put(net, len, None);
    }

    fn put(&mut self, net: IpAddr, len: u8, next: Option<NextHop>) {
        let (bits, width) = widen(net);
        let len = len.min(width);
        let table = if net.is_ipv4() { &mut self.v4 } else { &mut self.v6 };
        let route = Route { len, net: bits & mask(len), next };
        let end = table.partition_point(|r| r.len >= len);
        let begin = table.partition_point(|r| r.len > len);
        if let Some(same) = table[begin..end].iter_mut().find(|r| r.net == route.net) {
            *same = route;
            let replaced = (net.is_ipv6(), len, route.net);
            self.also.retain(|(v6, r)| (*v6, r.len, r.net) != replaced);
            return;
        }
        table.insert(end, route);
        if net.is_ipv4() {
            let upper = |wide: u128| u32::try_from(wide >> 96).unwrap_or(0);
            self.short.insert(end, Short { mask: upper(mask(len)), net: upper(route.net) });
        }
    }

    /// The next hop with the longest prefix that holds `to`.
    #[inline]
    pub fn lookup(&self, to: IpAddr) -> Option<&NextHop> {
        self.route(to)?.next.as_ref()
    }

    #[inline]
    fn route(&self, to: IpAddr) -> Option<&Route> {
        match to {
            IpAddr::V4(a) => self.route4(a.into()),
            IpAddr::V6(a) => {
                let bits = u128::from(a);
                self.v6.iter().find(|r| bits & mask(r.len) == r.net)
            }
        }
    }

    #[inline]
    fn route4(&self, to: u32) -> Option<&Route> {
        let at = self.short.iter().position(|s| to & s.mask == s.net)?;
        self.v4.get(at)
    }

    /// Adds a next hop that is as good as that of the same prefix, which [`Self::insert`] set.
    pub fn insert_also(&mut self, net: IpAddr, len: u8, next: NextHop) {
        let (bits, width) = widen(net);
        let len = len.min(width);
        self.also.push((net.is_ipv6(), Route { len, net: bits & mask(len), next: Some(next) }));
    }

    /// Whether some prefix has several next hops.
    pub fn forks(&self) -> bool {
        !self.also.is_empty()
    }

    /// As [`Self::lookup`], but spread over all next hops of the prefix by a hash of the packet, which is
    /// asked for where there are several.
    pub fn spread(&self, to: IpAddr, hash: impl FnOnce() -> u64) -> Option<&NextHop> {
        let route = self.route(to)?;
        let first = route.next.as_ref()?;
        let same =
            |(v6, r): &&(bool, Route)| (*v6, r.len, r.net) == (to.is_ipv6(), route.len, route.net);
        let also = || self.also.iter().filter(same).filter_map(|(_, r)| r.next.as_ref());
        match also().count() {
            0 => Some(first),
            more => std::iter::once(first).chain(also()).nth(crate::stats::below(hash(), more + 1)),
        }
    }

    /// Number of routes.
    pub fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// Whether there are no routes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The address in the upper bits of a word, and its width.
fn widen(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(a) => (u128::from(u32::from(a)) << 96, 32),
        IpAddr::V6(a) => (a.into(), 128),
    }
}

fn mask(len: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_wins() {
        let mut fib = Fib::default();
        let next = |port| NextHop { port, via: None };
        fib.insert("0.0.0.0".parse().unwrap(), 0, next(0));
        fib.insert("198.18.0.0".parse().unwrap(), 16, next(1));
        fib.insert("198.18.7.0".parse().unwrap(), 24, next(2));
        fib.insert("198.18.7.9".parse().unwrap(), 24, next(3)); // replaces: same prefix
        let look = |fib: &Fib, to: &str| fib.lookup(to.parse().unwrap()).map(|n| n.port);
        let port = |to| look(&fib, to);
        assert_eq!(port("198.18.7.1"), Some(3));
        assert_eq!(port("198.18.8.1"), Some(1));
        assert_eq!(port("203.0.113.1"), Some(0));
        assert_eq!(port("2001:2::1"), None);
        assert_eq!(fib.len(), 3);
        fib.insert_also("198.18.0.0".parse().unwrap(), 16, next(7));
        let spread =
            |fib: &Fib, to: &str, hash| fib.spread(to.parse().unwrap(), || hash).map(|n| n.port);
        assert_eq!(spread(&fib, "198.18.8.1", 0), Some(1));
        assert_eq!(spread(&fib, "198.18.8.1", u64::MAX), Some(7));
        assert_eq!(spread(&fib, "198.18.7.1", u64::MAX), Some(3), "of another prefix");
        fib.insert("198.18.0.0".parse().unwrap(), 16, next(8));
        assert_eq!(spread(&fib, "198.18.8.1", u64::MAX), Some(8), "replaced with all its hops");
        fib.refuse("198.18.7.0".parse().unwrap(), 25);
        assert_eq!(look(&fib, "198.18.7.1"), None);
        assert_eq!(look(&fib, "198.18.7.200"), Some(3));
    }
}
