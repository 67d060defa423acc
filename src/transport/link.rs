//! The half of a link that its pump and its users share.

#[cfg(test)]
mod echo;

use std::fmt;
use std::process;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Mutex, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message, Utf8Bytes};

use super::closed::{closed_by_server, complaint, ended, hung_up, Closed};
use super::dial::Dial;
use super::pump::Pump;
use super::socket::{End, Socket};
use super::wire::{Feed, Unread};
use super::{lock, Event, News};

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
    /// Heartbeats answered with code 200.
    pub good: u64,
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
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Weight {
    pub(super) frames: usize,
    pub(super) bytes: usize,
}

impl Weight {
    /// What events count together.
    pub(super) fn of(events: &[Event]) -> Weight {
        let mut all = Weight::default();
        for event in events {
            all.add(event.news.weight());
        }
        all
    }

    pub(super) fn add(&mut self, other: Weight) {
        self.frames += other.frames;
        self.bytes += other.bytes;
    }
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
    /// Texts and binary data.
    pub(super) messages: Vec<Message>,
    /// All that was read, pings and pongs too.
    pub(super) count: usize,
    /// Bytes read from the socket.
    pub(super) size: usize,
    pub(super) end: Option<Closed>,
    /// Writing failed: another burst tells.
    pub(super) faulty: bool,
}

/// One socket from its dial to its end.
pub struct Link {
    number: u64,
    /// Its place in the pump.
    place: usize,
    pump: Weak<Pump>,
    /// A fork shares the socket, and its copy of the lock may be taken for ever: only the
    /// process that dialled may use them.
    pid: u32,
    max: Weight,
    frames: AtomicUsize,
    bytes: AtomicUsize,
    paused: AtomicBool,
    /// Tells whoever opens it of an order.
    ordered: Notify,
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
    pub(super) fn new(number: u64, place: usize, pump: Weak<Pump>, dial: &Dial) -> Link {
        Link {
            number,
            place,
            pump,
            pid: process::id(),
            max: Weight {
                frames: dial.max_pushes,
                bytes: dial.max_bytes,
            },
            frames: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            paused: AtomicBool::new(false),
            ordered: Notify::new(),
            state: Mutex::default(),
        }
    }

    /// The number that the caller chose.
    pub fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn place(&self) -> usize {
        self.place
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
        let sent = state.write(texts.into_iter().filter(|text| text.len() <= MAX_TEXT));
        let faulty = state.fault.is_some();
        drop(state);
        if faulty {
            self.attend();
        }
        sent
    }

    /// Does at once what the user wants; the first close counts, an abort always.
    pub(super) fn order(&self, order: Order) {
        let mut state = lock(&self.state);
        if state.order.is_none() || matches!(order, Order::Abort) {
            state.order = Some(order);
        }
        drop(state);
        self.ordered.notify_one();
        self.attend();
    }

    fn attend(&self) {
        if let Some(pump) = self.pump.upgrade() {
            pump.attend(self.place);
        }
    }

    pub(super) fn stats(&self) -> Option<Stats> {
        let state = lock(&self.state);
        let paused = self.paused.load(SeqCst);
        state.open.then_some(Stats {
            paused,
            ..state.stats
        })
    }

    /// Its counters, also when it is over.
    pub fn totals(&self) -> Stats {
        lock(&self.state).stats
    }

    /// Takes what was drained off the books and says whether reading waited for it.
    pub(super) fn release(&self, weight: Weight) -> bool {
        self.frames.fetch_sub(weight.frames, SeqCst);
        self.bytes.fetch_sub(weight.bytes, SeqCst);
        self.paused.load(SeqCst)
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
        let frames = self.max.frames.saturating_sub(self.frames.load(SeqCst));
        let bytes = self.max.bytes.saturating_sub(self.bytes.load(SeqCst));
        let room = (frames > 0 && bytes > 0).then_some(Weight { frames, bytes });
        self.paused.store(room.is_none(), SeqCst);
        room
    }

    /// Waits until there is an order, which is not forgotten.
    pub(super) async fn until_ordered(&self) {
        while self.ordered().is_none() {
            self.ordered.notified().await;
        }
    }

