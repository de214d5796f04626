//! What a site remembers between runs: nonces that were used, what was revoked, whether anything ran before.
//!
//! ```text
//! RECORDS/nonces/NONCE         a manifest that was used here
//! RECORDS/revoked/DIGEST|KEY   a manifest, or a signer's key, that is not valid any more
//! RECORDS/introduced           the first run at this site ended well
//! RECORDS/evidence.ndjson      who started, stopped and refused what (see `evidence`)
//! RECORDS/incidents/RUN.md     drafts
//! ```
//! Each fact is a file of its own, made in one step, so that neither a restart nor `kill -9` loses it.

use super::evidence::{EVIDENCE, Evidence};
use super::manifest::Manifest;
use crate::exit::Exit;
use anyhow::{Context, Result};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Records(PathBuf);

impl Records {
    /// Those in a folder, which is made when something is written.
    pub fn at(folder: &Path) -> Self {
        Self(folder.into())
    }

    /// The log of evidence.
    ///
    /// # Errors
    /// Where it cannot be opened, or its chain is broken.
    pub fn evidence(&self) -> Result<Evidence> {
        make(&self.0)?;
        Evidence::open(&self.evidence_path())
    }

    /// Where the log of evidence is.
    pub fn evidence_path(&self) -> PathBuf {
        self.0.join(EVIDENCE)
    }

    /// Whether a nonce was used here.
    pub fn is_used(&self, nonce: &str) -> bool {
        // What cannot be looked at counts as used.
        self.0.join("nonces").join(nonce).try_exists().unwrap_or(true)
    }

    /// Uses a nonce up.
    ///
    /// # Errors
    /// [`Exit::Policy`] where it was used before, also by somebody at the same moment.
    pub fn spend(&self, nonce: &str) -> Result<()> {
        if self.mark("nonces", nonce)? {
            return Ok(());
        }
        Err(Exit::Policy.refuse(used(nonce)))
    }

    /// Why a manifest is not valid any more, if it is not: it was revoked, or the key of one who signed it.
    pub fn revoked(&self, manifest: &Manifest) -> Option<String> {
        let is_there = |name: &str| self.0.join("revoked").join(name).try_exists().unwrap_or(true);
        if is_there(&manifest.terms.digest()) {
            return Some("the manifest was revoked".into());
        }
        let signed = manifest.signatures.iter().find(|s| is_there(&s.key));
        signed.map(|s| format!("the key that signed as {} was revoked", s.role))
    }

    /// Revokes a manifest by the digest of its terms, or a signer by the public key; false where it was already.
    ///
    /// # Errors
    /// [`Exit::Usage`] for what is neither; else when it cannot be written.
    pub fn revoke(&self, what: &str) -> Result<bool> {
        if !is_hash(what) {
            return Err(Exit::Usage.refuse(format!(
                "\"{what}\" is neither a manifest's digest nor a public key: 64 digits of hex"
            )));
        }
        self.mark("revoked", what)
    }

    /// Whether a run ended well here before.
    pub fn is_introduced(&self) -> bool {
        self.0.join("introduced").exists()
    }

    /// Notes that one did.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn introduce(&self) -> Result<()> {
        self.mark(".", "introduced").map(drop)
    }

    /// Writes the draft of an incident's report; where it is.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn incident(&self, run: &str, text: &str) -> Result<PathBuf> {
        let folder = self.0.join("incidents");
        make(&folder)?;
        let path = folder.join(format!("{run}.md"));
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// Makes an empty file that lasts; false where it is there already.
    fn mark(&self, folder: &str, name: &str) -> Result<bool> {
        let folder = self.0.join(folder);
        make(&folder)?;
        let path = folder.join(name);
        let last = |file: File| file.sync_all().and_then(|()| File::open(&folder)?.sync_all());
        let open = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        match open.and_then(last) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(e) => Err(e).with_context(|| format!("cannot write {}", path.display())),
        }
    }
}

/// What is said of a nonce that came twice.
pub(super) fn used(nonce: &str) -> String {
    let short = nonce.get(..12).unwrap_or(nonce);
    format!(
        "this manifest was used here before (nonce {short}...): a manifest is for one run; draft a \
         new one and have it signed"
    )
}

/// Whether a text is 32 bytes in hex, and nothing that leads to another folder.
pub(super) fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn make(folder: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("cannot make {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_used_once() {
        let dir = std::env::temp_dir().join(format!("ashiato-records-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        let nonce = "ab".repeat(32);
        let records = Records::at(&dir);
        assert!(!records.is_used(&nonce) && !records.is_introduced());
        records.spend(&nonce).unwrap();
        // A daemon that starts again knows it.
        let again = Records::at(&dir);
        assert!(again.is_used(&nonce));
        assert_eq!(Exit::of(&again.spend(&nonce).unwrap_err()), Exit::Policy);
        assert!(records.revoke(&nonce).unwrap() && !records.revoke(&nonce).unwrap());
        assert_eq!(Exit::of(&records.revoke("../x").unwrap_err()), Exit::Usage);
        records.introduce().unwrap();
        assert!(again.is_introduced());
        fs::remove_dir_all(dir).unwrap();
    }
}
