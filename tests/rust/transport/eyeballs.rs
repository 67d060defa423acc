//! Several addresses of one host: whichever answers first.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::time::Instant;
use xyfast::transport::eyeballs::{connect, interleaved};
use xyfast::transport::{Closed, Trouble};

use super::PATIENCE;

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// This machine by IPv6, where it has that.
fn six() -> &'static str {
    let found = TcpListener::bind("[::1]:0");
    found.map_or("127.0.0.1", |_| "[::1]")
}

/// An address that refuses.
fn refusing(host: &str) -> SocketAddr {
    let listener = TcpListener::bind(format!("{host}:0")).unwrap();
    listener.local_addr().unwrap()
}

/// An address that never answers: its queue is full, so that what knocks is dropped.
fn silent(host: &str) -> (SocketAddr, Vec<Socket>) {
    let address: SocketAddr = format!("{host}:0").parse().unwrap();
    let domain = Domain::for_address(address);
    let listener = Socket::new(domain, Type::STREAM, None).unwrap();
    listener.bind(&SockAddr::from(address)).unwrap();
    listener.listen(0).unwrap();
    let place = listener.local_addr().unwrap();
    let mut sockets = vec![listener];
    loop {
        let guest = Socket::new(domain, Type::STREAM, None).unwrap();
        match guest.connect_timeout(&place, Duration::from_millis(100)) {
            Ok(()) => sockets.push(guest),
            Err(_) => return (place.as_socket().unwrap(), sockets),
        }
    }
}

fn connected(addresses: &[SocketAddr], time: Duration) -> Result<TcpStream, Closed> {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(connect(addresses, Instant::now() + time))
}

#[test]
fn families_take_turns_and_the_first_stays_first() {
    let addresses = |text: &str| -> Vec<SocketAddr> {
        let places = text.split_whitespace();
        places.map(|place| place.parse().unwrap()).collect()
    };
    for (given, expected) in [
        ("", ""),
        ("192.0.2.1:1 192.0.2.2:1", "192.0.2.1:1 192.0.2.2:1"),
        (
            "[2001:db8::1]:1 [2001:db8::2]:1 [2001:db8::3]:1 192.0.2.1:1 192.0.2.2:1",
            "[2001:db8::1]:1 192.0.2.1:1 [2001:db8::2]:1 192.0.2.2:1 [2001:db8::3]:1",
        ),
        (
            "192.0.2.1:1 192.0.2.2:1 [2001:db8::1]:1",
            "192.0.2.1:1 [2001:db8::1]:1 192.0.2.2:1",
        ),
        ("192.0.2.1:1 192.0.2.1:1", "192.0.2.1:1"),
    ] {
        assert_eq!(interleaved(&addresses(given)), addresses(expected));
    }
}

#[test]
fn an_address_that_refuses_is_followed_by_the_next() {
    let (_listener, open) = listener();
    let stream = connected(&[refusing(six()), open], PATIENCE).unwrap();
    assert_eq!(stream.peer_addr().unwrap(), open);
}

#[test]
fn an_address_that_is_silent_is_not_waited_for() {
    for host in [six(), "127.0.0.1"] {
        let (silent, _sockets) = silent(host);
        let (_listener, open) = listener();
        let stream = connected(&[silent, open], PATIENCE).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), open);
    }
}

#[test]
fn what_went_wrong_at_each_address_is_in_the_reason() {
    let (silent, _sockets) = silent("127.0.0.1");
    let reason = |addresses: &[SocketAddr], time: u64| {
        let closed = connected(addresses, Duration::from_millis(time)).unwrap_err();
        assert_eq!(closed.trouble, Trouble::Network);
        closed.reason
    };
    let (six, four) = (refusing(six()), refusing("127.0.0.1"));
    assert_eq!(reason(&[four], 20_000), "connection refused");
    assert_eq!(
        reason(&[six, four], 20_000),
        format!("connection refused ({}, 127.0.0.1)", six.ip())
    );
    assert_eq!(reason(&[silent], 300), "no answer in time");
    assert_eq!(
        reason(&[six, silent], 300),
        format!(
            "connection refused ({}), no answer in time (127.0.0.1)",
            six.ip()
        )
    );
    let many: Vec<_> = (0..6).map(|_| refusing("127.0.0.1")).collect();
    assert_eq!(
        reason(&many, 20_000),
        "connection refused (127.0.0.1, 127.0.0.1, 127.0.0.1, 127.0.0.1, 2 more)"
    );
}