    pub(super) fn ordered(&self) -> Option<Order> {
        lock(&self.state).order
    }

    /// Puts the socket in its place and writes the first text, if there is one.
    pub(super) fn start(&self, socket: Socket, first: Option<String>) {
        let mut state = lock(&self.state);
        state.socket = Some(socket);
        state.write(first);
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

    /// From now on nobody may write; gives the socket back.
    pub(super) fn end(&self) -> Option<Socket> {
        let mut state = lock(&self.state);
        state.open = false;
        state.socket.take()
    }

    /// Sends what is unsent and reads what there is, as far as there is room for it.
    pub(super) fn burst(
        &self,
        feed: &mut Feed,
        unread: &mut Unread,
        room: Option<Weight>,
    ) -> Burst {
        lock(&self.state).burst(feed, unread, room)
    }
}

/// Shows no buffers: they hold what is private.
impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({})", self.number)
    }
}

impl State {
    /// Writes texts and says how many were taken; the pump finishes what the socket does not
    /// take now, when it does.
    fn write(&mut self, texts: impl IntoIterator<Item = String>) -> usize {
        let Some(socket) = &mut self.socket else {
            return 0;
        };
        let mut sent = 0;
        for text in texts {
            match socket.write(Message::Text(text.into())) {
                Ok(()) => sent += 1,
                Err(error) => {
                    // Only an I/O error leaves it open whether some of it went out.
                    sent += usize::from(matches!(error, Error::Io(_)));
                    self.fault.get_or_insert_with(|| ended(&error));
                    return sent;
                }
            }
        }
        self.flush();
        sent
    }

    /// Flushes and remembers a failure.
    fn flush(&mut self) {
        if let Some(Err(error)) = self.socket.as_mut().map(Socket::flush) {
            self.fault.get_or_insert_with(|| ended(&error));
        }
    }

    fn burst(&mut self, feed: &mut Feed, unread: &mut Unread, room: Option<Weight>) -> Burst {
        let mut burst = Burst::default();
        self.flush();
        if let (Some(socket), Some(room), true) = (&mut self.socket, room, unread.any) {
            let most = room.frames.min(MAX_BURST);
            let mut bytes = 0;
            let end = socket.read(feed, unread, |message| {
                bytes += message.len();
                burst.count += 1;
                burst.messages.extend(owned(message));
                burst.count < most && bytes < room.bytes
            });
            self.stats.bytes_in += bytes as u64;
            burst.size = feed.size;
            burst.end = end.map(|end| self.judge(end));
        }
        // What the server said last explains more than our failing to write to it.
        if burst.count == 0 && burst.end.is_none() {
            burst.end = self.fault.take();
        }
        burst.faulty = self.fault.is_some();
        burst
    }

    /// What it means that reading ended, and the answer to it.
    fn judge(&mut self, end: End) -> Closed {
        match end {
            End::Goodbye(frame) => {
                self.flush();
                closed_by_server(frame)
            }
            // A write that failed took the reason with it: the end of the stream is all that is
            // left to read.
            End::Error(
                Error::ConnectionClosed
                | Error::AlreadyClosed
                | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake),
            ) => self.fault.take().unwrap_or_else(hung_up),
            End::Error(error) => {
                if let Some(code) = complaint(&error) {
                    self.say_goodbye(code);
                }
                ended(&error)
            }
        }
    }

    fn say_goodbye(&mut self, code: CloseCode) {
        let frame = CloseFrame {
            code,
            reason: Utf8Bytes::default(),
        };
        if let Some(socket) = &mut self.socket {
            if let Err(error) = socket.write(Message::Close(Some(frame))) {
                self.fault.get_or_insert_with(|| ended(&error));
            }
        }
        self.flush();
    }
}

/// A message with bytes of its own: those that were read keep a whole read buffer alive.
fn owned(message: Message) -> Option<Message> {
    match message {
        Message::Text(text) => Some(Message::Text(text.as_str().to_owned().into())),
        Message::Binary(bytes) => Some(Message::Binary(Bytes::copy_from_slice(&bytes))),
        // tungstenite answers pings by itself, and a burst ends at a close frame.
        _ => None,
    }
}
