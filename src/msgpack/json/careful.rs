//! The sink that gives the exact answer, whatever the data.

use std::collections::HashMap;
use std::fmt::Write;
use std::ops::Range;

use super::float::push_float;
use super::valid_text;
use crate::error::{DecodeError, Reason};
use crate::msgpack::marker;
use crate::msgpack::{read, Options, Scalar, Sink};

/// Maps with more entries than this find repeated keys by hash.
const SCANNED: usize = 16;

/// Does what [`to_json`](super::to_json) does, with every entry of open maps at hand.
pub fn to_json(data: &[u8], options: Options) -> Result<String, DecodeError> {
    let mut sink = Json {
        text: String::with_capacity(data.len() + data.len() / 2),
        entries: Vec::new(),
    };
    let (bytes_key, _) = read(data, options, &mut sink)?;
    match bytes_key {
        Some(at) => Err(DecodeError::new(Reason::BytesKey, at)),
        None => Ok(sink.text),
    }
}

/// The sink that writes JSON.
///
/// A value's output is the offset of the first key of type `bytes` inside it. Python refuses
/// such a key only when it writes the whole tree, so it is no error if another value takes
/// its place or something else is wrong further on.
struct Json<'a> {
    text: String,
    /// The entries of all open maps, innermost last.
    entries: Vec<Entry<'a>>,
}

struct Entry<'a> {
    key: Same<'a>,
    /// The key and the colon in the text.
    name: Range<usize>,
    value: Range<usize>,
    bytes_key: Option<usize>,
}

struct Seq {
    left: usize,
    bytes_key: Option<usize>,
}

struct Map<'a> {
    start: usize,
    first_entry: usize,
    /// Whether a key came again, so that the text must be put together anew.
    repeated: bool,
    index: Option<HashMap<Same<'a>, usize>>,
}

impl<'a> Sink<'a> for Json<'a> {
    type Out = Option<usize>;
    type Seq = Seq;
    type Map = Map<'a>;
    /// The place of the entry and the start of the value in the text.
    type Key = (usize, usize);
    type Error = DecodeError;

    fn scalar(&mut self, scalar: Scalar<'a>, at: usize) -> Result<Option<usize>, DecodeError> {
        push_scalar(&mut self.text, scalar, at)?;
        Ok(None)
    }

    fn seq(&mut self, len: usize) -> Result<Seq, DecodeError> {
        self.text.push('[');
        Ok(Seq {
            left: len,
            bytes_key: None,
        })
    }

    fn item(&mut self, seq: &mut Seq, value: Option<usize>) -> Result<(), DecodeError> {
        seq.bytes_key = seq.bytes_key.or(value);
        seq.left -= 1;
        if seq.left > 0 {
            self.text.push_str(", ");
        }
        Ok(())
    }

    fn end_seq(&mut self, seq: Seq) -> Result<Option<usize>, DecodeError> {
        self.text.push(']');
        Ok(seq.bytes_key)
    }

    fn map(&mut self, _len: usize) -> Result<Map<'a>, DecodeError> {
        let start = self.text.len();
        self.text.push('{');
        Ok(Map {
            start,
            first_entry: self.entries.len(),
            repeated: false,
            index: None,
        })
    }

    fn key(
        &mut self,
        map: &mut Map<'a>,
        key: Scalar<'a>,
        at: usize,
    ) -> Result<(usize, usize), DecodeError> {
        let same = Same::new(key, at)?;
        if let Some(place) = self.find(map, same) {
            map.repeated = true;
            return Ok((place, self.text.len()));
        }
        if self.entries.len() > map.first_entry {
            self.text.push_str(", ");
        }
        let start = self.text.len();
        match key {
            Scalar::Str(_) => push_scalar(&mut self.text, key, at)?,
            Scalar::Bin(_) => {}
            _ => {
                self.text.push('"');
                push_scalar(&mut self.text, key, at)?;
                self.text.push('"');
            }
        }
        self.text.push_str(": ");
        let end = self.text.len();
        self.entries.push(Entry {
            key: same,
            name: start..end,
            value: end..end,
            bytes_key: matches!(key, Scalar::Bin(_)).then_some(at),
        });
        Ok((self.entries.len() - 1, end))
    }

    fn entry(
        &mut self,
        _map: &mut Map<'a>,
        (place, start): (usize, usize),
        value: Option<usize>,
    ) -> Result<(), DecodeError> {
        let entry = &mut self.entries[place];
        entry.value = start..self.text.len();
        if !matches!(entry.key, Same::Bin(_)) {
            entry.bytes_key = value;
        }
        Ok(())
    }

    fn end_map(&mut self, map: Map<'a>) -> Result<Option<usize>, DecodeError> {
        let entries = &self.entries[map.first_entry..];
        let bytes_key = entries.iter().find_map(|entry| entry.bytes_key);
        if map.repeated {
            let mut text = String::with_capacity(self.text.len() - map.start);
            for entry in entries {
                text.push_str(if text.is_empty() { "{" } else { ", " });
                text.push_str(&self.text[entry.name.clone()]);
                text.push_str(&self.text[entry.value.clone()]);
            }
            self.text.truncate(map.start);
            self.text.push_str(&text);
        }
        self.text.push('}');
        self.entries.truncate(map.first_entry);
        Ok(bytes_key)
    }
}

