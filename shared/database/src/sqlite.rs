//! A SQLite file as a store uses it: one connection that writes, several that only read.
//!
//! SQLite has one writer at a time whatever we do. With one connection for it, writers wait for each other
//! in the pool's fair queue instead of colliding in the file, so that none of them ever sees "database is
//! locked", however many there are. Readers never wait for the writer (write-ahead log) and cannot write.
//!
//! Cancellation is safe here, unlike on PostgreSQL: sqlx's worker thread rolls back a `BEGIN` that nobody
//! waits for any more, and does what a dropped transaction asks for before anything that comes later. The
//! tests hold it to that.

use std::future::ready;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use sqlx::pool::PoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqliteSynchronous};
use sqlx::{Connection, Transaction};
use tokio::time::{Instant, sleep};

use crate::PoolUsage;
use crate::error::sqlite_result;
use at_once::AtOnce;

mod at_once;
mod file;
mod open_error;
mod serving_lock;

pub use at_once::{NotAtOnce, Parameter, Row};
pub use open_error::OpenError;
pub use serving_lock::ServingLock;

/// How long a writer waits for its turn, and a reader for a connection: as long as for a connection to a server.
const ACQUIRE_WAIT: Duration = Duration::from_secs(2);

/// How long SQLite itself waits for another process, such as a command that runs beside the server: well below the
/// deadline of a call (10 s), so that callers hear that the store is busy and not that their time is over.
const BUSY_WAIT: Duration = Duration::from_secs(4);

/// SQLite's result code for a file that another connection holds.
const BUSY: i32 = 5;

/// Takes the write lock at once.
const BEGIN: &str = "begin immediate";

/// How soon a process that found a file busy while opening it comes again.
const OPENING_PAUSE: Duration = Duration::from_millis(10);

/// What the write-ahead log shrinks to after it had to grow under a long read.
const JOURNAL_SIZE_LIMIT: &str = "67108864";

/// Where the database is and how much it may use.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// The file. It is created if it is absent; its folder is not.
    pub path: PathBuf,
    /// Connections in all, the one that writes included. There is always at least one to read; from three on, some of
    /// them read at once, see [`Sqlite::read_at_once`].
    pub max_connections: u32,
}

/// An open SQLite database. Clones share the connections.
#[derive(Debug, Clone)]
pub struct Sqlite {
    path: PathBuf,
    writer: SqlitePool,
    readers: SqlitePool,
    at_once: Arc<AtOnce>,
}

impl Sqlite {
    /// Opens the file, creating it with mode 0600 if it is absent, and makes sure that it is a database that
    /// can be written. Says nothing about its schema.
    pub async fn open(options: &SqliteOptions) -> Result<Self, OpenError> {
        let path = &options.path;
        file::create_if_absent(path)?;

        let connect = SqliteConnectOptions::new()
            .filename(path)
            .busy_timeout(BUSY_WAIT)
            .foreign_keys(true)
            .synchronous(SqliteSynchronous::Full);
        let write = connect
            .clone()
            .journal_mode(SqliteJournalMode::Wal)
            .pragma("journal_size_limit", JOURNAL_SIZE_LIMIT);
        let read = connect.pragma("query_only", "on");

        let writer = writer(write).await.map_err(|cause| OpenError::from_engine(path, cause))?;
        let (pooled, at_once) = shares(options.max_connections);
        let readers = pool(ACQUIRE_WAIT, pooled).connect_lazy_with(read);
        let at_once = Arc::new(AtOnce::new(path, at_once));

        let database = Self { path: path.clone(), writer, readers, at_once };
        database.prove_usable().await.map_err(|cause| OpenError::from_engine(path, cause))?;
        Ok(database)
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Claims the file for one serving process; commands that run beside it do not ask.
    pub fn serving_lock(&self) -> Result<ServingLock, OpenError> {
        ServingLock::acquire(&self.path)
    }

    /// The connections that read. They refuse to write.
    #[must_use]
    pub fn reader(&self) -> &SqlitePool {
        &self.readers
    }

    /// Reads a row by its key on this very thread, if that can be done without waiting; see the module `at_once`.
    ///
    /// For statements that find at most a few rows by an index, and on every call: what takes long would hold up
    /// everything else that this thread has to do.
    pub fn read_at_once<T>(
        &self,
        sql: &'static str,
        parameters: &[Parameter<'_>],
        read: impl FnOnce(&Row<'_>) -> Result<T, NotAtOnce>,
    ) -> Result<Option<T>, NotAtOnce> {
        self.at_once.read(sql, parameters, read)
    }

    /// Waits for the turn to write and begins a transaction that holds the write lock from the start, so
    /// that what it reads cannot change before it writes. Rolled back when it is dropped.
    pub async fn write(&self) -> Result<Transaction<'static, sqlx::Sqlite>, sqlx::Error> {
        self.writer.begin_with(BEGIN).await
    }

    /// Waits for the connections in use and closes them all. The writer is the last: it folds the
    /// write-ahead log back into the file.
    pub async fn close(&self) {
        self.at_once.close();
        self.readers.close().await;
        self.writer.close().await;
    }

    /// How many connections of the two pools are in use. Those that read at once are lent for a moment and not counted.
    #[must_use]
    pub fn usage(&self) -> [PoolUsage; 2] {
        [PoolUsage::of("writer", &self.writer, 0), PoolUsage::of("readers", &self.readers, 0)]
    }

    /// Takes the write lock and reads: a read-only or corrupt file is found now and not by the first caller.
    async fn prove_usable(&self) -> Result<(), sqlx::Error> {
        self.write().await?.rollback().await?;
        self.readers.acquire().await?.ping().await
    }
}

/// How many of the connections that read are in the pool, and how many read at once. More than there are threads to read
/// on would never be used.
fn shares(max_connections: u32) -> (u32, usize) {
    let readers = max_connections.saturating_sub(1).max(1);
    let threads =
        available_parallelism().map_or(1, |threads| u32::try_from(threads.get()).unwrap_or(u32::MAX));
    let at_once = (readers / 2).min(threads);
    (readers - at_once, at_once as usize)
}

/// The connection that writes. Of several processes that turn the write-ahead log on at once, one does and the others are
/// told that the file is busy at once, whatever the busy timeout: they come again.
async fn writer(options: SqliteConnectOptions) -> Result<SqlitePool, sqlx::Error> {
    let end = Instant::now() + BUSY_WAIT;
    loop {
        // A disk that is full, or fails, makes SQLite roll back by itself. sqlx's own rollback then finds nothing to roll back,
        // and it takes the connection for one inside a transaction ever after: no writer would come through again.
        let pool = pool(ACQUIRE_WAIT, 1)
            .before_acquire(|connection, _| Box::pin(ready(Ok(!connection.is_in_transaction()))));
        match pool.connect_with(options.clone()).await {
            Err(error) if sqlite_result(&error) == Some(BUSY) && Instant::now() < end => {
                sleep(OPENING_PAUSE).await;
            }
            outcome => return outcome,
        }
    }
}

/// Connections to a file have no reason to age: there is no server that could move.
fn pool(wait: Duration, connections: u32) -> PoolOptions<sqlx::Sqlite> {
    PoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(wait)
        .idle_timeout(None)
        .max_lifetime(None)
}

#[cfg(test)]
mod tests;
