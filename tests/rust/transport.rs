//! Links against real sockets on this machine.

mod ending;
mod eyeballs;
mod keepalive;
mod life;
mod opening;
mod peer;
mod post;
mod proxy;
mod tls;
mod trust;
mod writing;

use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{poll, PollFd, PollFlags, Timespec};
use xyfast::transport::{Closed, Dial, Event, Frame, Links, News, Stats};

/// Longer than anything here takes, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

const REGISTER: &str = r#"{"lwp":"/reg","headers":{"mid":"11767225600000 0"}}"#;

/// A dial that beats too rarely to disturb a test.
fn quiet(url: &str) -> Dial {
    Dial::new(url, REGISTER)
}

/// A dial that beats often.
fn beating(url: &str, interval: u64, timeout: u64) -> Dial {
    let mut dial = quiet(url);
    dial.policy.interval = Duration::from_millis(interval);
    dial.policy.timeout = Duration::from_millis(timeout);
    dial
}

/// Someone who waits for the descriptor, as an event loop does, and takes events one by one.
struct User {
    links: Links,
    events: VecDeque<Event>,
}

impl User {
    fn new() -> User {
        let links = Links::new().unwrap();
        User {
            links,
            events: VecDeque::new(),
        }
    }

    fn dialled(dial: Dial) -> User {
        let user = User::new();
        user.links.dial(1, dial).unwrap();
        user
    }

    fn opened(dial: Dial) -> User {
        let mut user = User::dialled(dial);
        user.expect_opened();
        user
    }

    /// Waits for the next event.
    fn next(&mut self) -> Event {
        self.fill();
        self.events.pop_front().unwrap()
    }

    /// Waits for the next events.
    fn batch(&mut self) -> Vec<Event> {
        self.fill();
        self.events.drain(..).collect()
    }

    fn fill(&mut self) {
        while self.events.is_empty() {
            self.wait();
            self.events.extend(self.links.drain(64));
        }
    }

    /// Waits until the descriptor is readable.
    fn wait(&self) {
        let mut fds = [PollFd::from_borrowed_fd(self.links.as_fd(), PollFlags::IN)];
        let patience = Timespec::try_from(PATIENCE).unwrap();
        assert_eq!(poll(&mut fds, Some(&patience)), Ok(1), "nothing happens");
    }

    /// Waits until the counters of link 1 are as wanted.
    fn until(&self, wanted: impl Fn(Stats) -> bool) {
        let start = Instant::now();
        while !wanted(self.links.stats(1).expect("the link is open")) {
            assert!(start.elapsed() < PATIENCE, "never happens");
            thread::yield_now();
        }
    }

    fn expect_opened(&mut self) -> Frame {
        match self.next().news {
            News::Opened(answer) => answer,
            other => panic!("not opened: {other:?}"),
        }
    }

    fn expect_frame(&mut self) -> Event {
        let event = self.next();
        assert!(matches!(event.news, News::Frame(_)), "no frame: {event:?}");
        event
    }

    fn expect_closed(&mut self) -> Closed {
        match self.next().news {
            News::Closed(closed) => closed,
            other => panic!("not closed: {other:?}"),
        }
    }

    fn ack(&self, events: &[Event]) -> usize {
        let frames = events.iter().filter_map(|event| match &event.news {
            News::Frame(frame) => Some((&event.link, frame)),
            _ => None,
        });
        self.links.ack(frames)
    }
}

fn text(event: &Event) -> &str {
    match &event.news {
        News::Frame(frame) => frame.text(),
        other => panic!("no frame: {other:?}"),
    }
}
