//! What the links have to report, and the descriptor that says so.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Mutex;

use super::lock;

/// A queue that knows whether its reader was rung for.
///
/// The bell rings once when the queue fills and is silenced when it is empty again. `put` may
/// ring after the lock is gone, `take` must silence under it: then the bell is ringing, or
/// about to, whenever something is in the queue.
#[derive(Debug)]
pub struct Queue<E> {
    items: VecDeque<E>,
    rung: bool,
}

impl<E> Default for Queue<E> {
    fn default() -> Self {
        Queue {
            items: VecDeque::new(),
            rung: false,
        }
    }
}

impl<E> Queue<E> {
    /// Adds items and says whether the caller has to ring.
    pub fn put(&mut self, items: impl IntoIterator<Item = E>) -> bool {
        self.items.extend(items);
        let ring = !self.rung && !self.items.is_empty();
        self.rung |= ring;
        ring
    }

    /// Takes at most `most` items and says whether the caller has to silence the bell.
    ///
    /// It has to whenever nothing is left: a bell that comes late rings for an empty queue.
    pub fn take(&mut self, most: usize) -> (Vec<E>, bool) {
        let items = self.items.drain(..most.min(self.items.len())).collect();
        let silence = self.items.is_empty();
        self.rung &= !silence;
        (items, silence)
    }
}

/// A queue between the links' thread and one reader that watches a descriptor.
#[derive(Debug)]
pub(super) struct Mailbox<E> {
    queue: Mutex<Queue<E>>,
    bell: UnixStream,
    ear: UnixStream,
}

impl<E> Mailbox<E> {
    pub(super) fn new() -> io::Result<Mailbox<E>> {
        let (bell, ear) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        ear.set_nonblocking(true)?;
        Ok(Mailbox {
            queue: Mutex::default(),
            bell,
            ear,
        })
    }

    /// The descriptor that is readable while something is in the mailbox.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.ear.as_fd()
    }

    pub(super) fn post(&self, items: impl IntoIterator<Item = E>) {
        let ring = lock(&self.queue).put(items);
        if ring {
            // A full pipe is as readable as one with a single byte.
            let _ = (&self.bell).write(&[1]);
        }
    }

    pub(super) fn drain(&self, most: usize) -> Vec<E> {
        let mut queue = lock(&self.queue);
        let (items, silence) = queue.take(most);
        if silence {
            // Nothing to read is fine: the bell may be late, or the reader came unasked.
            let _ = (&self.ear).read(&mut [0; 64]);
        }
        items
    }
}
