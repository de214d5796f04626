//! Compiles the lab's own kernel program with clang.

use std::env;
use std::error::Error;
use std::path::Path;
use std::process::Command;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=bpf");
    println!("cargo:rerun-if-env-changed=CLANG");
    let object = Path::new(&env::var("OUT_DIR")?).join("wire.o");
    let clang = env::var("CLANG").unwrap_or_else(|_| "clang".into());
    let mut command = Command::new(&clang);
    command.args(["-O2", "-g", "-target", "bpf", "-mcpu=v3", "-Wall", "-Werror"]);
    // Debian keeps the kernel's asm/ headers here, where a compiler for "bpf" does not look.
    command.arg(format!("-I/usr/include/{}-linux-gnu", env::var("CARGO_CFG_TARGET_ARCH")?));
    command.args(["-c", "bpf/wire.bpf.c", "-o"]).arg(&object);
    let mend = "as root: apt-get install clang libbpf-dev";
    let status = command.status().map_err(|e| format!("cannot run {clang} ({e}); {mend}"))?;
    if !status.success() {
        return Err(format!("{clang} does not compile bpf/wire.bpf.c; {mend}").into());
    }
    Ok(())
}
