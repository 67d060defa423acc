//! A tree of values that borrows from the input.

use super::reader::{read, Options};
use super::sink::{Scalar, Sink};
use super::writer::{TooLong, Writer};
use crate::error::{DecodeError, Reason};

/// One MessagePack value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// Nothing.
    Nil,
    /// A truth value.
    Bool(bool),
    /// A whole number up to `i64::MAX`.
    Int(i64),
    /// A whole number above `i64::MAX`.
    Uint(u64),
    /// A float.
    Float(f64),
    /// A string.
    Str(&'a str),
    /// Bytes.
    Bin(&'a [u8]),
    /// An extension type and its data.
    Ext(i8, &'a [u8]),
    /// Seconds since 1970 and nanoseconds.
    Timestamp(i64, u32),
    /// A list.
    List(Vec<Value<'a>>),
    /// The entries of a map in wire order; repeated keys are kept.
    Map(Vec<(Value<'a>, Value<'a>)>),
}

impl<'a> Value<'a> {
    /// Reads the one value that `data` holds.
    ///
    /// ```
    /// use xyfast::msgpack::Value;
    ///
    /// let value = Value::unpack(b"\x81\x01\xa2hi").unwrap();
    /// assert_eq!(value, Value::Map(vec![(Value::Int(1), Value::Str("hi"))]));
    /// ```
    pub fn unpack(data: &'a [u8]) -> Result<Self, DecodeError> {
        let (value, end) = read(data, Options::STANDARD, &mut Tree)?;
        if end < data.len() {
            return Err(DecodeError::new(Reason::Extra, end));
        }
        Ok(value)
    }

    /// Writes the value in its shortest form.
    pub fn pack(&self, writer: &mut Writer) -> Result<(), TooLong> {
        match self {
            Self::Nil => writer.nil(),
            Self::Bool(value) => writer.bool(*value),
            Self::Int(value) => writer.int(*value),
            Self::Uint(value) => writer.uint(*value),
            Self::Float(value) => writer.float(*value),
            Self::Str(text) => writer.str(text)?,
            Self::Bin(data) => writer.bin(data)?,
            Self::Ext(code, data) => writer.ext(*code, data)?,
            Self::Timestamp(seconds, nanoseconds) => writer.timestamp(*seconds, *nanoseconds),
            Self::List(values) => {
                writer.array(values.len())?;
                for value in values {
                    value.pack(writer)?;
                }
            }
            Self::Map(entries) => {
                writer.map(entries.len())?;
                for (key, value) in entries {
                    key.pack(writer)?;
                    value.pack(writer)?;
                }
            }
        }
        Ok(())
    }

    fn from_scalar(scalar: Scalar<'a>) -> Result<Self, DecodeError> {
        Ok(match scalar {
            Scalar::Nil => Self::Nil,
            Scalar::Bool(value) => Self::Bool(value),
            Scalar::Int(value) => Self::Int(value),
            Scalar::Uint(value) => Self::Uint(value),
            Scalar::Float(value) => Self::Float(value),
            Scalar::Str(text) => Self::Str(text.check()?),
            Scalar::Bin(data) => Self::Bin(data),
            Scalar::Ext(code, data) => Self::Ext(code, data),
            Scalar::Timestamp(seconds, nanoseconds) => Self::Timestamp(seconds, nanoseconds),
        })
    }
}

impl Value<'_> {
    /// Moves the values inside this one to `rest`.
    fn empty_into(&mut self, rest: &mut Vec<Self>) {
        match self {
            Self::List(values) => rest.append(values),
            Self::Map(entries) => rest.extend(entries.drain(..).flat_map(<[_; 2]>::from)),
            _ => {}
        }
    }
}

/// Takes deep trees apart without recursion.
impl Drop for Value<'_> {
    fn drop(&mut self) {
        let mut rest = Vec::new();
        self.empty_into(&mut rest);
        while let Some(mut value) = rest.pop() {
            value.empty_into(&mut rest);
        }
    }
}

/// The sink that builds a [`Value`].
#[derive(Debug)]
pub struct Tree;

impl<'a> Sink<'a> for Tree {
    type Out = Value<'a>;
    type Seq = Vec<Value<'a>>;
    type Map = Vec<(Value<'a>, Value<'a>)>;
    type Key = Value<'a>;
    type Error = DecodeError;

    fn scalar(&mut self, scalar: Scalar<'a>, _at: usize) -> Result<Value<'a>, DecodeError> {
        Value::from_scalar(scalar)
    }

    fn seq(&mut self, len: usize) -> Result<Self::Seq, DecodeError> {
        Ok(Vec::with_capacity(len))
    }

    fn item(&mut self, seq: &mut Self::Seq, value: Value<'a>) -> Result<(), DecodeError> {
        seq.push(value);
        Ok(())
    }

    fn end_seq(&mut self, seq: Self::Seq) -> Result<Value<'a>, DecodeError> {
        Ok(Value::List(seq))
    }

    fn map(&mut self, len: usize) -> Result<Self::Map, DecodeError> {
        Ok(Vec::with_capacity(len))
    }

    fn key(
        &mut self,
        _map: &mut Self::Map,
        key: Scalar<'a>,
        _at: usize,
    ) -> Result<Value<'a>, DecodeError> {
        Value::from_scalar(key)
    }

    fn entry(
        &mut self,
        map: &mut Self::Map,
        key: Value<'a>,
        value: Value<'a>,
    ) -> Result<(), DecodeError> {
        map.push((key, value));
        Ok(())
    }

    fn end_map(&mut self, map: Self::Map) -> Result<Value<'a>, DecodeError> {
        Ok(Value::Map(map))
    }
}
