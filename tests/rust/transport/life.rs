//! Open links: heartbeats, frames, back-pressure.

use std::net::TcpStream;
use std::thread;
use std::time::Instant;

use serde_json::json;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::Message;
use xyfast::error::Reason;
use xyfast::transport::{Dial, News, Trouble};

use super::peer::{push, Peer, Server};
use super::{beating, quiet, text, User, PATIENCE};

#[test]
fn beats_at_once_and_keeps_the_answers_to_itself() {
    let server = Server::registered(|mut peer| {
        let mut mids = Vec::new();
        for _ in 0..5 {
            let request = peer.heartbeat();
            peer.answer(&request, 200);
            mids.push(request["headers"]["mid"].to_string());
        }
        mids.dedup();
        assert_eq!(mids.len(), 5, "every beat has a mid of its own");
        peer.push(1);
        peer.gone();
    });
    let mut user = User::opened(beating(&server.url, 20, 10_000));
    user.expect_frame();
    let stats = user.links.stats(1).unwrap();
    assert_eq!((stats.answered, stats.pushes), (5, 1));
    assert!(stats.beats >= 5 && stats.bytes_in > 0);
    drop(user);
    server.join();
}

#[test]
fn a_fragmented_message_arrives_whole() {
    let server = Server::registered(|mut peer| {
        let text = push(1).to_string().into_bytes();
        let parts: Vec<_> = text.chunks(7).collect();
        for (index, part) in parts.iter().enumerate() {
            let data = if index == 0 {
                Data::Text
            } else {
                Data::Continue
            };
            let last = index + 1 == parts.len();
            let frame = Frame::message(part.to_vec(), OpCode::Data(data), last);
            peer.0.send(Message::Frame(frame)).unwrap();
            peer.0.send(Message::Ping("between".into())).unwrap();
        }
        peer.gone();
    });
    let mut user = User::opened(quiet(&server.url));
    assert_eq!(text(&user.expect_frame()), push(1).to_string());
    drop(user);
    server.join();
}

#[test]
fn pings_are_answered() {
    let server = Server::registered(|mut peer| {
        peer.heartbeat();
        peer.0.send(Message::Ping("here?".into())).unwrap();
        assert_eq!(peer.0.read().unwrap(), Message::Pong("here?".into()));
    });
    let user = User::opened(quiet(&server.url));
    server.join();
    drop(user);
}

#[test]
fn binary_frames_are_text_if_they_can_be() {
    let server = Server::registered(|mut peer| {
        let text = push(1).to_string().into_bytes();
        peer.0.send(Message::binary(text)).unwrap();
        peer.0.send(Message::binary(vec![b'{', 0xff])).unwrap();
        peer.gone();
    });
    let mut user = User::opened(quiet(&server.url));
    user.expect_frame();
    match user.next().news {
        News::Invalid { error, size } => {
            assert!(matches!(error.reason, Reason::Utf8(_)));
            assert_eq!((error.offset, size), (1, 2));
        }
        other => panic!("{other:?}"),
    }
    drop(user);
    server.join();
}

#[test]
fn an_invalid_frame_is_reported_and_the_link_goes_on() {
    let server = Server::registered(|mut peer| {
        peer.0.send(Message::text("{\"lwp\":nonsense")).unwrap();
        peer.push(1);
        peer.gone();
    });
    let mut user = User::opened(quiet(&server.url));
    match user.next().news {
        News::Invalid { error, size } => {
            assert_eq!((error.reason, error.offset, size), (Reason::Json, 8, 15));
        }
        other => panic!("{other:?}"),
    }
    user.expect_frame();
    drop(user);
    server.join();
}

/// Reads the link's heartbeats until `count` of them came, answering none.
fn count_beats(peer: &mut Peer<TcpStream>, count: usize) {
    for _ in 0..count {
        peer.heartbeat();
    }
}

