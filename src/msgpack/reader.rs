//! The walk over the bytes.

use std::mem;

use super::first_error::first_error;
use super::head::{values, Head, Reader, Take};
use super::sink::{Scalar, Sink};
use super::stack::Stack;
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
        Head::Scalar(value) => return Ok((value, reader.at)),
        Head::Container(kind, len) => (kind, len),
    };
    let mut outer: Stack<Open<'a, S>> = Stack::new();
    // Values that the containers in `outer` still lack, each of at least one byte.
    let mut owed = 0;
    // How many containers there are around the open one, with those that are full.
    let mut depth = 0;
    let mut open = reader.open(top, 0, depth, owed, sink)?;
    'containers: loop {
        // Fill the container as long as its values are scalars. What is kept of it while
        // another is read goes straight from registers to `outer`.
        let (inner, at) = 'inner: {
            let (value, is_placed) = match open {
                Open::Seq(mut seq, mut left, mut full) => {
                    while left > 0 {
                        left -= 1;
                        let at = reader.at;
                        match reader.head(Value(sink))? {
                            Head::Scalar(value) => sink.item(&mut seq, value)?,
                            Head::Container(kind, len) => {
                                owed += left;
                                if !S::EARLY || kind == Container::Map {
                                    outer.push(Open::Seq(seq, left, full));
                                    break 'inner ((kind, len), at);
                                }
                                depth += 1;
                                reader.admit::<S>((kind, len), at, depth, owed)?;
                                let inner = sink.seq(len)?;
                                if let Some(value) = sink.early(&inner) {
                                    sink.item(&mut seq, value)?;
                                }
                                if left == 0 && depth > 1 {
                                    // Nothing to come back for, but for what is returned.
                                    sink.end_seq(seq)?;
                                    full += 1;
                                } else {
                                    outer.push(Open::Seq(seq, left, full));
                                    full = 0;
                                }
                                (seq, left) = (inner, len);
                            }
                        }
                    }
                    depth -= full;
                    (sink.end_seq(seq)?, S::EARLY)
                }
                Open::Map(mut map, waiting, mut left) => {
                    // A key waits for its value here only if it was a container itself.
                    let mut made = waiting.value().filter(|_| S::CONTAINER_KEYS);
                    while left > 0 || made.is_some() {
                        let key = match made.take() {
                            Some(key) => key,
                            None => {
                                left -= 1;
                                let at = reader.at;
                                match reader.head(Key(sink, &mut map))? {
                                    Head::Scalar(key) => key,
                                    Head::Container(kind, len) if S::CONTAINER_KEYS => {
                                        owed += values(Container::Map, left) + 1;
                                        outer.push(Open::Map(map, Waiting::Key(at), left));
                                        break 'inner ((kind, len), at);
                                    }
                                    Head::Container(kind, _) => {
                                        let known = Reason::Unhashable(kind);
                                        return Err(reader.first_error::<S>(known, at));
                                    }
                                }
                            }
                        };
                        let at = reader.at;
                        match reader.head(Value(sink))? {
                            Head::Scalar(value) => sink.entry(&mut map, key, value)?,
                            // Common, and nothing to come back from.
                            Head::Container(Container::List, 0)
                                if depth + 1 < reader.options.max_depth =>
                            {
                                let empty = sink.seq(0)?;
                                let value = sink.end_seq(empty)?;
                                sink.entry(&mut map, key, value)?;
                            }
                            Head::Container(kind, len) => {
                                owed += values(Container::Map, left);
                                outer.push(Open::Map(map, Waiting::Value(key), left));
                                break 'inner ((kind, len), at);
                            }
                        }
                    }
                    (sink.end_map(map)?, false)
                }
            };
            let Some(around) = outer.pop() else {
                return Ok((value, reader.at));
            };
            depth -= 1;
            open = match around {
                Open::Seq(mut seq, left, full) => {
                    owed -= left;
                    if !is_placed {
                        sink.item(&mut seq, value)?;
                    }
                    Open::Seq(seq, left, full)
                }
                Open::Map(mut map, waiting, left) => {
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
        depth += 1;
        open = reader.open(inner, at, depth, owed, sink)?;
        if S::EARLY {
            open.place(outer.last_mut(), sink)?;
        }
    }
}

/// A container that is being filled, with the number of values or entries that it lacks,
/// not counting the one that is being read.
///
/// A list also knows how many lists ended with it that are full and in their places, and so
/// were not kept.
enum Open<'a, S: Sink<'a>> {
    Seq(S::Seq, usize, usize),
    Map(S::Map, Waiting<S::Key>, usize),
}

impl<'a, S: Sink<'a>> Open<'a, S> {
    /// Puts a list into the map around it.
    #[inline(always)]
    fn place(&self, around: Option<&mut Self>, sink: &mut S) -> Result<(), S::Error> {
        // A list that is a key is wanted full.
        const { assert!(!(S::EARLY && S::CONTAINER_KEYS)) };
        if let (Self::Seq(seq, ..), Some(Self::Map(map, waiting, _))) = (self, around) {
            let waiting = mem::replace(waiting, Waiting::Not);
            if let (Some(value), Some(key)) = (sink.early(seq), waiting.value()) {
                sink.entry(map, key, value)?;
            }
        }
        Ok(())
    }
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

impl<'a> Reader<'a> {
    /// Opens the container with this head, if it may be opened.
    #[inline(always)]
    fn open<S: Sink<'a>>(
        &self,
        (kind, len): (Container, usize),
        at: usize,
        depth: usize,
        owed: usize,
        sink: &mut S,
    ) -> Result<Open<'a, S>, S::Error> {
        self.admit::<S>((kind, len), at, depth, owed)?;
        Ok(match kind {
            Container::Map => Open::Map(sink.map(len)?, Waiting::Not, len),
            Container::List => Open::Seq(sink.seq(len)?, len, 0),
        })
    }

    /// Refuses a container in too many others, and one that the rest of the data cannot fill
    /// and what is owed to the containers around it.
    #[inline(always)]
    fn admit<S: Sink<'a>>(
        &self,
        (kind, len): (Container, usize),
        at: usize,
        depth: usize,
        owed: usize,
    ) -> Result<(), S::Error> {
        if depth >= self.options.max_depth {
            return Err(DecodeError::new(Reason::Depth, at).into());
        }
        if owed.saturating_add(values(kind, len)) > self.left() {
            return Err(self.first_error::<S>(Reason::Truncated, at));
        }
        Ok(())
    }

    /// Returns the first error of the data, of which one is known.
    #[cold]
    #[inline(never)]
    fn first_error<S: Sink<'a>>(&self, known: Reason, at: usize) -> S::Error {
        first_error(self.data, self.options, S::CONTAINER_KEYS, known, at).into()
    }
}
