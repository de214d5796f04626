//! Compiles the wire protocols without an installed protobuf compiler.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = protox::compile(["traceback.proto", "enrol.proto"], ["proto"])?;
    // Maps in order, so that replies to equal states are equal bytes.
    tonic_prost_build::configure()
        .btree_map(".")
        .emit_rerun_if_changed(false)
        .compile_fds(files)?;
    Ok(())
}
