//! Links to the server: sockets behind one poller whose descriptor an event loop watches.
//!
//! What the sockets of a set do, the thread does that calls [`Links::drain`]: it turns the pump,
//! which reads, answers pings, beats heartbeats and fills a bounded mailbox, and takes out what is
//! there. A guard, a thread of its own, turns the pump when something is due, or when nobody has
//! turned it though there was reason to. Acks and requests are written by the calling thread
//! while the socket takes them, and by later turns afterwards.
//!
//! ```text
//! dial ─▶ task: resolve, connect, TLS, handshake
//!               └─▶ pump: register ─▶ Opened
//!                         read ─▶ mailbox ─▶ drain
//!                         beat the heartbeat   ack, send ─▶ socket
//!         end, whatever the reason ─▶ exactly one Closed
//! ```

#[cfg(not(unix))]
compile_error!("links need a descriptor that an event loop can watch: Linux or macOS");

mod closed;
mod dial;
pub mod eyeballs;
mod guard;
mod handshake;
mod http;
pub mod keepalive;
mod life;
mod link;
mod opening;
mod post;
mod proxy;
mod pump;
mod rota;
mod route;
mod runtime;
mod socket;
mod tls;
mod wire;

use std::collections::hash_map::{Entry, HashMap};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use std::{io, mem, process};

pub use tokio_tungstenite::tungstenite::Utf8Bytes;

pub use self::closed::{words, Closed, Trouble};
pub use self::dial::{Dial, DialError};
use self::link::Order;
pub use self::link::{Link, Stats, MAX_TEXT};
pub use self::post::{Answer, Post};
pub use self::proxy::Proxy;
use self::pump::Pump;
pub use self::tls::check_roots;
use crate::envelope::Envelope;
use crate::error::DecodeError;

/// A frame's envelope, shared by whoever looks at it.
pub type Frame = Arc<Envelope<Utf8Bytes>>;

/// Something that happened to a link.
#[derive(Clone, Debug)]
pub struct Event {
    /// The link.
    pub link: Arc<Link>,
    /// What happened.
    pub news: News,
    /// When the turn began in which it was read, or noticed.
    pub at: Instant,
}

impl Event {
    fn new(link: &Arc<Link>, news: News, at: Instant) -> Event {
        let link = link.clone();
        Event { link, news, at }
    }
}

/// What can happen to a link.
#[derive(Clone, Debug)]
pub enum News {
    /// It is registered; the server's answer.
    Opened(Frame),
    /// It received a frame.
    Frame(Frame),
    /// It received what is no envelope.
    Invalid {
        /// Why and where.
        error: DecodeError,
        /// Bytes of the frame.
        size: usize,
    },
    /// It ended. Nothing follows.
    Closed(Closed),
}

/// A set of links with one mailbox. Dropping it ends them.
#[derive(Debug)]
pub struct Links {
    /// A fork shares the sockets but has no thread: only the maker may use them.
    pid: u32,
    pump: Arc<Pump>,
    links: Mutex<HashMap<u64, Arc<Link>>>,
}

impl Links {
    /// A set without links.
    pub fn new() -> io::Result<Links> {
        Ok(Links {
            pid: process::id(),
            pump: Pump::new()?,
            links: Mutex::default(),
        })
    }

    /// Whether this process made the set; a forked child must not use it.
    pub fn is_ours(&self) -> bool {
        self.pid == process::id()
    }

    /// Starts a link under a number that no living link has; the outcome is an event.
    ///
    /// A link lives until its `Closed` has been drained.
    pub fn dial(&self, number: u64, dial: Dial) -> Result<(), DialError> {
        let target = dial::Target::check(dial)?;
        let runtime = runtime::handle().map_err(DialError::Io)?;
        match lock(&self.links).entry(number) {
            Entry::Occupied(_) => Err(DialError::InUse(number)),
            Entry::Vacant(place) => {
                let link = self.pump.enlist(number, &target.dial);
                let link = place.insert(link.map_err(DialError::Io)?).clone();
                runtime.spawn(opening::run(link, self.pump.clone(), target));
                Ok(())
            }
        }
    }

    /// Turns the pump and takes at most `most` events, oldest first, without waiting for more.
    pub fn drain(&self, most: usize) -> Vec<Event> {
        let events = self.pump.drain(most);
        for event in &events {
            if let News::Closed(_) = event.news {
                lock(&self.links).remove(&event.link.number());
            }
        }
        events
    }

    /// Acknowledges frames, one flush for each link, and says how many acks were written.
    ///
    /// Frames of links that are not open any more, and frames that want no ack, are skipped.
    pub fn ack<'a>(&self, frames: impl IntoIterator<Item = (&'a Arc<Link>, &'a Frame)>) -> usize {
        let mut batches: Vec<(&Arc<Link>, Vec<String>)> = Vec::new();
        let mut places: HashMap<*const Link, usize> = HashMap::new();
        let mut place = 0;
        for (link, frame) in frames {
            let Some(ack) = frame.ack() else {
                continue;
            };
            // Most follow another of the same link.
            let same = batches
                .get(place)
                .is_some_and(|(of, _)| Arc::ptr_eq(of, link));
            if !same {
                place = *places.entry(Arc::as_ptr(link)).or_insert(batches.len());
            }
            if place == batches.len() {
                batches.push((link, Vec::new()));
            }
            batches[place].1.push(ack);
        }
        batches
            .into_iter()
            .map(|(link, acks)| link.send(acks))
            .sum()
    }

    /// Sends a text; false means that it surely did not go out, because the link is not open
    /// or the text is longer than [`MAX_TEXT`].
    pub fn send(&self, number: u64, text: String) -> bool {
        self.get(number).is_some_and(|link| link.send([text]) == 1)
    }

    /// Starts the close handshake of a link, or gives up opening it.
    pub fn close(&self, number: u64, code: u16) {
        if let Some(link) = self.get(number) {
            link.order(Order::Close(code));
        }
    }

    /// Counters of a link; `None` unless it is open.
    pub fn stats(&self, number: u64) -> Option<Stats> {
        self.get(number)?.stats()
    }

    /// Ends all links at once, without a close handshake.
    pub fn shutdown(&self) {
        for link in lock(&self.links).values() {
            link.order(Order::Abort);
        }
    }

    fn get(&self, number: u64) -> Option<Arc<Link>> {
        lock(&self.links).get(&number).cloned()
    }
}

/// The descriptor that is readable while [`drain`](Links::drain) has something to do.
impl AsFd for Links {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pump.as_fd()
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        // In a forked child all stays as it is: taking sockets out of the poller would take them
        // out of the parent's, and a lock may be taken for ever.
        if self.is_ours() {
            self.shutdown();
        } else {
            // Not even the poller: macOS gives none to a child, where its number may be that of
            // another file.
            mem::forget(self.pump.clone());
        }
    }
}

/// Locks, also after a panic elsewhere: every critical section leaves its data usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
