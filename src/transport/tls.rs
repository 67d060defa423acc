//! One TLS configuration for all links, so that reconnects resume their sessions.

use std::sync::{Arc, Mutex};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

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
        add_pem(&mut roots, pem)?;
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

fn add_pem(roots: &mut RootCertStore, pem: &str) -> Result<(), DialError> {
    let before = roots.len();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        certificate
            .ok()
            .and_then(|certificate| roots.add(certificate).ok())
            .ok_or_else(|| DialError::config("roots holds a certificate that cannot be read"))?;
    }
    if roots.len() == before {
        return Err(DialError::config("roots holds no PEM certificate"));
    }
    Ok(())
}
