//! Proxies that open tunnels, refuse, hang and babble.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use xyfast::transport::{Closed, Dial, DialError, Links, Proxy, Trouble};

use super::peer::Server;
use super::{quiet, User};

/// The server that nobody reaches.
const SERVER: &str = "ws://127.0.0.1:9/";

/// Dials through a proxy that follows a script; `at` is what stands before its address.
fn through(at: &str, url: &str, script: impl FnOnce(TcpStream) + Send + 'static) -> (User, Server) {
    let proxy = Server::tcp(script);
    let place = proxy.url.trim_start_matches("ws://").trim_end_matches('/');
    let mut dial = quiet(url);
    dial.proxy = Some(format!("{at}{place}"));
    (User::dialled(dial), proxy)
}

fn refused(at: &str, script: impl FnOnce(TcpStream) + Send + 'static) -> Closed {
    let (mut user, proxy) = through(at, SERVER, script);
    let closed = user.expect_closed();
    proxy.join();
    assert!(!format!("{closed:?}").contains("synthetic"), "{closed:?}");
    closed
}

#[track_caller]
fn assert_closed(closed: &Closed, trouble: Trouble, reason: &str) {
    assert_eq!((closed.trouble, &*closed.reason), (trouble, reason));
}

fn read<const N: usize>(stream: &mut TcpStream) -> [u8; N] {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

/// The head of a CONNECT request.
fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend(read::<1>(stream));
    }
    String::from_utf8(head).unwrap()
}

