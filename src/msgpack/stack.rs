//! A stack whose first places need no heap.

use arrayvec::ArrayVec;

/// How many places need no heap.
const NEAR: usize = 8;
/// For how many more there is room once they do: what is nested more deeply than most is
/// often nested much more deeply.
const FAR: usize = 256;

/// The containers around the one that is being read.
pub(super) struct Stack<T> {
    near: ArrayVec<T, NEAR>,
    /// Empty unless `near` is full.
    far: Vec<T>,
}

impl<T> Stack<T> {
    #[inline(always)]
    pub(super) fn new() -> Self {
        Self {
            near: ArrayVec::new_const(),
            far: Vec::new(),
        }
    }

    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.near.len() + self.far.len()
    }

    #[inline(always)]
    pub(super) fn push(&mut self, item: T) {
        if self.near.is_full() {
            self.push_far(item);
        } else {
            self.near.push(item);
        }
    }

    #[inline(never)]
    fn push_far(&mut self, item: T) {
        if self.far.capacity() == 0 {
            self.far.reserve(FAR);
        }
        self.far.push(item);
    }

    #[inline(always)]
    pub(super) fn pop(&mut self) -> Option<T> {
        if self.far.is_empty() {
            self.near.pop()
        } else {
            self.far.pop()
        }
    }

    #[inline(always)]
    pub(super) fn last_mut(&mut self) -> Option<&mut T> {
        if self.far.is_empty() {
            self.near.last_mut()
        } else {
            self.far.last_mut()
        }
    }
}
