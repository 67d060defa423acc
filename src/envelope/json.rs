//! A strict walk over JSON text (RFC 8259) that checks everything and builds nothing.

use std::borrow::Cow;
use std::num::NonZeroU64;
use std::ops::Range;

use crate::error::{DecodeError, Reason};
use crate::simd::{self, Level};

/// Deepest nesting of arrays and objects.
pub(super) const MAX_DEPTH: usize = 512;

/// What is wrong, behind a pointer, so that results are handed back in registers.
pub(super) type Fault = Box<DecodeError>;

pub(super) type Result<T> = std::result::Result<T, Fault>;

impl From<Fault> for DecodeError {
    fn from(fault: Fault) -> DecodeError {
        *fault
    }
}

/// Longest text: what a [`Span`] has room for.
const MAX_LEN: usize = u32::MAX as usize >> 1;

/// Where a value stands in its text, and whether it is a string with escapes.
///
/// One word, because it is handed through many results, and in parts that would be slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span(NonZeroU64);

impl Span {
    fn new(start: usize, end: usize, escaped: bool) -> Self {
        let word = (start as u64) << 32 | (end as u64) << 1 | u64::from(escaped);
        // No value ends where the text begins.
        Self(NonZeroU64::new(word).expect("a value has an end"))
    }

    pub(super) fn range(self) -> Range<usize> {
        let word = self.0.get();
        (word >> 32) as usize..(word as u32 >> 1) as usize
    }

    /// The text of the value, if it is a string; lone surrogates become U+FFFD.
    pub(super) fn string(self, text: &str) -> Option<Cow<'_, str>> {
        let quoted = text.as_bytes()[self.range().start] == b'"';
        quoted.then(|| self.quoted(text))
    }

    /// The text of the value, which is a string.
    fn quoted(self, text: &str) -> Cow<'_, str> {
        let Range { start, end } = self.range();
        let raw = &text[start + 1..end - 1];
        match self.0.get() & 1 {
            0 => Cow::Borrowed(raw),
            _ => unescape(raw).into(),
        }
    }
}

/// A cursor over one JSON text. Every method that reads a value leaves it just behind.
pub(super) struct Walk<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    level: Level,
}

