//! One HTTP call over the same routes as links.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Builder;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::http::Uri;

use super::closed::{unreached, Closed, Trouble};
use super::http::{header, read_head, Fault, Head};
use super::route::{within, Route, Stream, Terms};
use super::DialError;

/// Most bytes of an answer's body.
const MAX_BODY: usize = 1 << 20;

/// Most bytes of the line in front of a chunk.
const MAX_LINE: usize = 1 << 10;

/// Headers that the call makes itself.
const OWN_HEADERS: [&str; 5] = [
    "accept-encoding",
    "connection",
    "content-length",
    "host",
    "transfer-encoding",
];

/// A POST request.
#[derive(Clone)]
pub struct Post {
    /// `https://…`, or `http://…` to this machine.
    pub url: String,
    /// More headers for the request.
    pub headers: Vec<(String, String)>,
    /// What is sent.
    pub body: Vec<u8>,
    /// Time from the first look-up to the end of the answer.
    pub timeout: Duration,
    /// Whether `http://` may leave this machine.
    pub allow_plain: bool,
    /// Certificates to trust besides the system's, as PEM text.
    pub roots: Option<String>,
    /// The proxy to go through, as [`Proxy::parse`](super::Proxy::parse) reads it.
    pub proxy: Option<String>,
}

/// What a server answered, whatever its status.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers in their order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Post {
    /// Sends the request and waits for the answer, on the calling thread. Redirects are answers.
    pub fn send(self) -> Result<Result<Answer, Closed>, DialError> {
        let uri: Uri = self
            .url
            .parse()
            .map_err(|_| DialError::config("url cannot be read"))?;
        let terms = Terms {
            schemes: ["http", "https"],
            proxy: self.proxy.as_deref(),
            roots: self.roots.as_deref(),
            allow_plain: self.allow_plain,
        };
        let route = Route::check(&uri, &terms)?;
        let request = self.request(&uri)?;
        let runtime = match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return Ok(Err(unreached("the call", &error))),
        };
        let deadline = Instant::now() + self.timeout;
        let answer = runtime.block_on(async {
            let stream = route.open(deadline).await?;
            let reason = format!("no answer within {} s", self.timeout.as_secs_f64());
            within(
                deadline,
                Trouble::Network,
                &reason,
                exchange(stream, &request),
            )
            .await
        });
        // A resolver that hangs holds nobody up.
        runtime.shutdown_background();
        Ok(answer)
    }

    fn request(&self, uri: &Uri) -> Result<Vec<u8>, DialError> {
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let host = uri.authority().map_or("", |authority| authority.as_str());
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
             Accept-Encoding: identity\r\nContent-Length: {}\r\n",
            self.body.len()
        )
        .into_bytes();
        for given in &self.headers {
            let (_, value) = header(given, |name| OWN_HEADERS.contains(&name))?;
            request.extend(given.0.as_bytes());
            request.extend(b": ");
            request.extend(value.as_bytes());
            request.extend(b"\r\n");
        }
        request.extend(b"\r\n");
        request.extend(&self.body);
        Ok(request)
    }
}

async fn exchange(mut stream: Stream, request: &[u8]) -> Result<Answer, Closed> {
    stream.write_all(request).await.map_err(failed)?;
    stream.flush().await.map_err(failed)?;
    let mut bytes = Vec::new();
    let head = loop {
        let head = read_head(&mut stream, &mut bytes).await;
        let head = head.map_err(|fault| match fault {
            Fault::Io(error) => failed(error),
            Fault::HungUp => hung_up(),
            Fault::Broken(reason) => broken(&reason),
        })?;
        // Answers of 100 to 199 announce another.
        if !(100..200).contains(&head.code) {
            break head;
        }
    };
    let mut rest = Rest { stream, bytes };
    let body = rest.body(&head).await?;
    Ok(Answer {
        status: head.code,
        headers: head.into_headers(),
        body,
    })
}

/// What follows an answer's head.
struct Rest {
    stream: Stream,
    bytes: Vec<u8>,
}

impl Rest {
    /// Reads the body (RFC 9112, section 6.3).
    async fn body(&mut self, head: &Head) -> Result<Vec<u8>, Closed> {
        if head.code == 204 || head.code == 304 {
            return Ok(Vec::new());
        }
        if head.has("transfer-encoding", b"chunked") {
            return self.chunks().await;
        }
        if let Some(length) = head.values("content-length").next() {
            let length = std::str::from_utf8(length).ok();
            let length = length.and_then(|length| length.parse().ok());
            let length = length.ok_or_else(|| broken("the answer has a bad Content-Length"))?;
            return self.take(length).await;
        }
        while self.more().await? {
            short(self.bytes.len())?;
        }
        Ok(std::mem::take(&mut self.bytes))
    }

    async fn chunks(&mut self) -> Result<Vec<u8>, Closed> {
        let mut body = Vec::new();
        loop {
            let size = self.chunk_size().await?;
            if size == 0 {
                return Ok(body); // what may stand behind it is of no use here
            }
            short(body.len().saturating_add(size))?;
            body.extend(self.take(size).await?);
            if self.take(2).await? != b"\r\n" {
                return Err(broken("the answer has a bad chunk"));
            }
        }
    }

    async fn chunk_size(&mut self) -> Result<usize, Closed> {
        loop {
            match httparse::parse_chunk_size(&self.bytes) {
                Ok(httparse::Status::Complete((line, size))) => {
                    self.bytes.drain(..line);
                    return Ok(usize::try_from(size).unwrap_or(usize::MAX));
                }
                Ok(httparse::Status::Partial) if self.bytes.len() < MAX_LINE => {
                    if !self.more().await? {
                        return Err(hung_up());
                    }
                }
                _ => return Err(broken("the answer has a bad chunk")),
            }
        }
    }

    async fn take(&mut self, length: usize) -> Result<Vec<u8>, Closed> {
        short(length)?;
        while self.bytes.len() < length {
            if !self.more().await? {
                return Err(hung_up());
            }
        }
        let rest = self.bytes.split_off(length);
        Ok(std::mem::replace(&mut self.bytes, rest))
    }

    /// Reads more; whether there was any.
    async fn more(&mut self) -> Result<bool, Closed> {
        match self.stream.read_buf(&mut self.bytes).await {
            Ok(size) => Ok(size > 0),
            // TLS that ends without a word, as many servers do.
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(failed(error)),
        }
    }
}

/// Checks that a body is not too long.
fn short(length: usize) -> Result<(), Closed> {
    if length > MAX_BODY {
        return Err(broken("the answer is longer than 1 MiB"));
    }
    Ok(())
}

fn failed(error: std::io::Error) -> Closed {
    unreached("the call", &error)
}

fn hung_up() -> Closed {
    let reason = "the server hung up before its answer was whole";
    Closed::new(Trouble::Network, reason)
}

fn broken(reason: &str) -> Closed {
    Closed::new(Trouble::Protocol, reason)
}
