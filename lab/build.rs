//! Compiles the lab's own kernel program with clang.

#[path = "../agent/bpf/clang.rs"]
mod clang;

use std::env;
use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    for watched in [
        "bpf",
        "build.rs",
        "../agent/bpf/clang.rs",
        "../agent/bpf/checksum.h",
        "../traceback/src/twin.h",
    ] {
        println!("cargo:rerun-if-changed={watched}");
    }
    let object = Path::new(&env::var("OUT_DIR")?).join("wire.o");
    clang::compile(Path::new("bpf/wire.bpf.c"), &object, &[])
}
