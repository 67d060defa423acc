//! Tests of the Rust half, without Python.

mod envelope;
#[cfg(feature = "net")]
mod transport;
