//! A WebSocket that never makes anyone wait.

use std::io::ErrorKind;

use mio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::{
    CloseFrame, Role, WebSocketConfig, WebSocketContext,
};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::dial::Dial;
use super::wire::{Connection, Feed, Unread, Wire};

/// Unsent bytes at which a link counts as stuck.
pub(super) const MAX_UNSENT: usize = 4 << 20;

/// How reading came to its end.
pub(super) enum End {
    /// The server said goodbye.
    Goodbye(Option<CloseFrame>),
    /// Something broke.
    Error(Error),
}

/// The WebSocket protocol on a wire.
pub(super) struct Socket {
    wire: Wire,
    context: WebSocketContext,
}

impl Socket {
    pub(super) fn new(connection: Connection, dial: &Dial) -> Socket {
        let config = WebSocketConfig::default()
            // Between the feed and a message's own text; it grows to what a frame needs.
            .read_buffer_size(512)
            .write_buffer_size(16 << 10)
            .max_write_buffer_size(MAX_UNSENT)
            .max_message_size(Some(dial.max_message))
            .max_frame_size(Some(dial.max_frame));
        let Connection {
            tcp,
            tls,
            mut early,
        } = connection;
        // It becomes the read buffer, which should be no larger than that.
        early.shrink_to_fit();
        Socket {
            wire: Wire::new(TcpStream::from_std(tcp), tls),
            context: WebSocketContext::from_partially_read(early, Role::Client, Some(config)),
        }
    }

    pub(super) fn tcp(&mut self) -> &mut TcpStream {
        self.wire.tcp()
    }

    /// Takes a message to be sent; what the socket does not take now waits for a flush.
    pub(super) fn write(&mut self, message: Message) -> Result<(), Error> {
        not_yet(self.context.write(&mut self.wire, message))
    }

    /// Sends what is unsent, as far as the socket takes it.
    pub(super) fn flush(&mut self) -> Result<(), Error> {
        not_yet(self.context.flush(&mut self.wire))
    }

    /// Reads messages while there are any and `take` wants more; `None` unless it is the end.
    pub(super) fn read(
        &mut self,
        feed: &mut Feed,
        unread: &mut Unread,
        mut take: impl FnMut(Message) -> bool,
    ) -> Option<End> {
        let mut reader = self.wire.reader(feed, unread);
        let end = loop {
            match self.context.read(&mut reader) {
                Ok(Message::Close(frame)) => break Some(End::Goodbye(frame)),
                Ok(message) => {
                    if !take(message) {
                        break None;
                    }
                }
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => break None,
                Err(error) => break Some(End::Error(error)),
            }
        };
        reader.finish();
        end
    }
}

/// What the socket does not take now is kept.
fn not_yet(done: Result<(), Error>) -> Result<(), Error> {
    match done {
        Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => Ok(()),
        done => done,
    }
}