impl<'a> Walk<'a> {
    pub(super) fn new(text: &'a str) -> Result<Walk<'a>> {
        if text.len() > MAX_LEN {
            return Err(Box::new(DecodeError::new(Reason::Json, MAX_LEN)));
        }
        Ok(Walk {
            text,
            at: 0,
            depth: 0,
            level: Level::detect(),
        })
    }

    /// The next byte that is no white space.
    #[inline(always)]
    pub(super) fn peek(&mut self) -> Option<u8> {
        match self.byte() {
            Some(byte) if byte > b' ' => Some(byte),
            _ => self.skip(),
        }
    }

    #[inline(never)]
    fn skip(&mut self) -> Option<u8> {
        while let Some(byte) = self.byte() {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    /// The place of the next byte.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Fails unless only white space is left.
    pub(super) fn end(&mut self) -> Result<()> {
        match self.peek() {
            None => Ok(()),
            Some(_) => self.fail(),
        }
    }

    /// The text in which the values stand.
    pub(super) fn text(&self) -> &'a str {
        self.text
    }

    /// Reads any value.
    pub(super) fn value(&mut self) -> Result<Span> {
        match self.peek() {
            Some(b'{') => self.object(|walk, _| walk.value().map(drop)),
            Some(b'[') => self.array(|walk| walk.value().map(drop)),
            Some(b'"') => self.string(),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            _ => self.number(),
        }
    }

    /// Reads any value; if it is an object, `member` gets each name, without its escapes, and
    /// reads the value behind it.
    pub(super) fn members(
        &mut self,
        mut member: impl FnMut(&mut Self, &str) -> Result<()>,
    ) -> Result<Span> {
        match self.peek() {
            Some(b'{') => self.object(|walk, name| member(walk, &name.quoted(walk.text))),
            _ => self.value(),
        }
    }

    /// Reads any value; if it is an array, `item` reads each element.
    pub(super) fn items(&mut self, item: impl FnMut(&mut Self) -> Result<()>) -> Result<Span> {
        match self.peek() {
            Some(b'[') => self.array(item),
            _ => self.value(),
        }
    }

    /// Reads on from an opening brace.
    fn object(&mut self, mut member: impl FnMut(&mut Self, Span) -> Result<()>) -> Result<Span> {
        let start = self.open()?;
        if self.peek() == Some(b'}') {
            return Ok(self.close(start));
        }
        loop {
            if self.peek() != Some(b'"') {
                return self.fail();
            }
            let name = self.string()?;
            self.expect(b':')?;
            self.peek();
            member(self, name)?;
            if self.peek() == Some(b'}') {
                return Ok(self.close(start));
            }
            self.expect(b',')?;
        }
    }

    /// Reads on from an opening bracket.
    fn array(&mut self, mut item: impl FnMut(&mut Self) -> Result<()>) -> Result<Span> {
        let start = self.open()?;
        if self.peek() == Some(b']') {
            return Ok(self.close(start));
        }
        loop {
            self.peek();
            item(self)?;
            if self.peek() == Some(b']') {
                return Ok(self.close(start));
            }
            self.expect(b',')?;
        }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    #[cold]
    fn fail<T>(&self) -> Result<T> {
        Err(Box::new(DecodeError::new(Reason::Json, self.at)))
    }

    fn since(&self, start: usize) -> Span {
        Span::new(start, self.at, false)
    }

    fn expect(&mut self, byte: u8) -> Result<()> {
        if self.peek() != Some(byte) {
            return self.fail();
        }
        self.at += 1;
        Ok(())
    }

    fn open(&mut self) -> Result<usize> {
        let start = self.at;
        if self.depth == MAX_DEPTH {
            return Err(Box::new(DecodeError::new(Reason::Depth, start)));
        }
        self.at += 1;
        self.depth += 1;
        Ok(start)
    }

    fn close(&mut self, start: usize) -> Span {
        self.at += 1;
        self.depth -= 1;
        self.since(start)
    }

    /// Reads on from an opening quote.
    #[inline(always)]
    fn string(&mut self) -> Result<Span> {
        // Most strings end within two words.
        let (start, mut at) = (self.at, self.at + 1);
        for _ in 0..2 {
            let Some(word) = word_at(self.text, at) else {
                break;
            };
            let plain = first(special(word));
            at += plain;
            if plain < 8 {
                if self.text.as_bytes()[at] != b'"' {
                    break;
                }
                self.at = at + 1;
                return Ok(Span::new(start, self.at, false));
            }
        }
        self.long_string()
    }

    #[inline(never)]
    fn long_string(&mut self) -> Result<Span> {
        let start = self.at;
        self.at += 1;
        let mut escaped = false;
        loop {
            self.at += simd::json_plain(self.level, &self.text.as_bytes()[self.at..]);
            match self.byte() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Span::new(start, self.at, escaped));
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                _ => return self.fail(),
            }
        }
    }

    fn escape(&mut self) -> Result<()> {
        self.at += 1;
        match self.byte() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                self.at += 1;
                for _ in 0..4 {
                    if !self.byte().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                        return self.fail();
                    }
                    self.at += 1;
                }
            }
            _ => return self.fail(),
        }
        Ok(())
    }

    fn word(&mut self, word: &str) -> Result<Span> {
        let start = self.at;
        for expected in word.bytes() {
            if self.byte() != Some(expected) {
                return self.fail();
            }
            self.at += 1;
        }
        Ok(self.since(start))
    }

    fn number(&mut self) -> Result<Span> {
        let start = self.at;
        if self.byte() == Some(b'-') {
            self.at += 1;
        }
        match self.byte() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.byte() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.byte() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(self.since(start))
    }

    fn digits(&mut self) -> Result<()> {
        let start = self.at;
        while let Some(word) = word_at(self.text, self.at) {
            let digits = first(no_digits(word));
            self.at += digits;
            if digits < 8 {
                break;
            }
        }
        while self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start {
            return self.fail();
        }
        Ok(())
    }
}

/// The eight bytes from a place on, the first one lowest.
fn word_at(text: &str, at: usize) -> Option<u64> {
    let word = text.as_bytes().get(at..)?.first_chunk()?;
    Some(u64::from_le_bytes(*word))
}

/// A word of eight equal bytes.
const fn every(byte: u8) -> u64 {
    u64::MAX / 255 * byte as u64
}

/// The first byte of a word that is marked in its highest bit, 8 if none is.
fn first(marks: u64) -> usize {
    (marks & every(0x80)).trailing_zeros() as usize / 8
}

/// Marks the first byte that does not stand for itself in a string, and perhaps others behind it.
fn special(word: u64) -> u64 {
    let below = |word: u64, limit| word.wrapping_sub(every(limit)) & !word;
    let quote = below(word ^ every(b'"'), 1);
    let backslash = below(word ^ every(b'\\'), 1);
    below(word, 0x20) | quote | backslash
}

/// Marks the bytes that are no digits.
fn no_digits(word: u64) -> u64 {
    let digits = word ^ every(b'0');
    ((digits & every(0x7f)) + every(0x80 - 10)) | digits
}

/// The text of a checked string without its escapes.
#[cold]
fn unescape(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut units = Vec::new();
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let letter = rest.as_bytes()[at + 1];
        rest = &rest[at + 2..];
        if letter != b'u' {
            text.push(self::letter(letter));
            continue;
        }
        // A pair of surrogates is two escapes in a row, so a whole run is decoded at once.
        units.push(hex(&rest[..4]));
        rest = &rest[4..];
        if !rest.starts_with("\\u") {
            text.extend(char::decode_utf16(units.drain(..)).map(|unit| unit.unwrap_or('\u{fffd}')));
        }
    }
    text.push_str(rest);
    text
}

fn letter(letter: u8) -> char {
    match letter {
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        other => other as char,
    }
}

fn hex(digits: &str) -> u16 {
    u16::from_str_radix(digits, 16).unwrap_or(0xfffd)
}
