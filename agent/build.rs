//! Compiles the wire protocol, which the collector's crate holds, without an installed compiler.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=../collector/proto/traceback.proto");
    let files = protox::compile(["traceback.proto"], ["../collector/proto"])?;
    tonic_prost_build::configure()
        .build_server(false)
        .btree_map(".")
        .emit_rerun_if_changed(false)
        .compile_fds(files)?;
    Ok(())
}
