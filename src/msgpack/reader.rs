//! The walk over the bytes.

use std::mem;

use smallvec::SmallVec;

use super::marker::*;
use super::sink::{Scalar, Sink, Text};
use crate::error::{Container, DecodeError, Reason};

/// How deeply lists and maps may be nested unless the caller says otherwise.
pub const DEFAULT_DEPTH: usize = 512;

/// What the reader takes.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How deeply lists and maps may be nested.
    pub max_depth: usize,
    /// Whether extension types and timestamps are read; if not, their formats are unknown.
    pub ext: bool,
    /// Whether extension types below -1 are read, which MessagePack reserves.
    pub reserved: bool,
    /// Whether strings must be UTF-8; if not, the sink takes others too.
    pub utf8: bool,
    /// Whether lists and maps may be keys, as far as the sink takes them.
    pub container_keys: bool,
}

impl Options {
    /// All of MessagePack.
    pub const STANDARD: Self = Self {
        max_depth: DEFAULT_DEPTH,
        ext: true,
        reserved: false,
        utf8: true,
        container_keys: false,
    };
    /// The part of MessagePack that payloads use: no extension types.
    pub const PAYLOAD: Self = Self {
        ext: false,
        ..Self::STANDARD
    };
}

/// Reads the first value of `data` into `sink`.
///
/// Returns what the sink made of it and the offset of the first byte behind it. Nesting
/// costs heap, not stack, and no container is opened that the rest of the data cannot fill:
/// the lengths given to the sink add up to no more than the size of the input.
pub fn read<'a, S: Sink<'a>>(
    data: &'a [u8],
    options: Options,
    sink: &mut S,
) -> Result<(S::Out, usize), S::Error> {
    let mut reader = Reader::new(data, options);
    let top = match reader.head()? {
        Head::Scalar(scalar) => return Ok((sink.scalar(scalar, 0)?, reader.offset())),
        top => top,
    };
    let mut outer: SmallVec<[Open<'a, S>; INLINE]> = SmallVec::new();
    // Values that the containers in `outer` still lack, each of at least one byte.
    let mut owed = 0_usize;
    let mut open = reader.open(top, 0, &outer, owed, sink)?;
    loop {
        if let Some((head, at)) = open.fill(&mut reader, sink)? {
            owed += open.lacks();
            outer.push(open);
            open = reader.open(head, at, &outer, owed, sink)?;
            continue;
        }
        let value = open.end(sink)?;
        match outer.pop() {
            Some(container) => open = container,
            None => return Ok((value, reader.offset())),
        }
        owed -= open.lacks();
        open.give(value, sink)?;
    }
}

/// How many open containers need no heap.
const INLINE: usize = 8;

/// A container that is being filled, with the number of values or entries that it lacks,
/// not counting the one that is being read.
enum Open<'a, S: Sink<'a>> {
    Seq(S::Seq, usize),
    Map(S::Map, Waiting<S::Key>, usize),
}

/// What a map does while a container inside it is being read.
enum Waiting<K> {
    /// It does not wait.
    Not,
    /// It waits for the value of this key.
    Value(K),
    /// It waits for a key, which starts here.
    Key(usize),
}

impl<'a, S: Sink<'a>> Open<'a, S> {
    /// Reads values as long as they are scalars. Returns the head of the container that
    /// comes next and its place, or nothing once this one is full.
    #[inline(always)]
    fn fill(
        &mut self,
        reader: &mut Reader<'a>,
        sink: &mut S,
    ) -> Result<Option<(Head<'a>, usize)>, S::Error> {
        match self {
            Self::Seq(seq, left) => {
                while *left > 0 {
                    *left -= 1;
                    let at = reader.offset();
                    match reader.head()? {
                        Head::Scalar(scalar) => {
                            let value = sink.scalar(scalar, at)?;
                            sink.item(seq, value)?;
                        }
                        container => return Ok(Some((container, at))),
                    }
                }
            }
            Self::Map(map, waiting, left) => {
                if let Waiting::Value(key) = mem::replace(waiting, Waiting::Not) {
                    if let Some(container) = reader.entry(sink, map, waiting, key)? {
                        return Ok(Some(container));
                    }
                }
                while *left > 0 {
                    *left -= 1;
                    let at = reader.offset();
                    let key = match reader.head()? {
                        Head::Scalar(scalar) => sink.key(map, scalar, at)?,
                        container if reader.options.container_keys => {
                            *waiting = Waiting::Key(at);
                            return Ok(Some((container, at)));
                        }
                        container => return Err(reader.unhashable(&container, at).into()),
                    };
                    if let Some(container) = reader.entry(sink, map, waiting, key)? {
                        return Ok(Some(container));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Takes the value of the container that was being read.
    #[inline(always)]
    fn give(&mut self, value: S::Out, sink: &mut S) -> Result<(), S::Error> {
        match self {
            Self::Seq(seq, _) => sink.item(seq, value),
            Self::Map(map, waiting, _) => {
                match mem::replace(waiting, Waiting::Not) {
                    Waiting::Not => {}
                    Waiting::Value(key) => sink.entry(map, key, value)?,
                    Waiting::Key(at) => {
                        *waiting = Waiting::Value(sink.container_key(map, value, at)?);
                    }
                }
                Ok(())
            }
        }
    }

    #[inline(always)]
    fn end(self, sink: &mut S) -> Result<S::Out, S::Error> {
        match self {
            Self::Seq(seq, _) => sink.end_seq(seq),
            Self::Map(map, ..) => sink.end_map(map),
        }
    }

    /// Returns the number of values that must still come.
    fn lacks(&self) -> usize {
        match self {
            Self::Seq(_, left) => *left,
            Self::Map(_, Waiting::Key(_), left) => 2 * *left + 1,
            Self::Map(_, _, left) => 2 * *left,
        }
    }
}

/// What the first bytes of a value say.
enum Head<'a> {
    Scalar(Scalar<'a>),
    Seq(usize),
    Map(usize),
}

impl Head<'_> {
    /// Returns what container this opens, if it does, and the number of values in it.
    fn opens(&self) -> Option<(Container, usize)> {
        match self {
            Self::Scalar(_) => None,
            Self::Seq(len) => Some((Container::List, *len)),
            Self::Map(len) => Some((Container::Map, len.saturating_mul(2))),
        }
    }
}

struct Reader<'a> {
    data: &'a [u8],
    rest: &'a [u8],
    options: Options,
}

impl<'a> Reader<'a> {
    fn new(data: &'a [u8], options: Options) -> Self {
        Self {
            data,
            rest: data,
            options,
        }
    }

    fn offset(&self) -> usize {
        self.data.len() - self.rest.len()
    }

    /// Opens the container with this head, if the rest of the data can fill it and what is
    /// owed to the containers around it.
    #[inline(always)]
    fn open<S: Sink<'a>>(
        &self,
        head: Head<'a>,
        at: usize,
        outer: &[Open<'a, S>],
        owed: usize,
        sink: &mut S,
    ) -> Result<Open<'a, S>, S::Error> {
        if outer.len() >= self.options.max_depth {
            return Err(DecodeError::new(Reason::Depth, at).into());
        }
        let values = head.opens().map_or(0, |(_, values)| values);
        if owed.saturating_add(values) > self.rest.len() {
            return Err(first_error(self.data, self.options, Reason::Truncated, at).into());
        }
        Ok(match head {
            Head::Map(len) => Open::Map(sink.map(len)?, Waiting::Not, len),
            Head::Seq(len) => Open::Seq(sink.seq(len)?, len),
            // Callers open containers only.
            Head::Scalar(_) => Open::Seq(sink.seq(0)?, 0),
        })
    }

    /// Reads the value of a key. Returns the head of a container and its place, if it is one.
    #[inline(always)]
    fn entry<S: Sink<'a>>(
        &mut self,
        sink: &mut S,
        map: &mut S::Map,
        waiting: &mut Waiting<S::Key>,
        key: S::Key,
    ) -> Result<Option<(Head<'a>, usize)>, S::Error> {
        let at = self.offset();
        match self.head()? {
            Head::Scalar(scalar) => {
                let value = sink.scalar(scalar, at)?;
                sink.entry(map, key, value)?;
                Ok(None)
            }
            container => {
                *waiting = Waiting::Value(key);
                Ok(Some((container, at)))
            }
        }
    }

    /// Returns the error of a container that is a key.
    #[cold]
    fn unhashable(&self, head: &Head<'a>, at: usize) -> DecodeError {
        let kind = head.opens().map_or(Container::List, |(kind, _)| kind);
        first_error(self.data, self.options, Reason::Unhashable(kind), at)
    }

    /// Reads a scalar, or the head of a container.
    #[inline(always)]
    fn head(&mut self) -> Result<Head<'a>, DecodeError> {
        let at = self.offset();
        let byte = self.u8(at)?;
        let scalar = match byte {
            0..=FIXINT_MAX => Scalar::Int(byte.into()),
            NEGATIVE_FIXINT.. => Scalar::Int((byte as i8).into()),
            FIXMAP..=FIXMAP_MAX => return Ok(Head::Map((byte - FIXMAP).into())),
            MAP16 => return Ok(Head::Map(self.u16(at)?.into())),
            MAP32 => return Ok(Head::Map(self.u32(at)? as usize)),
            FIXARRAY..=FIXARRAY_MAX => return Ok(Head::Seq((byte - FIXARRAY).into())),
            ARRAY16 => return Ok(Head::Seq(self.u16(at)?.into())),
            ARRAY32 => return Ok(Head::Seq(self.u32(at)? as usize)),
            FIXSTR..=FIXSTR_MAX => self.text((byte - FIXSTR).into(), at)?,
            STR8 => {
                let len = self.u8(at)?;
                self.text(len.into(), at)?
            }
            STR16 => {
                let len = self.u16(at)?;
                self.text(len.into(), at)?
            }
            STR32 => {
                let len = self.u32(at)?;
                self.text(len as usize, at)?
            }
            BIN8 => {
                let len = self.u8(at)?;
                Scalar::Bin(self.take(len.into(), at)?)
            }
            BIN16 => {
                let len = self.u16(at)?;
                Scalar::Bin(self.take(len.into(), at)?)
            }
            BIN32 => {
                let len = self.u32(at)?;
                Scalar::Bin(self.take(len as usize, at)?)
            }
            NIL => Scalar::Nil,
            FALSE => Scalar::Bool(false),
            TRUE => Scalar::Bool(true),
            UINT8 => Scalar::Int(self.u8(at)?.into()),
            UINT16 => Scalar::Int(self.u16(at)?.into()),
            UINT32 => Scalar::Int(self.u32(at)?.into()),
            UINT64 => {
                let wide = u64::from_be_bytes(self.array(at)?);
                i64::try_from(wide).map_or(Scalar::Uint(wide), Scalar::Int)
            }
            INT8 => Scalar::Int(i8::from_be_bytes(self.array(at)?).into()),
            INT16 => Scalar::Int(i16::from_be_bytes(self.array(at)?).into()),
            INT32 => Scalar::Int(i32::from_be_bytes(self.array(at)?).into()),
            INT64 => Scalar::Int(i64::from_be_bytes(self.array(at)?)),
            FLOAT32 => Scalar::Float(f32::from_be_bytes(self.array(at)?).into()),
            FLOAT64 => Scalar::Float(f64::from_be_bytes(self.array(at)?)),
            EXT8 | EXT16 | EXT32 | FIXEXT1..=FIXEXT16 if self.options.ext => self.ext(byte, at)?,
            _ => return Err(DecodeError::new(Reason::Format(byte), at)),
        };
        Ok(Head::Scalar(scalar))
    }

    fn ext(&mut self, byte: u8, at: usize) -> Result<Scalar<'a>, DecodeError> {
        let len = match byte {
            EXT8 => self.u8(at)?.into(),
            EXT16 => self.u16(at)?.into(),
            EXT32 => self.u32(at)? as usize,
            fixed => 1 << (fixed - FIXEXT1),
        };
        let code = i8::from_be_bytes(self.array(at)?);
        let data = self.take(len, at)?;
        match code {
            0.. => Ok(Scalar::Ext(code, data)),
            TIMESTAMP => timestamp(data).ok_or(DecodeError::new(Reason::Timestamp, at)),
            _ if self.options.reserved => Ok(Scalar::Ext(code, data)),
            _ => Err(DecodeError::new(Reason::Extension(code), at)),
        }
    }

    fn text(&mut self, len: usize, at: usize) -> Result<Scalar<'a>, DecodeError> {
        let offset = self.offset();
        Ok(Scalar::Str(Text::new(self.take(len, at)?, offset)))
    }

    fn u8(&mut self, at: usize) -> Result<u8, DecodeError> {
        self.array(at).map(u8::from_be_bytes)
    }

    fn u16(&mut self, at: usize) -> Result<u16, DecodeError> {
        self.array(at).map(u16::from_be_bytes)
    }

    fn u32(&mut self, at: usize) -> Result<u32, DecodeError> {
        self.array(at).map(u32::from_be_bytes)
    }

    /// Takes `N` bytes of the value that starts at `at`.
    fn array<const N: usize>(&mut self, at: usize) -> Result<[u8; N], DecodeError> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(truncated(at))?;
        self.rest = rest;
        Ok(*bytes)
    }

    /// Takes `len` bytes of the value that starts at `at`.
    fn take(&mut self, len: usize, at: usize) -> Result<&'a [u8], DecodeError> {
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or(truncated(at))?;
        self.rest = rest;
        Ok(bytes)
    }
}

