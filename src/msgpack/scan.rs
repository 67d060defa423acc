//! The way to the end of a value, without looking into it.

use super::marker::*;
use crate::error::{Container, DecodeError, Reason};

/// The longest values of each kind that a [`Scan`] passes over.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a string.
    pub str: usize,
    /// Bytes of a value of type bin.
    pub bin: usize,
    /// Items of a list.
    pub array: usize,
    /// Entries of a map.
    pub map: usize,
    /// Bytes of the data of an extension type.
    pub ext: usize,
}

impl Limits {
    /// Whatever a head can say.
    pub const NONE: Self = Self {
        str: usize::MAX,
        bin: usize::MAX,
        array: usize::MAX,
        map: usize::MAX,
        ext: usize::MAX,
    };

    fn check(&self, head: Head, at: usize) -> Result<(), DecodeError> {
        let (limit, name) = match head.kind {
            Kind::Plain => return Ok(()),
            Kind::Str => (self.str, "max_str_len"),
            Kind::Bin => (self.bin, "max_bin_len"),
            Kind::Holds(Container::List) => (self.array, "max_array_len"),
            Kind::Holds(Container::Map) => (self.map, "max_map_len"),
            Kind::Ext => (self.ext, "max_ext_len"),
        };
        if head.len > limit {
            return Err(DecodeError::new(Reason::Length(name), at));
        }
        Ok(())
    }
}

/// A walk to the end of one value that stops where the data ends and goes on once there is
/// more.
///
/// It remembers how many values each open container still lacks, and nothing else, so that
/// a large value may come in small pieces.
#[derive(Debug)]
pub struct Scan {
    /// The offset of the first byte that was not looked at; it may lie behind the data.
    at: usize,
    /// Values that are still to come, for the data and every open container in it.
    left: Vec<u64>,
    max_depth: usize,
}

impl Scan {
    /// Starts before a value whose lists and maps are nested at most so deeply.
    pub fn new(max_depth: usize) -> Self {
        Self {
            at: 0,
            left: vec![1],
            max_depth,
        }
    }

    /// Starts before the next value.
    pub fn restart(&mut self) {
        self.at = 0;
        self.left.clear();
        self.left.push(1);
    }

    /// Goes on, in data that begins where it began before and may have grown at its end.
    ///
    /// Returns the size of the value once all of it is there.
    pub fn advance(&mut self, data: &[u8], limits: &Limits) -> Result<Option<usize>, DecodeError> {
        while let Some(left) = self.left.last_mut() {
            if *left == 0 {
                self.left.pop();
                continue;
            }
            let head = Head::read(data.get(self.at..).unwrap_or_default());
            let Some(head) = head.map_err(|reason| DecodeError::new(reason, self.at))? else {
                return Ok(None);
            };
            *left -= 1;
            if let Kind::Holds(_) = head.kind {
                if self.left.len() > self.max_depth {
                    return Err(DecodeError::new(Reason::Depth, self.at));
                }
                self.left.push(head.values());
            }
            limits.check(head, self.at)?;
            self.at = self
                .at
                .saturating_add(head.size)
                .saturating_add(head.body());
        }
        Ok((self.at <= data.len()).then_some(self.at))
    }

    /// Forgets the bytes that were looked at, and returns how many of `len` those are.
    pub fn forget(&mut self, len: usize) -> usize {
        let seen = self.at.min(len);
        self.at -= seen;
        seen
    }
}

/// What a value is, as far as that decides where it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A value whose size its first byte says.
    Plain,
    /// A string.
    Str,
    /// Bytes.
    Bin,
    /// An extension type.
    Ext,
    /// A list or map.
    Holds(Container),
}

/// What the first bytes of a value say.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    /// What the value is.
    pub kind: Kind,
    /// Its length: bytes behind the head, without the code of an extension type; items;
    /// entries.
    pub len: usize,
    /// The bytes of the head.
    pub size: usize,
}

impl Head {
    /// Reads the head that data starts with; nothing if the data ends inside it.
    pub fn read(data: &[u8]) -> Result<Option<Self>, Reason> {
        const LIST: Kind = Kind::Holds(Container::List);
        const MAP: Kind = Kind::Holds(Container::Map);
        let Some((&first, rest)) = data.split_first() else {
            return Ok(None);
        };
        let fixed = |kind, len| (kind, 0, len);
        let counted = |kind, width: u8| (kind, 1 << width, 0);
        let (kind, width, len) = match first {
            0..=FIXINT_MAX | NEGATIVE_FIXINT.. | NIL | FALSE | TRUE => fixed(Kind::Plain, 0),
            UINT8 | INT8 => fixed(Kind::Plain, 1),
            UINT16 | INT16 => fixed(Kind::Plain, 2),
            UINT32 | INT32 | FLOAT32 => fixed(Kind::Plain, 4),
            UINT64 | INT64 | FLOAT64 => fixed(Kind::Plain, 8),
            FIXMAP..=FIXMAP_MAX => fixed(MAP, first - FIXMAP),
            FIXARRAY..=FIXARRAY_MAX => fixed(LIST, first - FIXARRAY),
            FIXSTR..=FIXSTR_MAX => fixed(Kind::Str, first - FIXSTR),
            FIXEXT1..=FIXEXT16 => fixed(Kind::Ext, 1 << (first - FIXEXT1)),
            BIN8..=BIN32 => counted(Kind::Bin, first - BIN8),
            EXT8..=EXT32 => counted(Kind::Ext, first - EXT8),
            STR8..=STR32 => counted(Kind::Str, first - STR8),
            ARRAY16 | ARRAY32 => counted(LIST, first - ARRAY16 + 1),
            MAP16 | MAP32 => counted(MAP, first - MAP16 + 1),
            _ => return Err(Reason::Format(first)),
        };
        let Some(count) = rest.get(..width) else {
            return Ok(None);
        };
        let counted = count
            .iter()
            .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        Ok(Some(Self {
            kind,
            len: counted + usize::from(len),
            size: 1 + width,
        }))
    }

    /// Returns the bytes behind the head that belong to no other value.
    fn body(&self) -> usize {
        match self.kind {
            Kind::Plain | Kind::Str | Kind::Bin => self.len,
            Kind::Ext => self.len.saturating_add(1),
            Kind::Holds(_) => 0,
        }
    }

    /// Returns the number of values inside.
    fn values(&self) -> u64 {
        match self.kind {
            Kind::Holds(Container::List) => self.len as u64,
            Kind::Holds(Container::Map) => 2 * self.len as u64,
            _ => 0,
        }
    }
}
