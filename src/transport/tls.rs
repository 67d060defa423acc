//! One TLS configuration for all links, so that reconnects resume their sessions; and why one
//! came to nothing.

use std::io;
use std::sync::{Arc, Mutex};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::CertificateDer;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, Error, InvalidMessage, RootCertStore,
};

use super::closed::{unreached, Closed, Trouble};
use super::{lock, DialError};

/// Configurations made so far, by their extra roots.
static CONFIGS: Mutex<Vec<(Option<String>, Arc<ClientConfig>)>> = Mutex::new(Vec::new());

/// Configurations kept: programs use one or two.
const MAX_CONFIGS: usize = 8;

/// The configuration that trusts the system's roots and those in `extra`, a PEM text.
pub(super) fn config(extra: Option<&str>) -> Result<Arc<ClientConfig>, DialError> {
    let mut configs = lock(&CONFIGS);
    if let Some((_, config)) = configs.iter().find(|(roots, _)| roots.as_deref() == extra) {
        return Ok(config.clone());
    }
    let mut roots = system_roots();
    if let Some(pem) = extra {
        let added = add_pem(&mut roots, pem);
        added.map_err(|fault| DialError::config(format!("roots {fault}")))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| DialError::config(format!("TLS cannot be set up: {error}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let config = Arc::new(config);
    if configs.len() == MAX_CONFIGS {
        configs.remove(0);
    }
    configs.push((extra.map(str::to_owned), config.clone()));
    Ok(config)
}

/// The system's roots, or Mozilla's where a slim image has none.
fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

/// Checks that a PEM text holds certificates, and none that cannot be read.
pub fn check_roots(pem: &str) -> Result<(), DialError> {
    add_pem(&mut RootCertStore::empty(), pem).map_err(DialError::config)
}

/// Adds the certificates of a PEM text, or says what is wrong with it.
fn add_pem(roots: &mut RootCertStore, pem: &str) -> Result<(), &'static str> {
    let before = roots.len();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let added = certificate
            .ok()
            .and_then(|certificate| roots.add(certificate).ok());
        added.ok_or("holds a certificate that cannot be read")?;
    }
    if roots.len() == before {
        return Err("holds no PEM certificate");
    }
    Ok(())
}

/// The handshake failed; what rustls says travels inside an I/O error.
pub(super) fn failed(error: &io::Error) -> Closed {
    let said = error.get_ref().and_then(|inner| inner.downcast_ref());
    let Some(said) = said else {
        return unreached("TLS", error);
    };
    let reason = match said {
        Error::InvalidCertificate(fault) => certificate(fault),
        Error::AlertReceived(AlertDescription::ProtocolVersion)
        | Error::PeerIncompatible(_)
        | Error::InvalidMessage(InvalidMessage::UnknownProtocolVersion) => {
            "the server wants a version of TLS, or ciphers, that are not safe any more"
        }
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => "the server speaks no TLS",
        other => return Closed::new(Trouble::Network, format!("TLS: {other}")),
    };
    Closed::new(Trouble::Untrusted, format!("TLS: {reason}"))
}

fn certificate(fault: &CertificateError) -> &'static str {
    use CertificateError as Fault;
    match fault {
        Fault::Expired | Fault::ExpiredContext { .. } => {
            "the server's certificate has expired, or this machine's clock is ahead"
        }
        Fault::NotValidYet | Fault::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet, or this machine's clock is behind"
        }
        Fault::NotValidForName | Fault::NotValidForNameContext { .. } => {
            "the server's certificate is for another host"
        }
        Fault::UnknownIssuer => {
            "the server's certificate is signed by nobody in the system's roots or in `roots`"
        }
        Fault::BadSignature => "the server's certificate has a bad signature",
        // Of webpki's own words the one that matters: `openssl req -x509` makes such ones.
        Fault::Other(other) if other.to_string() == "CaUsedAsEndEntity" => {
            "the server's certificate is self-signed, and a certificate authority's"
        }
        _ => "the server's certificate cannot be accepted",
    }
}
