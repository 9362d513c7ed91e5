//! Why a database could not be opened, for the operator who has to change something about it.

use std::io;
use std::path::{Path, PathBuf};

use crate::error::sqlite_result;

/// SQLite's result codes for a file that is corrupt and for one that is no database.
const DAMAGED: [i32; 2] = [11, 26];

/// Why a database could not be opened. Each message is complete: it names the file and says why.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder of the file does not exist; we do not make folders for typing errors.
    #[error("the folder of {} does not exist", .path.display())]
    FolderMissing {
        /// The file that was to be opened.
        path: PathBuf,
    },
    /// The file is there, but it is something else than a database, or damaged.
    #[error("{} is not a SQLite database, or a damaged one: {cause}", .path.display())]
    NotADatabase {
        /// The file that was to be opened.
        path: PathBuf,
        /// What SQLite found.
        cause: sqlx::Error,
    },
    /// The operating system refuses, most often for lack of permission.
    #[error("{} cannot be opened: {cause}", .path.display())]
    Inaccessible {
        /// The file that was to be opened.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// SQLite refuses: the file cannot be written, another process holds it for too long.
    #[error("{} cannot be opened: {cause}", .path.display())]
    Refused {
        /// The file that was to be opened.
        path: PathBuf,
        /// Why.
        cause: sqlx::Error,
    },
    /// Another process serves this file.
    #[error("{} is in use by {}", .path.display(), process(*.pid))]
    InUse {
        /// The database.
        path: PathBuf,
        /// The process that has it, if it could be read.
        pid: Option<u32>,
    },
}

impl OpenError {
    pub(super) fn from_io(path: &Path, cause: io::Error) -> Self {
        let path = path.to_owned();
        if cause.kind() == io::ErrorKind::NotFound {
            return Self::FolderMissing { path };
        }
        Self::Inaccessible { path, cause }
    }

    pub(super) fn from_engine(path: &Path, cause: sqlx::Error) -> Self {
        let path = path.to_owned();
        if sqlite_result(&cause).is_some_and(|result| DAMAGED.contains(&result)) {
            return Self::NotADatabase { path, cause };
        }
        Self::Refused { path, cause }
    }
}

fn process(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}
