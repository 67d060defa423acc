//! The server's half of the handshake, judged as RFC 6455 has it in section 4.1.

use super::closed::{unreached, Closed, Trouble};
use super::http::{status, Fault, Head};

/// Judges the answer to the key that `accept` accepts.
pub(super) fn judge(answer: &Head, accept: &str) -> Result<(), Closed> {
    if answer.code != 101 {
        let reason = format!("the handshake was answered with {}", status(answer.code));
        return Err(Closed::new(Trouble::Refused, reason).with_code(answer.code));
    }
    if !answer.modern {
        return Err(broken("the answer is not HTTP/1.1"));
    }
    if !answer.has("upgrade", b"websocket") {
        return Err(broken("the answer has no \"Upgrade: websocket\""));
    }
    if !answer.has("connection", b"upgrade") {
        return Err(broken("the answer has no \"Connection: Upgrade\""));
    }
    if !answer
        .values("sec-websocket-accept")
        .eq([accept.as_bytes()])
    {
        return Err(broken("Sec-WebSocket-Accept is missing or wrong"));
    }
    // Links offer neither, so the server cannot have chosen one.
    if answer.values("sec-websocket-extensions").next().is_some() {
        return Err(broken("the answer has an extension, and none was offered"));
    }
    if answer.values("sec-websocket-protocol").next().is_some() {
        return Err(broken("the answer has a subprotocol, and none was offered"));
    }
    Ok(())
}

/// There is no answer.
pub(super) fn failed(fault: Fault) -> Closed {
    match fault {
        Fault::Io(error) => unreached("handshake", &error),
        Fault::HungUp => {
            let reason = "the server hung up during the handshake";
            Closed::new(Trouble::Network, reason)
        }
        Fault::Broken(reason) => broken(&reason),
    }
}

fn broken(reason: &str) -> Closed {
    Closed::new(Trouble::Protocol, format!("handshake: {reason}"))
}
