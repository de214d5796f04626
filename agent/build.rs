//! Compiles the wire protocols, which the collector's crate holds, without an installed compiler; and
//! with clang the kernel programs, once for each scheme's twin.

#[path = "bpf/clang.rs"]
mod clang;

use std::env;
use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// Kernel programs of `bpf/`, each made for every scheme.
const PROGRAMS: [&str; 2] = ["mark", "forward"];
const SCHEMES: &str = "../traceback/src/schemes";

fn main() -> Result<(), Box<dyn Error>> {
    protocol()?;
    twins()
}

fn protocol() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=../collector/proto");
    let files = protox::compile(["traceback.proto", "enrol.proto"], ["../collector/proto"])?;
    tonic_prost_build::configure()
        .build_server(false)
        .btree_map(".")
        .emit_rerun_if_changed(false)
        .compile_fds(files)?;
    Ok(())
}

/// Writes a table of scheme ids and objects for `datapath/kernel/objects.rs`.
fn twins() -> Result<(), Box<dyn Error>> {
    for watched in
        ["bpf", SCHEMES, "../traceback/src/twin.h", "../traceback/src/pages.h", "build.rs"]
    {
        println!("cargo:rerun-if-changed={watched}");
    }
    let mut headers: Vec<PathBuf> =
        fs::read_dir(SCHEMES)?.map(|e| Ok(e?.path())).collect::<Result<_, std::io::Error>>()?;
    headers.retain(|p| p.extension().is_some_and(|e| e == "h"));
    headers.sort();
    let mut table = String::from("[\n");
    for header in headers {
        let id = header.file_stem().and_then(|s| s.to_str()).ok_or("a header without a name")?;
        let object = |program: &str| compile(program, id, &fs::canonicalize(&header)?);
        let [mark, forward] = [object(PROGRAMS[0])?, object(PROGRAMS[1])?];
        writeln!(
            table,
            "Objects {{ id: {id:?}, mark: aya::include_bytes_aligned!({mark:?}), \
             forward: aya::include_bytes_aligned!({forward:?}) }},"
        )?;
    }
    table.push_str("]\n");
    fs::write(Path::new(&env::var("OUT_DIR")?).join("twins.rs"), table)?;
    Ok(())
}

fn compile(program: &str, id: &str, header: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let object = Path::new(&env::var("OUT_DIR")?).join(format!("{id}.{program}.o"));
    let source = Path::new("bpf").join(format!("{program}.bpf.c"));
    let scheme = format!("-DSCHEME=\"{}\"", header.display());
    let silent = ["-Wno-unused-function", "-Wno-address-of-packed-member"].map(String::from);
    clang::compile(&source, &object, &[&silent[..], &[scheme]].concat())?;
    Ok(object)
}
