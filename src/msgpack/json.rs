//! JSON text as Python's `json.dumps(value, ensure_ascii=False)` writes it.
//!
//! [`quick`] writes ordinary data as fast as it can and gives up at anything else;
//! [`careful`] then says what the text is, or what is wrong.

pub mod careful;
mod float;

use smallvec::SmallVec;

use super::reader::{read, Options};
use super::sink::{Scalar, Sink, Text};
use crate::error::DecodeError;
use crate::simd::{json_escape, Level};
use float::push_float;

/// Reads the first value of `data` and returns its JSON text.
///
/// The text is what Python writes for the `dict` that the map becomes: equal keys are one
/// entry that keeps the first spelling and place and the last value. Bytes are text without
/// the bytes that are not UTF-8. Extension types have no JSON form.
pub fn to_json(data: &[u8], options: Options) -> Result<String, DecodeError> {
    let mut text = Vec::new();
    if quick(data, options, &mut text) {
        if let Ok(text) = String::from_utf8(text) {
            return Ok(text);
        }
    }
    careful::to_json(data, options)
}

/// Appends the text that [`to_json`] returns and returns true, if nothing about the data is
/// unusual.
///
/// Strings are not checked: the text is UTF-8 if all of them are, since no ASCII character
/// can complete a broken one.
pub fn quick(data: &[u8], options: Options, text: &mut Vec<u8>) -> bool {
    let start = text.len();
    text.reserve(2 * data.len() + ROOM);
    let mut sink = Quick {
        level: Level::detect(),
        data,
        text: std::mem::take(text),
        prints: SmallVec::new(),
    };
    let is_read = read(data, options, &mut sink).is_ok();
    if is_read {
        sink.cut_separator();
    } else {
        sink.text.truncate(start);
    }
    *text = sink.text;
    is_read
}

/// Returns the text that bytes stand for where there is no type for them: what of them is UTF-8.
pub(crate) fn valid_text(bytes: &[u8]) -> String {
    bytes.utf8_chunks().map(|chunk| chunk.valid()).collect()
}

/// Room for the escapes of short data.
const ROOM: usize = 256;

/// What stands behind every value until it turns out to be the last one.
const SEPARATOR: &[u8] = b", ";

/// The sink that writes JSON as long as keys are strings, whole numbers or nil, and differ.
struct Quick<'a> {
    level: Level,
    data: &'a [u8],
    text: Vec<u8>,
    /// The prints of the keys of all open maps, innermost last.
    prints: SmallVec<[u64; 32]>,
}

/// The data is wrong or needs care.
struct Unusual;

impl From<DecodeError> for Unusual {
    fn from(_: DecodeError) -> Self {
        Self
    }
}

impl<'a> Sink<'a> for Quick<'a> {
    type Out = ();
    type Seq = ();
    /// The place of the first print.
    type Map = usize;
    type Key = ();
    type Error = Unusual;

    #[inline(always)]
    fn scalar(&mut self, scalar: Scalar<'a>, _at: usize) -> Result<(), Unusual> {
        match scalar {
            Scalar::Str(text) => self.string(text, *b"\", "),
            Scalar::Int(value @ 0..=127) => self.short(&VALUES[value as usize]),
            Scalar::Int(value) => self.number(value, ", "),
            Scalar::Uint(value) => self.number(value, ", "),
            Scalar::Nil => self.text.extend(*b"null, "),
            Scalar::Bool(true) => self.text.extend(*b"true, "),
            Scalar::Bool(false) => self.text.extend(*b"false, "),
            Scalar::Float(value) => self.float(value),
            Scalar::Bin(_) | Scalar::Ext(..) | Scalar::Timestamp(..) => return Err(Unusual),
        }
        Ok(())
    }

    #[inline(always)]
    fn seq(&mut self, _len: usize) -> Result<(), Unusual> {
        self.text.push(b'[');
        Ok(())
    }

    #[inline(always)]
    fn item(&mut self, _seq: &mut (), _value: ()) -> Result<(), Unusual> {
        Ok(())
    }

    #[inline(always)]
    fn end_seq(&mut self, _seq: ()) -> Result<(), Unusual> {
        self.cut_separator();
        self.text.extend(*b"], ");
        Ok(())
    }

    #[inline(always)]
    fn map(&mut self, _len: usize) -> Result<usize, Unusual> {
        self.text.push(b'{');
        Ok(self.prints.len())
    }

    #[inline(always)]
    fn key(&mut self, _map: &mut usize, key: Scalar<'a>, _at: usize) -> Result<(), Unusual> {
        let print = match key {
            Scalar::Str(text) => {
                self.string(text, *b"\": ");
                print(text.as_bytes())
            }
            Scalar::Int(value @ 0..=127) => {
                self.short(&KEYS[value as usize]);
                number_print(value)
            }
            Scalar::Int(value) => {
                self.text.push(b'"');
                self.number(value, "\": ");
                number_print(value)
            }
            Scalar::Uint(value) => {
                self.text.push(b'"');
                self.number(value, "\": ");
                print(&value.to_le_bytes())
            }
            Scalar::Nil => {
                self.text.extend(*b"\"null\": ");
                NIL_PRINT
            }
            _ => return Err(Unusual),
        };
        self.prints.push(print);
        Ok(())
    }

    #[inline(always)]
    fn entry(&mut self, _map: &mut usize, _key: (), _value: ()) -> Result<(), Unusual> {
        Ok(())
    }

    #[inline(always)]
    fn end_map(&mut self, first: usize) -> Result<(), Unusual> {
        if !differ(&mut self.prints[first..]) {
            return Err(Unusual);
        }
        self.prints.truncate(first);
        self.cut_separator();
        self.text.extend(*b"}, ");
        Ok(())
    }
}

