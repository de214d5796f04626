//! Compiles the lab's own kernel program with clang, and the protocol between director and hosts.

#[path = "../agent/bpf/clang.rs"]
mod clang;

use std::env;
use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    for watched in ["proto", "bpf", "build.rs", "../agent/bpf", "../traceback/src/twin.h"] {
        println!("cargo:rerun-if-changed={watched}");
    }
    let files = protox::compile(["hosts.proto"], ["proto"])?;
    tonic_prost_build::configure()
        .btree_map(".")
        .emit_rerun_if_changed(false)
        .compile_fds(files)?;
    let object = Path::new(&env::var("OUT_DIR")?).join("wire.o");
    clang::compile(Path::new("bpf/wire.bpf.c"), &object, &[])
}
