//! The fast half of the `xyfast` Python package.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`error`] | says what is wrong with input, and where |
//! | [`base64`] | strict and forgiving decoding, encoding |
//! | [`msgpack`] | one reader with many sinks, and a writer |
//! | [`decrypt`] | base64, MessagePack and JSON text with the habits that bots rely on |
//! | [`dedup`] | a bounded set of ids that forgets by age |
//!
//! The Python module is a feature, `python`, that maturin switches on; everything else is
//! plain Rust and tested without an interpreter.

pub mod base64;
pub mod decrypt;
pub mod dedup;
pub mod error;
pub mod msgpack;
#[cfg(feature = "python")]
mod py;

pub use error::{DecodeError, Reason};
