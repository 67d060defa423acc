//! The maps that came lately, by their keys: a dict like the last one need not grow.
//!
//! A dict of strings that is filled key by key is rebuilt each time its table is full, and
//! Python offers no way to ask for a table of the right size. A copy of a dict has one at
//! once, and is no larger than the dict that has grown.

use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::keys::heap;

/// Smaller dicts never grow, and larger ones are seldom alike.
pub(crate) const LENGTHS: std::ops::RangeInclusive<usize> = 6..=48;
const SLOTS: usize = 64;
/// Maps that begin alike and differ so often are left alone.
const PATIENCE: u8 = 4;

/// The shapes that a thread remembers.
pub(crate) struct Shapes(Box<[Slot; SLOTS]>);

#[derive(Default)]
struct Slot {
    /// The address of the first key and the length of the map that came last.
    mark: (usize, usize),
    shape: Option<Shape>,
    /// Counts the shapes that have been here.
    number: u32,
    /// How often a map that began like this one went on differently.
    misses: u8,
}

/// The keys of a map in their order.
struct Shape {
    keys: Vec<Py<PyAny>>,
    /// A dict of these keys in this order, all of them None.
    dict: Py<PyDict>,
}

/// What is known of a map that is being read: one word, so that it stays in a register.
///
/// From the lowest bit up: how many keys have followed the shape (8 bits), the slot (8),
/// what is done with it (8), the number of the shape (32).
#[derive(Clone, Copy, Default)]
pub(crate) struct Course(u64);

const FOLLOW: u64 = 1 << 16;
const LEARN: u64 = 2 << 16;

impl Course {
    fn new(step: u64, slot: usize, number: u32) -> Self {
        Self(step | (slot as u64) << 8 | u64::from(number) << 32)
    }

    /// Returns whether the map has begun like a shape.
    #[inline(always)]
    pub(crate) fn has_shape(self) -> bool {
        self.0 & FOLLOW != 0
    }

    /// Returns whether the shape of the map is worth learning.
    #[inline(always)]
    pub(crate) fn is_new(self) -> bool {
        self.0 & LEARN != 0
    }

    /// Learns nothing from a map with a key that is not remembered: it would be another
    /// object the next time, and might be of any size.
    #[inline(always)]
    pub(crate) fn is_of_no_use(&mut self) {
        if self.is_new() {
            *self = Self::default();
        }
    }

    fn followed(self) -> usize {
        (self.0 & 0xff) as usize
    }

    fn slot(self) -> usize {
        (self.0 >> 8 & 0xff) as usize
    }

    fn number(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

impl Shapes {
    pub(crate) fn new() -> Self {
        Self(heap())
    }

    /// Looks at the first key of a map of `len` entries. If it begins like a shape, returns
    /// a dict for it.
    pub(crate) fn start<'py>(
        &mut self,
        first: &Bound<'py, PyAny>,
        len: usize,
    ) -> (Option<Bound<'py, PyDict>>, Course) {
        const ODD: usize = 0x9e37_79b9;
        let mark = (first.as_ptr() as usize, len);
        let mixed = (mark.0 >> 4 ^ len << 7).wrapping_mul(ODD);
        let index = mixed >> 12 & (SLOTS - 1);
        let slot = &mut self.0[index];
        if slot.mark != mark {
            slot.mark = mark;
            slot.misses = 0;
            return (None, Course::default());
        }
        match &slot.shape {
            Some(shape) if shape.keys.len() == len && shape.keys[0].is(first) => {
                match shape.dict.bind(first.py()).copy() {
                    Ok(dict) => (Some(dict), Course::new(FOLLOW, index, slot.number)),
                    Err(_) => (None, Course::default()),
                }
            }
            _ if slot.misses < PATIENCE => (None, Course::new(LEARN, index, slot.number)),
            _ => (None, Course::default()),
        }
    }

    /// Returns whether a map that has a shape follows it with this key too.
    #[inline(always)]
    pub(crate) fn follows(&self, course: &mut Course, key: &Bound<'_, PyAny>) -> bool {
        let slot = &self.0[course.slot() % SLOTS];
        let shape = slot
            .shape
            .as_ref()
            .filter(|_| slot.number == course.number());
        let expected = shape.and_then(|shape| shape.keys.get(course.followed()));
        let follows = expected.is_some_and(|expected| expected.is(key));
        course.0 += u64::from(follows);
        follows
    }

    /// Forgets a shape that a map has left, and returns a dict of the entries before.
    ///
    /// Those are the first ones in the dict that was made for it.
    #[cold]
    pub(crate) fn leave<'py>(
        &mut self,
        course: Course,
        dict: Bound<'py, PyDict>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let entries = PyDict::new(dict.py());
        for (key, value) in dict.iter().take(course.followed()) {
            entries.set_item(key, value)?;
        }
        let slot = &mut self.0[course.slot() % SLOTS];
        slot.misses = slot.misses.saturating_add(1);
        slot.put(None, dict.py());
        Ok(entries)
    }

    /// Learns the shape of a dict that `len` entries were read into, all of them with keys
    /// that are remembered anyway.
    #[cold]
    pub(crate) fn learn(
        &mut self,
        course: Course,
        dict: &Bound<'_, PyDict>,
        len: usize,
    ) -> PyResult<()> {
        let py = dict.py();
        if dict.len() < len {
            // A key came twice; no map can follow that.
            let slot = &mut self.0[course.slot() % SLOTS];
            slot.misses = slot.misses.saturating_add(1);
            return Ok(());
        }
        let dict = dict.copy()?;
        let keys = dict.keys();
        for key in &keys {
            dict.set_item(key, py.None())?;
        }
        let shape = Shape {
            keys: keys.iter().map(Bound::unbind).collect(),
            dict: dict.unbind(),
        };
        self.0[course.slot() % SLOTS].put(Some(shape), py);
        Ok(())
    }
}

impl Slot {
    /// Replaces the shape. The objects of the old one are dropped at once: they would wait,
    /// where PyO3 does not know that Python is running (see `entry.rs`).
    fn put(&mut self, shape: Option<Shape>, py: Python<'_>) {
        self.number = self.number.wrapping_add(1);
        if let Some(old) = std::mem::replace(&mut self.shape, shape) {
            for key in old.keys {
                drop(key.into_bound(py));
            }
            drop(old.dict.into_bound(py));
        }
    }
}
