//! A directory as it travels: with the signature of somebody whose key the reader has by another way.

use super::Directory;
use crate::server::{ServeError, read};
use crate::signer::{BadKey, Signer, holds};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Version of the format.
pub const SCHEMA: &str = "ashiato.signed-contacts/1";

/// A directory and who signed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed {
    /// [`SCHEMA`].
    pub schema: String,
    /// The directory.
    pub directory: Directory,
    /// The signer's public key in hex.
    pub key: String,
    /// The signature over the directory's bytes, in hex.
    pub signature: String,
}

impl Signed {
    /// Signs a directory.
    ///
    /// # Errors
    /// When the library refuses.
    pub fn new(directory: Directory, signer: &Signer) -> Result<Self, BadKey> {
        let signature = signer.sign(&bytes(&directory))?;
        Ok(Self { schema: SCHEMA.into(), directory, key: signer.public(), signature })
    }

    /// Reads a signed directory, and checks it and its signature.
    ///
    /// # Errors
    /// [`ServeError`] says what is wrong. Where keys are given, the signer's must be one of them.
    pub fn read(path: &Path, keys: &[String]) -> Result<Self, ServeError> {
        let bad = |what: String| ServeError::File { path: path.into(), what };
        let signed: Self = serde_json::from_str(&read(path)?).map_err(|e| bad(e.to_string()))?;
        if signed.schema != SCHEMA {
            return Err(bad(format!("schema must be \"{SCHEMA}\", not \"{}\"", signed.schema)));
        }
        if !holds(&signed.key, &signed.signature, &bytes(&signed.directory)) {
            return Err(bad("the signature is not that of the key over this directory".into()));
        }
        if !keys.is_empty() && !keys.contains(&signed.key) {
            return Err(bad(format!(
                "it is signed by {}, whose key is not known here",
                signed.key
            )));
        }
        signed.directory.check().map_err(|e| bad(e.to_string()))?;
        Ok(signed)
    }
}

/// What is signed: the format's name, a line feed, and the directory as JSON.
fn bytes(directory: &Directory) -> Vec<u8> {
    let json = serde_json::to_string(directory).expect("invariant: directories are JSON");
    format!("{SCHEMA}\n{json}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_directory_that_was_changed_or_signed_by_a_stranger_is_refused() {
        let (signer, stranger) = (Signer::generate().unwrap(), Signer::generate().unwrap());
        let directory: Directory = toml::from_str(
            "schema = \"ashiato.contacts/1\"\nissued = \"2026-11-01T00:00:00Z\"\n
             [[contact]]\ndomain = \"xa\"\nvalid_until = \"2027-01-01T00:00:00Z\"\n
             [[contact.desk]]\nrole = \"csirt\"",
        )
        .unwrap();
        let path = std::env::temp_dir().join(format!("ashiato-contacts-{}", std::process::id()));
        let signed = Signed::new(directory, &signer).unwrap();
        let text = serde_json::to_string(&signed).unwrap();
        fs::write(&path, &text).unwrap();
        assert_eq!(Signed::read(&path, &[signer.public()]).unwrap(), signed);
        assert_eq!(Signed::read(&path, &[]).unwrap(), signed);
        let foreign = Signed::read(&path, &[stranger.public()]).unwrap_err();
        assert!(foreign.to_string().contains("not known here"), "{foreign}");
        fs::write(&path, text.replace("csirt", "legal")).unwrap();
        let forged = Signed::read(&path, &[]).unwrap_err();
        assert!(forged.to_string().contains("signature"), "{forged}");
        fs::remove_file(path).unwrap();
    }
}