impl<'a> Json<'a> {
    /// Finds the entry of the innermost map that has this key, or remembers that the next
    /// one will have it.
    fn find(&self, map: &mut Map<'a>, key: Same<'a>) -> Option<usize> {
        let first = map.first_entry;
        let entries = &self.entries[first..];
        if entries.len() < SCANNED {
            return entries.iter().position(|e| e.key == key).map(|i| first + i);
        }
        let index = map.index.get_or_insert_with(|| {
            let keys = entries.iter().map(|entry| entry.key);
            keys.zip(first..).collect()
        });
        let next = first + entries.len();
        let place = *index.entry(key).or_insert(next);
        (place < next).then_some(place)
    }
}

/// A key under Python's equality: 1, 1.0 and true are the same, a NaN equals nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Same<'a> {
    Nil,
    Int(i64),
    Uint(u64),
    /// The bits of a float that is no whole number of 64 bits.
    Float(u64),
    /// Known by its offset.
    Nan(usize),
    Str(&'a str),
    Bin(&'a [u8]),
}

impl<'a> Same<'a> {
    fn new(key: Scalar<'a>, at: usize) -> Result<Self, DecodeError> {
        const TWO_63: f64 = 9_223_372_036_854_775_808.0;
        Ok(match key {
            Scalar::Nil => Self::Nil,
            Scalar::Bool(value) => Self::Int(value.into()),
            Scalar::Int(value) => Self::Int(value),
            Scalar::Uint(value) => Self::Uint(value),
            Scalar::Float(value) if value.is_nan() => Self::Nan(at),
            Scalar::Float(value) if value.trunc() != value => Self::Float(value.to_bits()),
            Scalar::Float(value) if (-TWO_63..TWO_63).contains(&value) => Self::Int(value as i64),
            Scalar::Float(value) if (TWO_63..TWO_63 * 2.0).contains(&value) => {
                Self::Uint(value as u64)
            }
            Scalar::Float(value) => Self::Float(value.to_bits()),
            Scalar::Str(text) => Self::Str(text.check()?),
            Scalar::Bin(data) => Self::Bin(data),
            Scalar::Ext(code, _) => return Err(DecodeError::new(Reason::Extension(code), at)),
            Scalar::Timestamp(..) => {
                return Err(DecodeError::new(Reason::Extension(marker::TIMESTAMP), at))
            }
        })
    }
}

/// Writes a value that holds no others.
fn push_scalar(text: &mut String, scalar: Scalar<'_>, at: usize) -> Result<(), DecodeError> {
    match scalar {
        Scalar::Nil => text.push_str("null"),
        Scalar::Bool(true) => text.push_str("true"),
        Scalar::Bool(false) => text.push_str("false"),
        Scalar::Int(value) => push_int(text, value),
        Scalar::Uint(value) => push_int(text, value),
        Scalar::Float(value) => push_float(value, |part| text.push_str(part)),
        Scalar::Str(string) => push_string(text, string.check()?),
        Scalar::Bin(data) => push_string(text, &valid_text(data)),
        Scalar::Ext(code, _) => return Err(DecodeError::new(Reason::Extension(code), at)),
        Scalar::Timestamp(..) => {
            return Err(DecodeError::new(Reason::Extension(marker::TIMESTAMP), at))
        }
    }
    Ok(())
}

fn push_int(text: &mut String, value: impl std::fmt::Display) {
    // Writing to a string cannot fail.
    let _ = write!(text, "{value}");
}

/// Writes a string in quotes.
fn push_string(text: &mut String, string: &str) {
    text.push('"');
    let mut copied = 0;
    for (i, byte) in string.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            0x08 => "\\b",
            0x0c => "\\f",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..0x20 => "\\u",
            _ => continue,
        };
        text.push_str(&string[copied..i]);
        text.push_str(escape);
        if escape == "\\u" {
            let _ = write!(text, "{byte:04x}");
        }
        copied = i + 1;
    }
    text.push_str(&string[copied..]);
    text.push('"');
}
