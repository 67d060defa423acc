//! No wake-up is lost, whatever the order in which threads get their turns.
//!
//! Whoever has the pump's lock turns it from beginning to end, so the order of the turns is all
//! that threads can change. Here one thread takes them in an order that is drawn, on real sockets
//! and without a guard: a user that drains only when the poller's descriptor is readable, as an
//! event loop does, must get everything.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket};

use super::*;
use crate::transport::link::Order;

pub(super) const REGISTER: &str = r#"{"lwp":"/reg","headers":{"mid":"1 0"}}"#;

/// Frames of a link that the mailbox takes.
const ROOM: usize = 3;

/// Longer than anything here takes, unless it is lost.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

const LINKS: usize = 2;

/// One thing that happens.
#[derive(Clone, Debug)]
enum Step {
    /// The event loop: drains if the descriptor is readable.
    Loop(usize),
    /// Someone drains unasked, as after a pause.
    Drain(usize),
    /// The guard.
    Guard,
    /// The server pushes so many frames, so long.
    Push(usize, usize, usize),
    /// The server reads what there is.
    Read(usize),
    /// Another thread writes, more than a socket takes at once if it does so often.
    Send(usize),
    /// Another thread has something to do with a link.
    Attend(usize),
    Close(usize),
    /// The server is gone.
    HangUp(usize),
}

/// A link, its server, and what each of them should get.
#[derive(Debug)]
pub(super) struct End {
    pub(super) link: Arc<Link>,
    /// The link's socket once more, as a fork would have it.
    pub(super) twin: TcpStream,
    pub(super) server: Option<WebSocket<TcpStream>>,
    /// Frames that the server has not been able to write.
    pub(super) unsent: VecDeque<Message>,
    pushed: usize,
    received: usize,
    opened: bool,
    closed: bool,
    /// It will end, and what was pushed since may be lost.
    ending: bool,
    /// Texts that were written, and that the server read.
    written: usize,
    read: usize,
}

struct World {
    pump: Arc<Pump>,
    ends: Vec<End>,
}

impl World {
    fn new(links: usize) -> World {
        let pump = Pump::new().unwrap();
        let mut dial = Dial::new("ws://127.0.0.1/", REGISTER);
        dial.policy.interval = Duration::from_secs(3600);
        dial.max_pushes = ROOM;
        let ends = (0..links).map(|place| End::new(&pump, place, &dial));
        World {
            ends: ends.collect(),
            pump,
        }
    }

    fn readable(&self, patience: Duration) -> bool {
        let mut fds = [PollFd::from_borrowed_fd(self.pump.as_fd(), PollFlags::IN)];
        poll(&mut fds, Some(&Timespec::try_from(patience).unwrap())).unwrap() == 1
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Loop(most) if self.readable(Duration::ZERO) => self.drain(most),
            Step::Loop(_) => {}
            Step::Drain(most) => self.drain(most),
            Step::Guard => drop(self.pump.turn()),
            Step::Push(link, count, size) => self.ends[link].push(count, size),
            Step::Read(link) => self.ends[link].read(),
            Step::Send(link) => self.ends[link].send(),
            Step::Attend(link) => self.pump.attend(link),
            Step::Close(link) => {
                self.ends[link].ending = true;
                self.ends[link].link.order(Order::Close(1000));
            }
            Step::HangUp(link) => {
                self.ends[link].ending = true;
                self.ends[link].server = None;
            }
        }
        let works = lock(&self.pump.works);
        let left = !works.mailbox.is_empty() || works.lives.waiting() > 0;
        drop(works);
        assert!(!left || self.readable(Duration::ZERO), "left alone");
    }

    fn drain(&mut self, most: usize) {
        let events = self.pump.drain(most);
        assert!(events.len() <= most);
        for Event { link, news, .. } in events {
            let end = &mut self.ends[link.place()];
            assert!(!end.closed, "nothing follows the end");
            match news {
                News::Opened(_) => end.opened = true,
                News::Frame(frame) => {
                    assert!(end.opened || end.ending);
                    assert_eq!(frame.mid().unwrap(), end.received.to_string(), "in order");
                    end.received += 1;
                }
                News::Closed(_) => end.closed = true,
                News::Invalid { .. } => panic!("nothing is invalid"),
            }
        }
    }

    /// The servers read and write on, and the event loop turns, until all is quiet.
    fn settle(&mut self) {
        let start = Instant::now();
        loop {
            for end in &mut self.ends {
                end.read();
                end.push(0, 0);
            }
            let settled = self.ends.iter().all(End::settled);
            if self.readable(Duration::from_millis(u64::from(!settled))) {
                self.drain(5);
            } else if settled {
                break;
            }
            let late = start.elapsed() > PATIENCE;
            assert!(!late, "lost, or never quiet: {:?}", self.ends);
        }
        // Nobody is there to be woken, and everything has been taken.
        let works = lock(&self.pump.works);
        assert!(works.mailbox.is_empty() && works.lives.waiting() == 0 && !works.rung);
        assert_eq!(
            works.living,
            self.ends.iter().filter(|end| !end.closed).count()
        );
    }
}

