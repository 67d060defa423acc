//! TLS: which servers are not trusted, and what is said of them.

use std::io::{Read, Write};
use std::sync::Arc;

use rcgen::{date_time_ymd, BasicConstraints, Certificate, CertificateParams, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use xyfast::transport::{Closed, Trouble};

use super::peer::Server;
use super::{quiet, User};

/// A certificate for `localhost`, changed, and its key.
pub(super) fn certificate(change: impl FnOnce(&mut CertificateParams)) -> (Certificate, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    change(&mut params);
    (params.self_signed(&key).unwrap(), key)
}

pub(super) fn server_config(certificate: &Certificate, key: &KeyPair) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap()
}

/// Dials `localhost` at a server with a certificate like this, which is a root if `known`.
fn certified(known: bool, change: impl FnOnce(&mut CertificateParams)) -> Closed {
    let (certificate, key) = certificate(change);
    let config = server_config(&certificate, &key);
    let roots = known.then(|| certificate.pem());
    refused(roots, |stream| {
        let session = ServerConnection::new(Arc::new(config)).unwrap();
        let mut stream = StreamOwned::new(session, stream);
        assert!(stream.read_to_end(&mut Vec::new()).is_err());
    })
}

fn refused(
    roots: Option<String>,
    script: impl FnOnce(std::net::TcpStream) + Send + 'static,
) -> Closed {
    let server = Server::tcp(script);
    let mut dial = quiet(&server.url.replace("ws://127.0.0.1", "wss://localhost"));
    dial.roots = roots;
    let closed = User::dialled(dial).expect_closed();
    server.join();
    closed
}

/// Answers the first words of TLS with these bytes.
fn answered(bytes: &'static [u8]) -> Closed {
    refused(None, |mut stream| {
        let _ = stream.read(&mut [0; 4096]).unwrap();
        stream.write_all(bytes).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    })
}

#[track_caller]
fn assert_untrusted(closed: &Closed, reason: &str) {
    assert!(closed.reason.contains(reason), "{}", closed.reason);
    assert_eq!(closed.trouble, Trouble::Untrusted);
}

#[test]
fn certificates_that_are_refused_say_why() {
    let expired = certified(true, |params| {
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
    });
    assert_untrusted(&expired, "has expired");
    let early = certified(true, |params| params.not_before = date_time_ymd(4000, 1, 1));
    assert_untrusted(&early, "is not valid yet");
    let other = certified(true, |params| {
        *params = CertificateParams::new(vec!["other.example".to_owned()]).unwrap();
    });
    assert_untrusted(&other, "is for another host");
    assert!(!other.reason.contains("other.example"));
    let unknown = certified(false, |_| {});
    assert_untrusted(&unknown, "is signed by nobody");
    let authority = certified(true, |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    });
    assert_untrusted(&authority, "is self-signed, and a certificate authority's");
}

#[test]
fn an_old_version_of_tls_is_refused() {
    // The alert protocol_version, and the first words of a server that chooses TLS 1.1.
    const HELLO: &[u8] = b"\x16\x03\x02\x00\x2a\x02\x00\x00\x26\x03\x02\
        synthetic random of thirty-two b\x00\xc0\x14\x00";
    assert_eq!(HELLO.len(), 5 + 0x2a);
    for answer in [b"\x15\x03\x01\x00\x02\x02\x46", HELLO] {
        assert_untrusted(&answered(answer), "that are not safe any more");
    }
}

#[test]
fn a_server_without_tls_is_refused() {
    let closed = answered(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    assert_untrusted(&closed, "the server speaks no TLS");
}

#[test]
fn a_handshake_that_ends_early_is_network_trouble() {
    for (answer, reason) in [
        (&b""[..], "TLS: unexpected end of file"),
        (b"\x16\x03\x03", "TLS: unexpected end of file"),
        // An alert that may pass: internal_error.
        (b"\x15\x03\x03\x00\x02\x02\x50", "TLS: received fatal alert"),
    ] {
        let closed = refused(None, |mut stream| {
            let _ = stream.read(&mut [0; 4096]).unwrap();
            stream.write_all(answer).unwrap();
        });
        assert!(closed.reason.starts_with(reason), "{}", closed.reason);
        assert_eq!(closed.trouble, Trouble::Network);
    }
}
