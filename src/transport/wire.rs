//! A connection that never makes anyone wait, plain or inside TLS, and the buffer it is read into.

use std::io::{self, ErrorKind, Read, Write};
use std::net;

use mio::net::TcpStream;
use rustls::ClientConnection;

/// What has been dialled: a socket that does not block, past all handshakes.
pub(super) struct Connection {
    pub(super) tcp: net::TcpStream,
    pub(super) tls: Option<ClientConnection>,
    /// What came behind the handshake's answer.
    pub(super) early: Vec<u8>,
}

/// Bytes read from a socket at once.
const CHUNK: usize = 64 << 10;

/// Most chunks that are read from one link before others get a turn.
const MAX_CHUNKS: u32 = 4;

/// The buffer that all links of a set are read into, one after the other.
pub(super) struct Feed {
    chunk: Box<[u8]>,
    start: usize,
    end: usize,
    /// Chunks that may still be read.
    left: u32,
    /// Bytes read from the socket of the last link.
    pub(super) size: usize,
}

impl Feed {
    pub(super) fn new() -> Feed {
        Feed {
            chunk: vec![0; CHUNK].into(),
            start: 0,
            end: 0,
            left: 0,
            size: 0,
        }
    }
}

/// What is known of what a socket holds.
///
/// The poller tells of changes alone: what is said here holds until the socket says otherwise.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unread {
    /// Something may be unread, in the socket or above it.
    pub(super) any: bool,
    /// The socket may hold something.
    socket: bool,
    /// The socket will never hold more, so that what it lacks now means nothing.
    last: bool,
}

impl Unread {
    /// What holds for a new socket.
    pub(super) fn new() -> Unread {
        Unread {
            any: true,
            socket: true,
            last: false,
        }
    }

    /// The poller says that there is something, or that it is the last.
    pub(super) fn told(&mut self, last: bool) {
        self.any = true;
        self.socket = true;
        self.last |= last;
    }
}

/// One end of a connection.
pub(super) struct Wire {
    tcp: TcpStream,
    tls: Option<Box<ClientConnection>>,
    /// What was read from the socket and not yet taken.
    rest: Vec<u8>,
}

impl Wire {
    pub(super) fn new(tcp: TcpStream, tls: Option<ClientConnection>) -> Wire {
        Wire {
            tcp,
            tls: tls.map(Box::new),
            rest: Vec::new(),
        }
    }

    pub(super) fn tcp(&mut self) -> &mut TcpStream {
        &mut self.tcp
    }

    /// To be read from until [`Reader::finish`].
    pub(super) fn reader<'a>(
        &'a mut self,
        feed: &'a mut Feed,
        unread: &'a mut Unread,
    ) -> Reader<'a> {
        feed.chunk[..self.rest.len()].copy_from_slice(&self.rest);
        (feed.start, feed.end) = (0, self.rest.len());
        (feed.left, feed.size) = (MAX_CHUNKS, 0);
        self.rest = Vec::new();
        Reader {
            wire: self,
            feed,
            unread,
        }
    }

    /// Hands ciphertext to the socket while it takes it; says whether all is gone.
    fn send_tls(&mut self) -> io::Result<bool> {
        let Some(tls) = &mut self.tls else {
            return Ok(true);
        };
        while tls.wants_write() {
            match tls.write_tls(&mut self.tcp) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

impl Write for Wire {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        // What waits goes first, since rustls takes a bounded amount. Nothing stays behind unless
        // the socket is full: no other tells when it has room.
        self.flush()?;
        let Some(tls) = &mut self.tls else {
            return self.tcp.write(data);
        };
        let taken = tls.writer().write(data)?;
        self.send_tls()?;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.send_tls()? {
            return Ok(());
        }
        Err(ErrorKind::WouldBlock.into())
    }
}

/// tungstenite wants to read whatever it writes to, though it does not while it writes.
impl Read for Wire {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(ErrorKind::WouldBlock.into())
    }
}

/// A wire with the buffer for what it brings.
pub(super) struct Reader<'a> {
    wire: &'a mut Wire,
    feed: &'a mut Feed,
    unread: &'a mut Unread,
}

impl Reader<'_> {
    /// Leaves the buffer to the next.
    pub(super) fn finish(self) {
        self.wire.rest = self.feed.chunk[self.feed.start..self.feed.end].to_vec();
    }

    /// Makes sure that the buffer holds something, except at the end of the stream.
    fn fill(&mut self) -> io::Result<()> {
        if self.feed.start < self.feed.end {
            return Ok(());
        }
        if !self.unread.socket {
            self.unread.any = false;
            return Err(ErrorKind::WouldBlock.into());
        }
        if self.feed.left == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.feed.left -= 1;
        (self.feed.start, self.feed.end) = (0, 0);
        let read = loop {
            match self.wire.tcp.read(&mut self.feed.chunk) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        match read {
            Ok(size) => {
                self.feed.end = size;
                self.feed.size += size;
                // A socket that gave less than was asked for is empty, and tells when it is not.
                self.unread.socket = size == self.feed.chunk.len() || self.unread.last;
                Ok(())
            }
            Err(error) => {
                if error.kind() == ErrorKind::WouldBlock {
                    (self.unread.socket, self.unread.any) = (false, false);
                }
                Err(error)
            }
        }
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(tls) = &mut self.wire.tls {
                match tls.reader().read(target) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    read => return read,
                }
            }
            self.fill()?;
            let mut chunk = &self.feed.chunk[self.feed.start..self.feed.end];
            let Some(tls) = &mut self.wire.tls else {
                let size = chunk.read(target)?;
                self.feed.start += size;
                return Ok(size);
            };
            self.feed.start += tls.read_tls(&mut chunk)?;
            if let Err(error) = tls.process_new_packets() {
                // It may have something to say about it to the server.
                let _ = self.wire.send_tls();
                return Err(io::Error::new(ErrorKind::InvalidData, error));
            }
        }
    }
}

impl Write for Reader<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.wire.write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.wire.flush()
    }
}
