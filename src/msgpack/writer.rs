//! Writing MessagePack, each value in its shortest form.

use std::fmt;

use super::marker::*;

/// A string, bytes, list or map is longer than MessagePack's 2^32 - 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("longer than 4294967295, the most that MessagePack can say")
    }
}

impl std::error::Error for TooLong {}

/// What stands before the body of a value, which for most values is all there is.
#[derive(Clone, Copy, Debug)]
pub struct HeadBytes {
    marker: u8,
    /// The bytes behind the marker, the first one on top, then zeros.
    rest: u64,
    len: usize,
}

impl HeadBytes {
    /// Nil.
    pub const NIL: Self = Self::one(NIL);
    /// False.
    pub const FALSE: Self = Self::one(FALSE);
    /// True.
    pub const TRUE: Self = Self::one(TRUE);

    /// Returns the number of bytes.
    #[inline]
    #[allow(clippy::len_without_is_empty)] // It never is.
    pub fn len(self) -> usize {
        self.len
    }

    /// Returns the bytes, followed by zeros.
    #[inline]
    pub fn bytes(self) -> [u8; 9] {
        let [a, b, c, d, e, f, g, h] = self.rest.to_be_bytes();
        [self.marker, a, b, c, d, e, f, g, h]
    }

    /// Returns a whole number.
    #[inline]
    pub fn int(value: i64) -> Self {
        if value >= 0 {
            return Self::uint(value as u64);
        }
        match value {
            -0x20.. => Self::one(value as u8),
            -0x80.. => Self::two(INT8, value as u8),
            -0x8000.. => Self::three(INT16, value as u16),
            -0x8000_0000.. => Self::five(INT32, value as u32),
            _ => Self::nine(INT64, value as u64),
        }
    }

    /// Returns a whole number without sign.
    #[inline]
    pub fn uint(value: u64) -> Self {
        match value {
            0..=0x7f => Self::one(value as u8),
            0x80..=0xff => Self::two(UINT8, value as u8),
            0x100..=0xffff => Self::three(UINT16, value as u16),
            0x1_0000..=0xffff_ffff => Self::five(UINT32, value as u32),
            _ => Self::nine(UINT64, value),
        }
    }

    /// Returns a float of 64 bits.
    #[inline]
    pub fn float(value: f64) -> Self {
        Self::nine(FLOAT64, value.to_bits())
    }

    /// Returns a float of 32 bits.
    #[inline]
    pub fn single(value: f32) -> Self {
        Self::five(FLOAT32, value.to_bits())
    }

    /// Returns the head of a string of `len` bytes.
    #[inline]
    pub fn str(len: usize) -> Result<Self, TooLong> {
        Ok(match length(len)? {
            len @ 0..=0x1f => Self::one(FIXSTR | len as u8),
            len => Self::sized(len, STR8, STR16, STR32),
        })
    }

    /// Returns the head of a string, or of bytes, as it was before bytes had a type.
    #[inline]
    pub fn raw(len: usize) -> Result<Self, TooLong> {
        match len {
            0x20..=0xff => Ok(Self::three(STR16, len as u16)),
            _ => Self::str(len),
        }
    }

    /// Returns the head of `len` bytes.
    #[inline]
    pub fn bin(len: usize) -> Result<Self, TooLong> {
        Ok(Self::sized(length(len)?, BIN8, BIN16, BIN32))
    }

    /// Returns the head of a list of `len` values.
    #[inline]
    pub fn array(len: usize) -> Result<Self, TooLong> {
        Ok(match length(len)? {
            len @ 0..=0xf => Self::one(FIXARRAY | len as u8),
            len @ 0x10..=0xffff => Self::three(ARRAY16, len as u16),
            len => Self::five(ARRAY32, len),
        })
    }

    /// Returns the head of a map of `len` entries.
    #[inline]
    pub fn map(len: usize) -> Result<Self, TooLong> {
        Ok(match length(len)? {
            len @ 0..=0xf => Self::one(FIXMAP | len as u8),
            len @ 0x10..=0xffff => Self::three(MAP16, len as u16),
            len => Self::five(MAP32, len),
        })
    }

    /// Returns the head of an extension type with `len` bytes of data.
    pub fn ext(code: i8, len: usize) -> Result<Self, TooLong> {
        let size = match length(len)? {
            1 => Self::one(FIXEXT1),
            2 => Self::one(FIXEXT2),
            4 => Self::one(FIXEXT4),
            8 => Self::one(FIXEXT8),
            16 => Self::one(FIXEXT16),
            len => Self::sized(len, EXT8, EXT16, EXT32),
        };
        Ok(Self {
            rest: size.rest | u64::from(code as u8) << (64 - 8 * size.len),
            len: size.len + 1,
            ..size
        })
    }

