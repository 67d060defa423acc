//! A client that sends back what it receives, which is what the Autobahn test suite asks of one.
//!
//! It is a link without its task: dialled, read, answered and ended by the code of links, but
//! neither registered nor kept alive, since the suite speaks no envelopes. What links never send,
//! binary messages and long ones, goes out by the same socket in fragments.

use std::env;
use std::sync::Weak;
use std::time::Duration;

use mio::{Events, Interest, Poll, Token};
use tokio::runtime::Builder;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

use super::{Closed, Link, MAX_TEXT};
use crate::transport::dial::{Dial, Target};
use crate::transport::lock;
use crate::transport::socket::Socket;
use crate::transport::wire::{Feed, Unread};

/// What the suite's server and reports call us.
const AGENT: &str = "xyfast";

const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes of the fragments of a long message.
const FRAGMENT: usize = 1 << 18;

#[test]
#[ignore = "wants the suite's server: make autobahn"]
fn every_case_is_echoed() {
    let server = env::var("AUTOBAHN").expect("AUTOBAHN holds the server's URL");
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (count, _) = run(format!("{server}/getCaseCount")).await;
        for case in 1..=count.unwrap().parse().unwrap() {
            run(format!("{server}/runCase?case={case}&agent={AGENT}")).await;
        }
        run(format!("{server}/updateReports?agent={AGENT}")).await;
    });
}

/// Echoes until the link ends; gives the last text and the end.
async fn run(url: String) -> (Option<String>, Closed) {
    let limit = 64 << 20;
    let target = Target::check(Dial {
        url,
        max_message: limit,
        max_frame: limit,
        max_bytes: limit,
        ..Dial::new("", r#"{"headers":{"mid":"1 0"}}"#)
    });
    let target = target.unwrap();
    let link = Link::new(1, 0, Weak::new(), &target.dial);
    let connection = target.open(Instant::now() + PATIENCE).await.unwrap();
    let mut socket = Socket::new(connection, &target.dial);
    let mut poll = Poll::new().unwrap();
    let interest = Interest::READABLE | Interest::WRITABLE;
    poll.registry()
        .register(socket.tcp(), Token(0), interest)
        .unwrap();
    lock(&link.state).socket = Some(socket);
    link.open(Duration::ZERO);
    let (mut feed, mut unread, mut told) = (Feed::new(), Unread::new(), Events::with_capacity(1));
    let mut last = None;
    loop {
        let burst = link.burst(&mut feed, &mut unread, Some(link.limits()));
        for message in burst.messages {
            match message {
                Message::Text(text) if text.len() <= MAX_TEXT => {
                    link.send([text.to_string()]);
                    last = Some(text.to_string());
                }
                Message::Text(text) => long(&link, Data::Text, text.into()),
                Message::Binary(bytes) => long(&link, Data::Binary, bytes),
                _ => {}
            }
        }
        if let Some(closed) = burst.end {
            link.end();
            return (last, closed);
        }
        if !unread.any {
            poll.poll(&mut told, Some(PATIENCE)).unwrap();
            unread.told(told.iter().any(|event| event.is_read_closed()));
        }
    }
}

/// Writes a message in fragments; a failure shows when the link is read again.
fn long(link: &Link, mut kind: Data, mut rest: Bytes) {
    loop {
        let fragment = rest.split_to(rest.len().min(FRAGMENT));
        let last = rest.is_empty();
        let frame = Message::Frame(Frame::message(fragment, OpCode::Data(kind), last));
        if !write(link, frame) {
            return;
        }
        if last {
            if let Some(socket) = &mut lock(&link.state).socket {
                let _ = socket.flush();
            }
            return;
        }
        kind = Data::Continue;
    }
}

/// Waits until the socket has room for a frame.
fn write(link: &Link, mut frame: Message) -> bool {
    while let Some(socket) = &mut lock(&link.state).socket {
        match socket.write(frame) {
            Err(Error::WriteBufferFull(refused)) if socket.flush().is_ok() => frame = *refused,
            written => return written.is_ok(),
        }
    }
    false
}
