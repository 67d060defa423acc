//! The pump: all sockets of a set behind one poller, turned by whoever has its lock.

#[cfg(test)]
mod late;
#[cfg(test)]
mod model;

use std::collections::VecDeque;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Registry, Token, Waker};

use super::closed::{unreached, Closed, Trouble};
use super::dial::{Dial, Target};
use super::guard;
use super::life::Life;
use super::link::{Link, Weight};
use super::rota::Rota;
use super::socket::Socket;
use super::wire::{Connection, Feed};
use super::{lock, Event, News};

/// The bell's token; places are counted from 0.
const BELL: Token = Token(usize::MAX);

/// Events that are taken from the poller at once: in tests so few that it keeps some.
const MAX_TOLD: usize = if cfg!(test) { 2 } else { 256 };

/// When a guard looks that has no reason to.
const FAR: Duration = Duration::from_secs(3600);

/// Messages that the guard reads in one turn, beside those that lie in the mailbox.
const MAX_GUARDED: usize = 1024;

/// Sockets, what they brought, and whose turn it is.
#[derive(Debug)]
pub(super) struct Pump {
    registry: Registry,
    /// Turns that the user took.
    turns: AtomicU64,
    works: Mutex<Works>,
}

/// What turns, under one lock.
///
/// The poller tells each change once, to whoever asks, and is readable until then. So whoever
/// asked has to ring for what he leaves: the bell is one more thing for the poller to tell.
/// The rule, whenever the lock is free: something in the mailbox or in the queue, or a socket
/// with news, means that the poller's descriptor is readable.
struct Works {
    poll: Poll,
    told: Events,
    bell: Waker,
    /// The bell rang, and the poller has not told yet.
    rung: bool,
    feed: Feed,
    lives: Rota<Life>,
    mailbox: VecDeque<Event>,
    /// Number of the next place.
    next: usize,
    /// Links that have been dialled and have not ended.
    living: usize,
    guard: Option<Guard>,
}

/// What the pump knows of the thread that guards it.
struct Guard {
    nudge: UnixStream,
    /// When it will look by itself.
    plan: Instant,
}

impl Pump {
    pub(super) fn new() -> io::Result<Arc<Pump>> {
        let poll = Poll::new()?;
        let registry = poll.registry().try_clone()?;
        let bell = Waker::new(&registry, BELL)?;
        let works = Works {
            poll,
            told: Events::with_capacity(MAX_TOLD),
            bell,
            rung: false,
            feed: Feed::new(),
            lives: Rota::new(),
            mailbox: VecDeque::new(),
            next: 0,
            living: 0,
            guard: None,
        };
        Ok(Arc::new(Pump {
            registry,
            turns: AtomicU64::new(0),
            works: Mutex::new(works),
        }))
    }

    /// Makes a link that is to be opened; a guard is there as long as a link is.
    pub(super) fn enlist(self: &Arc<Self>, number: u64, dial: &Dial) -> io::Result<Arc<Link>> {
        let mut works = lock(&self.works);
        if works.guard.is_none() {
            let (nudge, ear) = UnixStream::pair()?;
            nudge.set_nonblocking(true)?;
            ear.set_nonblocking(true)?;
            let pump = self.clone();
            thread::Builder::new()
                .name("xyfast-guard".to_owned())
                .spawn(move || guard::run(&pump, &ear))?;
            let plan = Instant::now() + FAR;
            works.guard = Some(Guard { nudge, plan });
        }
        works.living += 1;
        works.next += 1;
        let pump = Arc::downgrade(self);
        Ok(Arc::new(Link::new(number, works.next - 1, pump, dial)))
    }

    /// Makes the connection the link's, and registers.
    pub(super) fn take_over(
        &self,
        link: &Arc<Link>,
        connection: Connection,
        target: Target,
        deadline: Instant,
    ) {
        let mut works = lock(&self.works);
        let mut socket = Socket::new(connection, &target.dial);
        let interest = Interest::READABLE | Interest::WRITABLE;
        let token = Token(link.place());
        if let Err(error) = self.registry.register(socket.tcp(), token, interest) {
            works.report(link, unreached("poller", &error));
        } else {
            let register = target.dial.register.clone();
            let life = Life::new(link.clone(), target, deadline);
            works.lives.add(link.place(), life);
            link.start(socket, register);
            works.attend(link.place(), Instant::now());
        }
        works.leave();
    }

    /// Reports the end of a link that has not been taken over.
    pub(super) fn report(&self, link: &Arc<Link>, closed: Closed) {
        let mut works = lock(&self.works);
        works.report(link, closed);
        works.leave();
    }

    /// Gives a link a turn at once, if it has been taken over.
    pub(super) fn attend(&self, place: usize) {
        let mut works = lock(&self.works);
        works.attend(place, Instant::now());
        works.leave();
    }

