//! A bounded set of ids that forgets by age.
//!
//! A ring holds the digests of the ids in order of arrival, a table finds their places in it.
//! Both grow and expire a little at a time, so no call takes much longer than another.

mod digest;
mod ring;
mod table;

use std::collections::TryReserveError;

pub use digest::{Digest, Key};
use ring::{Entry, Ring};
use table::Table;

/// Remembers ids for a time, at most so many.
///
/// The first sight of an id counts: seeing it again does not make it younger. When the set
/// is full, the oldest id makes room. Times are seconds on any clock; if that clock goes
/// back or tells no time at all, it stands still here until it has caught up.
#[derive(Debug)]
pub struct Dedup {
    max_len: usize,
    ttl: f64,
    now: f64,
    /// Ids by age, oldest first. The time of the first ones may be over.
    ring: Ring,
    table: Table,
}

impl Dedup {
    /// The most ids that a set may hold.
    pub const MAX_LEN: usize = 1 << 31;

    /// How many ids leave per call when their time is over: more than come, and not felt.
    const LEAVING: usize = 4;

    /// Creates an empty set of at most `max_len` ids, 1 to [`Self::MAX_LEN`], each known for
    /// less than `ttl` seconds.
    pub fn new(max_len: usize, ttl: f64) -> Self {
        let max_len = max_len.clamp(1, Self::MAX_LEN);
        Self {
            max_len,
            ttl,
            now: f64::MIN,
            ring: Ring::new(),
            table: Table::new(max_len),
        }
    }

    /// The most ids that this set holds.
    pub fn max_len(&self) -> usize {
        self.max_len
    }

    /// For how many seconds an id is known.
    pub fn ttl(&self) -> f64 {
        self.ttl
    }

    /// Returns whether the id is known; if not, remembers it.
    ///
    /// Nothing is remembered if there is no memory for it.
    pub fn seen(&mut self, id: Digest, now: f64) -> Result<bool, TryReserveError> {
        self.pass(now);
        if self.knows(id) {
            return Ok(true);
        }
        if self.ring.len() == self.max_len {
            self.drop_oldest();
        }
        self.table.reserve(id)?;
        self.ring.reserve()?;
        let first_seen = self.now;
        let place = self.ring.push(Entry { id, first_seen });
        self.table.insert(id, place);
        Ok(false)
    }

    /// Returns whether the id is known.
    pub fn contains(&mut self, id: Digest, now: f64) -> bool {
        self.pass(now);
        self.knows(id)
    }

    /// Returns the number of ids that are known.
    pub fn len(&mut self, now: f64) -> usize {
        self.pass(now);
        self.ring.len() - self.ring.partition_point(|entry| self.is_over(entry))
    }

    fn knows(&self, id: Digest) -> bool {
        self.table.any(id, |place| {
            let entry = self.ring.get(place);
            entry.id == id && !self.is_over(entry)
        })
    }

    fn is_over(&self, entry: &Entry) -> bool {
        self.now - entry.first_seen >= self.ttl
    }

    /// Moves time on and lets some of the ids go whose time is over.
    fn pass(&mut self, now: f64) {
        if now.is_finite() {
            self.now = self.now.max(now);
        }
        for _ in 0..Self::LEAVING {
            match self.ring.first() {
                Some(entry) if self.is_over(entry) => self.drop_oldest(),
                _ => break,
            }
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((place, id)) = self.ring.pop() {
            self.table.remove(id, place);
        }
    }
}