impl Quick<'_> {
    /// Writes a string, the quote before it, and what stands behind it.
    #[inline(never)]
    fn string(&mut self, text: Text<'_>, close: [u8; 3]) {
        self.text.push(b'"');
        let from = self.data.get(text.offset()..).unwrap_or_default();
        json_escape(self.level, from, text.as_bytes().len(), &mut self.text);
        self.text.extend(close);
    }

    #[inline(always)]
    fn short(&mut self, short: &Short) {
        let end = self.text.len() + usize::from(short.len);
        self.text.extend(short.text);
        self.text.truncate(end);
    }

    fn number(&mut self, value: impl itoa::Integer, close: &str) {
        let mut digits = itoa::Buffer::new();
        self.text.extend_from_slice(digits.format(value).as_bytes());
        self.text.extend_from_slice(close.as_bytes());
    }

    #[inline(never)]
    fn float(&mut self, value: f64) {
        push_float(value, |part| self.text.extend_from_slice(part.as_bytes()));
        self.text.extend_from_slice(SEPARATOR);
    }

    /// Takes the separator back that stands behind the last value of a container.
    #[inline(always)]
    fn cut_separator(&mut self) {
        if self.text.ends_with(SEPARATOR) {
            self.text.truncate(self.text.len() - SEPARATOR.len());
        }
    }
}

/// Text that is copied as one word.
struct Short {
    /// The first `len` bytes of this.
    text: [u8; 8],
    len: u8,
}

/// The numbers that fit into one byte of MessagePack, as values.
static VALUES: [Short; 128] = numbers("", ", ");
/// The same as keys.
static KEYS: [Short; 128] = numbers("\"", "\": ");

const fn numbers(open: &str, close: &str) -> [Short; 128] {
    const fn push(short: &mut Short, byte: u8) {
        short.text[short.len as usize] = byte;
        short.len += 1;
    }
    const fn push_all(short: &mut Short, text: &[u8]) {
        let mut i = 0;
        while i < text.len() {
            push(short, text[i]);
            i += 1;
        }
    }
    let mut numbers = [const {
        Short {
            text: [0; 8],
            len: 0,
        }
    }; 128];
    let mut number = 0;
    while number < numbers.len() {
        let short = &mut numbers[number];
        push_all(short, open.as_bytes());
        let mut unit = 100;
        while unit > 0 {
            if number >= unit || unit == 1 {
                push(short, b'0' + (number / unit % 10) as u8);
            }
            unit /= 10;
        }
        push_all(short, close.as_bytes());
        number += 1;
    }
    numbers
}

const NIL_PRINT: u64 = 0;

fn number_print(value: i64) -> u64 {
    // Strings of few bytes have small prints, numbers near zero large ones.
    value as u64 ^ 1 << 63
}

/// Returns a number that is the same for equal strings, and hardly ever for others.
#[inline(always)]
fn print(text: &[u8]) -> u64 {
    /// The golden ratio, odd and without a pattern.
    const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
    let len = text.len() as u64;
    let Some(last) = text.last_chunk() else {
        // Few bytes and their number fit in whole.
        return text
            .iter()
            .fold(len, |print, &byte| print << 8 | u64::from(byte));
    };
    let mix = |print: u64, word: &[u8; 8]| {
        let mixed = (print ^ u64::from_le_bytes(*word)).wrapping_mul(MIX);
        mixed ^ mixed >> 32
    };
    mix(text.as_chunks().0.iter().fold(len, mix), last)
}

/// Returns whether no print stands there twice; may leave them in another order.
fn differ(prints: &mut [u64]) -> bool {
    /// So many are compared each with each other.
    const FEW: usize = 32;
    let ascend = |prints: &[u64]| prints.is_sorted_by(|a, b| a < b);
    if ascend(prints) {
        return true;
    }
    if prints.len() > FEW {
        prints.sort_unstable();
        return ascend(prints);
    }
    let mut same = false;
    for (i, print) in prints.iter().enumerate() {
        same = prints[..i]
            .iter()
            .fold(same, |same, known| same | (known == print));
    }
    !same
}
