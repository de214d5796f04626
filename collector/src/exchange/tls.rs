//! TLS between domains: each pins the keys of those it speaks with, and trusts no authority.

use super::config::{Config, bad};
use crate::identity::Identity;
use crate::server::{ServeError, read};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, KeyLogFile,
    ServerConfig, SignatureScheme,
};
use x509_parser::prelude::{FromDer, X509Certificate};

/// What both ends of a connection need.
#[derive(Debug, Clone)]
pub struct Pins {
    keys: Arc<BTreeMap<Vec<u8>, String>>,
    provider: Arc<CryptoProvider>,
    secrets: bool,
    chain: Vec<CertificateDer<'static>>,
    key: Arc<PrivateKeyDer<'static>>,
}

impl Pins {
    /// Reads the domain's own certificate and those of its peers.
    ///
    /// # Errors
    /// [`ServeError`] names the file and what is wrong with it.
    pub fn load(config: &Config) -> Result<Self, ServeError> {
        let chain = vec![certificate(&config.certificate, &config.domain)?];
        let key = PrivateKeyDer::from_pem_slice(read(&config.key)?.as_bytes())
            .map_err(|e| bad(&config.key, format!("holds no private key: {e}")))?;
        let mut keys = BTreeMap::new();
        for peer in &config.peers {
            let der = certificate(&peer.certificate, &peer.id)?;
            let key = Identity::key_of(&der)
                .ok_or_else(|| bad(&peer.certificate, "holds no public key"))?;
            if let Some(other) = keys.insert(key, peer.id.clone()) {
                let what = format!("{} and {other} have the same key", peer.id);
                return Err(bad(&peer.certificate, what));
            }
        }
        let provider = Arc::new(ring::default_provider());
        let (keys, secrets) = (Arc::new(keys), config.log_tls_secrets);
        Ok(Self { keys, provider, secrets, chain, key: Arc::new(key) })
    }

    /// The peer that a certificate belongs to: its key is pinned, its name is the peer's, and it is in force.
    ///
    /// # Errors
    /// Which of these is not so.
    pub fn who(&self, der: &[u8], now_unix_s: u64) -> Result<&str, CertificateError> {
        let (_, parsed) =
            X509Certificate::from_der(der).map_err(|_| CertificateError::BadEncoding)?;
        let peer = self.keys.get(parsed.public_key().raw).ok_or(CertificateError::UnknownIssuer)?;
        if Identity::of(&parsed) != Some(Identity::Domain(peer.clone())) {
            return Err(CertificateError::NotValidForName);
        }
        let now = i64::try_from(now_unix_s).unwrap_or(i64::MAX);
        if now < parsed.validity().not_before.timestamp() {
            return Err(CertificateError::NotValidYet);
        }
        if now > parsed.validity().not_after.timestamp() {
            return Err(CertificateError::Expired);
        }
        Ok(peer)
    }

    /// What the listening end needs.
    ///
    /// # Errors
    /// Where the key does not fit the certificate.
    pub fn server(&self) -> Result<ServerConfig, Error> {
        let builder = ServerConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()?;
        let pinned = Arc::new(Pinned { pins: self.clone(), only: None });
        let mut config = builder
            .with_client_cert_verifier(pinned)
            .with_single_cert(self.chain.clone(), self.key.clone_key())?;
        if self.secrets {
            config.key_log = Arc::new(KeyLogFile::new());
        }
        Ok(config)
    }

    /// What the calling end needs to speak with one peer.
    ///
    /// # Errors
    /// Where the key does not fit the certificate.
    pub fn client(&self, peer: &str) -> Result<ClientConfig, Error> {
        let builder = ClientConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()?;
        let pinned = Arc::new(Pinned { pins: self.clone(), only: Some(peer.into()) });
        let mut config = builder
            .dangerous()
            .with_custom_certificate_verifier(pinned)
            .with_client_auth_cert(self.chain.clone(), self.key.clone_key())?;
        if self.secrets {
            config.key_log = Arc::new(KeyLogFile::new());
        }
        Ok(config)
    }
}

/// Accepts pinned keys and nothing else; of one peer, where it is named.
#[derive(Debug)]
struct Pinned {
    pins: Pins,
    only: Option<String>,
}

impl Pinned {
    fn check(&self, der: &[u8], now: UnixTime) -> Result<(), Error> {
        let peer = self.pins.who(der, now.as_secs())?;
        match &self.only {
            Some(only) if only != peer => Err(CertificateError::NotValidForName.into()),
            _ => Ok(()),
        }
    }
}

/// Both traits check signatures alike.
macro_rules! signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            let known = &self.pins.provider.signature_verification_algorithms;
            verify_tls12_signature(message, cert, signed, known)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            let known = &self.pins.provider.signature_verification_algorithms;
            verify_tls13_signature(message, cert, signed, known)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.pins.provider.signature_verification_algorithms.supported_schemes()
        }
    };
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(end_entity, now).map(|()| ServerCertVerified::assertion())
    }

    signatures!();
}

impl ClientCertVerifier for Pinned {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(end_entity, now).map(|()| ClientCertVerified::assertion())
    }

    signatures!();
}

/// Time that a handshake may take.
pub(super) const HANDSHAKE: Duration = Duration::from_secs(10);

fn certificate(path: &Path, domain: &str) -> Result<CertificateDer<'static>, ServeError> {
    let der = CertificateDer::from_pem_slice(read(path)?.as_bytes())
        .map_err(|e| bad(path, format!("holds no certificate: {e}")))?;
    let expected = Identity::Domain(domain.into());
    if Identity::of_certificate(&der) != Some(expected.clone()) {
        return Err(bad(path, format!("is not a certificate of {expected}")));
    }
    Ok(der)
}
