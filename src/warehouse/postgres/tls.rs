//! `sslmode` and `sslrootcert`, as libpq means them, on the program's one TLS stack.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::warehouse::WarehouseError;

/// How far the server's certificate is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Disable,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

/// TLS of one address.
#[derive(Debug, Clone)]
pub(in crate::warehouse) struct Tls {
    mode: Mode,
    root_file: Option<String>,
}

/// Takes `sslmode` and `sslrootcert` out of an address: tokio-postgres does not know all of them.
pub(in crate::warehouse) fn split(url: &str) -> Result<(String, Tls), WarehouseError> {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let mut tls = Tls { mode: Mode::Prefer, root_file: None };
    let mut rest = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = percent_encoding::percent_decode_str(value).decode_utf8_lossy().into_owned();
        match key {
            "sslmode" => {
                tls.mode = match value.as_str() {
                    "disable" => Mode::Disable,
                    "allow" | "prefer" => Mode::Prefer,
                    "require" => Mode::Require,
                    "verify-ca" => Mode::VerifyCa,
                    "verify-full" => Mode::VerifyFull,
                    _ => {
                        return Err(WarehouseError::Refused(format!(
                            "sslmode `{value}` must be disable, prefer, require, verify-ca or verify-full"
                        )));
                    }
                }
            }
            "sslrootcert" => tls.root_file = Some(value).filter(|value| value != "system"),
            _ => rest.push(pair),
        }
    }
    let url = if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) };
    Ok((url, tls))
}

impl Tls {
    pub(in crate::warehouse) fn negotiation(&self) -> SslMode {
        match self.mode {
            Mode::Disable => SslMode::Disable,
            Mode::Prefer => SslMode::Prefer,
            Mode::Require | Mode::VerifyCa | Mode::VerifyFull => SslMode::Require,
        }
    }

    pub(in crate::warehouse) fn connector(&self) -> Result<MakeRustlsConnect, WarehouseError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| WarehouseError::Refused(format!("cannot set up TLS: {error}")))?;
        // As libpq: a root file makes `require` check the chain.
        let checks_chain = matches!(self.mode, Mode::VerifyCa | Mode::VerifyFull)
            || (self.mode == Mode::Require && self.root_file.is_some());
        if !checks_chain {
            let verifier = Arc::new(Lenient { provider, chain: None });
            return Ok(MakeRustlsConnect::new(
                builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth(),
            ));
        }
        let roots = Arc::new(self.roots()?);
        if self.mode == Mode::VerifyFull {
            return Ok(MakeRustlsConnect::new(builder.with_root_certificates(roots).with_no_client_auth()));
        }
        let chain = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
            .build()
            .map_err(|error| WarehouseError::Refused(format!("cannot use the root certificates: {error}")))?;
        let verifier = Arc::new(Lenient { provider, chain: Some(chain) });
        Ok(MakeRustlsConnect::new(
            builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth(),
        ))
    }

    fn roots(&self) -> Result<RootCertStore, WarehouseError> {
        let mut roots = RootCertStore::empty();
        match &self.root_file {
            Some(file) => {
                let unusable = |error: &dyn std::fmt::Display| {
                    WarehouseError::Refused(format!("cannot use the sslrootcert {file}: {error}"))
                };
                for certificate in CertificateDer::pem_file_iter(file).map_err(|error| unusable(&error))? {
                    let certificate = certificate.map_err(|error| unusable(&error))?;
                    roots.add(certificate).map_err(|error| unusable(&error))?;
                }
                if roots.is_empty() {
                    return Err(unusable(&"it holds no certificate"));
                }
            }
            None => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
        }
        Ok(roots)
    }
}

/// Checks less than the name: the chain alone (`verify-ca`), or nothing (`require`, `prefer`), as libpq does.
#[derive(Debug)]
struct Lenient {
    provider: Arc<CryptoProvider>,
    chain: Option<Arc<WebPkiServerVerifier>>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        match chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The name is looked at last: everything else was in order.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            outcome => outcome,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_is_taken_out_of_the_address() {
        let (url, tls) =
            split("postgres://u:p@h/d?sslmode=verify-full&application_name=x&sslrootcert=%2Fetc%2Fca.pem")
                .expect("good");

        assert_eq!(url, "postgres://u:p@h/d?application_name=x");
        assert_eq!((tls.mode, tls.root_file.as_deref()), (Mode::VerifyFull, Some("/etc/ca.pem")));
        assert!(split("postgres://h/d?sslmode=maybe").is_err());
    }
}
