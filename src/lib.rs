//! The fast half of the `xyfast` Python package.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`error`] | says what is wrong with input, and where |
//! | [`simd`] | vector kernels for base64, text and JSON, chosen at run time |
//! | [`base64`] | strict and forgiving decoding, encoding |
//! | [`msgpack`] | one reader with many sinks, and a writer |
//! | [`decrypt`] | base64, MessagePack and JSON text with the habits that bots rely on |
//! | [`dedup`] | a bounded set of ids that forgets by age |
//! | [`envelope`] | finds what matters in a frame without building a tree, makes acks |
//! | [`transport`] | links: sockets with a heartbeat and a mailbox (feature `net`) |
//!
//! The Python module is a feature, `python`, that maturin switches on; everything else is
//! plain Rust and tested without an interpreter.

pub mod base64;
pub mod decrypt;
pub mod dedup;
pub mod envelope;
pub mod error;
pub mod msgpack;
#[cfg(feature = "python")]
mod py;
pub mod simd;
#[cfg(feature = "net")]
pub mod transport;

pub use error::{DecodeError, Reason};
