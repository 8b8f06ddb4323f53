//! TLS to a broker.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use thiserror::Error;

use crate::diagnostics::reading_advice;

/// The certificate authorities that a broker's certificate may come from.
#[derive(Clone)]
pub struct BrokerTls(Arc<ClientConfig>);

/// A file of certificates that can't be used.
#[derive(Debug, Error)]
pub enum CertificateFileError {
    #[error("--mqtt-ca: {}: can't be read ({source}); {}", path.display(), reading_advice(source))]
    Read { path: PathBuf, source: io::Error },
    #[error(
        "--mqtt-ca: {}: has no certificate that can be used ({reason}); give the file with the certificate of the broker's CA, in \
         PEM format (-----BEGIN CERTIFICATE-----)", path.display()
    )]
    Invalid { path: PathBuf, reason: String },
}

impl BrokerTls {
    /// Trusts the authorities that this system trusts.
    #[must_use]
    pub fn of_system() -> Self {
        let mut roots = RootCertStore::empty();
        // A broker's certificate is refused where there are none.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Self::trusting(roots)
    }

    /// Trusts the certificates of a PEM file, and no others.
    ///
    /// # Errors
    /// [`CertificateFileError`]
    pub fn of_file(path: &Path) -> Result<Self, CertificateFileError> {
        let text = std::fs::read(path).map_err(|source| CertificateFileError::Read {
            path: path.into(),
            source,
        })?;
        let invalid = |reason: String| CertificateFileError::Invalid {
            path: path.into(),
            reason,
        };
        let certificates: Result<Vec<_>, pem::Error> =
            CertificateDer::pem_slice_iter(&text).collect();
        let certificates = certificates.map_err(|error| invalid(error.to_string()))?;
        let mut roots = RootCertStore::empty();
        let (added, _) = roots.add_parsable_certificates(certificates);
        match added {
            0 => Err(invalid("there is none".to_owned())),
            _ => Ok(Self::trusting(roots)),
        }
    }

    fn trusting(roots: RootCertStore) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has the cipher suites of TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self(Arc::new(config))
    }

    pub(super) fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.0)
    }

    /// A connection to the broker of this name, before its first byte.
    pub(super) fn connection(&self, host: &str) -> io::Result<ClientConnection> {
        let invalid = |error: &dyn fmt::Display| {
            io::Error::new(io::ErrorKind::InvalidInput, error.to_string())
        };
        let name = ServerName::try_from(host.to_owned()).map_err(|error| invalid(&error))?;
        ClientConnection::new(self.config(), name).map_err(|error| invalid(&error))
    }
}

impl fmt::Debug for BrokerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BrokerTls")
    }
}

/// Why TLS has failed, if it was TLS; the text continues "the broker".
pub(super) fn failure(error: &io::Error) -> Option<TlsFailure> {
    let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(match error {
        rustls::Error::InvalidCertificate(reason) => TlsFailure::Certificate(reason.to_string()),
        rustls::Error::InvalidMessage(_) => TlsFailure::NotTls,
        other => TlsFailure::Other(other.to_string()),
    })
}

/// Why TLS has failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TlsFailure {
    #[error("has a certificate that can't be trusted ({0})")]
    Certificate(String),
    #[error("does not speak TLS at this port")]
    NotTls,
    #[error("can't agree on a TLS connection ({0})")]
    Other(String),
}

impl TlsFailure {
    pub(super) const fn next_step(&self) -> &'static str {
        match self {
            Self::Certificate(_) => {
                "give the certificate of its CA with --mqtt-ca FILE, and the host by a name that is in the broker's certificate"
            }
            Self::NotTls => {
                "give the port for TLS, 8883 by default, or mqtt:// for a plain connection"
            }
            Self::Other(_) => "see the broker's log; it must offer TLS 1.2 or 1.3",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ca.pem");
        let missing = BrokerTls::of_file(&path).expect_err("missing");
        assert!(matches!(missing, CertificateFileError::Read { .. }));
        for text in [
            "",
            "no PEM",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
        ] {
            std::fs::write(&path, text).expect("written");
            let error = BrokerTls::of_file(&path).expect_err(text);
            assert!(
                matches!(error, CertificateFileError::Invalid { .. }),
                "{error}"
            );
            assert!(error.to_string().contains("ca.pem"), "{error}");
        }
    }
}
