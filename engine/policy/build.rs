//! Compiles the snapshot's protocol description. protox is a compiler in pure Rust, so that building the engine
//! needs no protoc on the machine.

use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let common = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../common");
    let proto = common.join("featward/policy/v1/snapshot.proto");
    println!("cargo::rerun-if-changed={}", proto.display());
    let files = protox::compile([&proto], [&common])?;
    prost_build::Config::new().compile_fds(files)?;
    Ok(())
}
