//! From a URL to a stream: directly or through a proxy, with TLS or on this machine only.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::ClientConfig;
use tokio::net::{lookup_host, TcpStream};
use tokio::time::{timeout_at, Instant};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::http::Uri;
use tokio_tungstenite::MaybeTlsStream;

use super::closed::{is_lack, words, Closed, Trouble};
use super::proxy::{on_the_way, Proxy};
use super::{eyeballs, tls, DialError};

/// A connection to the server.
pub(super) type Stream = MaybeTlsStream<TcpStream>;

/// Longest host name (RFC 1035, section 2.3.4).
const MAX_HOST: usize = 253;

/// Where to go, and how.
pub(super) struct Route {
    host: String,
    port: u16,
    proxy: Option<Proxy>,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    /// Whether it must not leave this machine, because it is not encrypted.
    stays: bool,
}

/// What a route depends on beside its URL.
pub(super) struct Terms<'a> {
    /// The scheme without TLS and the one with it.
    pub(super) schemes: [&'static str; 2],
    pub(super) proxy: Option<&'a str>,
    pub(super) roots: Option<&'a str>,
    pub(super) allow_plain: bool,
}

impl Route {
    pub(super) fn check(uri: &Uri, terms: &Terms<'_>) -> Result<Route, DialError> {
        let [plain, safe] = terms.schemes;
        let secure = match uri.scheme_str() {
            Some(scheme) if scheme == safe => true,
            Some(scheme) if scheme == plain => false,
            _ => {
                let reason = format!("url must start with {safe}:// or {plain}://");
                return Err(DialError::Config(reason));
            }
        };
        if uri
            .authority()
            .is_some_and(|authority| authority.as_str().contains('@'))
        {
            return Err(DialError::config("url must not hold a user name"));
        }
        let host = match uri.host() {
            Some(host) if !host.is_empty() && host.len() <= MAX_HOST => host,
            _ => return Err(DialError::config("url has no host")),
        };
        let host = host.trim_matches(['[', ']']).to_owned();
        let proxy = terms.proxy.map(Proxy::parse).transpose()?;
        let stays = !secure && !terms.allow_plain;
        let leaves = !is_local(&host) || proxy.as_ref().is_some_and(|p| !is_local(p.place().0));
        if stays && leaves {
            return Err(DialError::Config(format!(
                "{plain}:// is not encrypted: use {safe}://, or allow_plain if the host is trusted",
            )));
        }
        let port = match (uri.port_u16(), has_port(uri)) {
            (Some(port), _) if port > 0 => port,
            (None, false) if secure => 443,
            (None, false) => 80,
            _ => return Err(DialError::config("url has a bad port")),
        };
        let tls = secure.then(|| {
            let name = ServerName::try_from(host.clone());
            let name = name.map_err(|_| DialError::config("url has a bad host"))?;
            Ok((tls::config(terms.roots)?, name))
        });
        Ok(Route {
            host,
            port,
            proxy,
            tls: tls.transpose()?,
            stays,
        })
    }

    /// Resolves, connects, asks the proxy, and secures the stream.
    pub(super) async fn open(&self, deadline: Instant) -> Result<Stream, Closed> {
        let stream = match &self.proxy {
            None => self.reach(&self.host, self.port, deadline).await?,
            Some(proxy) => self.tunnel(proxy, deadline).await?,
        };
        // Without it acks would wait for each other; a failure costs only time.
        let _ = stream.set_nodelay(true);
        let Some((config, name)) = &self.tls else {
            return Ok(MaybeTlsStream::Plain(stream));
        };
        let secured = TlsConnector::from(config.clone()).connect(name.clone(), stream);
        let secured = async { secured.await.map_err(|error| tls::failed(&error)) };
        let reason = "TLS: the server did not answer in time";
        let secured = within(deadline, Trouble::Network, reason, secured).await?;
        Ok(MaybeTlsStream::Rustls(secured))
    }

    async fn tunnel(&self, proxy: &Proxy, deadline: Instant) -> Result<TcpStream, Closed> {
        let (host, port) = proxy.place();
        let reached = self.reach(host, port, deadline).await;
        let mut stream = reached.map_err(on_the_way)?;
        let tunnel = proxy.tunnel(&mut stream, &self.host, self.port);
        let reason = "proxy: it did not answer in time";
        within(deadline, Trouble::Proxy, reason, tunnel).await?;
        Ok(stream)
    }

    async fn reach(&self, host: &str, port: u16, deadline: Instant) -> Result<TcpStream, Closed> {
        let mut addresses = resolve(host, port, deadline).await?;
        if self.stays {
            addresses.retain(|address| address.ip().is_loopback());
        }
        if addresses.is_empty() {
            let reason = format!("{host} has no address");
            return Err(Closed::new(Trouble::Network, reason));
        }
        eyeballs::connect(&addresses, deadline).await
    }
}

/// Bounds a step in time.
pub(super) async fn within<T>(
    deadline: Instant,
    trouble: Trouble,
    reason: &str,
    step: impl Future<Output = Result<T, Closed>>,
) -> Result<T, Closed> {
    match timeout_at(deadline, step).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Closed::new(trouble, reason)),
    }
}

async fn resolve(host: &str, port: u16, deadline: Instant) -> Result<Vec<SocketAddr>, Closed> {
    let lookup = async {
        lookup_host((host, port)).await.map_err(|error| {
            if is_lack(&error) {
                return Closed::new(Trouble::Exhausted, words(&error));
            }
            // What the resolver says stands behind what the standard library says.
            let text = error.to_string();
            let why = text.rsplit(": ").next().unwrap_or_default();
            Closed::new(
                Trouble::Network,
                format!("{host} cannot be resolved: {why}"),
            )
        })
    };
    let reason = format!("{host} was not resolved in time");
    let found = within(deadline, Trouble::Network, &reason, lookup).await?;
    Ok(found.collect())
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
