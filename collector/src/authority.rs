//! An authority for one experiment: makes its keys and certificates in memory or in a folder.
//!
//! Certificates are short-lived, since keys are made for each run. They are valid from a day before
//! they are made, because clocks of field machines are wrong by minutes and sometimes by hours.

use crate::files::write_new;
use crate::identity::Identity;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How far before its making a certificate becomes valid.
const SKEW: Duration = Duration::from_secs(24 * 3600);

/// Why keys could not be made or kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorityError {
    /// The certificate library refused.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// A file could not be written.
    #[error(
        "cannot write {path}: {source}; give a folder that you may write and that holds no keys"
    )]
    Write {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file of the authority's own cannot be read.
    #[error(
        "cannot read {path}: {source}; make an authority first: `ashiato-collector authority init`"
    )]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The clock shows a time before 1970.
    #[error("the host's clock is before 1970; set it")]
    Clock,
}

/// Paths of the three files that one end of a connection needs.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The authority's certificate.
    pub ca: PathBuf,
    /// Own certificate.
    pub cert: PathBuf,
    /// Own key.
    pub key: PathBuf,
}

impl Tls {
    /// Lets paths that are not absolute start at the folder of the file that names them.
    pub fn rebase(&mut self, file: &Path) {
        for path in [&mut self.ca, &mut self.cert, &mut self.key] {
            *path = beside(file, path);
        }
    }
}

/// A path that a file names: where it is not absolute, it starts at the file's folder.
pub fn beside(file: &Path, path: &Path) -> PathBuf {
    file.parent().map_or_else(|| path.into(), |folder| folder.join(path))
}

/// A certificate with its key, both as PEM.
#[derive(Clone)]
pub struct Pair {
    /// The certificate.
    pub cert: String,
    /// The private key.
    pub key: String,
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pair").finish_non_exhaustive()
    }
}

/// An authority that can issue certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    lifetime: Duration,
}

impl Authority {
    /// Makes a fresh authority whose certificates end after `lifetime`.
    ///
    /// # Errors
    /// When the system has no randomness or no usable clock.
    pub fn new(lifetime: Duration) -> Result<Self, AuthorityError> {
        Self::lasting(lifetime, lifetime)
    }

    /// The same of one that itself ends after `own`: as long as it lasts, certificates can be renewed.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn lasting(lifetime: Duration, own: Duration) -> Result<Self, AuthorityError> {
        let mut params = params("Ashiato experiment authority", own)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), pem, lifetime })
    }

    /// The authority whose key lies in a folder.
    ///
    /// # Errors
    /// Where there is none.
    pub fn open(dir: &Path, lifetime: Duration) -> Result<Self, AuthorityError> {
        let pem = Self::certificate_in(dir)?;
        let key = KeyPair::from_pem(&read(&dir.join("ca.key"))?)?;
        Ok(Self { issuer: Issuer::from_ca_cert_pem(&pem, key)?, pem, lifetime })
    }

    /// The certificate of the authority of a folder, as PEM.
    ///
    /// # Errors
    /// Where there is none.
    pub fn certificate_in(dir: &Path) -> Result<String, AuthorityError> {
        read(&dir.join("ca.pem"))
    }

    /// Issues a certificate; `addresses` are those of a collector, director or domain, beside
    /// its name.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn issue(&self, who: &Identity, addresses: &[IpAddr]) -> Result<Pair, AuthorityError> {
        let key = KeyPair::generate()?;
        let cert = self.params(who, addresses)?.signed_by(&key, &self.issuer)?;
        Ok(Pair { cert: cert.pem(), key: key.serialize_pem() })
    }

    /// Issues a certificate for the key of a request (PKCS #10, PEM), whatever else that says; the
    /// certificate as PEM, and the key (DER).
    ///
    /// # Errors
    /// As [`Self::new`], and where the request is none or not signed by its key.
    pub fn certify(
        &self,
        who: &Identity,
        request: &str,
    ) -> Result<(String, Vec<u8>), AuthorityError> {
        let request = CertificateSigningRequestParams::from_pem(request)?;
        let cert = self.params(who, &[])?.signed_by(&request.public_key, &self.issuer)?;
        let key = Identity::key_of(cert.der()).ok_or(rcgen::Error::CouldNotParseCertificate)?;
        Ok((cert.pem(), key))
    }

    fn params(
        &self,
        who: &Identity,
        addresses: &[IpAddr],
    ) -> Result<CertificateParams, AuthorityError> {
        let mut params = params(&who.to_string(), self.lifetime)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        if is_server(who) {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            if matches!(who, Identity::Domain(_)) {
                // Domains call one another under the certificate that they answer with.
                params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
            }
            let mut names = vec![who.to_string(), "localhost".to_owned()];
            names.extend(addresses.iter().map(IpAddr::to_string));
            params.subject_alt_names = CertificateParams::new(names)?.subject_alt_names;
        } else {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        }
        Ok(params)
    }

    /// Issues a certificate and writes it with its key and the authority's certificate into a folder:
    /// `ca.pem`, and `NAME.pem` and `NAME.key` where slashes of the common name become `-`.
    ///
    /// # Errors
    /// As [`Self::new`], and where a file cannot be written or is already there.
    pub fn write(
        &self,
        dir: &Path,
        who: &Identity,
        addresses: &[IpAddr],
    ) -> Result<Tls, AuthorityError> {
        let pair = self.issue(who, addresses)?;
        let name = who.to_string().replace('/', "-");
        let file = |ending: &str| dir.join(format!("{name}.{ending}"));
        let tls = Tls { ca: dir.join("ca.pem"), cert: file("pem"), key: file("key") };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(|source| AuthorityError::Write { path: dir.into(), source })?;
        if !tls.ca.exists() {
            write(&tls.ca, &self.pem, 0o644)?;
        }
        write(&tls.cert, &pair.cert, 0o644)?;
        write(&tls.key, &pair.key, 0o600)?;
        Ok(tls)
    }

    /// Writes the authority's own key, so that certificates can be issued later.
    ///
    /// # Errors
    /// Where the file cannot be written or is already there.
    pub fn write_key(&self, dir: &Path) -> Result<PathBuf, AuthorityError> {
        let path = dir.join("ca.key");
        write(&path, &self.issuer.key().serialize_pem(), 0o600)?;
        Ok(path)
    }

    /// The authority's certificate as PEM.
    pub fn certificate(&self) -> String {
        self.pem.clone()
    }
}

fn is_server(who: &Identity) -> bool {
    use Identity::{Authority, Collector, Director, Domain};
    matches!(who, Collector | Director | Authority | Domain(_))
}

fn read(path: &Path) -> Result<String, AuthorityError> {
    fs::read_to_string(path).map_err(|source| AuthorityError::Read { path: path.into(), source })
}

fn params(name: &str, lifetime: Duration) -> Result<CertificateParams, AuthorityError> {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_err(|_| AuthorityError::Clock)?;
    let epoch = date_time_ymd(1970, 1, 1);
    let mut params = CertificateParams::default();
    params.not_before = epoch + now.saturating_sub(SKEW);
    params.not_after = epoch + (now + lifetime);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), AuthorityError> {
    write_new(path, text, mode)
        .map_err(|source| AuthorityError::Write { path: path.into(), source })
}
