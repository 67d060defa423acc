//! The keys that came lately, so that equal ones share one object.

use std::cell::Cell;

use pyo3::prelude::*;
use pyo3::types::PyString;

use super::make::Key;
use super::shapes::Shapes;

/// Keys up to this many bytes are remembered.
pub(crate) const LONGEST: usize = 32;
/// A key has two places where it may be, or any two keys of a message that share a place
/// would push each other out for ever.
const WAYS: usize = 2;
const SLOTS: usize = 512;

thread_local! {
    static RECENT: Cell<Option<Box<Recent>>> = const { Cell::new(None) };
}

/// What a thread has read lately.
pub(crate) struct Recent {
    keys: Box<[Set; SLOTS]>,
    /// The middles of the keys.
    middles: Box<[[Middle; WAYS]; SLOTS]>,
    pub(crate) shapes: Shapes,
}

/// The places for a key: one cache line.
#[derive(Default)]
#[repr(align(64))]
struct Set([Slot; WAYS]);

#[derive(Default)]
struct Slot {
    len: usize,
    ends: Ends,
    key: Option<Py<PyString>>,
}

/// The first and the last bytes of a key, which overlap where there are fewer than 16.
type Ends = [u64; 2];

/// The bytes next to those; nothing up to 16 bytes.
type Middle = [u64; 2];

/// All bytes of a short key, as words.
#[derive(Clone, Copy)]
struct Print {
    len: usize,
    ends: Ends,
    middle: Middle,
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
        Box::new(Self {
            keys: heap(),
            middles: heap(),
            shapes: Shapes::new(),
        })
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
            return Key::new(make()?);
        };
        let set = print.set();
        for (way, slot) in self.keys[set].0.iter().enumerate() {
            match &slot.key {
                Some(key) if slot.is(&print) && print.has(&self.middles[set][way]) => {
                    return Key::text(key.bind(py).clone());
                }
                _ => {}
            }
        }
        let key = make()?;
        self.remember(print, &key);
        Key::new(key)
    }

    /// Puts a key into the place of the older one of two.
    #[inline(never)]
    fn remember(&mut self, print: Print, key: &Bound<'_, PyAny>) {
        let Ok(text) = key.cast_exact::<PyString>() else {
            return;
        };
        let set = print.set();
        self.keys[set].0.swap(0, 1);
        self.middles[set].swap(0, 1);
        self.middles[set][0] = print.middle;
        let slot = Slot {
            len: print.len,
            ends: print.ends,
            key: Some(text.clone().unbind()),
        };
        let old = std::mem::replace(&mut self.keys[set].0[0], slot);
        // Dropped as it is, it would wait until PyO3 knows that Python is running.
        drop(old.key.map(|old| old.into_bound(key.py())));
    }
}

impl Slot {
    /// Compares word by word: the words of the print are still in registers.
    #[inline(always)]
    fn is(&self, print: &Print) -> bool {
        different(self.ends, print.ends) | (self.len ^ print.len) as u64 == 0
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

    /// Returns whether a key with the same ends is the same.
    #[inline(always)]
    fn has(&self, middle: &Middle) -> bool {
        self.len <= 16 || different(self.middle, *middle) == 0
    }

    /// Returns the number of the set for this key.
    #[inline(always)]
    fn set(&self) -> usize {
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

/// Returns zero if the words are equal.
#[inline(always)]
fn different(a: [u64; 2], b: [u64; 2]) -> u64 {
    (a[0] ^ b[0]) | (a[1] ^ b[1])
}

/// Makes an array on the heap; the stack of a thread may be too small for it.
pub(super) fn heap<T: Default, const N: usize>() -> Box<[T; N]> {
    let items: Box<[T]> = (0..N).map(|_| T::default()).collect();
    match items.try_into() {
        Ok(array) => array,
        // There are `N` of them.
        Err(_) => Box::new(std::array::from_fn(|_| T::default())),
    }
}
