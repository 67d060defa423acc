//! A client that sends back what it receives, which is what the Autobahn test suite asks of one.
//!
//! It is a link without its task: dialled, read, answered and ended by the code of links, but
//! neither registered nor kept alive, since the suite speaks no envelopes. What links never send,
//! binary messages and long ones, goes out by the same socket in fragments.

use std::env;
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::SinkExt;
use tokio::runtime::Builder;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::{Bytes, Message};

use super::{Closed, Link, MAX_TEXT};
use crate::transport::dial::{Dial, Target};
use crate::transport::lock;

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
    let link = Link::new(1, &target.dial);
    let socket = target.open(Instant::now() + PATIENCE).await.unwrap();
    lock(&link.state).socket = Some(socket);
    link.open(Duration::ZERO);
    let mut last = None;
    loop {
        let burst = poll_fn(|cx| link.poll_burst(cx, Some(link.limits()))).await;
        for message in burst.messages {
            match message {
                Message::Text(text) if text.len() <= MAX_TEXT => {
                    link.send([text.to_string()]);
                    last = Some(text.to_string());
                }
                Message::Text(text) => long(&link, Data::Text, text.into()).await,
                Message::Binary(bytes) => long(&link, Data::Binary, bytes).await,
                _ => {}
            }
        }
        if let Some(closed) = burst.end {
            link.end();
            return (last, closed);
        }
    }
}

/// Writes a message in fragments, each when the one before it is on its way; a failure shows
/// when the link is read again.
async fn long(link: &Link, mut kind: Data, mut rest: Bytes) {
    loop {
        let fragment = rest.split_to(rest.len().min(FRAGMENT));
        let last = rest.is_empty();
        let frame = Message::Frame(Frame::message(fragment, OpCode::Data(kind), last));
        let sent = match &mut lock(&link.state).socket {
            Some(socket) => socket.start_send_unpin(frame),
            None => return,
        };
        let flushed = sent.is_ok() && poll_fn(|cx| flush(link, cx)).await;
        if last || !flushed {
            return;
        }
        kind = Data::Continue;
    }
}

fn flush(link: &Link, cx: &mut Context<'_>) -> Poll<bool> {
    match &mut lock(&link.state).socket {
        Some(socket) => socket.poll_flush_unpin(cx).map(|flushed| flushed.is_ok()),
        None => Poll::Ready(false),
    }
}
