//! A server for one link, which does what a test tells it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{json, Value};
use socket2::SockRef;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{accept, Error, Message, WebSocket};

use super::PATIENCE;

/// A thread that serves one connection; joining it brings its failed assertions to light.
pub(super) struct Server {
    pub(super) url: String,
    thread: JoinHandle<()>,
}

impl Server {
    /// Serves one TCP connection.
    pub(super) fn tcp(script: impl FnOnce(TcpStream) + Send + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}/", listener.local_addr().unwrap());
        let thread = thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            script(stream);
        });
        Server { url, thread }
    }

    /// Serves one WebSocket.
    pub(super) fn open(script: impl FnOnce(Peer<TcpStream>) + Send + 'static) -> Server {
        Server::tcp(|stream| script(Peer(accept(stream).unwrap())))
    }

    /// Serves one registered link.
    pub(super) fn registered(script: impl FnOnce(Peer<TcpStream>) + Send + 'static) -> Server {
        Server::open(|mut peer| {
            peer.register();
            script(peer);
        })
    }

    pub(super) fn join(self) {
        self.thread.join().unwrap();
    }
}

/// The server's end of a WebSocket.
pub(super) struct Peer<S>(pub(super) WebSocket<S>);

impl<S: Read + Write> Peer<S> {
    /// Accepts the registration.
    pub(super) fn register(&mut self) {
        let request = self.request();
        assert_eq!(request["lwp"], "/reg");
        self.answer(&request, 200);
    }

    /// The next request of the link.
    pub(super) fn request(&mut self) -> Value {
        match self.0.read().unwrap() {
            Message::Text(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("no request: {other:?}"),
        }
    }

    /// The next heartbeat of the link.
    pub(super) fn heartbeat(&mut self) -> Value {
        let request = self.request();
        assert_eq!(request["lwp"], "/!");
        request
    }

    pub(super) fn answer(&mut self, request: &Value, code: u16) {
        let headers = json!({"mid": request["headers"]["mid"]});
        self.text(json!({"code": code, "headers": headers}));
    }

    /// Answers heartbeats until something else comes.
    pub(super) fn answer_heartbeats(&mut self) -> Value {
        loop {
            let request = self.request();
            if request["lwp"] != "/!" {
                return request;
            }
            self.answer(&request, 200);
        }
    }

    pub(super) fn push(&mut self, number: usize) {
        self.text(push(number));
    }

    pub(super) fn text(&mut self, value: Value) {
        self.0.send(Message::text(value.to_string())).unwrap();
    }

    /// Reads until the link says goodbye.
    pub(super) fn goodbye(&mut self) -> Option<CloseFrame> {
        loop {
            match self.0.read() {
                Ok(Message::Close(frame)) => return frame,
                Ok(_) => {}
                Err(error) => panic!("no close frame: {error}"),
            }
        }
    }

    /// Reads until the link is gone.
    pub(super) fn gone(&mut self) {
        while !matches!(
            self.0.read(),
            Err(Error::ConnectionClosed | Error::Protocol(_) | Error::Io(_))
        ) {}
    }
}

impl Peer<TcpStream> {
    /// Cuts the connection so that the link sees a reset.
    pub(super) fn reset(self) {
        let stream = self.0.get_ref();
        SockRef::from(stream)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    }
}

/// A push with this number as its `mid`.
pub(super) fn push(number: usize) -> Value {
    let package = json!({"data": [{"data": "gQGhYQ=="}], "maxPts": number});
    json!({"lwp": "/s/sync", "headers": {"mid": format!("{number} 0"), "sid": "s"},
           "body": {"syncPushPackage": package}})
}
