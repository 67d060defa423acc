//! The way to the end of a value, without looking into it.

use super::marker::*;
use crate::error::{Container, DecodeError, Reason};

/// The longest values of each kind that a [`Scan`] passes over.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a string.
    pub str: Limit,
    /// Bytes of a value of type bin.
    pub bin: Limit,
    /// Items of a list.
    pub array: Limit,
    /// Entries of a map.
    pub map: Limit,
    /// Bytes of the data of an extension type.
    pub ext: Limit,
}

/// The greatest length that is taken.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// The length.
    pub len: usize,
    /// The option that says so.
    pub option: &'static str,
}

impl Limits {
    /// Whatever a head can say.
    pub const NONE: Self = {
        const NONE: Limit = Limit {
            len: usize::MAX,
            option: "",
        };
        Self {
            str: NONE,
            bin: NONE,
            array: NONE,
            map: NONE,
            ext: NONE,
        }
    };

    /// Returns the option that allows less than a length, if one does.
    #[inline(always)]
    fn exceeded(&self, extent: Extent) -> Option<&'static str> {
        let limit = match extent.kind {
            Kind::Plain => return None,
            Kind::Str => &self.str,
            Kind::Bin => &self.bin,
            Kind::Holds(Container::List) => &self.array,
            Kind::Holds(Container::Map) => &self.map,
            Kind::Ext => &self.ext,
        };
        (extent.len > limit.len).then_some(limit.option)
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
    /// Values that are still to come, in the innermost open container.
    left: u64,
    /// The same for the containers around it.
    outer: Vec<u64>,
    max_depth: usize,
}

impl Scan {
    /// Starts before a value whose lists and maps are nested at most so deeply.
    pub fn new(max_depth: usize) -> Self {
        Self {
            at: 0,
            left: 1,
            outer: Vec::new(),
            max_depth,
        }
    }

    /// Starts before the next value.
    pub fn restart(&mut self) {
        self.at = 0;
        self.left = 1;
        self.outer.clear();
    }

    /// Returns whether nothing was looked at yet.
    pub fn is_new(&self) -> bool {
        self.at == 0
    }

    /// Goes on, in data that begins where it began before and may have grown at its end.
    ///
    /// Returns the size of the value once all of it is there.
    pub fn advance(&mut self, data: &[u8], limits: &Limits) -> Result<Option<usize>, DecodeError> {
        loop {
            while self.left > 0 {
                let Some((&first, rest)) = data.get(self.at..).and_then(<[u8]>::split_first) else {
                    return Ok(None);
                };
                let Some(extent) = Extent::new(first, rest).map_err(|reason| self.error(reason))?
                else {
                    return Ok(None);
                };
                self.left -= 1;
                if let Kind::Holds(_) = extent.kind {
                    if self.outer.len() >= self.max_depth {
                        return Err(self.error(Reason::Depth));
                    }
                    self.outer.push(self.left);
                    self.left = extent.values();
                }
                if let Some(option) = limits.exceeded(extent) {
                    return Err(self.error(Reason::Length(option)));
                }
                self.at = self.at.saturating_add(extent.head + extent.body());
            }
            match self.outer.pop() {
                Some(left) => self.left = left,
                None => return Ok((self.at <= data.len()).then_some(self.at)),
            }
        }
    }

    #[cold]
    fn error(&self, reason: Reason) -> DecodeError {
        DecodeError::new(reason, self.at)
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

/// How far a value reaches, as its first bytes, its head, say.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// What the value is.
    pub kind: Kind,
    /// Its length: bytes behind the head, without the code of an extension type; items;
    /// entries.
    pub len: usize,
    /// The bytes of the head.
    pub head: usize,
}

impl Extent {
    /// Reads the head of a container that data starts with; nothing if the data ends inside it.
    ///
    /// The first byte is enough to refuse a value of another kind.
    pub fn of(container: Container, data: &[u8]) -> Result<Option<Self>, Reason> {
        let Some((&first, rest)) = data.split_first() else {
            return Ok(None);
        };
        match FORMS[usize::from(first)] {
            Some(form) if form.kind == Kind::Holds(container) => Ok(form.extent(rest)),
            _ => Err(Reason::Other(container)),
        }
    }

    #[inline(always)]
    fn new(first: u8, rest: &[u8]) -> Result<Option<Self>, Reason> {
        match FORMS[usize::from(first)] {
            Some(form) => Ok(form.extent(rest)),
            None => Err(Reason::Format(first)),
        }
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

/// What the first byte of a value says.
#[derive(Clone, Copy)]
struct Form {
    kind: Kind,
    /// The bytes behind it that hold the length.
    width: u8,
    /// The length, if no bytes hold it.
    len: u8,
}

impl Form {
    /// Reads the length from the bytes behind the first; nothing if they end inside it.
    #[inline(always)]
    fn extent(self, rest: &[u8]) -> Option<Extent> {
        let len = match self.width {
            0 => usize::from(self.len),
            1 => usize::from(*rest.first()?),
            2 => u16::from_be_bytes(*rest.first_chunk()?).into(),
            _ => u32::from_be_bytes(*rest.first_chunk()?) as usize,
        };
        Some(Extent {
            kind: self.kind,
            len,
            head: 1 + usize::from(self.width),
        })
    }
}

static FORMS: [Option<Form>; 256] = {
    let mut forms = [None; 256];
    let mut first = 0;
    while first < 256 {
        forms[first] = form(first as u8);
        first += 1;
    }
    forms
};

const fn form(first: u8) -> Option<Form> {
    const LIST: Kind = Kind::Holds(Container::List);
    const MAP: Kind = Kind::Holds(Container::Map);
    let (kind, width, len) = match first {
        0..=FIXINT_MAX | NEGATIVE_FIXINT.. | NIL | FALSE | TRUE => (Kind::Plain, 0, 0),
        UINT8 | INT8 => (Kind::Plain, 0, 1),
        UINT16 | INT16 => (Kind::Plain, 0, 2),
        UINT32 | INT32 | FLOAT32 => (Kind::Plain, 0, 4),
        UINT64 | INT64 | FLOAT64 => (Kind::Plain, 0, 8),
        FIXMAP..=FIXMAP_MAX => (MAP, 0, first - FIXMAP),
        FIXARRAY..=FIXARRAY_MAX => (LIST, 0, first - FIXARRAY),
        FIXSTR..=FIXSTR_MAX => (Kind::Str, 0, first - FIXSTR),
        FIXEXT1..=FIXEXT16 => (Kind::Ext, 0, 1 << (first - FIXEXT1)),
        STR8..=STR32 => (Kind::Str, 1 << (first - STR8), 0),
        BIN8..=BIN32 => (Kind::Bin, 1 << (first - BIN8), 0),
        EXT8..=EXT32 => (Kind::Ext, 1 << (first - EXT8), 0),
        ARRAY16 | ARRAY32 => (LIST, 2 << (first - ARRAY16), 0),
        MAP16 | MAP32 => (MAP, 2 << (first - MAP16), 0),
        _ => return None,
    };
    Some(Form { kind, width, len })
}
