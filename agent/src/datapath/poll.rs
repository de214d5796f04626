//! Waiting for several descriptors without an allocation for each wait.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// Descriptors that are watched for something to read.
#[derive(Debug, Default)]
pub struct Poll {
    fds: Vec<libc::pollfd>,
    /// Keeps the numbers in `fds` valid.
    owned: Vec<OwnedFd>,
}

/// What a descriptor has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ready {
    /// Nothing.
    No,
    /// Something to read.
    Readable,
    /// An error, and nothing to read.
    Error,
}

impl Poll {
    /// Watches a descriptor too; its position is the number of those before it.
    ///
    /// # Errors
    /// When the process has no file descriptor left.
    pub fn add(&mut self, fd: BorrowedFd<'_>) -> io::Result<()> {
        let owned = fd.try_clone_to_owned()?;
        self.fds.push(libc::pollfd { fd: owned.as_raw_fd(), events: libc::POLLIN, revents: 0 });
        self.owned.push(owned);
        Ok(())
    }

    /// Number of descriptors.
    pub fn len(&self) -> usize {
        self.fds.len()
    }

    /// Whether nothing is watched.
    pub fn is_empty(&self) -> bool {
        self.fds.is_empty()
    }

    /// Sleeps until a descriptor has something, or as long as is said.
    ///
    /// # Errors
    /// What the kernel says; a signal is no error.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let millis = timeout.map_or(-1, |t| i32::try_from(t.as_millis()).unwrap_or(i32::MAX));
        let count = libc::nfds_t::try_from(self.fds.len()).expect("invariant: few descriptors");
        // SAFETY: the vector holds `count` structures, which the kernel reads and writes.
        let found = unsafe { libc::poll(self.fds.as_mut_ptr(), count, millis) };
        if found >= 0 {
            return Ok(());
        }
        self.fds.iter_mut().for_each(|fd| fd.revents = 0);
        match io::Error::last_os_error() {
            e if e.kind() == io::ErrorKind::Interrupted => Ok(()),
            e => Err(e),
        }
    }

    /// What the descriptor at a position had when [`Self::wait`] returned.
    pub fn ready(&self, position: usize) -> Ready {
        match self.fds[position].revents {
            0 => Ready::No,
            flags if flags & libc::POLLIN != 0 => Ready::Readable,
            _ => Ready::Error,
        }
    }
}
