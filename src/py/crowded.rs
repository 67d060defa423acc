//! Keys that are chosen so that a dict takes long to find a place for each.
//!
//! Python hashes numbers, and tuples of them, without a secret. So anybody can choose keys
//! that all go the same way through the table of a dict, and filling it takes quadratic time.
//! A [`Crowd`] goes those ways beforehand, in a table of its own that is as large as the
//! dict's, and stops when they have become longer than chance makes them.

use std::iter;

use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::make;

/// Maps of fewer entries are no danger, as far as their keys are numbers.
pub(crate) const MANY: usize = 1024;

/// How many taken places may be met on a way, on average. Numbers at distances of a power of
/// two, the worst that come without intent, meet 30.
const MOST: usize = 64;
/// So many may be met beside that.
const FREE: usize = 4096;

/// The keys of one map whose hashes have no secret.
pub(crate) struct Crowd {
    /// The hashes in the order of their keys.
    hashes: Vec<isize>,
    /// For each place of the dict's table: the number of a hash, counted from 1; 0 if it is free.
    table: Vec<u32>,
    /// For how many entries the dict had room from the start.
    room: usize,
    /// How many ways were gone, and how many taken places were met on them.
    ways: usize,
    met: usize,
}

impl Crowd {
    /// Starts with a dict that had room for `len` entries when it was made.
    pub(crate) fn new(len: usize) -> Self {
        Self {
            hashes: Vec::new(),
            table: Vec::new(),
            room: make::room(len),
            ways: 0,
            met: 0,
        }
    }

    /// Takes a key that is about to be put into the dict; false if that would take too long.
    pub(crate) fn admits(
        &mut self,
        dict: &Bound<'_, PyDict>,
        key: &Bound<'_, PyAny>,
        hash: isize,
    ) -> PyResult<bool> {
        self.ways += 1;
        let mut free = None;
        let mut is_new = false;
        for place in way(hash, self.table.len()) {
            let known = match self.table[place] {
                0 => {
                    free = Some(place);
                    break;
                }
                number => self.hashes[number as usize - 1],
            };
            if known == hash && !is_new {
                if dict.contains(key)? {
                    return Ok(true);
                }
                is_new = true;
            }
            self.met += 1;
            if self.is_crowded() {
                return Ok(false);
            }
        }
        self.hashes.push(hash);
        let size = size(self.room.max(dict.len() + 1));
        match free {
            Some(place) if size == self.table.len() => {
                self.table[place] = self.hashes.len() as u32;
                Ok(true)
            }
            _ => Ok(self.resize(size)),
        }
    }

    /// Puts all hashes into a new table, as the dict is about to do; false if that would take
    /// too long.
    fn resize(&mut self, size: usize) -> bool {
        self.table = vec![0; size];
        for (number, &hash) in (1..).zip(&self.hashes) {
            self.ways += 1;
            for place in way(hash, size) {
                if self.table[place] == 0 {
                    self.table[place] = number;
                    break;
                }
                self.met += 1;
                if self.is_crowded() {
                    return false;
                }
            }
        }
        true
    }

    fn is_crowded(&self) -> bool {
        self.met > FREE + MOST * self.ways
    }
}

/// Returns the size of the table that a dict of so many entries has.
fn size(len: usize) -> usize {
    let mut size = 8;
    while size * 2 / 3 < len {
        size *= 2;
    }
    size
}

/// Returns the places in a table of this size where a dict looks for a key with this hash,
/// one after the other; none if the table is empty.
fn way(hash: isize, size: usize) -> impl Iterator<Item = usize> {
    let mut rest = hash as usize;
    let mut at = rest;
    iter::from_fn(move || {
        let place = at & size.checked_sub(1)?;
        rest >>= 5;
        at = at.wrapping_mul(5).wrapping_add(rest).wrapping_add(1);
        Some(place)
    })
}
