//! Acks and requests.

use std::sync::mpsc;

use serde_json::{json, Value};
use xyfast::transport::{Trouble, MAX_TEXT};

use super::peer::{push, Server};
use super::{quiet, text, User};

const REQUEST: &str = r#"{"lwp":"/r/x","headers":{"mid":"31767225600000 0"}}"#;

fn request() -> String {
    REQUEST.to_owned()
}

#[test]
fn five_thousand_pushes_arrive_in_order_and_are_acked_in_order() {
    const PUSHES: usize = 5000;
    const WINDOW: usize = 250;
    let server = Server::registered(|mut peer| {
        for first in (0..PUSHES).step_by(WINDOW) {
            for number in first..first + WINDOW {
                peer.push(number);
            }
            for number in first..first + WINDOW {
                let mid = format!("{number} 0");
                let expected = json!({"code": 200, "headers": {"mid": mid, "sid": "s"}});
                assert_eq!(peer.answer_heartbeats(), expected);
            }
        }
        peer.gone();
    });
    let mut user = User::opened(quiet(&server.url));
    let mut next = 0;
    while next < PUSHES {
        let events = user.batch();
        for event in &events {
            assert_eq!(text(event), push(next).to_string());
            next += 1;
        }
        assert_eq!(user.ack(&events), events.len());
    }
    assert_eq!(user.links.stats(1).unwrap().pushes, PUSHES as u64);
    drop(user);
    server.join();
}

#[test]
fn acks_go_to_the_links_their_frames_came_from() {
    let servers: Vec<_> = (0..3)
        .map(|_| {
            Server::registered(|mut peer| {
                peer.push(1);
                peer.push(2);
                assert_eq!(peer.answer_heartbeats()["headers"]["mid"], "1 0");
                assert_eq!(peer.answer_heartbeats()["headers"]["mid"], "2 0");
                peer.gone();
            })
        })
        .collect();
    let mut user = User::new();
    for (number, server) in servers.iter().enumerate() {
        user.links.dial(number as u64, quiet(&server.url)).unwrap();
    }
    let events: Vec<_> = (0..9).map(|_| user.next()).collect();
    assert_eq!(user.ack(&events), 6);
    drop(user);
    for server in servers {
        server.join();
    }
}

#[test]
fn answers_are_not_acked() {
    let server = Server::registered(|mut peer| {
        peer.text(json!({"code": 200, "headers": {"mid": "5 0"}}));
        peer.gone();
    });
    let mut user = User::opened(quiet(&server.url));
    let answer = user.expect_frame();
    assert_eq!(user.ack(&[answer]), 0);
    drop(user);
    server.join();
}

#[test]
fn a_request_goes_out_and_its_answer_comes_back() {
    let server = Server::registered(|mut peer| {
        let request = peer.answer_heartbeats();
        assert_eq!(request, REQUEST.parse::<Value>().unwrap());
        peer.answer(&request, 500);
        peer.gone();
    });
    let mut user = User::opened(quiet(&server.url));
    assert!(user.links.send(1, request()));
    let answer = user.expect_frame();
    assert!(text(&answer).contains("31767225600000 0"));
    drop(user);
    server.join();
}

#[test]
fn nothing_is_sent_before_a_link_is_open_or_after_its_end() {
    let (allow, wait) = mpsc::channel();
    let server = Server::open(move |mut peer| {
        let registration = peer.request();
        wait.recv().unwrap();
        peer.answer(&registration, 200);
        peer.push(1);
        assert_eq!(peer.answer_heartbeats()["lwp"], "/r/x", "the first request");
    });
    let mut user = User::dialled(quiet(&server.url));
    assert!(!user.links.send(1, request()));
    assert!(!user.links.send(2, request()), "no such link");
    assert!(user.links.stats(1).is_none());
    allow.send(()).unwrap();
    user.expect_opened();
    let frame = user.expect_frame();
    assert!(user.links.send(1, request()));
    user.expect_closed();
    assert!(!user.links.send(1, request()));
    assert_eq!(user.ack(&[frame]), 0);
    server.join();
}

#[test]
fn nothing_is_sent_after_goodbye() {
    let server = Server::registered(|mut peer| {
        peer.goodbye();
        peer.gone();
    });
    let mut user = User::opened(quiet(&server.url));
    user.links.close(1, 1000);
    user.expect_closed();
    assert!(!user.links.send(1, request()));
    server.join();
}

#[test]
fn what_the_socket_does_not_take_at_once_goes_out_later() {
    let long = format!(r#"{{"x":"{}"}}"#, "x".repeat(1_000_000));
    let expected: Value = long.parse().unwrap();
    let (written, wait) = mpsc::channel();
    let server = Server::registered(move |mut peer| {
        wait.recv().unwrap();
        for _ in 0..4 {
            assert_eq!(peer.answer_heartbeats(), expected);
        }
        peer.push(1);
        peer.gone();
    });
    let mut user = User::opened(quiet(&server.url));
    for _ in 0..4 {
        assert!(user.links.send(1, long.clone()));
    }
    written.send(()).unwrap();
    user.expect_frame();
    drop(user);
    server.join();
}

#[test]
fn a_server_that_does_not_read_is_given_up() {
    let (done, wait) = mpsc::channel::<()>();
    let server = Server::registered(move |_peer| assert!(wait.recv().is_err()));
    let mut user = User::opened(quiet(&server.url));
    let text = "x".repeat(MAX_TEXT);
    let mut sent = 0;
    while user.links.send(1, text.clone()) {
        sent += 1;
        assert!(sent < 1000, "nothing stops us");
    }
    let closed = user.expect_closed();
    assert_eq!(closed.trouble, Trouble::Link);
    assert_eq!(closed.reason, "the server does not read: 4 MiB are unsent");
    drop(done);
    server.join();
}

#[test]
fn a_text_that_never_fits_is_not_sent_and_costs_no_link() {
    let server = Server::registered(|mut peer| {
        assert_eq!(peer.answer_heartbeats()["lwp"], "/r/x");
        peer.gone();
    });
    let user = User::opened(quiet(&server.url));
    assert!(!user.links.send(1, "x".repeat(MAX_TEXT + 1)));
    assert!(user.links.send(1, request()));
    user.links.close(1, 1000);
    server.join();
}
