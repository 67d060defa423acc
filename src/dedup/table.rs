//! From ids to their places in the ring.

use std::collections::TryReserveError;
use std::mem;

use super::Digest;

/// Ids to a segment, at most, when the set is full.
const SEGMENT: usize = 1024;

/// The most segments; larger sets have larger ones.
const MAX_SEGMENTS: usize = 1 << 16;

/// A hash table in segments, each of which grows by itself: growing is never much work, and
/// memory is taken as it is needed.
#[derive(Debug)]
pub(super) struct Table {
    /// A power of two of them.
    segments: Box<[Segment]>,
}

impl Table {
    pub(super) fn new(max_len: usize) -> Self {
        let count = max_len
            .div_ceil(SEGMENT)
            .next_power_of_two()
            .min(MAX_SEGMENTS);
        Self {
            segments: (0..count).map(|_| Segment::default()).collect(),
        }
    }

    /// Returns whether `found` holds for any of the places that the id may have.
    pub(super) fn any(&self, id: Digest, found: impl Fn(u32) -> bool) -> bool {
        self.segments[self.index(id)].any(tag(id), found)
    }

    /// Makes room for one more id.
    pub(super) fn reserve(&mut self, id: Digest) -> Result<(), TryReserveError> {
        self.segment(id).reserve()
    }

    /// Adds the id for which room was made.
    pub(super) fn insert(&mut self, id: Digest, place: u32) {
        self.segment(id).insert(tag(id), place);
    }

    /// Removes the id that has this place.
    pub(super) fn remove(&mut self, id: Digest, place: u32) {
        self.segment(id).remove(tag(id), place);
    }

    fn index(&self, id: Digest) -> usize {
        id.0 as usize & (self.segments.len() - 1)
    }

    fn segment(&mut self, id: Digest) -> &mut Segment {
        let index = self.index(id);
        &mut self.segments[index]
    }
}

/// Returns bits of the digest that mark a slot and choose its bucket; never 0.
fn tag(id: Digest) -> u16 {
    (id.1 as u16).max(1)
}

/// Open addressing by buckets: an id lies in the first bucket of its walk that had room.
#[derive(Debug, Default)]
struct Segment {
    buckets: Vec<Bucket>,
    len: usize,
}

impl Segment {
    fn any(&self, tag: u16, found: impl Fn(u32) -> bool) -> bool {
        for index in self.walk(tag) {
            let bucket = &self.buckets[index];
            if bucket.slots(tag).any(|slot| found(bucket.places[slot])) {
                return true;
            }
            if bucket.passed == 0 {
                break;
            }
        }
        false
    }

    /// Keeps an eighth of the slots empty, so that few ids have to pass by a bucket.
    fn reserve(&mut self) -> Result<(), TryReserveError> {
        if (self.len + 1) * 8 <= self.buckets.len() * Bucket::SLOTS * 7 {
            return Ok(());
        }
        let len = self.buckets.len() + self.buckets.len() / 4 + 1;
        let mut buckets = Vec::new();
        buckets.try_reserve_exact(len)?;
        buckets.resize(len, Bucket::EMPTY);
        self.len = 0;
        for bucket in mem::replace(&mut self.buckets, buckets) {
            for slot in 0..Bucket::SLOTS {
                if bucket.tags[slot] != 0 {
                    self.insert(bucket.tags[slot], bucket.places[slot]);
                }
            }
        }
        Ok(())
    }

    fn insert(&mut self, tag: u16, place: u32) {
        for index in self.walk(tag) {
            let bucket = &mut self.buckets[index];
            if let Some(slot) = bucket.slots(0).next() {
                bucket.tags[slot] = tag;
                bucket.places[slot] = place;
                break;
            }
            bucket.passed += 1;
        }
        self.len += 1;
    }

    fn remove(&mut self, tag: u16, place: u32) {
        for index in self.walk(tag) {
            let bucket = &mut self.buckets[index];
            if let Some(slot) = bucket.slots(tag).find(|slot| bucket.places[*slot] == place) {
                bucket.tags[slot] = 0;
                break;
            }
            bucket.passed -= 1;
        }
        self.len -= 1;
    }

    /// Returns all buckets, beginning with the one that this tag would like best.
    fn walk(&self, tag: u16) -> impl Iterator<Item = usize> {
        let len = self.buckets.len();
        let home = (usize::from(tag) * len) >> u16::BITS;
        (home..home + len).map(move |index| if index < len { index } else { index - len })
    }
}

/// Ten slots that share a cache line.
#[derive(Clone, Debug)]
#[repr(align(64))]
struct Bucket {
    /// The tag of each slot, 0 if it is empty.
    tags: [u16; Self::SLOTS],
    /// How many ids passed by because the slots were full.
    passed: u32,
    places: [u32; Self::SLOTS],
}

impl Bucket {
    const SLOTS: usize = 10;

    const EMPTY: Self = Self {
        tags: [0; Self::SLOTS],
        passed: 0,
        places: [0; Self::SLOTS],
    };

    /// Returns the slots that have this tag.
    fn slots(&self, tag: u16) -> impl Iterator<Item = usize> {
        // All lanes are compared at once, without a branch.
        let mut found = 0_u16;
        for (lane, other) in self.tags.iter().enumerate() {
            found |= u16::from(*other == tag) << lane;
        }
        std::iter::from_fn(move || {
            let slot = found.trailing_zeros();
            found &= found.wrapping_sub(1);
            (slot < u16::BITS).then_some(slot as usize)
        })
    }
}
