//! A decoder that nobody can get wrong: the yardstick for the real one.
//!
//! It reads value by value, recursively, believes no length before the values are there and
//! names an error by its word and offset.

use xyfast::msgpack::{Options, Value};

/// What is wrong, and where.
pub(crate) type Fault = (&'static str, usize);

/// Reads the first value and returns it with the offset behind it.
pub(crate) fn read(data: &[u8], options: Options) -> Result<(Value<'_>, usize), Fault> {
    let mut naive = Naive {
        data,
        at: 0,
        options,
    };
    let value = naive.value(0)?;
    Ok((value, naive.at))
}

struct Naive<'a> {
    data: &'a [u8],
    at: usize,
    options: Options,
}

impl<'a> Naive<'a> {
    fn value(&mut self, depth: usize) -> Result<Value<'a>, Fault> {
        let start = self.at;
        let first = self.number(1, start)? as u8;
        match first {
            0x00..=0x7f => Ok(Value::Int(first.into())),
            0x80..=0x8f => self.map(usize::from(first & 15), depth, start),
            0x90..=0x9f => self.list(usize::from(first & 15), depth, start),
            0xa0..=0xbf => self.string(usize::from(first & 31), start),
            0xc0 => Ok(Value::Nil),
            0xc2 => Ok(Value::Bool(false)),
            0xc3 => Ok(Value::Bool(true)),
            0xc4..=0xc6 => {
                let len = self.number(1 << (first - 0xc4), start)?;
                Ok(Value::Bin(self.bytes(len as usize, start)?))
            }
            0xc7..=0xc9 if self.options.ext => {
                let len = self.number(1 << (first - 0xc7), start)?;
                self.ext(len as usize, start)
            }
            0xca => Ok(Value::Float(
                f32::from_bits(self.number(4, start)? as u32).into(),
            )),
            0xcb => Ok(Value::Float(f64::from_bits(self.number(8, start)?))),
            0xcc..=0xcf => {
                let number = self.number(1 << (first - 0xcc), start)?;
                Ok(match i64::try_from(number) {
                    Ok(number) => Value::Int(number),
                    Err(_) => Value::Uint(number),
                })
            }
            0xd0 => Ok(Value::Int((self.number(1, start)? as i8).into())),
            0xd1 => Ok(Value::Int((self.number(2, start)? as i16).into())),
            0xd2 => Ok(Value::Int((self.number(4, start)? as i32).into())),
            0xd3 => Ok(Value::Int(self.number(8, start)? as i64)),
            0xd4..=0xd8 if self.options.ext => self.ext(1 << (first - 0xd4), start),
            0xd9..=0xdb => {
                let len = self.number(1 << (first - 0xd9), start)?;
                self.string(len as usize, start)
            }
            0xdc | 0xdd => {
                let len = self.number(2 << (first - 0xdc), start)?;
                self.list(len as usize, depth, start)
            }
            0xde | 0xdf => {
                let len = self.number(2 << (first - 0xde), start)?;
                self.map(len as usize, depth, start)
            }
            0xe0..=0xff => Ok(Value::Int((first as i8).into())),
            0xc1 | 0xc7..=0xc9 | 0xd4..=0xd8 => Err(("format", start)),
        }
    }

    fn list(&mut self, len: usize, depth: usize, start: usize) -> Result<Value<'a>, Fault> {
        if depth == self.options.max_depth {
            return Err(("depth", start));
        }
        let mut values = Vec::new();
        for _ in 0..len {
            values.push(self.value(depth + 1)?);
        }
        Ok(Value::List(values))
    }

    fn map(&mut self, len: usize, depth: usize, start: usize) -> Result<Value<'a>, Fault> {
        if depth == self.options.max_depth {
            return Err(("depth", start));
        }
        let mut entries = Vec::new();
        for _ in 0..len {
            let at = self.at;
            let key = self.value(depth + 1)?;
            let value = self.value(depth + 1)?;
            if matches!(key, Value::List(_) | Value::Map(_)) {
                return Err(("key", at));
            }
            entries.push((key, value));
        }
        Ok(Value::Map(entries))
    }

    fn string(&mut self, len: usize, start: usize) -> Result<Value<'a>, Fault> {
        let at = self.at;
        let bytes = self.bytes(len, start)?;
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Value::Str(text)),
            Err(error) => Err(("utf8", at + error.valid_up_to())),
        }
    }

    fn ext(&mut self, len: usize, start: usize) -> Result<Value<'a>, Fault> {
        let code = self.number(1, start)? as i8;
        let data = self.bytes(len, start)?;
        if code >= 0 {
            return Ok(Value::Ext(code, data));
        }
        if code < -1 {
            return Err(("extension", start));
        }
        let number = |part: &[u8]| part.iter().fold(0_u64, |n, &byte| n << 8 | u64::from(byte));
        let (seconds, nanoseconds) = match len {
            4 => (number(data) as i64, 0),
            8 => ((number(data) % (1 << 34)) as i64, number(data) >> 34),
            12 => (number(&data[4..]) as i64, number(&data[..4])),
            _ => return Err(("timestamp", start)),
        };
        if nanoseconds >= 1_000_000_000 {
            return Err(("timestamp", start));
        }
        Ok(Value::Timestamp(seconds, nanoseconds as u32))
    }

    fn number(&mut self, len: usize, start: usize) -> Result<u64, Fault> {
        let bytes = self.bytes(len, start)?;
        Ok(bytes.iter().fold(0, |n, &byte| n << 8 | u64::from(byte)))
    }

    fn bytes(&mut self, len: usize, start: usize) -> Result<&'a [u8], Fault> {
        let left = self.data.len() - self.at;
        if len > left {
            return Err(("truncated", start));
        }
        self.at += len;
        Ok(&self.data[self.at - len..self.at])
    }
}

/// Returns the name of a key in JSON text, if it is a usual one.
fn name(key: &Value<'_>) -> Option<String> {
    match key {
        Value::Nil => Some("null".to_owned()),
        Value::Int(number) => Some(number.to_string()),
        Value::Uint(number) => Some(number.to_string()),
        Value::Str(text) => Some((*text).to_owned()),
        _ => None,
    }
}

/// Returns the value at a path.
pub(crate) fn follow<'v, 'a>(value: &'v Value<'a>, path: &str) -> Option<&'v Value<'a>> {
    path.split('.')
        .try_fold(value, |value, wanted| match value {
            Value::Map(entries) => {
                let named = |key: &Value<'_>| name(key).is_some_and(|name| name == wanted);
                let entry = entries.iter().find(|(key, _)| named(key));
                entry.map(|(_, value)| value)
            }
            _ => None,
        })
}

/// Returns whether all keys of every map are usual ones and have different names.
pub(crate) fn is_plain(value: &Value<'_>) -> bool {
    match value {
        Value::List(values) => values.iter().all(is_plain),
        Value::Map(entries) => {
            let names: Option<Vec<_>> = entries.iter().map(|(key, _)| name(key)).collect();
            let differ =
                |names: &Vec<String>| (1..names.len()).all(|i| !names[i..].contains(&names[i - 1]));
            names.is_some_and(|names| differ(&names))
                && entries.iter().all(|(_, value)| is_plain(value))
        }
        _ => true,
    }
}
