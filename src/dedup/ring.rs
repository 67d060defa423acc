//! Entries in order of arrival.

use std::collections::{TryReserveError, VecDeque};

use super::Digest;

/// Memory is taken and given back for so many entries: a power of two.
const CHUNK: u32 = 256;

/// An id and the time of its first sight.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: Digest,
    pub(super) first_seen: f64,
}

/// A queue of up to 2^31 entries; each has a place, by which it is found while it is there.
///
/// Places count up and wrap.
#[derive(Debug)]
pub(super) struct Ring {
    /// Every chunk but the last is full; the first ones of the first chunk may have left.
    chunks: VecDeque<Vec<Entry>>,
    /// The place of the oldest entry.
    start: u32,
    len: usize,
}

impl Ring {
    pub(super) fn new() -> Self {
        Self {
            chunks: VecDeque::new(),
            // Not far from the end, so that places wrap early and not only in rare long runs.
            start: 0_u32.wrapping_sub(16 * CHUNK),
            len: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Returns the oldest entry.
    pub(super) fn first(&self) -> Option<&Entry> {
        (self.len > 0).then(|| self.get(self.start))
    }

    /// Returns the entry at a place.
    pub(super) fn get(&self, place: u32) -> &Entry {
        let chunk = (place / CHUNK).wrapping_sub(self.start / CHUNK) % (u32::MAX / CHUNK + 1);
        &self.chunks[chunk as usize][(place % CHUNK) as usize]
    }

    /// Returns how many of the oldest entries are `over`, given that none follows one that
    /// is not.
    pub(super) fn partition_point(&self, over: impl Fn(&Entry) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len);
        while low < high {
            let middle = low + (high - low) / 2;
            if over(self.get(self.place(middle))) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Makes room for one more entry.
    pub(super) fn reserve(&mut self) -> Result<(), TryReserveError> {
        if self.place(self.len).is_multiple_of(CHUNK) {
            let mut chunk = Vec::new();
            chunk.try_reserve_exact(CHUNK as usize)?;
            self.chunks.try_reserve(1)?;
            self.chunks.push_back(chunk);
        }
        Ok(())
    }

    /// Adds the entry for which room was made and returns its place.
    pub(super) fn push(&mut self, entry: Entry) -> u32 {
        let place = self.place(self.len);
        if let Some(last) = self.chunks.back_mut() {
            last.push(entry);
            self.len += 1;
        }
        place
    }

    /// Removes the oldest entry and returns its place and id.
    pub(super) fn pop(&mut self) -> Option<(u32, Digest)> {
        let (place, id) = (self.start, self.first()?.id);
        self.start = self.place(1);
        self.len -= 1;
        if self.start.is_multiple_of(CHUNK) {
            self.chunks.pop_front();
        }
        Some((place, id))
    }

    fn place(&self, index: usize) -> u32 {
        self.start.wrapping_add(index as u32)
    }
}
