//! Links inside TLS, where what is read is more than what the socket holds.

use std::sync::mpsc;
use std::time::Duration;

use serde_json::{json, Value};
use xyfast::transport::Dial;

use super::opening::secure;
use super::peer::push;
use super::{quiet, text, User};

fn trusting(url: &str, roots: String) -> Dial {
    let mut dial = quiet(url);
    dial.roots = Some(roots);
    dial
}

#[test]
fn what_a_full_mailbox_leaves_inside_tls_comes_when_there_is_room() {
    const PUSHES: usize = 2000;
    let long = json!({"lwp": "/push/long", "headers": {}, "x": "x".repeat(700_000)});
    let expected = long.to_string();
    let (server, pem) = secure(move |mut peer| {
        peer.register();
        for number in 0..PUSHES {
            peer.push(number);
        }
        peer.text(long);
        peer.answer_heartbeats();
        peer.gone();
    });
    let mut dial = trusting(&server.url, pem);
    dial.max_pushes = 10;
    let mut user = User::opened(dial);
    for number in 0..PUSHES {
        let event = user.expect_frame();
        assert_eq!(text(&event), push(number).to_string());
        if number + 1 == PUSHES {
            assert_eq!(user.ack(&[event]), 1);
        }
    }
    assert_eq!(text(&user.expect_frame()), expected);
    drop(user);
    server.join();
}

#[test]
fn what_the_socket_does_not_take_at_once_goes_out_later_inside_tls() {
    let long = format!(r#"{{"x":"{}"}}"#, "x".repeat(1_000_000));
    let expected: Value = long.parse().unwrap();
    let (written, wait) = mpsc::channel();
    let (server, pem) = secure(move |mut peer| {
        peer.register();
        let beat = peer.heartbeat();
        peer.answer(&beat, 200);
        peer.push(1);
        wait.recv().unwrap();
        // From here on nothing happens to the link but that its socket has room.
        for _ in 0..4 {
            assert_eq!(peer.request(), expected);
        }
        peer.push(2);
        peer.gone();
    });
    let mut dial = trusting(&server.url, pem);
    dial.policy.interval = Duration::from_secs(3600);
    dial.policy.timeout = Duration::from_secs(3600);
    let mut user = User::opened(dial);
    user.expect_frame();
    for _ in 0..4 {
        assert!(user.links.send(1, long.clone()));
    }
    written.send(()).unwrap();
    user.expect_frame();
    drop(user);
    server.join();
}
