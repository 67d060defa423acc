//! The keys that came lately, so that equal ones share one object.

use std::cell::Cell;

use pyo3::prelude::*;

use super::make::{KeptKey, Key};
use super::shapes::Shapes;

/// Keys up to this many bytes are remembered.
const LONGEST: usize = 32;
/// A key has two places where it may be, or any two keys of a message that share a place
/// would push each other out for ever.
const WAYS: usize = 2;
const SLOTS: usize = 512;

thread_local! {
    static RECENT: Cell<Option<Box<Recent>>> = const { Cell::new(None) };
}

/// What a thread has read lately.
pub(crate) struct Recent {
    keys: [[Slot; WAYS]; SLOTS],
    pub(crate) shapes: Shapes,
}

#[derive(Default)]
struct Slot {
    print: Print,
    key: Option<KeptKey>,
}

/// All bytes of a short key, as words.
#[derive(Clone, Copy, Default)]
struct Print {
    len: usize,
    /// The first and the last bytes, which overlap where there are fewer than 16.
    ends: [u64; 2],
    /// The bytes next to those; nothing up to 16 bytes.
    middle: [u64; 2],
}

/// What this thread has read lately: taken when first wanted, given back in the end.
///
/// A thread that reads a second value meanwhile (a finaliser can do that) starts anew.
#[derive(Default)]
pub(crate) struct Memory(Option<Box<Recent>>);

impl Memory {
    #[inline(always)]
    pub(crate) fn recent(&mut self) -> &mut Recent {
        self.0.get_or_insert_with(Recent::take)
    }
}

impl Drop for Memory {
    #[inline(always)]
    fn drop(&mut self) {
        if let Some(recent) = self.0.take() {
            recent.give_back();
        }
    }
}

impl Recent {
    #[inline(never)]
    fn take() -> Box<Self> {
        RECENT.take().unwrap_or_else(Self::new)
    }

    #[inline(never)]
    fn give_back(self: Box<Self>) {
        RECENT.set(Some(self));
    }

    #[cold]
    fn new() -> Box<Self> {
        // What a thread that ended remembered is dropped now.
        Python::try_attach(|_| ());
        let keys = std::array::from_fn(|_| Default::default());
        let shapes = Shapes::new();
        Box::new(Self { keys, shapes })
    }

    /// Returns the key with this text, made by `make` if it is not remembered.
    #[inline(always)]
    pub(crate) fn key<'py>(
        &mut self,
        py: Python<'py>,
        text: &[u8],
        make: impl FnOnce() -> Option<Bound<'py, PyAny>>,
    ) -> Option<Key<'py>> {
        let Some(print) = Print::new(text) else {
            return make().map(Key::new);
        };
        let slots = &mut self.keys[print.slot()];
        for slot in &*slots {
            match &slot.key {
                Some(key) if slot.print.is(&print) => return Some(key.get(py)),
                _ => {}
            }
        }
        let key = Key::new(make()?);
        slots.swap(0, 1);
        slots[0].replace(print, &key);
        Some(key)
    }
}

impl Slot {
    #[inline(never)]
    fn replace(&mut self, print: Print, key: &Key<'_>) {
        self.print = print;
        let old = self.key.replace(key.keep());
        // Dropped as it is, it would wait until PyO3 knows that Python is running.
        drop(old.map(|old| old.object.into_bound(key.object.py())));
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
            print.ends =
                [u16::from_ne_bytes([*first, text[len / 2]]), (*last).into()].map(u64::from);
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
