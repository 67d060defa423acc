//! What can be wrong with input, and where.

use std::fmt;

/// Why input cannot be decoded, and the place where that shows.
///
/// Cheap to make; worded only when shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// What is wrong.
    pub reason: Reason,
    /// Where, counted from 0: a byte of the decoded data, or a character of base64 text.
    pub offset: usize,
}

/// What is wrong with a piece of input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The data ends inside a value or before one.
    Truncated,
    /// No value starts with this byte.
    Format(u8),
    /// A string is not UTF-8.
    Utf8(Utf8Fault),
    /// A list or map stands as the key of a map.
    Unhashable(Container),
    /// A key is of this Python type where only `str` and `bytes` are taken.
    KeyType(&'static str),
    /// A key is of type `bytes`, which JSON text has no name for.
    BytesKey,
    /// Too many of a map's keys collide.
    Crowded,
    /// Lists and maps are nested more deeply than allowed.
    Depth,
    /// A length is above the option of this name.
    Length(&'static str),
    /// The next value is no such container.
    Other(Container),
    /// An extension type that is reserved or not taken here.
    Extension(i8),
    /// A timestamp has a wrong length or a second or more of nanoseconds.
    Timestamp,
    /// The payload is something else than a map.
    TopLevel,
    /// One value was read and more data follows.
    Extra,
    /// The text is not base64.
    Base64(Base64Fault),
    /// The text is not JSON.
    Json,
    /// The JSON is no envelope: no object, or one without headers.
    Envelope,
    /// The frame has more payloads than so many, the most that are taken.
    Payloads(usize),
}

/// The two kinds of value that hold others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// A MessagePack array.
    List,
    /// A MessagePack map.
    Map,
}

/// Which bytes of a string are not UTF-8; positions count from the start of the string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Utf8Fault {
    /// The first bad byte.
    pub byte: u8,
    /// Its position.
    pub start: usize,
    /// The position behind the last byte of the bad sequence.
    pub end: usize,
    /// What is bad about the sequence.
    pub kind: Utf8Kind,
}

/// How a sequence fails to be UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Utf8Kind {
    /// No character starts with this byte.
    Start,
    /// A byte inside a character is not one that may stand there.
    Continuation,
    /// The string ends inside a character.
    End,
}

/// How text fails to be base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base64Fault {
    /// A byte that is not of the alphabet, or `=` where data should stand.
    Symbol,
    /// The text ends with a single character of a group, after so many data characters.
    Lone(usize),
    /// The last group lacks its padding.
    Padding,
    /// The unused low bits of the last character are not zero.
    Bits,
}

impl DecodeError {
    /// Creates an error from its two parts.
    pub const fn new(reason: Reason, offset: usize) -> Self {
        Self { reason, offset }
    }
}

impl Reason {
    /// Returns the short stable word for this reason that programs may test.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::Format(_) => "format",
            Self::Utf8(_) => "utf8",
            Self::Unhashable(_) | Self::KeyType(_) | Self::BytesKey | Self::Crowded => "key",
            Self::Depth => "depth",
            Self::Length(_) => "length",
            Self::Other(_) => "type",
            Self::Extension(_) => "extension",
            Self::Timestamp => "timestamp",
            Self::TopLevel => "top-level",
            Self::Extra => "extra",
            Self::Base64(_) => "base64",
            Self::Json => "json",
            Self::Envelope => "envelope",
            Self::Payloads(_) => "payloads",
        }
    }
}

impl Container {
    /// Returns the name of the Python type.
    pub const fn type_name(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Map => "dict",
        }
    }
}

impl Utf8Fault {
    /// Finds the first fault of `bytes`, which [`std::str::from_utf8`] refused with `error`.
    pub(crate) fn new(bytes: &[u8], error: std::str::Utf8Error) -> Self {
        let start = error.valid_up_to();
        let byte = bytes.get(start).copied().unwrap_or_default();
        let (end, kind) = match error.error_len() {
            None => (bytes.len(), Utf8Kind::End),
            Some(len) if matches!(byte, 0xc2..=0xf4) => (start + len, Utf8Kind::Continuation),
            Some(len) => (start + len, Utf8Kind::Start),
        };
        Self {
            byte,
            start,
            end,
            kind,
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.reason {
            Reason::Base64(_) => "character",
            _ => "byte",
        };
        write!(f, "{} at {unit} {}", self.reason, self.offset)
    }
}

impl std::error::Error for DecodeError {}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("input ends inside a value"),
            Self::Format(byte) => write!(f, "no value starts with {byte:#04x}"),
            Self::Utf8(fault) => write!(f, "a string is not UTF-8: {fault}"),
            Self::Unhashable(kind) => write!(f, "a {} is a map key", kind.type_name()),
            Self::KeyType(name) => write!(
                f,
                "a map key is of type {name}; strict_map_key=True takes str and bytes only"
            ),
            Self::BytesKey => f.write_str("a map key is of type bytes and has no name in JSON"),
            Self::Crowded => f.write_str("too many keys of one map collide"),
            Self::Depth => f.write_str("lists and maps are nested too deeply"),
            Self::Length(name) => write!(f, "a length exceeds {name}"),
            Self::Other(kind) => write!(f, "the next value is no {}", kind.type_name()),
            Self::Extension(code) => write!(f, "extension type {code} is not taken here"),
            Self::Timestamp => f.write_str("a timestamp is malformed"),
            Self::TopLevel => f.write_str("the payload is not a map"),
            Self::Extra => f.write_str("more data follows the value"),
            Self::Base64(fault) => write!(f, "{fault}"),
            Self::Json => f.write_str("the text is not JSON"),
            Self::Envelope => f.write_str("the frame is no envelope"),
            Self::Payloads(most) => write!(f, "the frame has more than {most} payloads"),
        }
    }
}

/// Worded as CPython words it, because users of `decrypt` see this text.
impl fmt::Display for Utf8Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (start, last) = (self.start, self.end.saturating_sub(1));
        f.write_str("'utf-8' codec can't decode ")?;
        if start == last {
            write!(f, "byte {:#04x} in position {start}: ", self.byte)?;
        } else {
            write!(f, "bytes in position {start}-{last}: ")?;
        }
        f.write_str(match self.kind {
            Utf8Kind::Start => "invalid start byte",
            Utf8Kind::Continuation => "invalid continuation byte",
            Utf8Kind::End => "unexpected end of data",
        })
    }
}

impl fmt::Display for Base64Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Symbol => f.write_str("a character is not base64"),
            Self::Lone(count) => write!(f, "base64 cannot have {count} data characters"),
            Self::Padding => f.write_str("base64 lacks padding"),
            Self::Bits => f.write_str("unused bits of the last base64 character are set"),
        }
    }
}
