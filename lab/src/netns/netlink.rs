//! Netlink from the namespace that the calling thread is in.

use anyhow::{Context, Result};
use rtnetlink::Handle;
use tokio::runtime::Runtime;

/// What drives connections, on the calling thread.
///
/// # Errors
/// When the system does not let us wait for anything.
pub(super) fn runtime() -> Result<Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// A connection, which stays with the namespace wherever the thread goes.
///
/// # Errors
/// When the kernel does not open one.
pub(super) fn connect(runtime: &Runtime) -> Result<Handle> {
    let _context = runtime.enter();
    let (connection, handle, _) = rtnetlink::new_connection().context("cannot open netlink")?;
    runtime.spawn(connection);
    Ok(handle)
}
