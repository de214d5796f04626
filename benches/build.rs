//! Compiles with clang the programs that the benchmarks put around the agent's.

use std::env;
use std::error::Error;
use std::path::Path;
use std::process::Command;

const SOURCE: &str = "bpf/bench.bpf.c";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={SOURCE}");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=CLANG");
    let clang = env::var("CLANG").unwrap_or_else(|_| "clang".into());
    let mut command = Command::new(&clang);
    command.args(["-O2", "-g", "-target", "bpf", "-mcpu=v3", "-Wall", "-Werror"]);
    // Debian keeps the kernel's asm/ headers here, where a compiler for "bpf" does not look.
    command.arg(format!("-I/usr/include/{}-linux-gnu", env::var("CARGO_CFG_TARGET_ARCH")?));
    command.args(["-c", SOURCE, "-o"]).arg(Path::new(&env::var("OUT_DIR")?).join("bench.o"));
    let mend = "as root: apt-get install clang libbpf-dev";
    let status = command.status().map_err(|e| format!("cannot run {clang} ({e}); {mend}"))?;
    if !status.success() {
        return Err(format!("{clang} does not compile benches/{SOURCE}; {mend}").into());
    }
    Ok(())
}
