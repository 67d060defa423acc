//! Tunnels through proxies: HTTP CONNECT (RFC 9110, section 9.3.6) and SOCKS5 (RFC 1928, 1929).
//!
//! Either way the proxy resolves the server's name.

use std::fmt;
use std::io;
use std::net::IpAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::http::uri::Authority;

use super::closed::{is_lack, words, Closed, Trouble};
use super::http::{read_head, status, Fault};
use super::DialError;
use crate::base64;

/// Most bytes of a name, user or password in SOCKS5.
const MAX_FIELD: usize = 255;

/// A proxy and how to log in there. Shown without the login.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    kind: Kind,
    host: String,
    port: u16,
    login: Option<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Http,
    Socks5,
}

impl Proxy {
    /// Reads `http://`, `socks5://` or `socks5h://` with `[user:password@]host:port`; user and
    /// password may be percent-encoded.
    pub fn parse(url: &str) -> Result<Proxy, DialError> {
        let bad = |why: &str| DialError::config(format!("proxy {why}"));
        let (kind, rest) = match url.split_once("://") {
            Some(("http", rest)) => (Kind::Http, rest),
            Some(("socks5" | "socks5h", rest)) => (Kind::Socks5, rest),
            _ => return Err(bad("must start with http://, socks5:// or socks5h://")),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (login, place) = match rest.rsplit_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, rest),
        };
        let authority: Authority = place.parse().map_err(|_| bad("has a bad host"))?;
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let port = authority.port_u16().filter(|port| *port > 0);
        let port = port.ok_or_else(|| bad("needs a port, as in http://host:port"))?;
        if host.is_empty() {
            return Err(bad("has a bad host"));
        }
        let login = login.map(|login| {
            let (user, password) = login.split_once(':').unwrap_or((login, ""));
            let field = |text| unquoted(text).filter(|text| text.len() <= MAX_FIELD);
            match (field(user), field(password)) {
                (Some(user), Some(password)) if !user.is_empty() => match kind {
                    Kind::Http if user.contains(':') => Err(bad("has a colon in its user")),
                    Kind::Socks5 if password.is_empty() => Err(bad("has a user and no password")),
                    _ => Ok((user, password)),
                },
                _ => Err(bad("has a bad user or password")),
            }
        });
        Ok(Proxy {
            kind,
            host,
            port,
            login: login.transpose()?,
        })
    }

    /// Where the proxy is.
    pub(super) fn place(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// Asks for a tunnel to the server over a connection to the proxy.
    pub(super) async fn tunnel(
        &self,
        stream: &mut TcpStream,
        host: &str,
        port: u16,
    ) -> Result<(), Closed> {
        match self.kind {
            Kind::Http => self.connect(stream, host, port).await,
            Kind::Socks5 => self.socks(stream, host, port).await,
        }
    }

    async fn connect(&self, stream: &mut TcpStream, host: &str, port: u16) -> Result<(), Closed> {
        let place = match host.parse() {
            Ok(IpAddr::V6(ip)) => format!("[{ip}]:{port}"),
            _ => format!("{host}:{port}"),
        };
        let mut request = format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n");
        if let Some((user, password)) = &self.login {
            let login = base64::encode(format!("{user}:{password}").as_bytes());
            request += &format!("Proxy-Authorization: Basic {login}\r\n");
        }
        request += "\r\n";
        stream.write_all(request.as_bytes()).await.map_err(cut)?;
        let mut bytes = Vec::new();
        let head = read_head(stream, &mut bytes).await;
        let head = head.map_err(|fault| match fault {
            Fault::Io(error) => cut(error),
            Fault::HungUp => hung_up(),
            Fault::Broken(reason) => refused(&reason),
        })?;
        match head.code {
            // A server behind the tunnel does not speak first.
            200..=299 if bytes.is_empty() => Ok(()),
            200..=299 => Err(refused("something follows its answer")),
            code => {
                let words = format!("the answer is {}", status(code));
                let closed = match code {
                    407 => self.unwelcome(),
                    408 | 429 | 500..=599 => unreached(&words),
                    _ => refused(&words),
                };
                Err(closed.with_code(code))
            }
        }
    }

    async fn socks(&self, stream: &mut TcpStream, host: &str, port: u16) -> Result<(), Closed> {
        let methods: &[u8] = match self.login {
            None => &[5, 1, 0],
            Some(_) => &[5, 2, 0, 2],
        };
        stream.write_all(methods).await.map_err(cut)?;
        match (take(stream).await?, &self.login) {
            ([5, 0], _) => {}
            ([5, 2], Some((user, password))) => {
                let mut login = vec![1];
                field(&mut login, user);
                field(&mut login, password);
                stream.write_all(&login).await.map_err(cut)?;
                let [_, outcome] = take(stream).await?;
                if outcome != 0 {
                    return Err(self.unwelcome());
                }
            }
            ([5, 0xFF], _) => return Err(self.unwelcome()),
            ([5, method], _) => {
                let reason =
                    format!("it wants to log in by method {method}, which was not offered");
                return Err(refused(&reason));
            }
            _ => return Err(refused("it does not speak SOCKS5")),
        }
        let mut request = vec![5, 1, 0];
        match host.parse() {
            Ok(IpAddr::V4(ip)) => {
                request.push(1);
                request.extend(ip.octets());
            }
            Ok(IpAddr::V6(ip)) => {
                request.push(4);
                request.extend(ip.octets());
            }
            Err(_) => {
                request.push(3);
                field(&mut request, host);
            }
        }
        request.extend(port.to_be_bytes());
        stream.write_all(&request).await.map_err(cut)?;
        let [version, reply, _, kind] = take(stream).await?;
        if version != 5 {
            return Err(refused("it does not speak SOCKS5"));
        }
        if reply != 0 {
            return Err(denied(reply));
        }
        // The address that the proxy connects from is of no use here.
        match kind {
            1 => drop(take::<6>(stream).await?),
            4 => drop(take::<18>(stream).await?),
            3 => {
                let [length] = take(stream).await?;
                let mut rest = vec![0; usize::from(length) + 2];
                stream.read_exact(&mut rest).await.map_err(cut)?;
            }
            _ => return Err(refused("its answer has an unknown kind of address")),
        }
        Ok(())
    }

    fn unwelcome(&self) -> Closed {
        refused(match self.login {
            None => "it wants a user and a password",
            Some(_) => "it does not accept the user or the password",
        })
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({:?} {}:{})", self.kind, self.host, self.port)
    }
}

