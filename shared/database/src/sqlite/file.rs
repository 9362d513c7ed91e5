//! The database's file before SQLite sees it. Knows modes and folders, not databases.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::OpenError;

/// Only the owner may read what is in a database.
pub(super) const OWNER_ONLY: u32 = 0o600;

/// Makes an empty file for its owner alone; SQLite gives the write-ahead log the same mode.
///
/// A file that is there is not opened, not even to look: closing it again would drop the locks that SQLite
/// holds on it in this process (POSIX locks belong to process and file, not to the descriptor).
pub(super) fn create_if_absent(path: &Path) -> Result<(), OpenError> {
    match OpenOptions::new().write(true).create_new(true).mode(OWNER_ONLY).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(OpenError::from_io(path, error)),
    }
}
