//! Compiles the lab's own kernel programs with clang, and the protocol between director and hosts.

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
    for program in ["wire", "guard", "sentinel"] {
        let object = Path::new(&env::var("OUT_DIR")?).join(program).with_extension("o");
        clang::compile(&Path::new("bpf").join(program).with_extension("bpf.c"), &object, &[])?;
    }
    Ok(())
}
