//! A finished run as one file, to hand to another lab: a compressed tar archive of its folder.
//!
//! Equal folders give equal archives. An archive from elsewhere is hostile until it has been read: it holds
//! plain files under one folder, of which it names none twice, and of a limited size together.

use crate::exit::Exit;
use crate::run::folder;
use anyhow::{Context, Result, ensure};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};
use tar::{Archive, EntryType, Header};

/// Bytes of all files of an archive together, unpacked.
pub const MOST_BYTES: u64 = 4 << 30;
/// Files of an archive.
pub const MOST_FILES: usize = 200_000;

/// Packs a run's folder under the run's name.
///
/// # Errors
/// Where a file cannot be read or the archive not be written.
pub fn pack(run: &str, from: &Path, to: &mut impl Write) -> Result<()> {
    let mut files = vec![];
    folder::list(from, &mut files)?;
    files.sort();
    let mut archive = tar::Builder::new(GzEncoder::new(to, Compression::default()));
    for file in files {
        let name = file.strip_prefix(from).unwrap_or(&file);
        let bytes = fs::read(&file).with_context(|| file.display().to_string())?;
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o644);
        header.set_size(bytes.len() as u64);
        archive.append_data(&mut header, Path::new(run).join(name), &bytes[..])?;
    }
    archive.into_inner()?.finish()?;
    Ok(())
}

/// Unpacks an archive into a folder that does not exist yet: the one given, or that of the run's name under
/// `runs/`. Returns the folder. Nothing is left of an archive that is refused.
///
/// # Errors
/// [`Exit::Usage`] with what is wrong with the archive, or where the folder exists.
pub fn unpack(archive: &Path, to: Option<&Path>) -> Result<PathBuf> {
    let file = File::open(archive)
        .map_err(|e| Exit::Usage.refuse(format!("{}: {e}", archive.display())))?;
    let part = match to {
        Some(to) => to.with_extension("part"),
        None => Path::new("runs").join(format!("import-{}.part", std::process::id())),
    };
    let unpacked = fill(file, &part).and_then(|run| {
        let folder = to.map_or_else(|| Path::new("runs").join(run), Path::to_path_buf);
        ensure!(!folder.exists(), "{} exists: give --out a new folder", folder.display());
        fs::rename(&part, &folder)?;
        Ok(folder)
    });
    unpacked.map_err(|error| {
        // Ours alone, made a moment ago.
        let _ = fs::remove_dir_all(&part);
        Exit::Usage.refuse(format!("{}: {error:#}", archive.display()))
    })
}

/// Writes an archive's files into a new folder, without the folder they lie in; returns that one's name.
fn fill(file: impl Read, to: &Path) -> Result<String> {
    ensure!(!to.exists(), "{} is in the way", to.display());
    fs::create_dir_all(to)?;
    let (mut top, mut files, mut left) = (None, 0, MOST_BYTES);
    for entry in Archive::new(GzDecoder::new(file)).entries().context("no archive")? {
        let mut entry = entry.context("no archive of a run")?;
        let path = entry.path()?.into_owned();
        let name = path.display();
        files += 1;
        ensure!(files <= MOST_FILES, "more than {MOST_FILES} files");
        ensure!(entry.header().entry_type() == EntryType::Regular, "{name} is no plain file");
        let (run, inside) = split(&path).with_context(|| format!("{name} leads elsewhere"))?;
        ensure!(*top.get_or_insert_with(|| run.clone()) == run, "{name} is in a second folder");
        left = left.checked_sub(entry.size()).context("more than 4 GiB of files")?;
        let target = to.join(inside);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut out = File::create_new(&target).with_context(|| format!("{name} twice"))?;
        io::copy(&mut entry, &mut out).with_context(|| format!("{name} is cut short"))?;
    }
    top.context("an archive without files")
}

/// A path of plain names: the first, and the rest.
fn split(path: &Path) -> Option<(String, PathBuf)> {
    let mut names = path.components().map(|part| match part {
        Component::Normal(name) => name.to_str(),
        _ => None,
    });
    let run = names.next()??.to_string();
    let inside: PathBuf = names.collect::<Option<_>>()?;
    (inside.components().next().is_some()).then_some((run, inside))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let dir =
            std::env::temp_dir().join(format!("ashiato-archive-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.join("run/graph")).unwrap();
        fs::write(dir.join("run/summary.json"), "{}").unwrap();
        fs::write(dir.join("run/graph/fms.json"), vec![7; 100_000]).unwrap();
        dir
    }

    /// An archive of one entry, whatever it is called.
    fn hostile(dir: &Path, path: &str, kind: EntryType) -> PathBuf {
        let mut header = Header::new_gnu();
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(kind);
        header.set_size(2);
        header.set_cksum();
        let file = dir.join("hostile");
        let mut tar =
            tar::Builder::new(GzEncoder::new(File::create(&file).unwrap(), Compression::none()));
        tar.append(&header, &b"{}"[..]).unwrap();
        tar.into_inner().unwrap().finish().unwrap();
        file
    }

    #[test]
    fn a_folder_comes_out_as_it_went_in() {
        let dir = folder("round");
        let (mut first, mut second) = (vec![], vec![]);
        pack("01J", &dir.join("run"), &mut first).unwrap();
        pack("01J", &dir.join("run"), &mut second).unwrap();
        assert_eq!(first, second);
        fs::write(dir.join("a.tar.gz"), &first).unwrap();
        let out = unpack(&dir.join("a.tar.gz"), Some(&dir.join("again"))).unwrap();
        assert_eq!(fs::read(out.join("graph/fms.json")).unwrap(), vec![7; 100_000]);
        assert!(unpack(&dir.join("a.tar.gz"), Some(&dir.join("again"))).is_err());
        fs::write(dir.join("cut"), &first[..first.len() / 2]).unwrap();
        assert!(unpack(&dir.join("cut"), Some(&dir.join("cut-out"))).is_err());
        assert!(!dir.join("cut-out").exists() && !dir.join("cut-out.part").exists());
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn nothing_is_written_elsewhere() {
        let dir = folder("hostile");
        for (path, kind) in [
            ("../out", EntryType::Regular),
            ("/etc/out", EntryType::Regular),
            ("run/../../out", EntryType::Regular),
            ("alone", EntryType::Regular),
            ("run/link", EntryType::Symlink),
            ("run/link", EntryType::Link),
            ("run/null", EntryType::Char),
        ] {
            let archive = hostile(&dir, path, kind);
            let error = unpack(&archive, Some(&dir.join("new"))).unwrap_err();
            assert_eq!(Exit::of(&error), Exit::Usage, "{path}");
            assert!(!dir.join("new").exists() && !dir.join("new.part").exists(), "{path}");
        }
        fs::remove_dir_all(dir).unwrap();
    }
}
