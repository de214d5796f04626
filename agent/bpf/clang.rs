//! For build scripts: kernel programs, compiled with clang.

use std::env;
use std::error::Error;
use std::path::Path;
use std::process::Command;

/// Compiles `source` into `object`; `more` are further arguments.
///
/// # Errors
/// Where clang or a header is missing, or the source is wrong.
pub(crate) fn compile(source: &Path, object: &Path, more: &[String]) -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-env-changed=CLANG");
    let clang = env::var("CLANG").unwrap_or_else(|_| "clang".into());
    let mut command = Command::new(&clang);
    // Atomic operations and 32-bit comparisons need the third version of the instruction set.
    command.args(["-O2", "-g", "-target", "bpf", "-mcpu=v3", "-Wall", "-Werror"]);
    // Debian keeps the kernel's asm/ headers here, where a compiler for "bpf" does not look.
    let machine = env::var("CARGO_CFG_TARGET_ARCH")?;
    command.arg(format!("-I/usr/include/{machine}-linux-gnu")).args(more);
    command.arg("-c").arg(source).arg("-o").arg(object);
    let mend = "as root: apt-get install clang libbpf-dev";
    let output = command
        .output()
        .map_err(|e| format!("cannot run {clang} for the kernel programs ({e}); {mend}"))?;
    if !output.status.success() {
        let (source, said) = (source.display(), String::from_utf8_lossy(&output.stderr));
        return Err(format!(
            "{clang} does not compile {source} {}; where a header of bpf/ is missing, {mend}\n{said}",
            more.join(" ")
        )
        .into());
    }
    Ok(())
}