impl End {
    pub(super) fn new(pump: &Arc<Pump>, place: usize, dial: &Dial) -> End {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let tcp = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        for socket in [&tcp, &stream] {
            socket.set_nonblocking(true).unwrap();
            socket.set_nodelay(true).unwrap();
        }
        let target = Target::check(dial.clone()).unwrap();
        let link = Arc::new(Link::new(
            place as u64,
            place,
            Arc::downgrade(pump),
            &target.dial,
        ));
        lock(&pump.works).living += 1;
        let deadline = Instant::now() + Duration::from_secs(3600);
        let twin = tcp.try_clone().unwrap();
        let (tls, early) = (None, Vec::new());
        pump.take_over(&link, Connection { tcp, tls, early }, target, deadline);
        let answer = r#"{"code":200,"headers":{"mid":"1 0"}}"#;
        End {
            link,
            twin,
            server: Some(WebSocket::from_raw_socket(stream, Role::Server, None)),
            unsent: [Message::text(answer)].into(),
            pushed: 0,
            received: 0,
            opened: false,
            closed: false,
            ending: false,
            // The registration, and the first heartbeat.
            written: 2,
            read: 0,
        }
    }

    /// Writes frames while the link takes them.
    pub(super) fn push(&mut self, count: usize, size: usize) {
        for mid in self.pushed..self.pushed + count {
            let padding = "x".repeat(size);
            let text = format!(r#"{{"lwp":"/s/x","headers":{{"mid":"{mid}"}},"x":"{padding}"}}"#);
            self.unsent.push_back(Message::text(text));
        }
        self.pushed += count;
        let Some(server) = &mut self.server else {
            return;
        };
        let blocked = |error: &Error| matches!(error, Error::Io(error) if error.kind() == ErrorKind::WouldBlock);
        while server.flush().is_ok() {
            let Some(message) = self.unsent.pop_front() else {
                break;
            };
            if server.send(message).is_err_and(|error| !blocked(&error)) {
                break;
            }
        }
    }

    fn read(&mut self) {
        while let Some(message) = self.server.as_mut().and_then(|server| server.read().ok()) {
            self.read += usize::from(message.is_text());
        }
    }

    fn send(&mut self) {
        self.written += self.link.send(["y".repeat(200_000)]);
    }

    fn settled(&self) -> bool {
        if self.ending {
            return self.closed;
        }
        !self.closed && self.received == self.pushed && self.read == self.written
    }
}

fn step() -> impl Strategy<Value = Step> {
    let most = 0..6usize;
    let link = 0..LINKS;
    prop_oneof![
        4 => most.clone().prop_map(Step::Loop),
        1 => most.prop_map(Step::Drain),
        3 => Just(Step::Guard),
        4 => (link.clone(), 0..6usize, Just(0)).prop_map(|(l, n, s)| Step::Push(l, n, s)),
        1 => (link.clone(), 0..5usize, Just(100_000)).prop_map(|(l, n, s)| Step::Push(l, n, s)),
        1 => (link.clone(), Just(600), Just(0)).prop_map(|(l, n, s)| Step::Push(l, n, s)),
        2 => link.clone().prop_map(Step::Read),
        2 => link.clone().prop_map(Step::Send),
        1 => link.clone().prop_map(Step::Attend),
        1 => link.clone().prop_map(Step::Close),
        1 => link.prop_map(Step::HangUp),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn everything_arrives(steps in prop::collection::vec(step(), 0..40)) {
        let mut world = World::new(LINKS);
        for step in &steps {
            world.step(step);
        }
        world.settle();
    }
}

/// Every order of a few things on one link.
#[test]
fn everything_arrives_in_every_short_order() {
    let steps = [
        Step::Loop(1),
        Step::Loop(4),
        Step::Guard,
        Step::Push(0, 1, 0),
        Step::Push(0, 4, 0),
        Step::Attend(0),
    ];
    const LENGTH: u32 = 4;
    for order in 0..steps.len().pow(LENGTH) {
        let mut world = World::new(1);
        world.step(&Step::Push(0, 2, 0));
        let mut rest = order;
        for _ in 0..LENGTH {
            world.step(&steps[rest % steps.len()]);
            rest /= steps.len();
        }
        world.settle();
    }
}
