//! One row, read at once: on the thread that asks, without another thread's help.
//!
//! sqlx does all work of a SQLite connection on a thread of the connection's own, so that a read costs two changes of
//! threads: several times what it takes to find a row in pages that are in memory. Readers wait for nobody here
//! (write-ahead log), so a row by its key may as well be read in between, as one would look into a map.
//!
//! Nothing waits here. When there is no connection left, when SQLite would have to wait (another process recovers the
//! log), and when anything at all goes wrong, the answer is [`NotAtOnce`]: the caller asks the pool, which has the time,
//! and which says what an error means. The pool reads the same file with the same statement, so that both find the same.
//!
//! But for the disk: a page that is not in memory is read on this very thread, and a disk that hangs holds all threads that
//! come to it, until nothing of the process answers. Every call needs a page of the same disk, so that what is lost is only
//! who says that nothing works. To keep one thread out of here would make calls that meet wait for the pool instead, and on
//! one core all of them.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OpenFlags, ToSql, params_from_iter};

/// What is bound to a statement.
#[derive(Clone, Copy, Debug)]
pub enum Parameter<'a> {
    /// A number.
    Integer(i64),
    /// A text.
    Text(&'a str),
    /// Bytes.
    Blob(&'a [u8]),
}

impl ToSql for Parameter<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// It was not read: ask the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the row could not be read at once")]
pub struct NotAtOnce;

/// The row that was found. Columns are counted from 0; one of another type than is asked for is [`NotAtOnce`].
#[derive(Debug)]
pub struct Row<'a>(&'a rusqlite::Row<'a>);

impl Row<'_> {
    /// A number.
    pub fn integer(&self, column: usize) -> Result<i64, NotAtOnce> {
        match self.0.get_ref(column) {
            Ok(ValueRef::Integer(number)) => Ok(number),
            _ => Err(NotAtOnce),
        }
    }

    /// A text.
    pub fn text(&self, column: usize) -> Result<&str, NotAtOnce> {
        self.optional_text(column)?.ok_or(NotAtOnce)
    }

    /// A text, or nothing.
    pub fn optional_text(&self, column: usize) -> Result<Option<&str>, NotAtOnce> {
        match self.0.get_ref(column) {
            Ok(ValueRef::Null) => Ok(None),
            Ok(ValueRef::Text(text)) => std::str::from_utf8(text).map(Some).map_err(|_| NotAtOnce),
            _ => Err(NotAtOnce),
        }
    }

    /// Bytes.
    pub fn blob(&self, column: usize) -> Result<&[u8], NotAtOnce> {
        match self.0.get_ref(column) {
            Ok(ValueRef::Blob(bytes)) => Ok(bytes),
            _ => Err(NotAtOnce),
        }
    }
}

/// The connections that read at once. Each is opened when it is first needed, and lent for the time of one read.
#[derive(Debug)]
pub(super) struct AtOnce {
    path: PathBuf,
    slots: Vec<Mutex<Slot>>,
}

/// A place for a connection.
#[derive(Debug)]
enum Slot {
    Unused,
    Open(Connection),
    Closed,
}

impl AtOnce {
    /// At most `connections` of them.
    pub(super) fn new(path: &Path, connections: usize) -> Self {
        let slots = (0..connections).map(|_| Mutex::new(Slot::Unused)).collect();
        Self { path: path.to_owned(), slots }
    }

    /// The first row of the statement's answer, if there is one, as `read` understands it.
    pub(super) fn read<T>(
        &self,
        sql: &'static str,
        parameters: &[Parameter<'_>],
        read: impl FnOnce(&Row<'_>) -> Result<T, NotAtOnce>,
    ) -> Result<Option<T>, NotAtOnce> {
        let mut slot = self.free().ok_or(NotAtOnce)?;
        let connection = slot.connection(&self.path).map_err(passed_on)?;
        let mut statement = connection.prepare_cached(sql).map_err(passed_on)?;
        let mut rows = statement.query(params_from_iter(parameters)).map_err(passed_on)?;
        rows.next().map_err(passed_on)?.map(|row| read(&Row(row))).transpose()
    }

    /// A place that nobody uses, if possible one whose connection was used just now.
    fn free(&self) -> Option<MutexGuard<'_, Slot>> {
        self.slots.iter().find_map(|slot| match slot.try_lock() {
            Ok(slot) => Some(slot),
            // A reader of a row panicked; its statement was reset as it unwound.
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        })
    }

    /// Closes every connection; there will be no others.
    pub(super) fn close(&self) {
        for slot in &self.slots {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Slot::Closed;
        }
    }
}

impl Slot {
    fn connection(&mut self, path: &Path) -> rusqlite::Result<&Connection> {
        if matches!(self, Self::Unused) {
            *self = Self::Open(open(path)?);
        }
        match self {
            Self::Open(connection) => Ok(connection),
            Self::Unused | Self::Closed => Err(rusqlite::Error::InvalidQuery),
        }
    }
}

/// As the pool's readers are, but for the wait.
fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::ZERO)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// The pool will say it again, if it lasts.
fn passed_on(error: rusqlite::Error) -> NotAtOnce {
    tracing::debug!(%error, "a row could not be read at once");
    NotAtOnce
}
