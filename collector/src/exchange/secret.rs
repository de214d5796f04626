//! A domain's own secret, in a file that its collector makes at its first start and nobody else reads.

use super::config::bad;
use crate::files::write_new;
use crate::server::{ServeError, read};
use ring::rand::{SecureRandom, SystemRandom};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use traceback::invariant::Key;

/// The key in a file: two words of 16 hexadecimal digits. A file that is not there is made, with a key that nobody
/// knows.
///
/// # Errors
/// Where the file cannot be made or read, is no key, or may be read by others.
pub(super) fn read_or_make(path: &Path) -> Result<Key, ServeError> {
    match make(path) {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
        Err(e) => return Err(bad(path, format!("cannot make a key: {e}"))),
        Ok(()) => tracing::info!("exchange: made a key for aliases in {}", path.display()),
    }
    let about = fs::metadata(path).map_err(|e| bad(path, e))?;
    if about.permissions().mode() & 0o077 != 0 {
        return Err(bad(path, "others may read this key; chmod 600 it"));
    }
    parse(&read(path)?).ok_or_else(|| bad(path, "a key is two words of 16 hexadecimal digits"))
}

fn make(path: &Path) -> std::io::Result<()> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| std::io::Error::other("no randomness"))?;
    let (a, b) = bytes.split_at(8);
    write_new(path, &format!("{} {}\n", hex::encode(a), hex::encode(b)), 0o600)
}

fn parse(text: &str) -> Option<Key> {
    let word = |text: &str| u64::from_str_radix(text, 16).ok().filter(|_| text.len() == 16);
    let [a, b] = text.split_whitespace().collect::<Vec<_>>()[..] else { return None };
    Some(Key(word(a)?, word(b)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_kept_from_others() {
        let path = std::env::temp_dir().join(format!("ashiato-alias-{}", std::process::id()));
        let _ = fs::remove_file(&path);
        let key = read_or_make(&path).unwrap();
        assert_eq!(read_or_make(&path).unwrap(), key);
        let mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        mode(0o640);
        assert!(read_or_make(&path).unwrap_err().to_string().contains("chmod 600"));
        mode(0o600);
        for no_key in ["", "1 2", "00000000000000zz 0000000000000000"] {
            fs::write(&path, no_key).unwrap();
            assert!(read_or_make(&path).is_err(), "{no_key}");
        }
        fs::remove_file(&path).unwrap();
        let other = read_or_make(&path).unwrap();
        assert_ne!(other, key);
        fs::remove_file(path).unwrap();
    }
}
