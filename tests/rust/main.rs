//! Tests of the Rust half, without Python.

mod base64;
mod dedup;
mod envelope;
mod generate;
mod json;
mod limits;
mod naive;
mod pick;
mod properties;
mod scan;
mod simd;
#[cfg(feature = "net")]
mod transport;
mod vectors;
