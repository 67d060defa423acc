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
        self.out.push(NIL);
    }

    /// Writes a truth value.
    pub fn bool(&mut self, value: bool) {
        self.out.push(if value { TRUE } else { FALSE });
    }

    /// Writes a whole number.
    pub fn int(&mut self, value: i64) {
        if let Ok(value) = u64::try_from(value) {
            self.uint(value);
        } else if value >= -32 {
            self.out.push(value as u8);
        } else if let Ok(value) = i8::try_from(value) {
            self.head(INT8, value.to_be_bytes());
        } else if let Ok(value) = i16::try_from(value) {
            self.head(INT16, value.to_be_bytes());
        } else if let Ok(value) = i32::try_from(value) {
            self.head(INT32, value.to_be_bytes());
        } else {
            self.head(INT64, value.to_be_bytes());
        }
    }

    /// Writes a whole number without sign.
    pub fn uint(&mut self, value: u64) {
        match value {
            0..=0x7f => self.out.push(value as u8),
            0x80..=0xff => self.head(UINT8, [value as u8]),
            0x100..=0xffff => self.head(UINT16, (value as u16).to_be_bytes()),
            0x1_0000..=0xffff_ffff => self.head(UINT32, (value as u32).to_be_bytes()),
            _ => self.head(UINT64, value.to_be_bytes()),
        }
    }

    /// Writes a float of 64 bits.
    pub fn float(&mut self, value: f64) {
        self.head(FLOAT64, value.to_be_bytes());
    }

    /// Writes a string.
    pub fn str(&mut self, text: &str) -> Result<(), TooLong> {
        match length(text.len())? {
            len @ 0..=0x1f => self.out.push(FIXSTR | len as u8),
            len => self.sized(len, STR8, STR16, STR32),
        }
        self.out.extend_from_slice(text.as_bytes());
        Ok(())
    }

    /// Writes bytes.
    pub fn bin(&mut self, data: &[u8]) -> Result<(), TooLong> {
        self.sized(length(data.len())?, BIN8, BIN16, BIN32);
        self.out.extend_from_slice(data);
        Ok(())
    }

    /// Writes the head of a list of `len` values.
    pub fn array(&mut self, len: usize) -> Result<(), TooLong> {
        match length(len)? {
            len @ 0..=0xf => self.out.push(FIXARRAY | len as u8),
            len @ 0x10..=0xffff => self.head(ARRAY16, (len as u16).to_be_bytes()),
            len => self.head(ARRAY32, len.to_be_bytes()),
        }
        Ok(())
    }

    /// Writes the head of a map of `len` entries.
    pub fn map(&mut self, len: usize) -> Result<(), TooLong> {
        match length(len)? {
            len @ 0..=0xf => self.out.push(FIXMAP | len as u8),
            len @ 0x10..=0xffff => self.head(MAP16, (len as u16).to_be_bytes()),
            len => self.head(MAP32, len.to_be_bytes()),
        }
        Ok(())
    }

    /// Writes an extension type.
    pub fn ext(&mut self, code: i8, data: &[u8]) -> Result<(), TooLong> {
        match length(data.len())? {
            1 => self.out.push(FIXEXT1),
            2 => self.out.push(FIXEXT2),
            4 => self.out.push(FIXEXT4),
            8 => self.out.push(FIXEXT8),
            16 => self.out.push(FIXEXT16),
            len => self.sized(len, EXT8, EXT16, EXT32),
        }
        self.out.push(code as u8);
        self.out.extend_from_slice(data);
        Ok(())
    }

    /// Writes a moment: seconds since 1970 and nanoseconds, fewer than 10^9.
    pub fn timestamp(&mut self, seconds: i64, nanoseconds: u32) {
        match u64::try_from(seconds) {
            Ok(seconds @ 0..=0xffff_ffff) if nanoseconds == 0 => {
                self.head(FIXEXT4, [TIMESTAMP as u8]);
                self.out.extend((seconds as u32).to_be_bytes());
            }
            Ok(seconds @ 0..=0x3_ffff_ffff) => {
                self.head(FIXEXT8, [TIMESTAMP as u8]);
                self.out
                    .extend((u64::from(nanoseconds) << 34 | seconds).to_be_bytes());
            }
            _ => {
                self.head(EXT8, [12, TIMESTAMP as u8]);
                self.out.extend(nanoseconds.to_be_bytes());
                self.out.extend(seconds.to_be_bytes());
            }
        }
    }

    fn sized(&mut self, len: u32, short: u8, medium: u8, long: u8) {
        match len {
            0..=0xff => self.head(short, [len as u8]),
            0x100..=0xffff => self.head(medium, (len as u16).to_be_bytes()),
            _ => self.head(long, len.to_be_bytes()),
        }
    }

    fn head<const N: usize>(&mut self, marker: u8, bytes: [u8; N]) {
        self.out.push(marker);
        self.out.extend_from_slice(&bytes);
    }
}

fn length(len: usize) -> Result<u32, TooLong> {
    u32::try_from(len).map_err(|_| TooLong)
}