fn truncated(at: usize) -> DecodeError {
    DecodeError::new(Reason::Truncated, at)
}

/// Reads the three forms of a timestamp.
fn timestamp(data: &[u8]) -> Option<Scalar<'_>> {
    let (seconds, nanoseconds) = if let Ok(bytes) = data.try_into() {
        (u32::from_be_bytes(bytes).into(), 0)
    } else if let Ok(bytes) = data.try_into() {
        let both = u64::from_be_bytes(bytes);
        ((both & 0x3_ffff_ffff) as i64, (both >> 34) as u32)
    } else {
        let (nanoseconds, seconds) = data.split_first_chunk()?;
        (
            i64::from_be_bytes(seconds.try_into().ok()?),
            u32::from_be_bytes(*nanoseconds),
        )
    };
    (nanoseconds < 1_000_000_000).then_some(Scalar::Timestamp(seconds, nanoseconds))
}

/// Finds the first error of data that is known to have one.
///
/// A decoder that builds values one by one meets the errors inside a key or behind a false
/// length before it can notice that the key has no hash or the data ends. This walk keeps
/// that order and allocates nothing but its list of open containers.
#[cold]
fn first_error(data: &[u8], options: Options, known: Reason, known_at: usize) -> DecodeError {
    struct Open {
        kind: Container,
        at: usize,
        /// Values still to come; in a map those are keys and values by turns.
        left: usize,
        bad_key: Option<DecodeError>,
    }
    let mut reader = Reader::new(data, options);
    let mut open: Vec<Open> = Vec::new();
    loop {
        let at = reader.offset();
        let head = match reader.head() {
            Ok(head) => head,
            Err(error) => return error,
        };
        if let (true, Head::Scalar(Scalar::Str(text))) = (options.utf8, &head) {
            if let Err(error) = text.check() {
                return error;
            }
        }
        if let Some((kind, left)) = head.opens() {
            if open.len() >= options.max_depth {
                return DecodeError::new(Reason::Depth, at);
            }
            if left > 0 {
                open.push(Open {
                    kind,
                    at,
                    left,
                    bad_key: None,
                });
                continue;
            }
        }
        let mut done = (head.opens().map(|(kind, _)| kind), at);
        loop {
            let Some(parent) = open.last_mut() else {
                return DecodeError::new(known, known_at);
            };
            let is_key = parent.kind == Container::Map && parent.left % 2 == 0;
            let refused = is_key && !options.container_keys;
            if let (true, (Some(kind), at)) = (refused, done) {
                parent.bad_key = Some(DecodeError::new(Reason::Unhashable(kind), at));
            } else if let Some(error) = parent.bad_key {
                return error;
            }
            parent.left -= 1;
            if parent.left > 0 {
                break;
            }
            done = (Some(parent.kind), parent.at);
            open.pop();
        }
    }
}