/// Carries bytes both ways until the tunnel is over.
fn carry(mut client: TcpStream, place: &str) {
    let mut server = TcpStream::connect(place).unwrap();
    let (mut from, mut to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    let back = thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
    let _ = io::copy(&mut client, &mut server);
    let _ = server.shutdown(Shutdown::Both);
    back.join().unwrap();
}

/// A link that opens, hears a push and ends, at the place that the proxy is to reach.
fn works(at: &str, script: impl FnOnce(TcpStream, String) + Send + 'static) {
    let server = Server::registered(|mut peer| {
        peer.push(1);
        peer.gone();
    });
    let place = server.url.trim_start_matches("ws://").trim_end_matches('/');
    let place = place.to_owned();
    let (mut user, proxy) = through(at, &server.url, move |stream| script(stream, place));
    user.expect_opened();
    user.expect_frame();
    drop(user);
    server.join();
    proxy.join();
}

#[test]
fn a_link_opens_through_connect() {
    works("http://", |mut stream, place| {
        let asked = format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n\r\n");
        assert_eq!(head(&mut stream), asked);
        stream
            .write_all(b"HTTP/1.0 200 OK\r\nVia: x\r\n\r\n")
            .unwrap();
        carry(stream, &place);
    });
}

#[test]
fn connect_carries_the_login() {
    works("http://a%40b:synthetic%3Aword@", |mut stream, place| {
        // Of "a@b:synthetic:word".
        let login = "\r\nProxy-Authorization: Basic YUBiOnN5bnRoZXRpYzp3b3Jk\r\n";
        assert!(head(&mut stream).contains(login));
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        carry(stream, &place);
    });
}

#[test]
fn a_link_opens_through_socks5() {
    works("socks5://", |mut stream, place| {
        assert_eq!(read(&mut stream), [5, 1, 0]);
        stream.write_all(&[5, 0]).unwrap();
        assert_eq!(read(&mut stream), [5, 1, 0, 1, 127, 0, 0, 1]);
        let port = u16::from_be_bytes(read(&mut stream));
        assert!(place.ends_with(&format!(":{port}")));
        stream.write_all(&[5, 0, 0, 3, 1, b'x', 0, 1]).unwrap();
        carry(stream, &place);
    });
}

#[test]
fn socks5_carries_the_login_and_lets_the_proxy_resolve() {
    let server = Server::registered(|mut peer| peer.gone());
    let place = server.url.trim_start_matches("ws://").trim_end_matches('/');
    let (place, port) = (place.to_owned(), place.rsplit_once(':').unwrap().1);
    let url = format!("ws://name.invalid:{port}/");
    let proxy = Server::tcp(move |mut stream| {
        assert_eq!(read(&mut stream), [5, 2, 0, 2]);
        stream.write_all(&[5, 2]).unwrap();
        assert_eq!(&read(&mut stream), b"\x01\x02me\x09synthetic");
        stream.write_all(&[1, 0]).unwrap();
        assert_eq!(&read(&mut stream), b"\x05\x01\x00\x03\x0cname.invalid");
        read::<2>(&mut stream);
        stream.write_all(&[5, 0, 0, 4]).unwrap();
        stream.write_all(&[0; 18]).unwrap();
        carry(stream, &place);
    });
    let at = proxy.url.trim_start_matches("ws://").trim_end_matches('/');
    let mut dial = quiet(&url);
    dial.allow_plain = true;
    dial.proxy = Some(format!("socks5h://me:synthetic@{at}/"));
    drop(User::opened(dial));
    server.join();
    proxy.join();
}

#[test]
fn statuses_of_a_proxy_say_what_to_do() {
    let login = "http://me:synthetic@";
    for (at, status, trouble, reason) in [
        (
            "http://",
            "407 x",
            Trouble::ProxyRefused,
            "it wants a user and a password",
        ),
        (
            login,
            "407 x",
            Trouble::ProxyRefused,
            "it does not accept the user or the password",
        ),
        (
            login,
            "403 x",
            Trouble::ProxyRefused,
            "the answer is 403 Forbidden",
        ),
        (
            login,
            "502 x",
            Trouble::Proxy,
            "the answer is 502 Bad Gateway",
        ),
        (
            login,
            "503 x",
            Trouble::Proxy,
            "the answer is 503 Service Unavailable",
        ),
        (
            login,
            "302 x",
            Trouble::ProxyRefused,
            "the answer is 302 Found",
        ),
    ] {
        let closed = refused(at, move |mut stream| {
            head(&mut stream);
            let answer = format!("HTTP/1.1 {status}\r\nX: synthetic\r\n\r\nsynthetic");
            stream.write_all(answer.as_bytes()).unwrap();
        });
        assert_closed(&closed, trouble, &format!("proxy: {reason}"));
        assert_eq!(closed.code, status[..3].parse().ok());
    }
}

#[test]
fn an_answer_that_is_none_ends_the_dial() {
    let long = [b"HTTP/1.1 200 OK\r\nX: ".to_vec(), vec![b'x'; 70_000]].concat();
    let many = [&b"HTTP/1.1 200 OK\r\n"[..], &b"X: y\r\n".repeat(200)].concat();
    for (answer, trouble, reason) in [
        (long, Trouble::ProxyRefused, "the answer is too long"),
        (many, Trouble::ProxyRefused, "the answer is too long"),
        (
            b"\x05\x00".to_vec(),
            Trouble::ProxyRefused,
            "the answer is no HTTP: ",
        ),
        (
            Vec::new(),
            Trouble::Proxy,
            "it hung up before its answer was whole",
        ),
        (
            b"HTTP/1.1 200".to_vec(),
            Trouble::Proxy,
            "it hung up before its answer was whole",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx".to_vec(),
            Trouble::ProxyRefused,
            "something follows its answer",
        ),
    ] {
        let closed = refused("http://", move |mut stream| {
            head(&mut stream);
            stream.write_all(&answer).unwrap();
            // By now the other side may have hung up.
            let _ = stream.shutdown(Shutdown::Write);
            let _ = stream.read(&mut [0]);
        });
        assert_eq!(closed.trouble, trouble, "{}", closed.reason);
        let reason = format!("proxy: {reason}");
        assert!(closed.reason.starts_with(&reason), "{}", closed.reason);
    }
}

#[test]
fn replies_of_socks5_say_what_to_do() {
    for (reply, trouble, reason) in [
        (1, Trouble::Proxy, "it failed"),
        (
            2,
            Trouble::ProxyRefused,
            "its rules do not allow this server",
        ),
        (3, Trouble::Proxy, "the server's network is unreachable"),
        (4, Trouble::Proxy, "the server is unreachable"),
        (5, Trouble::Proxy, "the server refused the connection"),
        (6, Trouble::Proxy, "the way to the server is too long"),
        (7, Trouble::ProxyRefused, "it does not make connections"),
        (
            8,
            Trouble::ProxyRefused,
            "it does not take this kind of address",
        ),
        (
            99,
            Trouble::ProxyRefused,
            "its answer is an unknown refusal",
        ),
    ] {
        let closed = refused("socks5://", move |mut stream| {
            read::<3>(&mut stream);
            stream.write_all(&[5, 0]).unwrap();
            read::<10>(&mut stream);
            stream
                .write_all(&[5, reply, 0, 1, 0, 0, 0, 0, 0, 0])
                .unwrap();
        });
        assert_closed(&closed, trouble, &format!("proxy: {reason}"));
        assert_eq!(closed.code, Some(i64::from(reply)));
    }
}

#[test]
fn logins_of_socks5_that_fail_say_so() {
    let (login, rejected) = (
        "socks5://me:synthetic@",
        "it does not accept the user or the password",
    );
    let cases: [(&str, &[&[u8]], &str); 6] = [
        ("socks5://", &[&[5, 0xFF]], "it wants a user and a password"),
        (login, &[&[5, 0xFF]], rejected),
        (login, &[&[5, 2], &[1, 1]], rejected),
        (
            "socks5://",
            &[&[5, 2]],
            "it wants to log in by method 2, which was not offered",
        ),
        ("socks5://", &[&[4, 91]], "it does not speak SOCKS5"),
        ("socks5://", &[b"HT"], "it does not speak SOCKS5"),
    ];
    for (at, answers, reason) in cases {
        let closed = refused(at, move |mut stream| {
            for answer in answers {
                let _ = stream.read(&mut [0; 512]).unwrap();
                stream.write_all(answer).unwrap();
            }
            let _ = stream.read(&mut [0]);
        });
        assert_closed(&closed, Trouble::ProxyRefused, &format!("proxy: {reason}"));
    }
}

#[test]
fn a_proxy_of_socks5_that_hangs_up_is_tried_again() {
    let cases: [&[&[u8]]; 3] = [&[], &[&[5]], &[&[5, 0], &[5, 0, 0]]];
    for answers in cases {
        let closed = refused("socks5://", move |mut stream| {
            for answer in answers {
                let _ = stream.read(&mut [0; 512]).unwrap();
                stream.write_all(answer).unwrap();
            }
            let _ = stream.shutdown(Shutdown::Write);
            while stream.read(&mut [0; 512]).is_ok_and(|size| size > 0) {}
        });
        assert_closed(
            &closed,
            Trouble::Proxy,
            "proxy: it hung up before its answer was whole",
        );
    }
}

#[test]
fn a_proxy_that_hangs_or_drips_is_given_up_in_time() {
    for (at, first) in [
        ("http://", &b"HTTP/1.1 200 OK\r\n"[..]),
        ("socks5://", b"\x05"),
    ] {
        let proxy = Server::tcp(move |mut stream| {
            stream.write_all(first).unwrap();
            while stream.read(&mut [0; 512]).is_ok_and(|size| size > 0) {}
        });
        let mut dial = quiet(SERVER);
        dial.open_timeout = Duration::from_millis(100);
        dial.proxy = Some(proxy.url.replace("ws://", at));
        let closed = User::dialled(dial).expect_closed();
        assert_closed(&closed, Trouble::Proxy, "proxy: it did not answer in time");
        proxy.join();
    }
}

#[test]
fn a_proxy_that_is_not_there_is_told_from_a_server_that_is_not() {
    let place = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut dial = quiet(SERVER);
    dial.proxy = Some(format!("http://me:synthetic@{place}"));
    let closed = User::dialled(dial).expect_closed();
    assert_closed(&closed, Trouble::Proxy, "proxy: connection refused");
}

#[test]
fn a_proxy_that_cannot_be_is_refused_without_being_shown() {
    for (proxy, message) in [
        ("", "must start with"),
        ("synthetic", "must start with"),
        ("https://synthetic@127.0.0.1:1", "must start with"),
        ("http://me:synthetic@127.0.0.1", "needs a port"),
        ("http://me:synthetic@127.0.0.1:0", "needs a port"),
        ("http://me:synthetic@127.0.0.1:70000", "needs a port"),
        ("http://me:synthetic@:80", "has a bad host"),
        ("http://me:synthetic@127.0.0.1:1/path", "has a bad host"),
        (
            "http://m%3Ae:synthetic@127.0.0.1:1",
            "has a colon in its user",
        ),
        (
            "http://me:synthetic%0D%0A@127.0.0.1:1",
            "has a bad user or password",
        ),
        (
            "http://me:synthetic%@127.0.0.1:1",
            "has a bad user or password",
        ),
        (
            "http://me:synthetic%zz@127.0.0.1:1",
            "has a bad user or password",
        ),
        (
            "http://:synthetic@127.0.0.1:1",
            "has a bad user or password",
        ),
        (
            "socks5://synthetic@127.0.0.1:1",
            "has a user and no password",
        ),
    ] {
        let mut dial = quiet(SERVER);
        dial.proxy = Some(proxy.to_owned());
        match Links::new().unwrap().dial(1, dial) {
            Err(DialError::Config(found)) => {
                assert!(
                    found.starts_with(&format!("proxy {message}")),
                    "{proxy}: {found}"
                );
                assert!(!found.contains("synthetic"));
            }
            other => panic!("{proxy}: not refused: {other:?}"),
        }
    }
    let shown = format!(
        "{:?}",
        Proxy::parse("socks5://me:synthetic@[::1]:1").unwrap()
    );
    assert_eq!(shown, "Proxy(Socks5 ::1:1)");
}

#[test]
fn what_is_not_encrypted_does_not_leave_this_machine_by_a_proxy() {
    let dial = |allow_plain| Dial {
        proxy: Some("http://192.0.2.1:1".to_owned()),
        allow_plain,
        ..quiet(SERVER)
    };
    match Links::new().unwrap().dial(1, dial(false)) {
        Err(DialError::Config(found)) => assert!(found.contains("not encrypted"), "{found}"),
        other => panic!("not refused: {other:?}"),
    }
    let links = Links::new().unwrap();
    links.dial(1, dial(true)).unwrap();
}
