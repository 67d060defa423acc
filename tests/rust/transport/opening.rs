//! Dialling: what is refused at once, what fails, what opens.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{mpsc, Arc};
use std::time::{Duration, Instant};

use rustls::{ServerConnection, StreamOwned};
use tokio_tungstenite::tungstenite::accept_hdr;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use xyfast::transport::{Dial, DialError, Links, News, Trouble};

use super::peer::{Peer, Server};
use super::trust::{certificate, server_config};
use super::{quiet, User};

#[test]
fn opens_when_the_registration_is_accepted() {
    let server = Server::registered(|mut peer| peer.gone());
    let mut user = User::dialled(quiet(&server.url));
    assert_eq!(user.expect_opened().code(), Some(200));
    let stats = user.links.stats(1).unwrap();
    assert!(stats.rtt > Duration::ZERO && !stats.paused);
    drop(user);
    server.join();
}

#[test]
fn a_refused_registration_closes_with_its_answer() {
    let server = Server::open(|mut peer| {
        let request = peer.request();
        peer.answer(&request, 401);
        peer.gone();
    });
    let mut user = User::dialled(quiet(&server.url));
    let closed = user.expect_closed();
    assert_eq!((closed.trouble, closed.code), (Trouble::Refused, Some(401)));
    assert_eq!(closed.answer.unwrap().code(), Some(401));
    server.join();
}

#[test]
fn without_a_registration_it_shakes_hands_and_says_goodbye() {
    let server = Server::open(|mut peer| {
        let frame = peer.goodbye().unwrap();
        assert_eq!(u16::from(frame.code), 1000);
        peer.gone();
    });
    let mut user = User::dialled(Dial {
        register: None,
        ..quiet(&server.url)
    });
    let closed = user.expect_closed();
    assert_eq!(closed.trouble, Trouble::Closed, "{}", closed.reason);
    server.join();
}

#[test]
fn without_a_registration_a_refused_handshake_is_told_as_ever() {
    let server = Server::tcp(|mut stream| {
        let mut head = [0; 4096];
        assert!(stream.read(&mut head).unwrap() > 0);
        stream.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n").unwrap();
    });
    let mut user = User::dialled(Dial {
        register: None,
        ..quiet(&server.url)
    });
    let closed = user.expect_closed();
    assert_eq!((closed.trouble, closed.code), (Trouble::Refused, Some(403)));
    server.join();
}

#[test]
fn what_comes_before_the_answer_is_reported_after_it() {
    let server = Server::open(|mut peer| {
        let request = peer.request();
        peer.push(1);
        peer.push(2);
        peer.answer(&request, 200);
        peer.push(3);
        peer.gone();
    });
    let mut user = User::opened(quiet(&server.url));
    for number in 1..=3 {
        let event = user.expect_frame();
        assert_eq!(super::text(&event), super::peer::push(number).to_string());
    }
    drop(user);
    server.join();
}

#[test]
fn more_than_the_mailbox_takes_may_come_before_the_answer() {
    let server = Server::open(|mut peer| {
        let request = peer.request();
        for number in 0..50 {
            peer.push(number);
        }
        peer.answer(&request, 200);
        peer.gone();
    });
    let mut dial = quiet(&server.url);
    dial.max_pushes = 10;
    let mut user = User::opened(dial);
    for _ in 0..50 {
        user.expect_frame();
    }
    drop(user);
    server.join();
}

#[test]
fn a_flood_before_the_answer_ends_the_link() {
    let server = Server::open(|mut peer| {
        peer.request();
        for number in 0..5000 {
            if peer
                .0
                .send(tokio_tungstenite::tungstenite::Message::text(
                    super::peer::push(number).to_string(),
                ))
                .is_err()
            {
                break;
            }
        }
    });
    let mut user = User::dialled(quiet(&server.url));
    let closed = loop {
        match user.next().news {
            News::Closed(closed) => break closed,
            news => assert!(matches!(news, News::Frame(_))),
        }
    };
    assert_eq!(closed.trouble, Trouble::Protocol);
    assert_eq!(
        closed.reason,
        "too many frames before the registration's answer"
    );
    server.join();
}

