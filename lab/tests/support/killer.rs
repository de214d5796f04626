//! The library that kills a program at a line of its journal: see `kill_at_sync.c`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The library that kills, compiled into a folder.
pub(crate) fn killer(dir: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/kill_at_sync.c");
    let library = dir.join("kill_at_sync.so");
    let mut cc = Command::new("cc");
    cc.args(["-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o"]).arg(&library).arg(source);
    assert!(cc.args(["-ldl", "-lrt"]).status().unwrap().success());
    library
}
