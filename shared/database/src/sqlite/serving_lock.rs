//! One serving process per SQLite file. Two would work on the file itself, but not on what each keeps in
//! memory and tells its callers.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::OpenError;
use super::file::OWNER_ONLY;

/// The claim of this process to serve a file, until it is dropped or the process ends, however it ends.
///
/// A lock on `FILE.lock` beside the database, which also holds the process id for the message to the next
/// one. That file stays: to delete it would let a third process lock a new file of the same name while a
/// second waits for the old one.
#[derive(Debug)]
#[must_use = "the claim ends when it is dropped"]
pub struct ServingLock {
    _locked: File,
}

impl ServingLock {
    /// Claims the database at `path`, or says who has it.
    pub fn acquire(path: &Path) -> Result<Self, OpenError> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(OWNER_ONLY)
            .open(lock_path(path))
            .map_err(|error| OpenError::from_io(path, error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::InUse { path: path.to_owned(), pid: pid_in(&mut file) });
            }
            Err(TryLockError::Error(error)) => return Err(OpenError::from_io(path, error)),
        }
        write_pid(&mut file).map_err(|error| OpenError::from_io(path, error))?;
        Ok(Self { _locked: file })
    }
}

/// Beside the real file, so that a symbolic link to it leads to the same lock.
fn lock_path(path: &Path) -> PathBuf {
    let mut name = OsString::from(fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()));
    name.push(".lock");
    name.into()
}

fn pid_in(file: &mut File) -> Option<u32> {
    let mut content = String::new();
    file.take(32).read_to_string(&mut content).ok()?;
    content.trim().parse().ok()
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use tempfile::TempDir;

    use super::ServingLock;

    #[test]
    fn a_second_claim_is_refused_and_told_who_has_the_file() {
        let folder = TempDir::new().expect("a folder");
        let path = folder.path().join("auth.sqlite");
        let _first = ServingLock::acquire(&path).expect("free");
        let refusal = ServingLock::acquire(&path).expect_err("taken").to_string();
        assert_eq!(refusal, format!("{} is in use by process {}", path.display(), std::process::id()));
    }

    #[test]
    fn a_claim_ends_when_it_is_dropped() {
        let folder = TempDir::new().expect("a folder");
        let path = folder.path().join("auth.sqlite");
        drop(ServingLock::acquire(&path).expect("free"));
        drop(ServingLock::acquire(&path).expect("free again"));
        let mode = fs::metadata(path.with_extension("sqlite.lock")).expect("stays").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_claim_on_a_link_is_one_on_the_file() {
        let folder = TempDir::new().expect("a folder");
        let (path, link) = (folder.path().join("auth.sqlite"), folder.path().join("link"));
        fs::write(&path, "").expect("write");
        symlink(&path, &link).expect("link");
        let _first = ServingLock::acquire(&path).expect("free");
        assert!(ServingLock::acquire(&link).is_err());
    }

    #[test]
    fn a_claim_in_no_folder_names_the_file() {
        let refusal =
            ServingLock::acquire("/nowhere/auth.sqlite".as_ref()).expect_err("no folder").to_string();
        assert_eq!(refusal, "the folder of /nowhere/auth.sqlite does not exist");
    }
}