#[test]
fn what_comes_before_a_refusal_is_not_lost() {
    let server = Server::open(|mut peer| {
        let request = peer.request();
        peer.push(1);
        peer.answer(&request, 400);
        peer.gone();
    });
    let mut user = User::dialled(quiet(&server.url));
    user.expect_frame();
    assert_eq!(user.expect_closed().trouble, Trouble::Refused);
    server.join();
}

#[test]
#[allow(clippy::result_large_err)] // tungstenite's own type
fn the_handshake_carries_the_given_headers() {
    let server = Server::tcp(|stream| {
        let seen = |request: &Request, response: Response| {
            let headers = request.headers();
            assert_eq!(headers["origin"], "https://www.goofish.com");
            assert_eq!(headers["cookie"], "synthetic=1");
            assert!(headers["host"].to_str().unwrap().starts_with("127.0.0.1:"));
            assert!(headers.get("sec-websocket-extensions").is_none());
            Ok(response)
        };
        let mut peer = Peer(accept_hdr(stream, seen).unwrap());
        peer.register();
        peer.gone();
    });
    let mut dial = quiet(&server.url);
    dial.headers = vec![
        ("Origin".into(), "https://www.goofish.com".into()),
        ("Cookie".into(), "synthetic=1".into()),
    ];
    drop(User::opened(dial));
    server.join();
}

#[test]
fn a_handshake_answered_with_a_status_is_refused() {
    let server = Server::tcp(|mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        stream
            .write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            .unwrap();
    });
    let closed = User::dialled(quiet(&server.url)).expect_closed();
    assert_eq!((closed.trouble, closed.code), (Trouble::Refused, Some(403)));
    server.join();
}

#[test]
fn a_handshake_answered_with_nonsense_breaks_the_protocol() {
    let server = Server::tcp(|mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        stream
            .write_all(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
            .unwrap();
    });
    let closed = User::dialled(quiet(&server.url)).expect_closed();
    assert_eq!(closed.trouble, Trouble::Protocol);
    server.join();
}

#[test]
fn a_handshake_that_is_cut_is_network_trouble() {
    let server = Server::tcp(|mut stream| {
        let _ = stream.read(&mut [0; 4096]);
    });
    let closed = User::dialled(quiet(&server.url)).expect_closed();
    assert_eq!(closed.trouble, Trouble::Network);
    server.join();
}

#[test]
fn a_refused_connection_is_network_trouble() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    drop(listener);
    let closed = User::dialled(quiet(&url)).expect_closed();
    assert_eq!(
        (closed.trouble, &*closed.reason),
        (Trouble::Network, "connection refused")
    );
}

#[test]
fn a_name_that_cannot_be_resolved_is_network_trouble() {
    let mut dial = quiet("ws://name.invalid/");
    dial.allow_plain = true;
    let closed = User::dialled(dial).expect_closed();
    assert_eq!(closed.trouble, Trouble::Network);
}

/// Dials with little time to open and gives how long it took to fail.
fn runs_out_of_time(server: Server) -> Duration {
    let mut dial = quiet(&server.url);
    dial.open_timeout = Duration::from_millis(100);
    let start = Instant::now();
    let closed = User::dialled(dial).expect_closed();
    assert_eq!(closed.trouble, Trouble::Network, "{}", closed.reason);
    server.join();
    start.elapsed()
}

#[test]
fn opening_is_bounded_in_time() {
    let silent = Server::tcp(|mut stream| drop(stream.read_to_end(&mut Vec::new())));
    assert!(runs_out_of_time(silent) >= Duration::from_millis(100));
    let mute = Server::open(|mut peer| {
        peer.request();
        peer.gone();
    });
    assert!(runs_out_of_time(mute) >= Duration::from_millis(100));
}

/// What a server speaks TLS on.
pub(super) type Secure = StreamOwned<ServerConnection, TcpStream>;

/// A server with a certificate of its own for `localhost`, and that certificate.
pub(super) fn secure(script: impl FnOnce(Peer<Secure>) + Send + 'static) -> (Server, String) {
    let (certificate, key) = certificate(|_| {});
    let config = server_config(&certificate, &key);
    let mut server = Server::tcp(|stream| {
        let session = ServerConnection::new(Arc::new(config)).unwrap();
        let stream = StreamOwned::new(session, stream);
        if let Ok(socket) = tokio_tungstenite::tungstenite::accept(stream) {
            script(Peer(socket));
        }
    });
    server.url = server.url.replace("ws://127.0.0.1", "wss://localhost");
    (server, certificate.pem())
}

