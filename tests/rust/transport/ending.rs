//! How links end, and that each ends once.

use std::net::TcpStream;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::Message;
use xyfast::transport::{Closed, Dial, Event, News, Trouble};

use super::peer::{Peer, Server};
use super::{beating, quiet, User};

/// How a link ends whose server does this after the registration.
fn end(dial: fn(&str) -> Dial, script: fn(Peer<TcpStream>)) -> Closed {
    let server = Server::registered(script);
    let closed = User::opened(dial(&server.url)).expect_closed();
    server.join();
    closed
}

#[test]
fn a_server_that_answers_no_heartbeat_is_given_up() {
    let start = Instant::now();
    let closed = end(|url| beating(url, 30, 100), |mut peer| peer.gone());
    assert_eq!(closed.trouble, Trouble::Link);
    assert_eq!(closed.reason, "no heartbeat was answered for 0.1 s");
    assert!(start.elapsed() >= Duration::from_millis(100));
}

#[test]
fn heartbeats_answered_with_another_code_end_the_link() {
    let closed = end(
        |url| beating(url, 10, 10_000),
        |mut peer| {
            for _ in 0..3 {
                let request = peer.heartbeat();
                peer.answer(&request, 401);
            }
            peer.gone();
        },
    );
    assert_eq!(closed.trouble, Trouble::Deaf);
    assert_eq!(
        closed.reason,
        "3 heartbeats in a row were answered with code 401"
    );
}

#[test]
fn answers_to_others_do_not_count_as_heartbeats() {
    let server = Server::registered(|mut peer| {
        while let Ok(Message::Text(_)) = peer.0.read() {
            peer.text(json!({"code": 200, "headers": {"mid": "5 0"}}));
        }
    });
    let mut user = User::opened(beating(&server.url, 20, 200));
    let mut last = user.next();
    while let News::Frame(_) = last.news {
        last = user.next();
    }
    match last.news {
        News::Closed(closed) => assert_eq!(closed.reason, "no heartbeat was answered for 0.2 s"),
        other => panic!("{other:?}"),
    }
    server.join();
}

#[test]
fn a_reset_is_link_trouble() {
    let closed = end(quiet, Peer::reset);
    assert_eq!((closed.trouble, closed.code), (Trouble::Link, None));
    assert_eq!(closed.reason, "connection reset");
}

#[test]
fn a_reset_that_a_write_met_is_told_as_one() {
    let server = Server::registered(Peer::reset);
    let mut user = User::opened(quiet(&server.url));
    server.join();
    // The system tells of a reset once: what is read after this is a plain end.
    for _ in 0..2 {
        user.links.send(1, "{}".to_owned());
    }
    assert_eq!(user.expect_closed().reason, "connection reset");
}

#[test]
fn a_server_that_hangs_up_is_link_trouble() {
    let closed = end(quiet, drop);
    assert_eq!((closed.trouble, closed.code), (Trouble::Link, None));
}

#[test]
fn a_close_frame_is_link_trouble_with_its_code_and_is_answered() {
    let closed = end(quiet, |mut peer| {
        let frame = CloseFrame {
            code: CloseCode::Library(4001),
            reason: "not for logs".into(),
        };
        peer.0.close(Some(frame)).unwrap();
        assert_eq!(peer.goodbye().unwrap().code, CloseCode::Library(4001));
    });
    assert_eq!((closed.trouble, closed.code), (Trouble::Link, Some(4001)));
    assert_eq!(closed.reason, "the server closed the link");
}

#[test]
fn a_close_frame_during_the_registration_is_link_trouble() {
    let server = Server::open(|mut peer| {
        peer.request();
        peer.0.close(None).unwrap();
        peer.gone();
    });
    let closed = User::dialled(quiet(&server.url)).expect_closed();
    assert_eq!((closed.trouble, closed.code), (Trouble::Link, None));
    server.join();
}

#[test]
fn a_message_that_is_too_large_breaks_the_protocol() {
    let small = |url: &str| Dial {
        max_message: 1000,
        ..quiet(url)
    };
    let closed = end(small, |mut peer| {
        let text = "x".repeat(1001);
        peer.0.send(Message::text(text)).unwrap();
        assert_eq!(peer.goodbye().unwrap().code, CloseCode::Size);
    });
    assert_eq!(closed.trouble, Trouble::Protocol);
    assert_eq!(closed.reason, "Message too long: 1001 > 1000");
}

#[test]
fn text_that_is_not_utf8_breaks_the_protocol() {
    let closed = end(quiet, |mut peer| {
        let frame = Frame::message(vec![0xff], OpCode::Data(Data::Text), true);
        peer.0.send(Message::Frame(frame)).unwrap();
        assert_eq!(peer.goodbye().unwrap().code, CloseCode::Invalid);
    });
    assert_eq!(closed.trouble, Trouble::Protocol);
}

