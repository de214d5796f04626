//! Where the other programs of this project are: beside the running one.

use crate::exit::Exit;
use anyhow::{Context, Result};
use std::path::PathBuf;

/// The path of `ashiato`, `ashiato-agent` or `ashiato-collector`.
///
/// Looks into `$ASHIATO_BIN_DIR` if set, else into the folder of the running program and the one
/// above it, where cargo puts programs beside tests.
///
/// # Errors
/// With [`Exit::HostNotReady`] where it is not there.
pub fn find(name: &str) -> Result<PathBuf> {
    let dirs = match std::env::var_os("ASHIATO_BIN_DIR").filter(|d| !d.is_empty()) {
        Some(dir) => vec![PathBuf::from(dir)],
        None => {
            let me = std::env::current_exe().context("cannot tell where this program is")?;
            me.ancestors().skip(1).take(2).map(PathBuf::from).collect()
        }
    };
    let found = dirs.iter().map(|d| d.join(name)).find(|p| p.is_file());
    found.ok_or_else(|| {
        let dir = dirs.first().map(|d| d.display().to_string()).unwrap_or_default();
        Exit::HostNotReady.refuse(format!(
            "the program {name} is not in {dir}: build all with `cargo build --release`, or set \
             ASHIATO_BIN_DIR to its folder"
        ))
    })
}
