//! Compiles the snapshot's protocol description. protox is a compiler in pure Rust, so that building the engine
//! needs no protoc on the machine.

use std::env;
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Asked when it runs: cargo may run a build script that it compiled for another checkout.
    let here = env::var("CARGO_MANIFEST_DIR")?;
    let common = Path::new(&here).join("../../common");
    let proto = common.join("featward/policy/v1/snapshot.proto");
    println!("cargo::rerun-if-changed={}", proto.display());
    let files = protox::compile([&proto], [&common])?;
    prost_build::Config::new().compile_fds(files)?;
    Ok(())
}
