//! MessagePack: one reader, many sinks, and a writer.
//!
//! [`read`] walks the bytes and tells a [`Sink`] what it finds; the sink builds something:
//! a [`Value`] tree, JSON text ([`json`]), picked fields ([`pick`]) or Python objects.
//! All sinks share the walk, so they refuse the same inputs. A [`scan`] finds the end of a
//! value that comes in pieces.

mod first_error;
mod head;
pub mod json;
pub(crate) mod marker;
pub mod pick;
mod reader;
pub mod scan;
mod sink;
mod stack;
mod value;
mod writer;

pub use reader::{read, Options, DEFAULT_DEPTH};
pub use sink::{Scalar, Sink, Text};
pub use value::{Tree, Value};
pub use writer::{timestamp, HeadBytes, TooLong, Writer};

/// Returns whether the first value of `data` is a map.
pub fn starts_map(data: &[u8]) -> bool {
    matches!(
        data.first().copied(),
        Some(marker::FIXMAP..=marker::FIXMAP_MAX | marker::MAP16 | marker::MAP32)
    )
}
