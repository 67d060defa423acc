//! What the reader finds, and who is told.

use crate::error::{Container, DecodeError, Reason, Utf8Fault};

/// A value that holds no others.
#[derive(Clone, Copy, Debug)]
pub enum Scalar<'a> {
    /// Nothing.
    Nil,
    /// A truth value.
    Bool(bool),
    /// A whole number that fits into 64 bits with a sign, however it was written.
    Int(i64),
    /// A whole number above `i64::MAX`.
    Uint(u64),
    /// A float; one of 32 bits is widened exactly.
    Float(f64),
    /// A string, not yet checked.
    Str(Text<'a>),
    /// Bytes.
    Bin(&'a [u8]),
    /// An extension type, 0 to 127, and its data.
    Ext(i8, &'a [u8]),
    /// Seconds since 1970 and nanoseconds, fewer than 10^9.
    Timestamp(i64, u32),
}

impl Scalar<'_> {
    /// Returns the name of the Python type that stands for this value.
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Nil => "NoneType",
            Self::Bool(_) => "bool",
            Self::Int(_) | Self::Uint(_) => "int",
            Self::Float(_) => "float",
            Self::Str(_) => "str",
            Self::Bin(_) => "bytes",
            Self::Ext(..) => "ExtType",
            Self::Timestamp(..) => "Timestamp",
        }
    }
}

/// A string as it stands in the input.
///
/// The sink checks it, because some can do that while they copy it.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Text<'a> {
    #[inline]
    pub(crate) const fn new(bytes: &'a [u8], offset: usize) -> Self {
        Self { bytes, offset }
    }

    /// Returns the bytes of the string.
    #[inline]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Returns where in the data the string starts.
    #[inline]
    pub(crate) const fn offset(&self) -> usize {
        self.offset
    }

    /// Returns the string if it is UTF-8.
    pub fn check(self) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.bytes).map_err(|error| {
            let fault = Utf8Fault::new(self.bytes, error);
            DecodeError::new(Reason::Utf8(fault), self.offset + fault.start)
        })
    }
}

/// What the reader reports, in wire order. One implementation per output.
///
/// A container is opened with its length, given its values one by one, and closed; what
/// closing returns is then a value of the container around it. `at` is the offset of a
/// value's first byte. Every string that is handed over must be checked, wanted or not.
pub trait Sink<'a> {
    /// A finished value.
    type Out;
    /// A list that is being filled.
    type Seq;
    /// A map that is being filled.
    type Map;
    /// A key that waits for its value.
    type Key;
    /// What stops the reader.
    type Error: From<DecodeError>;

    /// Whether lists and maps may be keys, as far as `container_key` takes them.
    const CONTAINER_KEYS: bool = false;

    /// Whether lists are put into their places before they are filled, as `early` returns
    /// them. What `end_seq` returns is then of no account but for an empty list, and a list may
    /// be closed when the last value in it was opened.
    const EARLY: bool = false;

    /// Takes a value that holds no others.
    fn scalar(&mut self, scalar: Scalar<'a>, at: usize) -> Result<Self::Out, Self::Error>;
    /// Opens a list of `len` values.
    fn seq(&mut self, len: usize) -> Result<Self::Seq, Self::Error>;
    /// Returns a list that was just opened, if [`Sink::EARLY`].
    fn early(&mut self, seq: &Self::Seq) -> Option<Self::Out> {
        let _ = seq;
        None
    }
    /// Takes the next value of a list.
    fn item(&mut self, seq: &mut Self::Seq, value: Self::Out) -> Result<(), Self::Error>;
    /// Closes a list.
    fn end_seq(&mut self, seq: Self::Seq) -> Result<Self::Out, Self::Error>;
    /// Opens a map of `len` entries.
    fn map(&mut self, len: usize) -> Result<Self::Map, Self::Error>;
    /// Takes a key; its value comes next.
    fn key(
        &mut self,
        map: &mut Self::Map,
        key: Scalar<'a>,
        at: usize,
    ) -> Result<Self::Key, Self::Error>;
    /// Takes a list or map that is a key; its value comes next.
    fn container_key(
        &mut self,
        map: &mut Self::Map,
        key: Self::Out,
        at: usize,
    ) -> Result<Self::Key, Self::Error> {
        let _ = (map, key);
        Err(DecodeError::new(Reason::Unhashable(Container::List), at).into())
    }
    /// Takes the value of a key.
    fn entry(
        &mut self,
        map: &mut Self::Map,
        key: Self::Key,
        value: Self::Out,
    ) -> Result<(), Self::Error>;
    /// Closes a map.
    fn end_map(&mut self, map: Self::Map) -> Result<Self::Out, Self::Error>;
}
