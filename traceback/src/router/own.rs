//! Addresses that go no further: a router's own, and those that no router passes on.

use std::net::IpAddr;

/// A router's own addresses, sorted; compared as numbers, because every new destination is.
#[derive(Debug, Default)]
pub(super) struct Own {
    v4: Vec<u32>,
    v6: Vec<u128>,
}

impl Own {
    pub(super) fn new<'a>(addresses: impl Iterator<Item = &'a IpAddr>) -> Self {
        let mut own = Self::default();
        for address in addresses {
            match *address {
                IpAddr::V4(a) => own.v4.push(a.into()),
                IpAddr::V6(a) => own.v6.push(a.into()),
            }
        }
        own.v4.sort_unstable();
        own.v6.sort_unstable();
        own
    }

    /// Whether a packet for this address goes no further than the router, whatever its tables say.
    pub(super) fn keeps(&self, to: IpAddr) -> bool {
        self.contains(to) || !routable(to)
    }

    pub(super) fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(a) => self.v4.binary_search(&a.into()).is_ok(),
            IpAddr::V6(a) => self.v6.binary_search(&a.into()).is_ok(),
        }
    }
}

/// Whether routers pass packets with this address on: neither multicast, loopback, link-local, broadcast
/// nor, in IPv6, unspecified.
pub fn routable(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => routable4(a.into()),
        IpAddr::V6(a) => {
            !a.is_multicast()
                && !a.is_unicast_link_local()
                && !a.is_loopback()
                && !a.is_unspecified()
        }
    }
}

/// The same for an IPv4 address as a number. Its first four bits tell of most that they are none of these.
#[inline]
pub(super) fn routable4(address: u32) -> bool {
    const LOOK: u32 = 1 << 0x7 | 1 << 0xa | 1 << 0xe | 1 << 0xf;
    let class = address >> 28;
    LOOK >> class & 1 == 0
        || class != 14 && address >> 24 != 127 && address >> 16 != 0xa9fe && address != u32::MAX
}
