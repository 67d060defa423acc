//! A bounded set of ids that forgets by age.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

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
    /// Ids by age, oldest first.
    queue: VecDeque<(f64, Arc<[u8]>)>,
    known: HashSet<Arc<[u8]>>,
}

impl Dedup {
    /// Creates an empty set of at most `max_len` ids, at least one, each known for less than
    /// `ttl` seconds.
    pub fn new(max_len: usize, ttl: f64) -> Self {
        Self {
            max_len: max_len.max(1),
            ttl,
            now: f64::MIN,
            queue: VecDeque::new(),
            known: HashSet::new(),
        }
    }

    /// Returns whether `id` is known; if not, remembers it.
    pub fn seen(&mut self, id: &[u8], now: f64) -> bool {
        self.expire(now);
        if self.known.contains(id) {
            return true;
        }
        if self.queue.len() == self.max_len {
            self.drop_oldest();
        }
        let id: Arc<[u8]> = id.into();
        self.queue.push_back((self.now, Arc::clone(&id)));
        self.known.insert(id);
        false
    }

    /// Returns whether `id` is known.
    pub fn contains(&mut self, id: &[u8], now: f64) -> bool {
        self.expire(now);
        self.known.contains(id)
    }

    /// Returns the number of ids that are known.
    pub fn len(&mut self, now: f64) -> usize {
        self.expire(now);
        self.queue.len()
    }

    /// Forgets the ids whose time is over.
    fn expire(&mut self, now: f64) {
        if now.is_finite() {
            self.now = self.now.max(now);
        }
        while let Some((first_seen, _)) = self.queue.front() {
            if self.now - first_seen < self.ttl {
                break;
            }
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((_, id)) = self.queue.pop_front() {
            self.known.remove(&id);
        }
    }
}
