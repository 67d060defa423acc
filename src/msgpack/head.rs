//! The first bytes of a value, and the values that hold no others.

use super::marker::*;
use super::reader::Options;
use super::sink::{Scalar, Text};
use crate::error::{Container, DecodeError, Reason};

/// What the first bytes of a value say: a value that holds no others, or the length of one
/// that does.
pub(super) enum Head<T> {
    Scalar(T),
    Container(Container, usize),
}

/// Returns the number of values in a container of this length.
#[inline(always)]
pub(super) fn values(kind: Container, len: usize) -> usize {
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

/// Data, and how far it was read.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) data: &'a [u8],
    /// The offset of the next byte.
    pub(super) at: usize,
    pub(super) options: Options,
}

impl<'a> Reader<'a> {
    pub(super) fn new(data: &'a [u8], options: Options) -> Self {
        Self {
            data,
            at: 0,
            options,
        }
    }

    /// Returns the data that was not read yet.
    #[inline(always)]
    pub(super) fn rest(&self) -> &'a [u8] {
        self.data.get(self.at..).unwrap_or_default()
    }

    /// Returns how many bytes were not read yet.
    #[inline(always)]
    pub(super) fn left(&self) -> usize {
        self.data.len() - self.at
    }

    /// Reads a scalar, or the head of a container.
    #[inline(always)]
    pub(super) fn head<T: Take<'a>>(&mut self, taker: T) -> Result<Head<T::Out>, T::Error> {
        let at = self.at;
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
        let offset = self.at;
        Ok(Scalar::Str(Text::new(self.take(len)?, offset)))
    }

    #[inline(always)]
    fn u8(&mut self) -> Result<u8, End> {
        let byte = *self.data.get(self.at).ok_or(End)?;
        self.at += 1;
        Ok(byte)
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
        match self.take(N)?.first_chunk() {
            Some(bytes) => Ok(*bytes),
            None => Err(End),
        }
    }

    /// Takes `len` bytes.
    #[inline(always)]
    fn take(&mut self, len: usize) -> Result<&'a [u8], End> {
        // Where the sum is too large, it wraps to something below the start.
        let end = self.at.wrapping_add(len);
        let bytes = self.data.get(self.at..end).ok_or(End)?;
        self.at = end;
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
