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
    words: [u64; 4],
    len: usize,
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
                            words: [0; 4],
                            len: 0,
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
        let mut words = [0; 4];
        if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
            words[0] = u64::from_ne_bytes(*first);
            words[1] = u64::from_ne_bytes(*last);
            if len > 16 {
                if len > LONGEST {
                    return None;
                }
                words[2] = u64::from_ne_bytes(*text[8..].first_chunk()?);
                words[3] = u64::from_ne_bytes(*text[..len - 8].last_chunk()?);
            }
        } else if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
            let first = u32::from_ne_bytes(*first);
            let last = u32::from_ne_bytes(*last);
            words[0] = u64::from(first) << 32 | u64::from(last);
        } else {
            for &byte in text {
                words[0] = words[0] << 8 | u64::from(byte);
            }
        }
        Some(Self { words, len })
    }

    /// Compares word by word: the words of one of the two are still in registers.
    #[inline(always)]
    fn is(&self, other: &Self) -> bool {
        let [a, b, c, d] = self.words;
        let [e, f, g, h] = other.words;
        (a ^ e) | (b ^ f) | (c ^ g) | (d ^ h) | (self.len ^ other.len) as u64 == 0
    }

    /// Returns the slot for this key.
    #[inline(always)]
    fn slot(&self) -> usize {
        const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
        let [a, b, c, d] = self.words;
        let mixed = (a ^ self.len as u64)
            .wrapping_mul(ODD)
            .wrapping_add(b ^ c.rotate_left(29) ^ d.rotate_left(17))
            .wrapping_mul(ODD);
        (mixed >> (64 - SLOTS.ilog2())) as usize
    }
}
