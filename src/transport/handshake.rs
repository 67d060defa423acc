//! The server's half of the handshake, judged as RFC 6455 has it in section 4.1.

use httparse::{Response, Status, EMPTY_HEADER};
use tokio_tungstenite::tungstenite::http::StatusCode;

use super::closed::{Closed, Trouble};

/// Bytes at which an answer counts as endless.
const MAX_ANSWER: usize = 64 << 10;

/// Most headers of an answer.
const MAX_HEADERS: usize = 128;

/// Reads an answer to the key that `accept` accepts: its length once it is whole.
pub(super) fn read(answer: &[u8], accept: &str) -> Result<Option<usize>, Closed> {
    let mut headers = [EMPTY_HEADER; MAX_HEADERS];
    let mut response = Response::new(&mut headers);
    let size = match response.parse(answer) {
        Ok(Status::Complete(size)) => size,
        Ok(Status::Partial) if answer.len() < MAX_ANSWER => return Ok(None),
        Ok(Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            return Err(broken("the answer is too long"));
        }
        Err(error) => return Err(broken(&format!("the answer is no HTTP: {error}"))),
    };
    let code = response.code.unwrap_or_default();
    if code != 101 {
        return Err(refused(code));
    }
    if response.version != Some(1) {
        return Err(broken("the answer is not HTTP/1.1"));
    }
    let values = |name: &'static str| {
        let named = response.headers.iter();
        let named = named.filter(move |header| header.name.eq_ignore_ascii_case(name));
        named.map(|header| header.value.trim_ascii())
    };
    let has = |name, token: &[u8]| {
        let mut tokens = values(name).flat_map(|value| value.split(|byte| *byte == b','));
        tokens.any(|found| found.trim_ascii().eq_ignore_ascii_case(token))
    };
    if !has("upgrade", b"websocket") {
        return Err(broken("the answer has no \"Upgrade: websocket\""));
    }
    if !has("connection", b"upgrade") {
        return Err(broken("the answer has no \"Connection: Upgrade\""));
    }
    if !values("sec-websocket-accept").eq([accept.as_bytes()]) {
        return Err(broken("Sec-WebSocket-Accept is missing or wrong"));
    }
    // Links offer neither, so the server cannot have chosen one.
    if values("sec-websocket-extensions").next().is_some() {
        return Err(broken("the answer has an extension, and none was offered"));
    }
    if values("sec-websocket-protocol").next().is_some() {
        return Err(broken("the answer has a subprotocol, and none was offered"));
    }
    Ok(Some(size))
}

fn broken(reason: &str) -> Closed {
    Closed::new(Trouble::Protocol, format!("handshake: {reason}"))
}

fn refused(code: u16) -> Closed {
    let status = StatusCode::from_u16(code).map_or_else(|_| code.to_string(), |s| s.to_string());
    let reason = format!("the handshake was answered with {status}");
    Closed::new(Trouble::Refused, reason).with_code(code)
}
