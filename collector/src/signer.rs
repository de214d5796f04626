//! Ed25519 keys of people who sign.

use crate::files::write_new;
use rcgen::{KeyPair, PKCS_ED25519, SigningKey};
use ring::signature::{ED25519, UnparsedPublicKey};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadKey {
    /// The library refused.
    #[error("cannot make or use a key: {0}")]
    Make(#[from] rcgen::Error),
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file cannot be made.
    #[error("cannot write {path}: {source}")]
    Write {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file of another kind.
    #[error("{0} holds no Ed25519 key; make one: `ashiato manifest key`")]
    Kind(PathBuf),
}

/// A signer's key pair.
#[derive(Debug)]
pub struct Signer(KeyPair);

impl Signer {
    /// A fresh one.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn generate() -> Result<Self, BadKey> {
        Ok(Self(KeyPair::generate_for(&PKCS_ED25519)?))
    }

    /// Reads a key file (PKCS #8, PEM).
    ///
    /// # Errors
    /// [`BadKey`] where it is none, or of another kind.
    pub fn read(path: &Path) -> Result<Self, BadKey> {
        let text = fs::read_to_string(path)
            .map_err(|source| BadKey::Read { path: path.into(), source })?;
        let key = KeyPair::from_pem(&text).ok().filter(|key| key.is_compatible(&PKCS_ED25519));
        key.map(Self).ok_or_else(|| BadKey::Kind(path.into()))
    }

    /// Writes it where no file is yet, readable by its owner alone.
    ///
    /// # Errors
    /// [`BadKey::Write`].
    pub fn write_new(&self, path: &Path) -> Result<(), BadKey> {
        write_new(path, &self.0.serialize_pem(), 0o600)
            .map_err(|source| BadKey::Write { path: path.into(), source })
    }

    /// The public key in hex.
    pub fn public(&self) -> String {
        hex::encode(self.0.public_key_raw())
    }

    /// The signature of some bytes, in hex.
    ///
    /// # Errors
    /// When the library refuses.
    pub fn sign(&self, signed: &[u8]) -> Result<String, BadKey> {
        Ok(hex::encode(self.0.sign(signed)?))
    }
}

/// Whether a signature is that of a public key over some bytes; key and signature in hex.
pub fn holds(key: &str, signature: &str, signed: &[u8]) -> bool {
    let (Ok(key), Ok(signature)) = (hex::decode(key), hex::decode(signature)) else {
        return false;
    };
    UnparsedPublicKey::new(&ED25519, key).verify(signed, &signature).is_ok()
}
