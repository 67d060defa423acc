//! From a URL to an open WebSocket.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::ClientConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{lookup_host, TcpStream};
use tokio::time::{timeout, Instant};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::generate_request;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue, Request, Uri};
use tokio_tungstenite::MaybeTlsStream;

use super::closed::{unreached, Closed, Trouble};
use super::handshake;
use super::keepalive::Policy;
use super::link::MAX_TEXT;
use super::tls;
use super::wire::Connection;
use crate::envelope::Envelope;

type Stream = MaybeTlsStream<TcpStream>;

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
    /// The registration request; its answer opens the link.
    pub register: String,
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
}

impl Dial {
    /// A dial with the defaults of the official page's habits and this package's limits.
    pub fn new(url: &str, register: &str) -> Dial {
        Dial {
            url: url.to_owned(),
            headers: Vec::new(),
            register: register.to_owned(),
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
            DialError::Io(error) => write!(f, "the links' thread cannot be started: {error}"),
        }
    }
}

impl std::error::Error for DialError {}

/// A dial that has been checked.
pub(super) struct Target {
    pub(super) dial: Dial,
    /// The `mid` of the registration.
    pub(super) mid: String,
    /// Our half of the handshake, and what accepts the key in it.
    request: Vec<u8>,
    accept: String,
    host: String,
    port: u16,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
}

impl Target {
    pub(super) fn check(dial: Dial) -> Result<Target, DialError> {
        let uri: Uri = dial
            .url
            .parse()
            .map_err(|_| DialError::config("url cannot be read"))?;
        let secure = match uri.scheme_str() {
            Some("wss") => true,
            Some("ws") => false,
            _ => return Err(DialError::config("url must start with wss:// or ws://")),
        };
        if uri
            .authority()
            .is_some_and(|authority| authority.as_str().contains('@'))
        {
            return Err(DialError::config("url must not hold a user name"));
        }
        let host = match uri.host() {
            Some(host) if !host.is_empty() => host.trim_matches(['[', ']']).to_owned(),
            _ => return Err(DialError::config("url has no host")),
        };
        if !secure && !dial.allow_plain && !is_local(&host) {
            return Err(DialError::config(
                "ws:// is not encrypted: use wss://, or allow_plain if the host is trusted",
            ));
        }
        let port = match (uri.port_u16(), has_port(&uri)) {
            (Some(port), _) if port > 0 => port,
            (None, false) => {
                if secure {
                    443
                } else {
                    80
                }
            }
            _ => return Err(DialError::config("url has a bad port")),
        };
        let mid = registration_mid(&dial.register)?;
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
        let tls = secure.then(|| {
            let name = ServerName::try_from(host.clone());
            let name = name.map_err(|_| DialError::config("url has a bad host"))?;
            Ok((tls::config(dial.roots.as_deref())?, name))
        });
        Ok(Target {
            mid,
            accept: derive_accept_key(key.as_bytes()),
            request,
            host,
            port,
            tls: tls.transpose()?,
            dial,
        })
    }

    /// Resolves, connects, and shakes hands.
    pub(super) async fn open(&self, deadline: Instant) -> Result<Connection, Closed> {
        let stream = self.connect(deadline).await?;
        let (stream, early) = self.shake_hands(stream).await?;
        let (tcp, tls) = match stream {
            MaybeTlsStream::Plain(tcp) => (tcp, None),
            MaybeTlsStream::Rustls(stream) => {
                let (tcp, tls) = stream.into_inner();
                (tcp, Some(tls))
            }
            _ => unreachable!("there are no other streams"),
        };
        let tcp = tcp.into_std().map_err(unreached)?;
        Ok(Connection { tcp, tls, early })
    }

    /// Gives the stream and the bytes that came behind the server's answer.
    async fn shake_hands(&self, stream: TcpStream) -> Result<(Stream, Vec<u8>), Closed> {
        let mut stream = match &self.tls {
            None => MaybeTlsStream::Plain(stream),
            Some((config, name)) => {
                let secured = TlsConnector::from(config.clone()).connect(name.clone(), stream);
                MaybeTlsStream::Rustls(secured.await.map_err(unreached)?)
            }
        };
        stream.write_all(&self.request).await.map_err(unreached)?;
        stream.flush().await.map_err(unreached)?;
        let mut answer = Vec::with_capacity(4 << 10);
        loop {
            if stream.read_buf(&mut answer).await.map_err(unreached)? == 0 {
                let reason = "the server hung up during the handshake";
                return Err(Closed::new(Trouble::Network, reason));
            }
            if let Some(size) = handshake::read(&answer, &self.accept)? {
                return Ok((stream, answer.split_off(size)));
            }
        }
    }

    /// Tries one address after the other, each with its share of the time that is left.
    async fn connect(&self, deadline: Instant) -> Result<TcpStream, Closed> {
        let network = |reason: String| Closed::new(Trouble::Network, reason);
        let found = lookup_host((self.host.as_str(), self.port)).await;
        let mut addresses: Vec<SocketAddr> = found
            .map_err(|_| network(format!("{} cannot be resolved", self.host)))?
            .collect();
        if self.tls.is_none() && !self.dial.allow_plain {
            addresses.retain(|address| address.ip().is_loopback());
        }
        let mut reason = format!("{} has no address", self.host);
        for (index, address) in addresses.iter().enumerate() {
            let left = deadline.saturating_duration_since(Instant::now());
            let share = left / (addresses.len() - index) as u32;
            reason = match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    // Without it acks would wait for each other; a failure costs only time.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(error)) => error.kind().to_string(),
                Err(_) => "connecting took too long".to_owned(),
            };
        }
        Err(network(reason))
    }
}

/// Whether something stands where a port does, good or not.
fn has_port(uri: &Uri) -> bool {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    authority
        .rsplit(']')
        .next()
        .is_some_and(|rest| rest.contains(':'))
}

fn is_local(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
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
    for (name, value) in headers {
        let bad = |why: &str| DialError::config(format!("header {name:?} {why}"));
        let key: HeaderName = name.parse().map_err(|_| bad("has no valid name"))?;
        if OWN_HEADERS.contains(&key.as_str()) || key.as_str().starts_with("sec-websocket-") {
            return Err(bad("is made by the handshake"));
        }
        let value =
            HeaderValue::from_bytes(value.as_bytes()).map_err(|_| bad("has a bad value"))?;
        let added = request.headers_mut().try_append(key, value);
        added.map_err(|_| bad("is one too many"))?;
    }
    Ok(request)
}
