//! Tests of the Rust half, without Python.
