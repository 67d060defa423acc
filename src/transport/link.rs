//! The half of a link that its task and its users share.

#[cfg(test)]
mod echo;

use std::fmt;
use std::process;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::closed::{closed_by_server, complaint, ended, hung_up, Closed};
use super::dial::{Dial, Socket};
use super::{lock, News};

/// Unsent bytes at which a link counts as stuck.
pub(super) const MAX_UNSENT: usize = 4 << 20;

/// Longest text that a link sends.
pub const MAX_TEXT: usize = 1 << 20;

/// Most messages that are read before others get a turn.
const MAX_BURST: usize = 256;

/// Counters of an open link.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    /// The last round trip of a heartbeat, at first that of the registration.
    pub rtt: Duration,
    /// Heartbeats sent.
    pub beats: u64,
    /// Heartbeats answered, whatever the code.
    pub answered: u64,
    /// Pushes received.
    pub pushes: u64,
    /// Bytes of all messages received.
    pub bytes_in: u64,
    /// Whether reading waits for the mailbox to be drained.
    pub paused: bool,
}

/// What a link's user wants.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    /// End it with a close handshake and this code.
    Close(u16),
    /// End it at once.
    Abort,
}

/// What the mailbox holds of a link, or may still take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weight {
    pub(super) frames: usize,
    pub(super) bytes: usize,
}

impl News {
    /// What this counts while it lies in the mailbox.
    pub(super) fn weight(&self) -> Weight {
        match self {
            News::Frame(frame) => Weight {
                frames: 1,
                bytes: frame.text().len(),
            },
            // It keeps nothing of what it was; this is what its event takes itself.
            News::Invalid { .. } => Weight {
                frames: 1,
                bytes: 64,
            },
            News::Opened(_) | News::Closed(_) => Weight {
                frames: 0,
                bytes: 0,
            },
        }
    }
}

/// What was read in one go, and how it ended if it did.
#[derive(Debug, Default)]
pub(super) struct Burst {
    pub(super) messages: Vec<Message>,
    pub(super) end: Option<Closed>,
}

/// One socket from its dial to its end.
pub struct Link {
    number: u64,
    /// A fork shares the socket, and its copy of the lock may be taken for ever: only the
    /// process that dialled may use them.
    pid: u32,
    max: Weight,
    frames: AtomicUsize,
    bytes: AtomicUsize,
    paused: AtomicBool,
    /// Wakes the task: an order, something unsent, or room in the mailbox.
    wake: Notify,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    socket: Option<Socket>,
    /// Registered, and not closing.
    open: bool,
    order: Option<Order>,
    /// Why writing failed.
    fault: Option<Closed>,
    stats: Stats,
}

impl Link {
    pub(super) fn new(number: u64, dial: &Dial) -> Link {
        Link {
            number,
            pid: process::id(),
            max: Weight {
                frames: dial.max_pushes,
                bytes: dial.max_bytes,
            },
            frames: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            paused: AtomicBool::new(false),
            wake: Notify::new(),
            state: Mutex::default(),
        }
    }

    /// The number that the caller chose.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Writes texts if the link is open and this process's, and not those that are too long;
    /// says how many.
    pub(super) fn send(&self, texts: impl IntoIterator<Item = String>) -> usize {
        if self.pid != process::id() {
            return 0;
        }
        let mut state = lock(&self.state);
        if !state.open {
            return 0;
        }
        let (sent, flushed) = state.write(texts.into_iter().filter(|text| text.len() <= MAX_TEXT));
        drop(state);
        if !flushed {
            self.wake.notify_one();
        }
        sent
    }

    /// Tells the task what the user wants; the first close counts, an abort always.
    pub(super) fn order(&self, order: Order) {
        let mut state = lock(&self.state);
        if state.order.is_none() || matches!(order, Order::Abort) {
            state.order = Some(order);
        }
        drop(state);
        self.wake.notify_one();
    }

    pub(super) fn stats(&self) -> Option<Stats> {
        let state = lock(&self.state);
        let paused = self.paused.load(SeqCst);
        state.open.then_some(Stats {
            paused,
            ..state.stats
        })
    }

    /// Takes what was drained off the books, and lets reading go on.
    pub(super) fn release(&self, weight: Weight) {
        self.frames.fetch_sub(weight.frames, SeqCst);
        self.bytes.fetch_sub(weight.bytes, SeqCst);
        if self.paused.load(SeqCst) {
            self.wake.notify_one();
        }
    }

    /// Enters into the books what will lie in the mailbox.
    pub(super) fn hold(&self, weight: Weight) {
        self.frames.fetch_add(weight.frames, SeqCst);
        self.bytes.fetch_add(weight.bytes, SeqCst);
    }

    /// Bytes that are held for the mailbox.
    pub(super) fn held(&self) -> usize {
        self.bytes.load(SeqCst)
    }

    /// What the mailbox takes when it is empty.
    pub(super) fn limits(&self) -> Weight {
        self.max
    }

    /// What the mailbox may still take; `None` pauses the link until there is room.
    pub(super) fn room(&self) -> Option<Weight> {
        let room = self.free().or_else(|| {
            // Say so first and look again, or a drain in between would wake nobody.
            self.paused.store(true, SeqCst);
            self.free()
        });
        if room.is_some() {
            self.paused.store(false, SeqCst);
        }
        room
    }

