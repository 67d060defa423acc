//! The walk over the bytes.

use std::iter;

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
}

impl Options {
    /// All of MessagePack.
    pub const STANDARD: Self = Self {
        max_depth: DEFAULT_DEPTH,
        ext: true,
        reserved: false,
        utf8: true,
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
    let top = match reader.head(Value(sink))? {
        Head::Scalar(value) => return Ok((value, reader.offset())),
        Head::Container(kind, len) => (kind, len),
    };
    let mut outer: SmallVec<[Open<'a, S>; INLINE]> = SmallVec::new();
    // Values that the containers in `outer` still lack, each of at least one byte.
    let mut owed = 0;
    let mut open = reader.open(top, 0, outer.len(), owed, sink)?;
    'containers: loop {
        // Fill the container as long as its values are scalars. What is kept of it while
        // another is read goes straight from registers to `outer`.
        let (inner, at) = 'inner: {
            let value = match open {
                Open::Seq(mut seq, mut left) => {
                    while left > 0 {
                        left -= 1;
                        let at = reader.offset();
                        match reader.head(Value(sink))? {
                            Head::Scalar(value) => sink.item(&mut seq, value)?,
                            Head::Container(kind, len) => {
                                owed += left;
                                outer.extend(iter::once_with(|| Open::Seq(seq, left)));
                                break 'inner ((kind, len), at);
                            }
                        }
                    }
                    sink.end_seq(seq)?
                }
                Open::Map(mut map, waiting, mut left) => {
                    let mut made = waiting.value();
                    while left > 0 || made.is_some() {
                        let key = match made.take() {
                            Some(key) => key,
                            None => {
                                left -= 1;
                                let at = reader.offset();
                                match reader.head(Key(sink, &mut map))? {
                                    Head::Scalar(key) => key,
                                    Head::Container(kind, len) if S::CONTAINER_KEYS => {
                                        owed += values(Container::Map, left) + 1;
                                        outer.extend(iter::once_with(|| {
                                            Open::Map(map, Waiting::Key(at), left)
                                        }));
                                        break 'inner ((kind, len), at);
                                    }
                                    Head::Container(kind, _) => {
                                        let known = Reason::Unhashable(kind);
                                        return Err(reader.first_error::<S>(known, at));
                                    }
                                }
                            }
                        };
                        let at = reader.offset();
                        match reader.head(Value(sink))? {
                            Head::Scalar(value) => sink.entry(&mut map, key, value)?,
                            Head::Container(kind, len) => {
                                owed += values(Container::Map, left);
                                outer.extend(iter::once_with(|| {
                                    Open::Map(map, Waiting::Value(key), left)
                                }));
                                break 'inner ((kind, len), at);
                            }
                        }
                    }
                    sink.end_map(map)?
                }
            };
            open = match outer.pop() {
                None => return Ok((value, reader.offset())),
                Some(Open::Seq(mut seq, left)) => {
                    owed -= left;
                    sink.item(&mut seq, value)?;
                    Open::Seq(seq, left)
                }
                Some(Open::Map(mut map, waiting, left)) => {
                    owed -= values(Container::Map, left);
                    let waiting = match waiting {
                        Waiting::Not => Waiting::Not,
                        Waiting::Value(key) => {
                            sink.entry(&mut map, key, value)?;
                            Waiting::Not
                        }
                        Waiting::Key(at) => {
                            owed -= 1;
                            Waiting::Value(sink.container_key(&mut map, value, at)?)
                        }
                    };
                    Open::Map(map, waiting, left)
                }
            };
            continue 'containers;
        };
        if outer.len() == INLINE {
            // What is nested more deeply than most is often nested much more deeply.
            outer.reserve(DEEP);
        }
        open = reader.open(inner, at, outer.len(), owed, sink)?;
    }
}

/// How many open containers need no heap.
pub(super) const INLINE: usize = 8;
/// For how many more there is room once they do.
const DEEP: usize = 256;

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

impl<K> Waiting<K> {
    /// Returns the key whose value comes next.
    #[inline(always)]
    fn value(self) -> Option<K> {
        match self {
            Self::Value(key) => Some(key),
            Self::Not | Self::Key(_) => None,
        }
    }
}

/// What the first bytes of a value say: a value that holds no others, or the length of one
/// that does.
pub(super) enum Head<T> {
    Scalar(T),
    Container(Container, usize),
}

/// Returns the number of values in a container of this length.
#[inline(always)]
fn values(kind: Container, len: usize) -> usize {
    match kind {
        Container::List => len,
        Container::Map => len.saturating_mul(2),
    }
}

const I64_MAX: u64 = i64::MAX as u64;

/// What becomes of a scalar. Each is taken where its first byte was told from all others, so
/// that no scalar is put together only to be looked at again.
pub(super) trait Take<'a> {
    type Out;
    type Error: From<DecodeError>;

    fn take(self, scalar: Scalar<'a>, at: usize) -> Result<Self::Out, Self::Error>;
}

/// The sink makes a value of it.
struct Value<'s, S>(&'s mut S);

impl<'a, S: Sink<'a>> Take<'a> for Value<'_, S> {
    type Out = S::Out;
    type Error = S::Error;

