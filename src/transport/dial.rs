//! From a URL to an open WebSocket.

use std::fmt;
use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::generate_request;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::http::{Request, Uri};
use tokio_tungstenite::MaybeTlsStream;

use super::closed::{words, Closed, Trouble};
use super::handshake;
use super::http::{header, read_head, Fault};
use super::keepalive::Policy;
use super::link::MAX_TEXT;
use super::route::{within, Route, Stream, Terms};
use super::wire::Connection;
use crate::envelope::Envelope;

/// Largest message and frame that may be allowed: a frame's head alone makes room for it.
const MAX_LIMIT: usize = 64 << 20;

/// Largest count that can be meant.
const MAX_COUNT: usize = 1 << 30;

/// Headers that the handshake makes itself.
const OWN_HEADERS: [&str; 3] = ["host", "connection", "upgrade"];

/// What a link is to be like.
#[derive(Clone)]
pub struct Dial {
    /// `wss://…`, or `ws://…` to this machine.
    pub url: String,
    /// More headers for the handshake.
    pub headers: Vec<(String, String)>,
    /// The registration request; its answer opens the link. Without one there is a handshake and a
    /// goodbye: it ends in [`Trouble::Closed`] if that went well.
    pub register: Option<String>,
    /// The heartbeat.
    pub policy: Policy,
    /// Time from the first look-up to the registration's answer.
    pub open_timeout: Duration,
    /// Time for the server to answer a close frame.
    pub close_timeout: Duration,
    /// Largest message, in bytes.
    pub max_message: usize,
    /// Largest WebSocket frame, in bytes.
    pub max_frame: usize,
    /// Frames in the mailbox at which reading pauses.
    pub max_pushes: usize,
    /// Bytes in the mailbox at which reading pauses.
    pub max_bytes: usize,
    /// Whether `ws://` may leave this machine.
    pub allow_plain: bool,
    /// Certificates to trust besides the system's, as PEM text.
    pub roots: Option<String>,
    /// The proxy to go through, as [`Proxy::parse`](super::Proxy::parse) reads it.
    pub proxy: Option<String>,
}

impl Dial {
    /// A dial with the defaults of the official page's habits and this package's limits.
    pub fn new(url: &str, register: &str) -> Dial {
        Dial {
            url: url.to_owned(),
            headers: Vec::new(),
            register: Some(register.to_owned()),
            policy: Policy {
                interval: Duration::from_secs(15),
                timeout: Duration::from_secs(30),
                misses: 3,
            },
            open_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(5),
            max_message: 4 << 20,
            max_frame: 1 << 20,
            max_pushes: 1024,
            max_bytes: 8 << 20,
            allow_plain: false,
            roots: None,
            proxy: None,
        }
    }
}

/// Why a link could not even be tried.
#[derive(Debug)]
pub enum DialError {
    /// The dial itself is wrong; says what.
    Config(String),
    /// The number belongs to a link that lives.
    InUse(u64),
    /// The links' thread cannot be started.
    Io(io::Error),
}

impl DialError {
    pub(super) fn config(message: impl Into<String>) -> DialError {
        DialError::Config(message.into())
    }
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DialError::Config(message) => f.write_str(message),
            DialError::InUse(link) => write!(f, "link {link} is still in use"),
            DialError::Io(error) => {
                let words = words(error);
                write!(f, "the links' thread cannot be started: {words}")
            }
        }
    }
}

impl std::error::Error for DialError {}

/// A dial that has been checked.
pub(super) struct Target {
    pub(super) dial: Dial,
    /// The `mid` of the registration.
    pub(super) mid: Option<String>,
    /// Our half of the handshake, and what accepts the key in it.
    request: Vec<u8>,
    accept: String,
    route: Route,
}

