//! Compiles `grpc.health.v1`, whose copy in tonic-health lacks `List`, in pure Rust.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    // Asked now and not when this was compiled: clones may share a target directory.
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or("CARGO_MANIFEST_DIR is not set")?);
    let root = root.join("proto");
    println!("cargo::rerun-if-changed={}", root.display());
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);

    let mut compiler = protox::Compiler::new([&root])?;
    compiler.include_source_info(true).open_file("grpc/health/v1/health.proto")?;
    fs::write(out.join("grpc.health.v1.bin"), compiler.encode_file_descriptor_set())?;
    tonic_prost_build::configure().compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