    fn free(&self) -> Option<Weight> {
        let frames = self.max.frames.checked_sub(self.frames.load(SeqCst))?;
        let bytes = self.max.bytes.checked_sub(self.bytes.load(SeqCst))?;
        (frames > 0 && bytes > 0).then_some(Weight { frames, bytes })
    }

    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }

    pub(super) fn ordered(&self) -> Option<Order> {
        lock(&self.state).order
    }

    /// Puts the socket in its place and writes the first text.
    pub(super) fn start(&self, socket: Socket, first: &str) {
        let mut state = lock(&self.state);
        state.socket = Some(socket);
        state.write([first.to_owned()]);
    }

    /// From now on users may write.
    pub(super) fn open(&self, rtt: Duration) {
        let mut state = lock(&self.state);
        state.open = true;
        state.stats.rtt = rtt;
    }

    /// Writes a heartbeat.
    pub(super) fn beat(&self, text: String) {
        let mut state = lock(&self.state);
        state.stats.beats += 1;
        state.write([text]);
    }

    /// Counts what was received.
    pub(super) fn count(&self, count: impl FnOnce(&mut Stats)) {
        count(&mut lock(&self.state).stats);
    }

    /// From now on nobody may write; sends the close frame.
    pub(super) fn say_goodbye(&self, code: u16) {
        let mut state = lock(&self.state);
        state.open = false;
        state.say_goodbye(CloseCode::from(code));
    }

    /// Lets the socket go.
    pub(super) fn end(&self) {
        let mut state = lock(&self.state);
        state.open = false;
        state.socket = None;
    }

    /// Sends what is unsent and reads what there is, as far as there is room for it.
    pub(super) fn poll_burst(&self, cx: &mut Context<'_>, room: Option<Weight>) -> Poll<Burst> {
        let burst = lock(&self.state).burst(cx, room);
        if burst.messages.is_empty() && burst.end.is_none() {
            return Poll::Pending;
        }
        Poll::Ready(burst)
    }
}

/// Shows no buffers: they hold what is private.
impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({})", self.number)
    }
}

impl State {
    /// Writes texts and flushes; gives how many were taken, and whether all is done.
    fn write(&mut self, texts: impl IntoIterator<Item = String>) -> (usize, bool) {
        let Some(socket) = &mut self.socket else {
            return (0, true);
        };
        let mut sent = 0;
        for text in texts {
            match socket.start_send_unpin(Message::Text(text.into())) {
                Ok(()) => sent += 1,
                Err(error) => {
                    // Only an I/O error leaves it open whether some of it went out.
                    sent += usize::from(matches!(error, Error::Io(_)));
                    self.fault.get_or_insert_with(|| ended(&error));
                    return (sent, false);
                }
            }
        }
        // Whoever writes does not wait: the task, woken for it, finishes what the socket
        // does not take now.
        let flushed = self.flush(&mut Context::from_waker(Waker::noop()));
        (sent, flushed && self.fault.is_none())
    }

    /// Flushes, remembers a failure, and says whether nothing is left to flush.
    fn flush(&mut self, cx: &mut Context<'_>) -> bool {
        match self
            .socket
            .as_mut()
            .map(|socket| socket.poll_flush_unpin(cx))
        {
            Some(Poll::Pending) => return false,
            Some(Poll::Ready(Err(error))) => {
                self.fault.get_or_insert_with(|| ended(&error));
            }
            Some(Poll::Ready(Ok(()))) | None => {}
        }
        true
    }

    fn burst(&mut self, cx: &mut Context<'_>, room: Option<Weight>) -> Burst {
        let mut burst = Burst::default();
        self.flush(cx);
        let room = room.unwrap_or(Weight {
            frames: 0,
            bytes: 0,
        });
        let mut bytes = 0;
        while burst.messages.len() < room.frames.min(MAX_BURST) && bytes < room.bytes {
            let Some(socket) = &mut self.socket else {
                break;
            };
            match socket.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(Message::Close(frame)))) => {
                    self.flush(cx);
                    burst.end = Some(closed_by_server(frame));
                }
                Poll::Ready(Some(Ok(message))) => {
                    bytes += message.len();
                    burst.messages.push(message);
                    continue;
                }
                Poll::Ready(Some(Err(error))) => {
                    burst.end = Some(ended(&error));
                    if let Some(code) = complaint(&error) {
                        self.say_goodbye(code);
                    }
                }
                Poll::Ready(None) => burst.end = Some(hung_up()),
                Poll::Pending => {}
            }
            break;
        }
        self.stats.bytes_in += bytes as u64;
        // What the server said last explains more than our failing to write to it.
        if burst.messages.is_empty() && burst.end.is_none() {
            burst.end = self.fault.take();
        }
        burst
    }

    fn say_goodbye(&mut self, code: CloseCode) {
        let frame = CloseFrame {
            code,
            reason: Utf8Bytes::default(),
        };
        if let Some(socket) = &mut self.socket {
            if let Err(error) = socket.start_send_unpin(Message::Close(Some(frame))) {
                self.fault.get_or_insert_with(|| ended(&error));
            }
        }
        self.flush(&mut Context::from_waker(Waker::noop()));
    }
}