    #[inline(always)]
    fn take(self, scalar: Scalar<'a>, at: usize) -> Result<S::Out, S::Error> {
        self.0.scalar(scalar, at)
    }
}

/// The sink makes a key of it.
struct Key<'s, 'a, S: Sink<'a>>(&'s mut S, &'s mut S::Map);

impl<'a, S: Sink<'a>> Take<'a> for Key<'_, 'a, S> {
    type Out = S::Key;
    type Error = S::Error;

    #[inline(always)]
    fn take(self, scalar: Scalar<'a>, at: usize) -> Result<S::Key, S::Error> {
        self.0.key(self.1, scalar, at)
    }
}

/// It is looked at.
struct Look;

impl<'a> Take<'a> for Look {
    type Out = Scalar<'a>;
    type Error = DecodeError;

    fn take(self, scalar: Scalar<'a>, _at: usize) -> Result<Scalar<'a>, DecodeError> {
        Ok(scalar)
    }
}

#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    data: &'a [u8],
    rest: &'a [u8],
    options: Options,
}

impl<'a> Reader<'a> {
    pub(super) fn new(data: &'a [u8], options: Options) -> Self {
        Self {
            data,
            rest: data,
            options,
        }
    }

    #[inline(always)]
    fn offset(&self) -> usize {
        self.data.len() - self.rest.len()
    }

    /// Returns the data that was not read yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Passes over bytes.
    pub(super) fn pass(&mut self, len: usize) {
        self.rest = self.rest.get(len..).unwrap_or_default();
    }

