//! An Ethernet interface whose other end is this process (TAP): what the kernel sends by it is read, what is
//! written comes in there. It goes when its file is closed, also by `kill -9`.

use super::ethtool;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

/// Where the kernel hands such interfaces out.
const DEVICE: &str = "/dev/net/tun";

/// Makes one with this name and index in the calling thread's network namespace. Reads and writes are of whole
/// frames and do not block.
///
/// # Errors
/// When the kernel has no such interfaces, name or index are taken, or CAP_NET_ADMIN is missing.
pub fn open(name: &str, index: u32) -> io::Result<File> {
    let mut request = ethtool::request(name)?;
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).custom_flags(libc::O_NONBLOCK);
    let file = options.open(DEVICE).map_err(|e| {
        io::Error::new(e.kind(), format!("{DEVICE}: {e} (the kernel needs CONFIG_TUN)"))
    })?;
    // SAFETY: the kernel reads one integer, which lives during the call.
    done(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFINDEX, &raw const index) })?;
    let kind = libc::IFF_TAP | libc::IFF_NO_PI;
    request.ifr_ifru.ifru_flags = i16::try_from(kind).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: the kernel reads and writes one `struct ifreq`, which lives during the call.
    done(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) })?;
    Ok(file)
}

fn done(code: libc::c_int) -> io::Result<()> {
    if code < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_name_that_cannot_be_is_refused() {
        assert!(super::open("", 2).is_err());
        assert!(super::open("a-name-that-is-far-too-long", 2).is_err());
    }
}