#[test]
fn closing_shakes_hands() {
    let server = Server::registered(|mut peer| {
        assert_eq!(u16::from(peer.goodbye().unwrap().code), 3001);
        peer.gone();
    });
    let mut user = User::opened(quiet(&server.url));
    user.links.close(1, 3001);
    let closed = user.expect_closed();
    assert_eq!((closed.trouble, closed.code), (Trouble::Closed, Some(3001)));
    server.join();
}

#[test]
fn frames_that_meet_the_close_frame_are_still_delivered() {
    let (closing, wait) = mpsc::channel();
    let server = Server::registered(move |mut peer| {
        wait.recv().unwrap();
        peer.push(1);
        peer.push(2);
        peer.goodbye();
        peer.gone();
    });
    let mut user = User::opened(quiet(&server.url));
    user.links.close(1, 1000);
    closing.send(()).unwrap();
    user.expect_frame();
    user.expect_frame();
    assert_eq!(user.expect_closed().trouble, Trouble::Closed);
    server.join();
}

#[test]
fn closing_is_bounded_in_time() {
    let (done, wait) = mpsc::channel::<()>();
    let server = Server::registered(move |_peer| assert!(wait.recv().is_err()));
    let mut dial = quiet(&server.url);
    dial.close_timeout = Duration::from_millis(100);
    let mut user = User::opened(dial);
    user.links.close(1, 1000);
    let closed = user.expect_closed();
    assert_eq!((closed.trouble, closed.code), (Trouble::Closed, None));
    drop(done);
    server.join();
}

#[test]
fn shutting_down_ends_every_link_once() {
    let servers: Vec<_> = (0..20)
        .map(|index| {
            Server::tcp(move |stream| {
                if index % 2 == 0 {
                    let mut peer = Peer(tokio_tungstenite::tungstenite::accept(stream).unwrap());
                    peer.register();
                    peer.gone();
                } else {
                    let _ = std::io::copy(&mut &stream, &mut std::io::sink());
                }
            })
        })
        .collect();
    let mut user = User::new();
    for (number, server) in servers.iter().enumerate() {
        user.links.dial(number as u64, quiet(&server.url)).unwrap();
    }
    for _ in 0..10 {
        user.expect_opened();
    }
    user.links.shutdown();
    let mut ended: Vec<_> = (0..20)
        .map(|_| {
            let event = user.next();
            assert!(
                matches!(&event.news, News::Closed(closed) if closed.trouble == Trouble::Closed)
            );
            event.link.number()
        })
        .collect();
    ended.sort_unstable();
    assert_eq!(ended, (0..20).collect::<Vec<_>>());
    assert!(user.links.drain(1).is_empty());
    drop(user);
    for server in servers {
        server.join();
    }
}

/// Ways in which a server can treat a link, from never answering to pushing and closing.
fn mistreat(manner: u32, stream: TcpStream) {
    if manner == 0 {
        return;
    }
    let mut peer = Peer(tokio_tungstenite::tungstenite::accept(stream).unwrap());
    if manner == 1 {
        return peer.reset();
    }
    let registration = peer.request();
    match manner {
        2 => return peer.answer(&registration, 401),
        3 => return peer.0.close(None).unwrap(),
        _ => peer.answer(&registration, 200),
    }
    for number in 0..manner as usize {
        peer.push(number);
    }
    match manner {
        4 => {}
        5 => peer.reset(),
        6 => peer.0.close(None).unwrap(),
        7 => peer
            .0
            .send(Message::text("x".repeat(5 << 20)))
            .unwrap_or(()),
        _ => peer.gone(),
    }
}

#[test]
fn every_link_ends_exactly_once_whatever_its_server_does() {
    const LINKS: u32 = 90;
    let mut user = User::new();
    let servers: Vec<_> = (0..LINKS)
        .map(|link| {
            let server = Server::tcp(move |stream| mistreat(link % 9, stream));
            user.links
                .dial(u64::from(link), quiet(&server.url))
                .unwrap();
            server
        })
        .collect();
    let mut opened = [false; LINKS as usize];
    let mut frames = [0; LINKS as usize];
    let mut closed = [false; LINKS as usize];
    while closed.contains(&false) {
        let Event { link, news, .. } = user.next();
        let number = link.number() as usize;
        assert!(!closed[number], "nothing follows the end");
        match news {
            News::Opened(_) => {
                assert_eq!((opened[number], frames[number]), (false, 0));
                opened[number] = true;
            }
            News::Frame(_) => {
                frames[number] += 1;
                if number % 9 == 8 && frames[number] == 8 {
                    user.links.close(number as u64, 1000);
                }
            }
            News::Invalid { .. } => panic!("link {number}"),
            News::Closed(_) => closed[number] = true,
        }
    }
    assert!(user.links.drain(1).is_empty());
    for server in servers {
        server.join();
    }
}