    /// Opens the container with this head, if the rest of the data can fill it and what is
    /// owed to the containers around it.
    #[inline(always)]
    fn open<S: Sink<'a>>(
        &self,
        (kind, len): (Container, usize),
        at: usize,
        depth: usize,
        owed: usize,
        sink: &mut S,
    ) -> Result<Open<'a, S>, S::Error> {
        if depth >= self.options.max_depth {
            return Err(DecodeError::new(Reason::Depth, at).into());
        }
        if owed.saturating_add(values(kind, len)) > self.rest.len() {
            return Err(self.first_error::<S>(Reason::Truncated, at));
        }
        Ok(match kind {
            Container::Map => Open::Map(sink.map(len)?, Waiting::Not, len),
            Container::List => Open::Seq(sink.seq(len)?, len),
        })
    }

    /// Returns the first error of the data, of which one is known.
    #[cold]
    #[inline(never)]
    fn first_error<S: Sink<'a>>(&self, known: Reason, at: usize) -> S::Error {
        first_error(self.data, self.options, S::CONTAINER_KEYS, known, at).into()
    }

    /// Reads a scalar, or the head of a container.
    #[inline(always)]
    pub(super) fn head<T: Take<'a>>(&mut self, taker: T) -> Result<Head<T::Out>, T::Error> {
        let at = self.offset();
        match self.whole_head(taker, at) {
            Ok(head) => head,
            Err(End) => Err(truncated(at).into()),
        }
    }

    /// Does what [`Reader::head`] does, as far as the data goes.
    ///
    /// An error that says nothing is tested and forgotten where it is made, and costs nothing.
    #[inline(always)]
    fn whole_head<T: Take<'a>>(
        &mut self,
        taker: T,
        at: usize,
    ) -> Result<Result<Head<T::Out>, T::Error>, End> {
        let byte = self.u8()?;
        let taken = match byte {
            0..=FIXINT_MAX => taker.take(Scalar::Int(byte.into()), at),
            FIXSTR..=FIXSTR_MAX => taker.take(self.text((byte - FIXSTR).into())?, at),
            FIXMAP..=FIXMAP_MAX => {
                return Ok(Ok(Head::Container(Container::Map, (byte - FIXMAP).into())))
            }
            FIXARRAY..=FIXARRAY_MAX => {
                return Ok(Ok(Head::Container(
                    Container::List,
                    (byte - FIXARRAY).into(),
                )))
            }
            NEGATIVE_FIXINT.. => taker.take(Scalar::Int((byte as i8).into()), at),
            STR8 => {
                let len = self.u8()?;
                taker.take(self.text(len.into())?, at)
            }
            STR16 => {
                let len = self.u16()?;
                taker.take(self.text(len.into())?, at)
            }
            STR32 => {
                let len = self.u32()?;
                taker.take(self.text(len as usize)?, at)
            }
            NIL => taker.take(Scalar::Nil, at),
            FALSE => taker.take(Scalar::Bool(false), at),
            TRUE => taker.take(Scalar::Bool(true), at),
            UINT8 => taker.take(Scalar::Int(self.u8()?.into()), at),
            UINT16 => taker.take(Scalar::Int(self.u16()?.into()), at),
            UINT32 => taker.take(Scalar::Int(self.u32()?.into()), at),
            UINT64 => match u64::from_be_bytes(self.array()?) {
                wide @ ..=I64_MAX => taker.take(Scalar::Int(wide as i64), at),
                wide => taker.take(Scalar::Uint(wide), at),
            },
            FLOAT64 => taker.take(Scalar::Float(f64::from_be_bytes(self.array()?)), at),
            BIN8 => {
                let len = self.u8()?;
                taker.take(Scalar::Bin(self.take(len.into())?), at)
            }
            MAP16 => return Ok(Ok(Head::Container(Container::Map, self.u16()?.into()))),
            MAP32 => return Ok(Ok(Head::Container(Container::Map, self.u32()? as usize))),
            ARRAY16 => return Ok(Ok(Head::Container(Container::List, self.u16()?.into()))),
            ARRAY32 => return Ok(Ok(Head::Container(Container::List, self.u32()? as usize))),
            _ => {
                // A copy, so that the reader itself stays in registers.
                let mut reader = *self;
                let scalar = reader.rare(byte, at);
                *self = reader;
                match scalar {
                    Ok(scalar) => taker.take(scalar, at),
                    Err(error) => Err(error.into()),
                }
            }
        };
        Ok(taken.map(Head::Scalar))
    }

    /// Reads what is seldom met.
    #[inline(never)]
    fn rare(&mut self, byte: u8, at: usize) -> Result<Scalar<'a>, DecodeError> {
        let end = |End| truncated(at);
        Ok(match byte {
            INT8 => Scalar::Int(i8::from_be_bytes(self.array().map_err(end)?).into()),
            INT16 => Scalar::Int(i16::from_be_bytes(self.array().map_err(end)?).into()),
            INT32 => Scalar::Int(i32::from_be_bytes(self.array().map_err(end)?).into()),
            INT64 => Scalar::Int(i64::from_be_bytes(self.array().map_err(end)?)),
            FLOAT32 => Scalar::Float(f32::from_be_bytes(self.array().map_err(end)?).into()),
            BIN16 => {
                let len = self.u16().map_err(end)?;
                Scalar::Bin(self.take(len.into()).map_err(end)?)
            }
            BIN32 => {
                let len = self.u32().map_err(end)?;
                Scalar::Bin(self.take(len as usize).map_err(end)?)
            }
            EXT8 | EXT16 | EXT32 | FIXEXT1..=FIXEXT16 if self.options.ext => self.ext(byte, at)?,
            _ => return Err(DecodeError::new(Reason::Format(byte), at)),
        })
    }

    #[cold]
    fn ext(&mut self, byte: u8, at: usize) -> Result<Scalar<'a>, DecodeError> {
        let end = |End| truncated(at);
        let len = match byte {
            EXT8 => self.u8().map_err(end)?.into(),
            EXT16 => self.u16().map_err(end)?.into(),
            EXT32 => self.u32().map_err(end)? as usize,
            fixed => 1 << (fixed - FIXEXT1),
        };
        let code = i8::from_be_bytes(self.array().map_err(end)?);
        let data = self.take(len).map_err(end)?;
        match code {
            0.. => Ok(Scalar::Ext(code, data)),
            TIMESTAMP => timestamp(data).ok_or(DecodeError::new(Reason::Timestamp, at)),
            _ if self.options.reserved => Ok(Scalar::Ext(code, data)),
            _ => Err(DecodeError::new(Reason::Extension(code), at)),
        }
    }

    #[inline(always)]
    fn text(&mut self, len: usize) -> Result<Scalar<'a>, End> {
        let offset = self.offset();
        Ok(Scalar::Str(Text::new(self.take(len)?, offset)))
    }

    #[inline(always)]
    fn u8(&mut self) -> Result<u8, End> {
        self.array().map(u8::from_be_bytes)
    }

    #[inline(always)]
    fn u16(&mut self) -> Result<u16, End> {
        self.array().map(u16::from_be_bytes)
    }

    #[inline(always)]
    fn u32(&mut self) -> Result<u32, End> {
        self.array().map(u32::from_be_bytes)
    }

    /// Takes `N` bytes.
    #[inline(always)]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], End> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(End)?;
        self.rest = rest;
        Ok(*bytes)
    }

    /// Takes `len` bytes.
    #[inline(always)]
    fn take(&mut self, len: usize) -> Result<&'a [u8], End> {
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or(End)?;
        self.rest = rest;
        Ok(bytes)
    }
}

/// The data ends.
struct End;

#[cold]
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
#[inline(never)]
fn first_error(
    data: &[u8],
    options: Options,
    container_keys: bool,
    known: Reason,
    known_at: usize,
) -> DecodeError {
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
        let container = match reader.head(Look) {
            Ok(Head::Scalar(Scalar::Str(text))) if options.utf8 => match text.check() {
                Ok(_) => None,
                Err(error) => return error,
            },
            Ok(Head::Scalar(_)) => None,
            Ok(Head::Container(kind, len)) => Some((kind, values(kind, len))),
            Err(error) => return error,
        };
        if let Some((kind, left)) = container {
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
        let mut done = (container.map(|(kind, _)| kind), at);
        loop {
            let Some(parent) = open.last_mut() else {
                return DecodeError::new(known, known_at);
            };
            let is_key = parent.kind == Container::Map && parent.left % 2 == 0;
            if let (true, (Some(kind), at)) = (is_key && !container_keys, done) {
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
