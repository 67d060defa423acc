//! The keys that came lately, so that equal ones share one object.

use std::cell::Cell;

use pyo3::prelude::*;

/// Keys up to this many bytes are remembered.
const LONGEST: usize = 32;
const SLOTS: usize = 512;

thread_local! {
    static CACHE: Cell<Option<Box<Slots>>> = const { Cell::new(None) };
}

struct Slots([Slot; SLOTS]);

struct Slot {
    print: Print,
    key: Option<Py<PyAny>>,
}

/// All bytes of a short key, as words.
#[derive(Clone, Copy)]
struct Print {
    len: usize,
    /// The first and the last bytes, which overlap where there are fewer than 16.
    ends: [u64; 2],
    /// The bytes next to those; nothing up to 16 bytes.
    middle: [u64; 2],
}

/// The keys of this thread, taken when first wanted and given back in the end.
///
/// A thread that reads a second value meanwhile (a finaliser can do that) starts anew.
#[derive(Default)]
pub(crate) struct KeyCache {
    slots: Option<Box<Slots>>,
}

impl KeyCache {
    /// Returns the key with this text, made by `make` if it is not remembered.
    #[inline(always)]
    pub(crate) fn get<'py>(
        &mut self,
        py: Python<'py>,
        text: &[u8],
        make: impl FnOnce() -> Option<Bound<'py, PyAny>>,
    ) -> Option<Bound<'py, PyAny>> {
        let Some(print) = Print::new(text) else {
            return make();
        };
        let slot = &mut self.slots.get_or_insert_with(Slots::take).0[print.slot()];
        match &slot.key {
            Some(key) if slot.print.is(&print) => Some(key.bind(py).clone()),
            _ => slot.replace(print, make()?),
        }
    }
}

impl Drop for KeyCache {
    fn drop(&mut self) {
        if self.slots.is_some() {
            CACHE.set(self.slots.take());
        }
    }
}

impl Slots {
    #[inline(never)]
    fn take() -> Box<Self> {
        CACHE.take().unwrap_or_else(|| {
            Box::new(Self(
                [const {
                    Slot {
                        print: Print {
                            len: 0,
                            ends: [0; 2],
                            middle: [0; 2],
                        },
                        key: None,
                    }
                }; SLOTS],
            ))
        })
    }
}

impl Slot {
    #[inline(never)]
    fn replace<'py>(&mut self, print: Print, key: Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
        self.print = print;
        let old = self.key.replace(key.clone().unbind());
        drop(old.map(|old| old.into_bound(key.py())));
        Some(key)
    }
}

impl Print {
    #[inline(always)]
    fn new(text: &[u8]) -> Option<Self> {
        let len = text.len();
        let mut print = Self {
            len,
            ends: [0; 2],
            middle: [0; 2],
        };
        if let Some(ends) = ends(text) {
            print.ends = ends.map(u64::from_ne_bytes);
            if len > 16 {
                if len > LONGEST {
                    return None;
                }
                let middle = [*text[8..].first_chunk()?, *text[..len - 8].last_chunk()?];
                print.middle = middle.map(u64::from_ne_bytes);
            }
        } else if let Some(ends) = self::ends(text) {
            print.ends = ends.map(|end| u32::from_ne_bytes(end).into());
        } else if let (Some(first), Some(last)) = (text.first(), text.last()) {
            print.ends = [u16::from_ne_bytes([*first, text[len / 2]]), (*last).into()].map(u64::from);
        }
        Some(print)
    }

    /// Compares word by word: the words of one of the two are still in registers.
    #[inline(always)]
    fn is(&self, other: &Self) -> bool {
        let different = |a: [u64; 2], b: [u64; 2]| (a[0] ^ b[0]) | (a[1] ^ b[1]);
        let ends = different(self.ends, other.ends) | (self.len ^ other.len) as u64;
        ends == 0 && (self.len <= 16 || different(self.middle, other.middle) == 0)
    }

    /// Returns the slot for this key.
    #[inline(always)]
    fn slot(&self) -> usize {
        const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
        let [first, last] = self.ends;
        let mixed = (first ^ last.rotate_left(29) ^ self.len as u64).wrapping_mul(ODD);
        (mixed >> (64 - SLOTS.ilog2())) as usize
    }
}

/// Returns the first and the last `N` bytes, if there are as many.
#[inline(always)]
fn ends<const N: usize>(text: &[u8]) -> Option<[[u8; N]; 2]> {
    Some([*text.first_chunk()?, *text.last_chunk()?])
}
