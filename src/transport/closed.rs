//! How links end, and what an error says about it.

use std::io;

use rustix::io::Errno;
use rustix::process::{getrlimit, Resource};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::Error;

use super::socket::MAX_UNSENT;
use super::Frame;

/// How a link ended.
#[derive(Clone, Debug)]
pub struct Closed {
    /// The kind of trouble.
    pub trouble: Trouble,
    /// A short sentence without secrets.
    pub reason: String,
    /// Code of the close frame, status of a refused handshake, or code of a refusing answer.
    pub code: Option<i64>,
    /// The answer that refused the registration.
    pub answer: Option<Frame>,
}

impl Closed {
    pub(super) fn new(trouble: Trouble, reason: impl Into<String>) -> Closed {
        Closed {
            trouble,
            reason: reason.into(),
            code: None,
            answer: None,
        }
    }

    pub(super) fn with_code(self, code: impl Into<i64>) -> Closed {
        Closed {
            code: Some(code.into()),
            ..self
        }
    }
}

/// Kinds of trouble that end a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// None: its user closed it.
    Closed,
    /// The open link broke, or the server closed it.
    Link,
    /// The open link answers heartbeats, but with refusals: its session is gone.
    Deaf,
    /// The server could not be reached.
    Network,
    /// This machine lacks something for now: descriptors, memory.
    Exhausted,
    /// The proxy could not be reached, or could not reach the server.
    Proxy,
    /// The proxy was reached and wants something else: a login, another host.
    ProxyRefused,
    /// TLS says that the server is not to be trusted, or it speaks none that can be.
    Untrusted,
    /// The server was reached and said no.
    Refused,
    /// The server broke the WebSocket protocol or a limit.
    Protocol,
}

impl Trouble {
    /// The name of the trouble in Python.
    pub fn as_str(self) -> &'static str {
        match self {
            Trouble::Closed => "closed",
            Trouble::Link => "link",
            Trouble::Deaf => "deaf",
            Trouble::Network => "network",
            Trouble::Exhausted => "exhausted",
            Trouble::Proxy => "proxy",
            Trouble::ProxyRefused => "proxy-refused",
            Trouble::Untrusted => "untrusted",
            Trouble::Refused => "refused",
            Trouble::Protocol => "protocol",
        }
    }
}

/// The connection failed while it was made; `stage` says in which part of that.
pub(super) fn unreached(stage: &str, error: &io::Error) -> Closed {
    let trouble = if is_lack(error) {
        Trouble::Exhausted
    } else {
        Trouble::Network
    };
    Closed::new(trouble, format!("{stage}: {}", words(error)))
}

/// Whether this machine lacks what is needed, whatever the other side does.
pub(super) fn is_lack(error: &io::Error) -> bool {
    let lacks = [
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOBUFS,
        Errno::NOMEM,
        Errno::NOSPC,
    ];
    Errno::from_io_error(error).is_some_and(|errno| lacks.contains(&errno))
}

/// What an I/O error says, in words without a number where there are any.
pub fn words(error: &io::Error) -> String {
    let kind = error.kind().to_string();
    match Errno::from_io_error(error) {
        Some(Errno::MFILE) => match getrlimit(Resource::Nofile).current {
            Some(limit) => format!("too many open files (limit {limit})"),
            None => "too many open files".to_owned(),
        },
        Some(Errno::NFILE) => "too many open files on this machine".to_owned(),
        // Nothing here writes files: it is the poller's.
        Some(Errno::NOSPC) => "too many watched sockets (fs.epoll.max_user_watches)".to_owned(),
        Some(errno) if kind == "uncategorized error" => errno.to_string(),
        _ => kind,
    }
}

/// The server does not want the registration.
pub(super) fn refused(answer: &Frame) -> Closed {
    Closed {
        trouble: Trouble::Refused,
        reason: "the registration was refused".to_owned(),
        code: answer.code(),
        answer: Some(answer.clone()),
    }
}

/// The server is gone without a word.
pub(super) fn hung_up() -> Closed {
    Closed::new(Trouble::Link, "the server hung up without a close frame")
}

/// The server said goodbye.
pub(super) fn closed_by_server(frame: Option<CloseFrame>) -> Closed {
    let closed = Closed::new(Trouble::Link, "the server closed the link");
    match frame {
        Some(frame) => closed.with_code(u16::from(frame.code)),
        None => closed,
    }
}

/// What an error says about the end of a link.
pub(super) fn ended(error: &Error) -> Closed {
    match error {
        Error::Protocol(error) => Closed::new(Trouble::Protocol, error.to_string()),
        Error::Capacity(error) => Closed::new(Trouble::Protocol, error.to_string()),
        Error::Utf8(_) => Closed::new(Trouble::Protocol, "a text is not UTF-8"),
        Error::WriteBufferFull(_) => {
            let mib = MAX_UNSENT >> 20;
            Closed::new(
                Trouble::Link,
                format!("the server does not read: {mib} MiB are unsent"),
            )
        }
        Error::Io(error) => Closed::new(Trouble::Link, words(error)),
        _ => Closed::new(Trouble::Link, "the connection is closed"),
    }
}

/// The close code that tells the server what it did wrong.
pub(super) fn complaint(error: &Error) -> Option<CloseCode> {
    match error {
        Error::Protocol(_) => Some(CloseCode::Protocol),
        Error::Capacity(_) => Some(CloseCode::Size),
        Error::Utf8(_) => Some(CloseCode::Invalid),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_machine_lacks_is_not_taken_for_the_network() {
        let of = |errno: Errno| unreached("x", &io::Error::from(errno));
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM] {
            assert_eq!(of(errno).trouble, Trouble::Exhausted);
        }
        assert_eq!(of(Errno::CONNREFUSED).trouble, Trouble::Network);
        let full = of(Errno::NOSPC);
        assert_eq!(full.trouble, Trouble::Exhausted);
        let words = "x: too many watched sockets (fs.epoll.max_user_watches)";
        assert_eq!(full.reason, words);
    }
}