impl Target {
    pub(super) fn check(dial: Dial) -> Result<Target, DialError> {
        let uri: Uri = dial
            .url
            .parse()
            .map_err(|_| DialError::config("url cannot be read"))?;
        let terms = Terms {
            schemes: ["ws", "wss"],
            proxy: dial.proxy.as_deref(),
            roots: dial.roots.as_deref(),
            allow_plain: dial.allow_plain,
        };
        let route = Route::check(&uri, &terms)?;
        let mid = dial.register.as_deref().map(registration_mid).transpose()?;
        if dial.policy.interval < Duration::from_millis(10) {
            return Err(DialError::config("heartbeat must be 0.01 s or more"));
        }
        let least = [dial.policy.timeout, dial.open_timeout, dial.close_timeout];
        if least.iter().any(|time| *time < Duration::from_millis(10)) {
            return Err(DialError::config("timeouts must be 0.01 s or more"));
        }
        if dial.max_message.max(dial.max_frame) > MAX_LIMIT {
            return Err(DialError::config(
                "max_message and max_frame must be 64 MiB or less",
            ));
        }
        let limits = [
            dial.max_message,
            dial.max_frame,
            dial.max_pushes,
            dial.max_bytes,
        ];
        let counts = 1..=MAX_COUNT;
        if limits.iter().any(|limit| !counts.contains(limit))
            || !counts.contains(&(dial.policy.misses as usize))
        {
            return Err(DialError::config("limits and misses must be 1 to 2**30"));
        }
        let (request, key) = generate_request(request(uri, &dial.headers)?)
            .map_err(|_| DialError::config("url cannot be requested"))?;
        Ok(Target {
            mid,
            accept: derive_accept_key(key.as_bytes()),
            request,
            route,
            dial,
        })
    }

    /// Resolves, connects, and shakes hands.
    pub(super) async fn open(&self, deadline: Instant) -> Result<Connection, Closed> {
        let stream = self.route.open(deadline).await?;
        let reason = "the server did not answer the handshake in time";
        let hands = self.shake_hands(stream);
        let (stream, early) = within(deadline, Trouble::Network, reason, hands).await?;
        let (tcp, tls) = match stream {
            MaybeTlsStream::Plain(tcp) => (tcp, None),
            MaybeTlsStream::Rustls(stream) => {
                let (tcp, tls) = stream.into_inner();
                (tcp, Some(tls))
            }
            _ => unreachable!("there are no other streams"),
        };
        let tcp = tcp.into_std();
        let tcp = tcp.map_err(|error| handshake::failed(Fault::Io(error)))?;
        Ok(Connection { tcp, tls, early })
    }

    /// Gives the stream and the bytes that came behind the server's answer.
    async fn shake_hands(&self, mut stream: Stream) -> Result<(Stream, Vec<u8>), Closed> {
        let cut = |error| handshake::failed(Fault::Io(error));
        stream.write_all(&self.request).await.map_err(cut)?;
        stream.flush().await.map_err(cut)?;
        let mut early = Vec::with_capacity(4 << 10);
        let answer = read_head(&mut stream, &mut early).await;
        handshake::judge(&answer.map_err(handshake::failed)?, &self.accept)?;
        Ok((stream, early))
    }
}

fn registration_mid(register: &str) -> Result<String, DialError> {
    let envelope = Envelope::parse(register)
        .map_err(|error| DialError::config(format!("register is no envelope: {error}")))?;
    if register.len() > MAX_TEXT {
        return Err(DialError::config("register is too long"));
    }
    let mid = envelope
        .mid()
        .ok_or_else(|| DialError::config("register has no mid"))?;
    Ok(mid.into_owned())
}

fn request(uri: Uri, headers: &[(String, String)]) -> Result<Request<()>, DialError> {
    let mut request = uri
        .into_client_request()
        .map_err(|_| DialError::config("url cannot be requested"))?;
    let own = |name: &str| OWN_HEADERS.contains(&name) || name.starts_with("sec-websocket-");
    for given in headers {
        let (name, value) = header(given, own)?;
        let added = request.headers_mut().try_append(name, value);
        added.map_err(|_| DialError::config(format!("header {:?} is one too many", given.0)))?;
    }
    Ok(request)
}