#[test]
fn an_unknown_certificate_is_refused() {
    let (server, _) = secure(|_| {});
    let closed = User::dialled(quiet(&server.url)).expect_closed();
    assert_eq!(closed.trouble, Trouble::Untrusted);
    assert!(closed.reason.contains("certificate"), "{}", closed.reason);
    server.join();
}

#[test]
fn a_certificate_given_as_root_is_accepted() {
    let (server, pem) = secure(|mut peer| {
        peer.register();
        peer.push(1);
        assert_eq!(peer.answer_heartbeats()["code"], 200);
        peer.gone();
    });
    let mut dial = quiet(&server.url);
    dial.roots = Some(pem);
    let mut user = User::opened(dial);
    let push = user.expect_frame();
    assert_eq!(user.ack(&[push]), 1);
    user.links.close(1, 1000);
    assert_eq!(user.expect_closed().trouble, Trouble::Closed);
    server.join();
}

/// The complaint about a dial that is refused at once.
fn complaint(change: impl FnOnce(&mut Dial)) -> String {
    let mut dial = quiet("ws://127.0.0.1:9/");
    change(&mut dial);
    match Links::new().unwrap().dial(1, dial) {
        Err(DialError::Config(message)) => message,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn a_dial_that_cannot_work_is_refused_at_once() {
    for (url, message) in [
        ("ws://example.com/", "ws:// is not encrypted"),
        ("ws://10.0.0.1/", "ws:// is not encrypted"),
        ("https://example.com/", "url must start"),
        ("example.com", "url must start"),
        ("", "url cannot be read"),
        ("ws://127.0.0.1:99999/", "url has a bad port"),
        ("ws://127.0.0.1:/", "url has a bad port"),
        ("ws://127.0.0.1:0/", "url has a bad port"),
        ("ws://[::1]:70000/", "url has a bad port"),
        ("wss://", "url"),
        ("wss://user:word@example.com/", "url must not hold"),
    ] {
        let found = complaint(|dial| dial.url = url.to_owned());
        assert!(found.contains(message), "{url}: {found}");
        assert!(!found.contains("word@"));
    }
    for (name, value) in [
        ("Bad Name", "x"),
        ("Cookie", "secret\r\nX: y"),
        ("Host", "x"),
        ("Sec-WebSocket-Key", "x"),
    ] {
        let header = (name.to_owned(), value.to_owned());
        let found = complaint(|dial| dial.headers = vec![header]);
        assert!(found.contains(name) && !found.contains("secret"), "{found}");
    }
    for register in ["", "{}", r#"{"headers":{}}"#, r#"{"headers":{"mid":1}}"#] {
        let found = complaint(|dial| dial.register = Some(register.to_owned()));
        assert!(found.contains("register"), "{found}");
    }
    complaint(|dial| dial.max_message = 0);
    complaint(|dial| dial.policy.misses = 0);
    complaint(|dial| dial.policy.interval = Duration::ZERO);
    for roots in [
        "",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        let found = complaint(|dial| {
            dial.url = "wss://127.0.0.1:9/".to_owned();
            dial.roots = Some(roots.to_owned());
        });
        assert!(found.contains("roots"), "{found}");
    }
}

#[test]
fn a_number_is_free_again_when_its_end_has_been_drained() {
    let dial = quiet("ws://127.0.0.1:9/");
    let mut user = User::dialled(dial.clone());
    user.wait();
    assert!(matches!(
        user.links.dial(1, dial.clone()),
        Err(DialError::InUse(1))
    ));
    user.expect_closed();
    user.links.dial(1, dial).unwrap();
    user.expect_closed();
}

#[test]
fn closing_gives_up_opening() {
    let (accepted, connected) = mpsc::channel();
    let server = Server::tcp(move |mut stream| {
        accepted.send(()).unwrap();
        drop(stream.read_to_end(&mut Vec::new()));
    });
    let mut user = User::dialled(quiet(&server.url));
    connected.recv().unwrap();
    user.links.close(1, 1000);
    assert_eq!(user.expect_closed().trouble, Trouble::Closed);
    server.join();
}