    #[inline]
    fn sized(len: u32, short: u8, medium: u8, long: u8) -> Self {
        match len {
            0..=0xff => Self::two(short, len as u8),
            0x100..=0xffff => Self::three(medium, len as u16),
            _ => Self::five(long, len),
        }
    }

    const fn one(marker: u8) -> Self {
        Self {
            marker,
            rest: 0,
            len: 1,
        }
    }

    const fn two(marker: u8, rest: u8) -> Self {
        Self {
            marker,
            rest: (rest as u64) << 56,
            len: 2,
        }
    }

    const fn three(marker: u8, rest: u16) -> Self {
        Self {
            marker,
            rest: (rest as u64) << 48,
            len: 3,
        }
    }

    const fn five(marker: u8, rest: u32) -> Self {
        Self {
            marker,
            rest: (rest as u64) << 32,
            len: 5,
        }
    }

    const fn nine(marker: u8, rest: u64) -> Self {
        Self {
            marker,
            rest,
            len: 9,
        }
    }
}

/// Returns a moment: 15 bytes and the place among them where its form starts.
pub fn timestamp(seconds: i64, nanoseconds: u32) -> ([u8; 15], usize) {
    let (marker, size, high, low) = match u64::try_from(seconds) {
        Ok(seconds @ 0..=0xffff_ffff) if nanoseconds == 0 => (FIXEXT4, 4, 0, seconds),
        Ok(seconds @ 0..=0x3_ffff_ffff) => (FIXEXT8, 8, 0, u64::from(nanoseconds) << 34 | seconds),
        _ => (EXT8, 12, nanoseconds, seconds as u64),
    };
    let mut form = [0; 15];
    let start = if size == 12 { 0 } else { 13 - size };
    form[3..7].copy_from_slice(&high.to_be_bytes());
    form[7..].copy_from_slice(&low.to_be_bytes());
    form[1] = size as u8;
    form[start] = marker;
    form[14 - size] = TIMESTAMP as u8;
    (form, start)
}

fn length(len: usize) -> Result<u32, TooLong> {
    u32::try_from(len).map_err(|_| TooLong)
}

/// Appends values to a buffer.
///
/// The caller follows the head of a list or map by as many values as it claims.
#[derive(Debug, Default)]
pub struct Writer {
    out: Vec<u8>,
}

impl Writer {
    /// Creates a writer with an empty buffer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns what was written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    /// Writes nil.
    pub fn nil(&mut self) {
        self.head(HeadBytes::NIL);
    }

    /// Writes a truth value.
    pub fn bool(&mut self, value: bool) {
        self.head(if value {
            HeadBytes::TRUE
        } else {
            HeadBytes::FALSE
        });
    }

    /// Writes a whole number.
    pub fn int(&mut self, value: i64) {
        self.head(HeadBytes::int(value));
    }

    /// Writes a whole number without sign.
    pub fn uint(&mut self, value: u64) {
        self.head(HeadBytes::uint(value));
    }

    /// Writes a float of 64 bits.
    pub fn float(&mut self, value: f64) {
        self.head(HeadBytes::float(value));
    }

    /// Writes a string.
    pub fn str(&mut self, text: &str) -> Result<(), TooLong> {
        self.head(HeadBytes::str(text.len())?);
        self.out.extend_from_slice(text.as_bytes());
        Ok(())
    }

    /// Writes bytes.
    pub fn bin(&mut self, data: &[u8]) -> Result<(), TooLong> {
        self.head(HeadBytes::bin(data.len())?);
        self.out.extend_from_slice(data);
        Ok(())
    }

    /// Writes the head of a list of `len` values.
    pub fn array(&mut self, len: usize) -> Result<(), TooLong> {
        self.head(HeadBytes::array(len)?);
        Ok(())
    }

    /// Writes the head of a map of `len` entries.
    pub fn map(&mut self, len: usize) -> Result<(), TooLong> {
        self.head(HeadBytes::map(len)?);
        Ok(())
    }

    /// Writes an extension type.
    pub fn ext(&mut self, code: i8, data: &[u8]) -> Result<(), TooLong> {
        self.head(HeadBytes::ext(code, data.len())?);
        self.out.extend_from_slice(data);
        Ok(())
    }

    /// Writes a moment: seconds since 1970 and nanoseconds, fewer than 10^9.
    pub fn timestamp(&mut self, seconds: i64, nanoseconds: u32) {
        let (form, start) = timestamp(seconds, nanoseconds);
        self.out.extend_from_slice(&form[start..]);
    }

    fn head(&mut self, head: HeadBytes) {
        self.out.extend_from_slice(&head.bytes()[..head.len()]);
    }
}
