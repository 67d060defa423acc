//! Heads of HTTP answers, and the values of headers that are sent.

use httparse::{Response, Status, EMPTY_HEADER};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue, StatusCode};

use super::DialError;

/// Bytes at which a head counts as endless.
const MAX_HEAD: usize = 64 << 10;

/// Most headers of an answer.
const MAX_HEADERS: usize = 128;

/// The head of an answer.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) code: u16,
    /// Whether it is HTTP/1.1.
    pub(super) modern: bool,
    headers: Vec<(String, Vec<u8>)>,
}

impl Head {
    /// The values of a header, without the space around them.
    pub(super) fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let named = self.headers.iter();
        let named = named.filter(move |(found, _)| found.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.trim_ascii())
    }

    /// Whether a header's list holds a token, in whatever case.
    pub(super) fn has(&self, name: &str, token: &[u8]) -> bool {
        let mut tokens = self
            .values(name)
            .flat_map(|value| value.split(|byte| *byte == b','));
        tokens.any(|found| found.trim_ascii().eq_ignore_ascii_case(token))
    }

    /// All headers; what is not UTF-8 in their values is replaced.
    pub(super) fn into_headers(self) -> Vec<(String, String)> {
        let lossy = |value: Vec<u8>| String::from_utf8_lossy(&value).into_owned();
        let headers = self.headers.into_iter();
        headers.map(|(name, value)| (name, lossy(value))).collect()
    }
}

/// Why there is no head.
#[derive(Debug)]
pub(super) enum Fault {
    /// The connection broke.
    Io(std::io::Error),
    /// It ended before the head did.
    HungUp,
    /// What came is no head; says why.
    Broken(String),
}

/// Reads a head; what comes behind it stays in `bytes`.
pub(super) async fn read_head(
    stream: &mut (impl AsyncRead + Unpin),
    bytes: &mut Vec<u8>,
) -> Result<Head, Fault> {
    loop {
        if let Some((head, size)) = parse(bytes).map_err(Fault::Broken)? {
            bytes.drain(..size);
            return Ok(head);
        }
        if stream.read_buf(bytes).await.map_err(Fault::Io)? == 0 {
            return Err(Fault::HungUp);
        }
    }
}

/// The head at the start of `bytes` and its length, once it is whole.
fn parse(bytes: &[u8]) -> Result<Option<(Head, usize)>, String> {
    let mut headers = [EMPTY_HEADER; MAX_HEADERS];
    let mut response = Response::new(&mut headers);
    let size = match response.parse(bytes) {
        Ok(Status::Complete(size)) => size,
        Ok(Status::Partial) if bytes.len() < MAX_HEAD => return Ok(None),
        Ok(Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            return Err("the answer is too long".to_owned());
        }
        Err(error) => return Err(format!("the answer is no HTTP: {error}")),
    };
    let named = response.headers.iter();
    let named = named.map(|header| (header.name.to_owned(), header.value.to_owned()));
    let head = Head {
        code: response.code.unwrap_or_default(),
        modern: response.version == Some(1),
        headers: named.collect(),
    };
    Ok(Some((head, size)))
}

/// A status with its name.
pub(super) fn status(code: u16) -> String {
    StatusCode::from_u16(code).map_or_else(|_| code.to_string(), |status| status.to_string())
}

/// A header to be sent, if it is none of `own`, which are made elsewhere.
pub(super) fn header(
    (name, value): &(String, String),
    own: impl Fn(&str) -> bool,
) -> Result<(HeaderName, HeaderValue), DialError> {
    let bad = |why: &str| DialError::config(format!("header {name:?} {why}"));
    let key: HeaderName = name.parse().map_err(|_| bad("has no valid name"))?;
    if own(key.as_str()) {
        return Err(bad("is made elsewhere"));
    }
    let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| bad("has a bad value"))?;
    Ok((key, value))
}
