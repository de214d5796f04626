//! What a host says under the key that it enrolled with. Its hash is in the manifest, so that neither the director,
//! who issues all other keys of a run, nor anybody on the way can say it in the host's place.
//!
//! ```text
//! what is said | length of the key (2) | key (DER) | signature (ECDSA over P-256, SHA-256)
//! ```

use crate::exit::Exit;
use anyhow::{Context, Result};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData, SigningKey};
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use sha2::{Digest, Sha256};
use std::path::Path;

/// Bytes of a point of the curve, at the end of a key.
const POINT: usize = 65;

/// Reads a host's own key.
///
/// # Errors
/// [`Exit::HostNotReady`] where it is of another kind.
pub(crate) fn read_key(path: &Path) -> Result<KeyPair> {
    let pem = std::fs::read_to_string(path).context("cannot read the host's key")?;
    let key = KeyPair::from_pem(&pem).context("the host's key is none")?;
    if !key.is_compatible(&PKCS_ECDSA_P256_SHA256) {
        let why = "this host's key is not of curve P-256: enrol anew";
        return Err(Exit::HostNotReady.refuse(why));
    }
    Ok(key)
}

/// Puts key and signature behind what is said.
///
/// # Errors
/// When the key does not sign.
pub(crate) fn sign(mut said: Vec<u8>, key: &KeyPair) -> Result<Vec<u8>> {
    let signature = key.sign(&said).context("cannot sign")?;
    let public = key.subject_public_key_info();
    said.extend(u16::try_from(public.len())?.to_be_bytes());
    said.extend(public);
    said.extend(signature);
    Ok(said)
}

/// The first `length` bytes, where the key of this hash (in hex) signed them; without a hash, where any key did.
pub(crate) fn hear<'a>(bytes: &'a [u8], length: usize, wanted: Option<&str>) -> Option<&'a [u8]> {
    let (said, rest) = bytes.split_at_checked(length)?;
    let (length, rest) = rest.split_at_checked(2)?;
    let length = u16::from_be_bytes(length.try_into().ok()?);
    let (key, signature) = rest.split_at_checked(length.into())?;
    if wanted.is_some_and(|wanted| hex::encode(Sha256::digest(key)) != wanted) {
        return None;
    }
    let point = key.len().checked_sub(POINT)?;
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &key[point..]);
    key.verify(said, signature).ok()?;
    Some(said)
}
