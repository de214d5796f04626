//! Offloads of an interface, switched off for good: what merges, splits or leaves unfinished the
//! frames that pass it.
//!
//! For interfaces that somebody made for an experiment. On a host's own interfaces the agent gives
//! back what it changes: see [`super::offload`].

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Commands that set one offload each. Source: linux/ethtool.h.
const SWITCHES: [(u32, &str); 5] = [
    (0x0000_0015, "receive checksum"),
    (0x0000_0017, "transmit checksum"),
    (0x0000_001f, "TCP segmentation"),
    (0x0000_0024, "generic segmentation"),
    (SET_GRO, "generic receive merging"),
];
pub(super) const GET_FLAGS: u32 = 0x0000_0025;
pub(super) const SET_FLAGS: u32 = 0x0000_0026;
pub(super) const GET_GRO: u32 = 0x0000_002b;
pub(super) const SET_GRO: u32 = 0x0000_002c;

/// `struct ethtool_value`.
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

/// Turns all of them off for an interface of the calling thread's network namespace. An offload that
/// the driver does not have is off already.
///
/// # Errors
/// Names the offload that stays on and why.
pub fn offloads_off(interface: &str) -> io::Result<()> {
    let fd = socket()?;
    for (command, what) in SWITCHES {
        match exchange(&fd, interface, command, 0) {
            Err(e) if e.raw_os_error() == Some(libc::EOPNOTSUPP) => {}
            Err(e) => {
                let message = format!("cannot turn {what} of {interface} off: {e}");
                return Err(io::Error::new(e.kind(), message));
            }
            Ok(_) => {}
        }
    }
    Ok(())
}

/// Turns the merging of received frames on.
///
/// # Errors
/// When the kernel refuses.
pub fn merging_on(interface: &str) -> io::Result<()> {
    exchange(&socket()?, interface, SET_GRO, 1).map(|_| ())
}

/// Whether received frames are merged (GRO).
///
/// # Errors
/// When the kernel does not say.
pub fn merges(interface: &str) -> io::Result<bool> {
    exchange(&socket()?, interface, GET_GRO, 0).map(|on| on != 0)
}

/// The Ethernet address of an interface of the calling thread's network namespace.
pub fn address(interface: &str) -> Option<[u8; 6]> {
    let mut all = nix::ifaddrs::getifaddrs().ok()?.filter(|a| a.interface_name == interface);
    all.find_map(|a| a.address?.as_link_addr()?.addr())
}

/// A socket to ask with about interfaces of the calling thread's network namespace.
pub(super) fn socket() -> io::Result<OwnedFd> {
    // SAFETY: takes no pointers.
    let raw = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if raw < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just gave us this descriptor, and nobody else holds it.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// An empty request about an interface.
///
/// # Errors
/// For a name that no interface can have.
pub(super) fn request(interface: &str) -> io::Result<libc::ifreq> {
    let name = interface.as_bytes();
    if name.is_empty() || name.len() >= libc::IFNAMSIZ {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: all-zero bytes are a valid request.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name) {
        *to = from.cast_signed();
    }
    Ok(request)
}

/// Sets or reads one value; the value as the kernel leaves it.
pub(super) fn exchange(fd: &OwnedFd, interface: &str, command: u32, data: u32) -> io::Result<u32> {
    let mut value = Value { command, data };
    let mut request = request(interface)?;
    request.ifr_ifru.ifru_data = (&raw mut value).cast();
    // SAFETY: the request and the value it points at live during the call; the kernel reads and
    // writes a `struct ethtool_value` through it, which `Value` is.
    let done = unsafe { libc::ioctl(fd.as_raw_fd(), libc::SIOCETHTOOL as _, &raw mut request) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(value.data) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_name_that_cannot_be_is_refused() {
        assert!(super::offloads_off("").is_err());
        assert!(super::offloads_off("a-name-that-is-far-too-long").is_err());
    }
}
