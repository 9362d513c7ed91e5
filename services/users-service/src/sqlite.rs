//! The store on SQLite: one file, one writer at a time.
//!
//! One file for each aggregate. Knows nothing of gRPC.

mod bootstrap;
mod feed;
mod list_users;
mod requests;
mod reservations;
mod row;
mod users;

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;

use clock::SystemClock;
use database::schema::{self, Migrator};
use database::sqlite::OpenError;
use database::{PoolUsage, SchemaError, ServingLock, Sqlite, SqliteOptions};
use identity::{AccountVersion, Timestamp, UserId};
use users_core::StoreError;
use users_core::domain::{User, UserKey};
use users_core::ports::{Reader, Store, Transaction};

use crate::engine::ServedStore;
use crate::measurements::DATABASE;
use crate::stored;

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/users/sqlite");

/// Users in a SQLite file.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    reader: SqliteReader,
    clock: SystemClock,
}

/// What queries read from: connections that cannot write.
#[derive(Clone, Debug)]
pub struct SqliteReader(Sqlite);

/// A transaction that holds the write lock from its beginning.
#[derive(Debug)]
pub struct SqliteTransaction {
    tx: sqlx::Transaction<'static, sqlx::Sqlite>,
    clock: SystemClock,
}

impl SqliteStore {
    /// Opens the file; says nothing about its schema.
    pub async fn open(options: &SqliteOptions, clock: SystemClock) -> Result<Self, OpenError> {
        Ok(Self { reader: SqliteReader(Sqlite::open(options).await?), clock })
    }

    /// Claims the file for this process alone.
    pub fn serving_lock(&self) -> Result<ServingLock, OpenError> {
        self.reader.0.serving_lock()
    }
}

impl ServedStore for SqliteStore {
    async fn migrate(&self) -> Result<(), SchemaError> {
        schema::migrate(&self.reader.0, &MIGRATIONS).await
    }

    async fn check_schema(&self) -> Result<(), SchemaError> {
        schema::check(&self.reader.0, &MIGRATIONS).await
    }

    async fn page_token_key(&self) -> Result<[u8; 32], StoreError> {
        let key = sqlx::query_scalar("select page_token_key from service")
            .fetch_one(self.reader.0.reader())
            .await
            .map_err(failed)?;
        stored::page_token_key(key)
    }

    async fn probe(&self) -> Result<(), SchemaError> {
        let versions = sqlx::query_as(schema::VERSIONS).fetch_one(self.reader.0.reader()).await?;
        schema::still_fits(&MIGRATIONS, versions)
    }

    fn connections(&self) -> Vec<PoolUsage> {
        self.reader.0.usage().to_vec()
    }

    async fn close(&self) {
        self.reader.0.close().await;
    }
}

/// Held while a super admin is made: the operating system takes it back when the process dies.
#[derive(Debug)]
pub struct BootstrapLock {
    _locked: File,
}

impl Store for SqliteStore {
    type Tx = SqliteTransaction;
    type Reader = SqliteReader;
    type BootstrapLock = BootstrapLock;

    async fn begin(&self) -> Result<SqliteTransaction, StoreError> {
        let tx = database::usage::begun(DATABASE, self.reader.0.write()).await.map_err(failed)?;
        Ok(SqliteTransaction { tx, clock: self.clock.clone() })
    }

    /// There is one writer, and whoever wants it waits in one fair queue.
    async fn begin_costly(&self) -> Result<SqliteTransaction, StoreError> {
        self.begin().await
    }

    fn reader(&self) -> &SqliteReader {
        &self.reader
    }

    async fn find_user(&self, key: &UserKey) -> Result<Option<User>, StoreError> {
        self.reader.find_user(key).await
    }

    async fn has_reached(&self, id: UserId, version: &AccountVersion) -> Result<bool, StoreError> {
        users::has_reached(self.reader.0.reader(), id, version).await
    }

    async fn bootstrap_lock(&self) -> Result<Option<BootstrapLock>, StoreError> {
        let mut path = self.reader.0.path().as_os_str().to_owned();
        path.push(".bootstrap.lock");
        let options = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
        let file = options.map_err(|error| StoreError::Unavailable(error.into()))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(BootstrapLock { _locked: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(StoreError::Unavailable(error.into())),
        }
    }

    /// A commit here has an outcome.
    async fn wait_before_attempt(&self, _: u32) -> bool {
        false
    }
}

impl Transaction for SqliteTransaction {
    async fn now(&mut self) -> Result<Timestamp, StoreError> {
        Ok(self.clock.now())
    }

    async fn commit(self) -> Result<(), StoreError> {
        // SQLite commits within this process: an error means that it did not happen.
        self.tx.commit().await.map_err(failed)
    }
}

impl SqliteTransaction {
    /// The same moment as [`Transaction::now`], which cannot fail here.
    fn time(&self) -> Timestamp {
        self.clock.now()
    }
}

/// What an error of the engine means for whoever asked.
fn failed(error: sqlx::Error) -> StoreError {
    database::usage::count_timeout(DATABASE, &error);
    stored::failed(database::error::is_unavailable(&error), error)
}

#[cfg(test)]
mod tests;
