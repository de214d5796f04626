//! Files that are written once.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Writes a file where none is yet, whole or not at all: a key that is replaced by accident locks everybody out, and
/// so does half a key.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] where there is one, or why it cannot be written.
pub fn write_new(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(format!(".{}", std::process::id()));
    // Of a process of the same number that was killed in between.
    let _ = fs::remove_file(&aside);
    let open = OpenOptions::new().write(true).create_new(true).mode(mode).open(&aside);
    let written = open.and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    // A link fails where its name is taken.
    let linked = written.and_then(|()| fs::hard_link(&aside, path));
    let _ = fs::remove_file(&aside);
    linked
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_is_written_once_with_nothing_beside_it() {
        let dir = std::env::temp_dir().join(format!("ashiato-once-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join("key");
        fs::write(dir.join(format!("key.{}", std::process::id())), "half").unwrap();
        write_new(&path, "whole", 0o600).unwrap();
        let again = write_new(&path, "other", 0o600).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "whole");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
        fs::remove_dir_all(dir).unwrap();
    }
}
