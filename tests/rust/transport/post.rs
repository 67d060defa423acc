//! HTTP calls: bodies in all forms, what is no answer, TLS and proxies.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ServerConnection, StreamOwned};
use xyfast::transport::{Answer, Closed, DialError, Post, Trouble};

use super::peer::Server;
use super::trust::{certificate, server_config};
use super::PATIENCE;

fn post(url: &str) -> Post {
    Post {
        url: format!("{}call?x=1", url.replace("ws", "http")),
        headers: vec![("Cookie".to_owned(), "nick=测试".to_owned())],
        body: b"data=1".to_vec(),
        timeout: PATIENCE,
        allow_plain: false,
        roots: None,
        proxy: None,
    }
}

/// Reads a request as `post` makes it.
fn request(stream: &mut impl Read) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\ndata=1") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        request.extend(byte);
    }
    String::from_utf8(request).unwrap()
}

/// Calls a server that answers with these bytes and hangs up.
fn answered(answer: &[u8]) -> Result<Answer, Closed> {
    let answer = answer.to_vec();
    let server = Server::tcp(move |mut stream| {
        request(&mut stream);
        let _ = stream.write_all(&answer);
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let answer = post(&server.url).send().unwrap();
    server.join();
    answer
}

#[test]
fn a_call_is_what_was_asked_for() {
    let server = Server::tcp(|mut stream| {
        let place = stream.local_addr().unwrap();
        let expected = format!(
            "POST /call?x=1 HTTP/1.1\r\nHost: {place}\r\nConnection: close\r\n\
             Accept-Encoding: identity\r\nContent-Length: 6\r\nCookie: nick=测试\r\n\r\ndata=1"
        );
        assert_eq!(request(&mut stream), expected);
        let answer = "HTTP/1.1 302 x\r\nSet-Cookie: a=测\r\nset-cookie: b=2\r\n\r\nbody";
        stream.write_all(answer.as_bytes()).unwrap();
    });
    let answer = post(&server.url).send().unwrap().unwrap();
    server.join();
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!((answer.status, &*answer.body), (302, &b"body"[..]));
    let headers = [header("Set-Cookie", "a=测"), header("set-cookie", "b=2")];
    assert_eq!(answer.headers, headers);
}

#[test]
fn a_body_may_come_in_any_form() {
    for answer in [
        "HTTP/1.1 200 x\r\nContent-Length: 9\r\n\r\nsyntheticrest",
        "HTTP/1.1 200 x\r\n\r\nsynthetic",
        "HTTP/1.0 500 x\r\n\r\nsynthetic",
        "HTTP/1.1 103 x\r\nA: b\r\n\r\nHTTP/1.1 200 x\r\nContent-Length: 9\r\n\r\nsynthetic",
        "HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nsyn\r\n6;a=b\r\nthetic\r\n0\r\n\r\n",
    ] {
        let body = answered(answer.as_bytes()).unwrap().body;
        assert_eq!(body, b"synthetic", "{answer}");
    }
    let none = answered(b"HTTP/1.1 204 x\r\nContent-Length: 9\r\n\r\n").unwrap();
    assert_eq!(none.body, b"");
}

#[test]
fn what_is_no_answer_says_why() {
    let head = |rest: &str| format!("HTTP/1.1 200 x\r\n{rest}").into_bytes();
    let chunk = |rest: &str| head(&format!("Transfer-Encoding: chunked\r\n\r\n{rest}"));
    let hung_up = "the server hung up before its answer was whole";
    let long = "the answer is longer than 1 MiB";
    let mebibytes = [head("\r\n"), vec![b'x'; (1 << 20) + 1]].concat();
    for (answer, trouble, reason) in [
        (Vec::new(), Trouble::Network, hung_up),
        (b"HTTP/1.1 200".to_vec(), Trouble::Network, hung_up),
        (
            head("Content-Length: 9\r\n\r\nsyn"),
            Trouble::Network,
            hung_up,
        ),
        (chunk("9\r\nsyn"), Trouble::Network, hung_up),
        (chunk("9"), Trouble::Network, hung_up),
        (
            b"synthetic\r\n\r\n".to_vec(),
            Trouble::Protocol,
            "the answer is no HTTP: ",
        ),
        (
            head("Content-Length: -1\r\n\r\n"),
            Trouble::Protocol,
            "the answer has a bad Content-Length",
        ),
        (
            head("Content-Length: 1048577\r\n\r\n"),
            Trouble::Protocol,
            long,
        ),
        (
            chunk("3\r\nsynthetic"),
            Trouble::Protocol,
            "the answer has a bad chunk",
        ),
        (
            chunk("x\r\n"),
            Trouble::Protocol,
            "the answer has a bad chunk",
        ),
        (
            chunk(&"0".repeat(2000)),
            Trouble::Protocol,
            "the answer has a bad chunk",
        ),
        (chunk("ffffffffffffffff\r\n"), Trouble::Protocol, long),
        (mebibytes, Trouble::Protocol, long),
    ] {
        let closed = answered(&answer).unwrap_err();
        assert!(closed.reason.starts_with(reason), "{}", closed.reason);
        assert_eq!(closed.trouble, trouble, "{}", closed.reason);
        assert!(!closed.reason.contains("synthetic"));
    }
}

#[test]
fn a_call_is_bounded_in_time() {
    let server = Server::tcp(|mut stream| {
        request(&mut stream);
        stream.write_all(b"HTTP/1.1 200 x\r\n\r\n").unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let mut call = post(&server.url);
    call.timeout = Duration::from_millis(100);
    let closed = call.send().unwrap().unwrap_err();
    assert_eq!(closed.reason, "no answer within 0.1 s");
    assert_eq!(closed.trouble, Trouble::Network);
    server.join();
}

#[test]
fn a_call_trusts_whom_links_trust() {
    for trusted in [true, false] {
        let (certificate, key) = certificate(|_| {});
        let config = server_config(&certificate, &key);
        let server = Server::tcp(move |stream: TcpStream| {
            let session = ServerConnection::new(Arc::new(config)).unwrap();
            let mut stream = StreamOwned::new(session, stream);
            if trusted {
                request(&mut stream);
                // And no goodbye, as many servers do.
                stream.write_all(b"HTTP/1.1 200 x\r\n\r\nbody").unwrap();
            } else {
                assert!(stream.read(&mut [0]).is_err());
            }
        });
        let mut call = post(&server.url.replace("ws://127.0.0.1", "wss://localhost"));
        call.roots = trusted.then(|| certificate.pem());
        match call.send().unwrap() {
            Ok(answer) => assert_eq!((trusted, &*answer.body), (true, &b"body"[..])),
            Err(closed) => assert_eq!((trusted, closed.trouble), (false, Trouble::Untrusted)),
        }
        server.join();
    }
}

#[test]
fn a_call_goes_through_a_proxy() {
    let proxy = Server::tcp(|mut stream| {
        let mut head = [0; 512];
        let size = stream.read(&mut head).unwrap();
        assert!(head[..size].starts_with(b"CONNECT 127.0.0.1:9 HTTP/1.1\r\n"));
        stream.write_all(b"HTTP/1.1 200 x\r\n\r\n").unwrap();
        request(&mut stream);
        stream.write_all(b"HTTP/1.1 200 x\r\n\r\nbody").unwrap();
    });
    let mut call = post("ws://127.0.0.1:9/");
    call.proxy = Some(proxy.url.replace("ws", "http"));
    assert_eq!(call.send().unwrap().unwrap().body, b"body");
    proxy.join();
}

#[test]
fn a_call_that_cannot_work_is_refused_at_once() {
    let complaint = |url: &str, header: (&str, &str)| {
        let mut call = post("ws://127.0.0.1:9/");
        call.url = url.to_owned();
        call.headers
            .push((header.0.to_owned(), header.1.to_owned()));
        match call.send() {
            Err(DialError::Config(message)) => message,
            other => panic!("not refused: {other:?}"),
        }
    };
    let (here, fine) = ("http://127.0.0.1:9/", ("X", "y"));
    let plain = complaint("http://192.0.2.1/", fine);
    assert!(plain.contains("http:// is not encrypted"), "{plain}");
    let scheme = complaint("ws://127.0.0.1/", fine);
    assert!(scheme.contains("https:// or http://"), "{scheme}");
    for name in ["Host", "content-length", "A b", "X\r\nY"] {
        let message = complaint(here, (name, "x"));
        assert!(message.starts_with("header"), "{message}");
    }
    let message = complaint(here, ("Cookie", "synthetic\r\nX: y"));
    assert_eq!(message, "header \"Cookie\" has a bad value");
}
