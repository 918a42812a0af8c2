//! Files that are whole or not there.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Writes a file so that a reader, or a crash, finds the old content or the new one. Several threads and processes may
/// write the same file; one of them is the last.
///
/// # Errors
/// As of the file system. The file is unchanged then, and nothing half written stays.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    let mut file = tempfile::Builder::new()
        .prefix(&hidden)
        .suffix(".tmp")
        // As any new file: what the umask leaves.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(dir)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_else_stays() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("file");
        write_whole(&path, b"old and longer")?;
        write_whole(&path, b"new")?;
        assert_eq!(std::fs::read(&path)?, b"new");
        assert_eq!(std::fs::read_dir(dir.path())?.count(), 1);
        Ok(())
    }

    #[test]
    fn a_file_that_cannot_take_its_place_leaves_nothing_behind() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let taken = dir.path().join("taken");
        std::fs::create_dir(&taken)?;
        assert!(write_whole(&taken, b"new").is_err());
        assert!(write_whole(Path::new("/"), b"new").is_err());
        assert_eq!(std::fs::read_dir(dir.path())?.count(), 1);
        Ok(())
    }
}