/// A full mailbox pauses reading, not beating, and draining it lets both go on.
fn pauses_when_full(limit: fn(&mut Dial)) {
    let server = Server::registered(|mut peer| {
        for number in 0..100 {
            peer.push(number);
        }
        // Longer than the timeout, and nothing is read: the silence is our own.
        count_beats(&mut peer, 15);
        peer.text(json!({"lwp": "/push/done", "headers": {}}));
        peer.answer_heartbeats();
        peer.gone();
    });
    let mut dial = beating(&server.url, 20, 150);
    limit(&mut dial);
    let mut user = User::opened(dial);
    user.until(|stats| stats.paused);
    // The server is through with its beats while nothing has been drained.
    user.until(|stats| stats.beats >= 16);
    let held = user.links.drain(usize::MAX);
    assert!((10..=11).contains(&held.len()), "{} frames", held.len());
    user.events.extend(held);
    for number in 0..100 {
        let event = user.expect_frame();
        assert_eq!(text(&event), push(number).to_string());
        if number == 99 {
            assert_eq!(user.ack(&[event]), 1);
        }
    }
    user.until(|stats| !stats.paused);
    drop(user);
    server.join();
}

/// What the server sends is read all the time, and none of it answers a heartbeat.
fn is_dead_in_a_flood(limit: fn(&mut Dial)) {
    let server = Server::registered(|mut peer| {
        // Looking at it takes longer than sending it.
        let long = json!({"lwp": "/push/long", "headers": {}, "x": "x".repeat(100_000)});
        let long = Message::text(long.to_string());
        while peer.0.send(long.clone()).is_ok() {}
    });
    let mut dial = beating(&server.url, 20, 150);
    limit(&mut dial);
    let mut user = User::opened(dial);
    let start = Instant::now();
    let closed = loop {
        assert!(start.elapsed() < 3 * PATIENCE, "it lives");
        match user.next().news {
            News::Frame(_) => {}
            News::Closed(closed) => break closed,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(closed.trouble, Trouble::Link);
    assert_eq!(closed.reason, "no heartbeat was answered for 0.15 s");
    server.join();
}

#[test]
fn a_flood_without_answers_is_given_up_though_it_is_faster_than_its_reader() {
    is_dead_in_a_flood(|_| {});
}

#[test]
fn a_flood_without_answers_is_given_up_though_it_fills_the_mailbox() {
    is_dead_in_a_flood(|dial| dial.max_pushes = 1);
}

#[test]
fn a_mailbox_with_many_frames_pauses_reading_but_not_beating() {
    pauses_when_full(|dial| dial.max_pushes = 10);
}

#[test]
fn a_mailbox_with_many_bytes_pauses_reading_but_not_beating() {
    pauses_when_full(|dial| dial.max_bytes = 10 * push(0).to_string().len());
}

#[test]
fn books_and_acks_are_each_links_own() {
    let mids = |first| (first..first + 20).map(|number| format!("{number} 0"));
    let servers = [0, 100].map(|first| {
        Server::registered(move |mut peer| {
            for number in first..first + 20 {
                peer.push(number);
            }
            for mid in mids(first) {
                assert_eq!(peer.answer_heartbeats()["headers"]["mid"], mid);
            }
            peer.gone();
        })
    });
    let user = User::new();
    for (number, server) in (1..).zip(&servers) {
        let mut dial = quiet(&server.url);
        dial.max_pushes = 3;
        user.links.dial(number, dial).unwrap();
    }
    // Both are full, so that one drain takes what both hold.
    let paused = |number| user.links.stats(number).is_some_and(|stats| stats.paused);
    let start = Instant::now();
    while !(paused(1) && paused(2)) {
        assert!(start.elapsed() < PATIENCE, "never full");
        thread::yield_now();
    }
    let (mut first, mut second) = (Vec::new(), Vec::new());
    while first.len() < 20 || second.len() < 20 {
        assert!(start.elapsed() < PATIENCE, "one stands still");
        user.wait();
        for event in user.links.drain(64) {
            match (event.link.number(), &event.news) {
                (_, News::Opened(_)) => {}
                (1, News::Frame(_)) => first.push(event),
                (2, News::Frame(_)) => second.push(event),
                other => panic!("{other:?}"),
            }
        }
    }
    let mixed: Vec<_> = first
        .into_iter()
        .zip(second)
        .flat_map(|(one, two)| [one, two])
        .collect();
    assert_eq!(user.ack(&mixed), 40);
    drop(user);
    for server in servers {
        server.join();
    }
}