/// What went wrong on the way to the proxy, which says nothing of the server.
pub(super) fn on_the_way(closed: Closed) -> Closed {
    let trouble = match closed.trouble {
        Trouble::Network => Trouble::Proxy,
        other => other,
    };
    Closed {
        trouble,
        reason: format!("proxy: {}", closed.reason),
        ..closed
    }
}

fn unreached(reason: &str) -> Closed {
    Closed::new(Trouble::Proxy, format!("proxy: {reason}"))
}

fn refused(reason: &str) -> Closed {
    Closed::new(Trouble::ProxyRefused, format!("proxy: {reason}"))
}

fn hung_up() -> Closed {
    unreached("it hung up before its answer was whole")
}

fn cut(error: io::Error) -> Closed {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => hung_up(),
        _ if is_lack(&error) => on_the_way(Closed::new(Trouble::Exhausted, words(&error))),
        _ => unreached(&words(&error)),
    }
}

/// What a SOCKS5 reply says (RFC 1928, section 6).
fn denied(reply: u8) -> Closed {
    let closed = match reply {
        1 => unreached("it failed"),
        2 => refused("its rules do not allow this server"),
        3 => unreached("the server's network is unreachable"),
        4 => unreached("the server is unreachable"),
        5 => unreached("the server refused the connection"),
        6 => unreached("the way to the server is too long"),
        7 => refused("it does not make connections"),
        8 => refused("it does not take this kind of address"),
        _ => refused("its answer is an unknown refusal"),
    };
    closed.with_code(reply)
}

async fn take<const N: usize>(stream: &mut TcpStream) -> Result<[u8; N], Closed> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await.map_err(cut)?;
    Ok(bytes)
}

/// Appends a text with its length; hosts are names of DNS, and logins have been checked.
fn field(request: &mut Vec<u8>, text: &str) {
    let length = text.len().min(MAX_FIELD);
    request.push(length as u8);
    request.extend(&text.as_bytes()[..length]);
}

/// Undoes percent-encoding; `None` for what is no text, or would break a line.
fn unquoted(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, others @ ..] = rest {
        let (byte, left) = match (first, others) {
            (b'%', [high, low, left @ ..]) => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                ((digit(*high)? << 4 | digit(*low)?) as u8, left)
            }
            (b'%', _) => return None,
            (byte, left) => (*byte, left),
        };
        bytes.push(byte);
        rest = left;
    }
    let text = String::from_utf8(bytes).ok()?;
    (!text.contains(char::is_control)).then_some(text)
}