    /// Turns, and takes at most `most` events, oldest first.
    pub(super) fn drain(&self, most: usize) -> Vec<Event> {
        self.turns.fetch_add(1, SeqCst);
        let mut works = lock(&self.works);
        works.turn(most, Instant::now());
        let count = most.min(works.mailbox.len());
        let events: Vec<_> = works.mailbox.drain(..count).collect();
        for run in events.chunk_by(|one, next| Arc::ptr_eq(&one.link, &next.link)) {
            if run[0].link.release(Weight::of(run)) {
                works.lives.queue(run[0].link.place());
            }
        }
        works.leave();
        events
    }

    /// Turns in place of a user who does not; gives the guard's plan.
    pub(super) fn turn(&self) -> Option<Instant> {
        let mut works = lock(&self.works);
        let most = works.mailbox.len() + MAX_GUARDED;
        works.turn(most, Instant::now());
        works.leave();
        works.plan()
    }

    /// Turns that the user has taken so far.
    pub(super) fn turns(&self) -> u64 {
        self.turns.load(SeqCst)
    }

    /// When the guard has to look; `None` lets it go, since no link is left.
    pub(super) fn plan(&self) -> Option<Instant> {
        lock(&self.works).plan()
    }
}

/// The descriptor that is readable while [`drain`](Pump::drain) has something to do.
impl AsFd for Pump {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.registry.as_fd()
    }
}

impl Works {
    /// Asks the poller, does what is due, and reads until `most` messages are there or each
    /// link with something to read had its turn.
    fn turn(&mut self, most: usize, now: Instant) {
        self.ask();
        while let Some(place) = self.lives.expired(now) {
            self.attend(place, now);
        }
        let mut count = self.mailbox.len();
        for _ in 0..self.lives.waiting() {
            if count >= most {
                break;
            }
            if let Some(place) = self.lives.next() {
                count += self.attend(place, now);
            }
        }
    }

    /// Asks the poller what is new.
    ///
    /// It keeps what is too much for once. But a link whose time has come is judged by what is
    /// known to be unread, so it is asked until it has told of all, or as often as that takes
    /// (kqueue tells of reading and of writing by themselves).
    fn ask(&mut self) {
        for _ in 0..=2 * self.lives.len() / MAX_TOLD {
            // Interrupted at worst; what was not told will be.
            let _ = self.poll.poll(&mut self.told, Some(Duration::ZERO));
            let mut count = 0;
            for event in &self.told {
                count += 1;
                let Token(place) = event.token();
                if event.token() == BELL {
                    self.rung = false;
                } else if let Some(life) = self.lives.get(place) {
                    let last = event.is_read_closed() || event.is_error();
                    if event.is_readable() || last {
                        life.unread().told(last);
                    }
                    self.lives.queue(place);
                }
            }
            if count < MAX_TOLD {
                break;
            }
        }
    }

    /// Gives a link its turn; says how many messages it read.
    fn attend(&mut self, place: usize, now: Instant) -> usize {
        let Some(life) = self.lives.get(place) else {
            return 0;
        };
        let turn = || life.turn(&mut self.feed, &mut self.mailbox, now);
        // Whatever happens to a link, it ends once, and ends no other.
        let turn = catch_unwind(AssertUnwindSafe(turn))
            .unwrap_or_else(|_| Err(Closed::new(Trouble::Link, "internal error")));
        match turn {
            Ok(turn) => {
                self.lives.set_due(place, turn.due);
                if turn.again {
                    self.lives.queue(place);
                }
                turn.count
            }
            Err(closed) => {
                if let Some(life) = self.lives.remove(place) {
                    if let Some(mut socket) = life.link().end() {
                        // A fork may hold the socket too: closing it is not enough.
                        let _ = self.poll.registry().deregister(socket.tcp());
                    }
                    life.end(closed, &mut self.mailbox);
                    self.living -= 1;
                }
                0
            }
        }
    }

    fn plan(&mut self) -> Option<Instant> {
        if self.living == 0 {
            self.guard = None;
        }
        let due = self.lives.first_due();
        let guard = self.guard.as_mut()?;
        guard.plan = due.unwrap_or_else(|| Instant::now() + FAR);
        Some(guard.plan)
    }

    fn report(&mut self, link: &Arc<Link>, closed: Closed) {
        self.mailbox
            .push_back(Event::new(link, News::Closed(closed), Instant::now()));
        self.living -= 1;
    }

    /// Makes sure that somebody comes back in time.
    fn leave(&mut self) {
        let left = !self.mailbox.is_empty() || self.lives.waiting() > 0;
        if left && !self.rung {
            self.rung = self.bell.wake().is_ok();
        }
        if let Some(guard) = &mut self.guard {
            let due = self.lives.first_due().unwrap_or(guard.plan);
            if due < guard.plan || self.living == 0 {
                guard.plan = due;
                // A full pipe wakes as well.
                let _ = (&guard.nudge).write(&[1]);
            }
        }
    }
}

impl std::fmt::Debug for Works {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Works({} living)", self.living)
    }
}
