//! The store on PostgreSQL: one primary that several replicas of this service share, and a read replica for queries if
//! there is one.
//!
//! One file for each aggregate. Everything runs on a connection that is lent for it, never two at once, so a pool of one
//! is enough. Locks are taken in one order everywhere: requests, users by id, reservations, the feed. Times are the
//! server's. Knows nothing of gRPC.

mod bootstrap;
mod feed;
mod list_users;
mod reader;
mod requests;
mod reservations;
mod row;
mod users;

use std::time::Duration;

use clock::SystemClock;
use database::error::{is_past_deadline, is_unavailable};
use database::postgres::{CommitError, Deadline, OpenError};
use database::schema::{self, Migrator};
use database::{PoolUsage, Postgres, PostgresOptions, SchemaError};
use identity::{AccountVersion, Timestamp, UserId};
use tokio::time::sleep;
use users_core::StoreError;
use users_core::domain::{User, UserKey};
use users_core::ports::{Store, Transaction};

use crate::engine::ServedStore;
use crate::measurements::DATABASE;
use crate::stored;

use bootstrap::BootstrapLock;
pub use reader::PgReader;

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/users/postgres");

/// How long a server that went away during a commit is waited for: 50 ms, twice as long each time, about 6 s in all.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const ATTEMPTS: u32 = 7;

/// What is kept of a caller's deadline for what comes after a wait: the primary's answer, and ours.
const TIME_TO_ANSWER: Duration = Duration::from_millis(200);

/// Users in a PostgreSQL database.
#[derive(Clone, Debug)]
pub struct PgStore {
    primary: Postgres,
    reader: PgReader,
    clock: SystemClock,
}

/// A transaction. What it reads and does not lock may be changed by others before it ends.
#[derive(Debug)]
pub struct PgTransaction {
    tx: database::postgres::Transaction,
    clock: SystemClock,
}

impl PgStore {
    /// Connects to the primary; says nothing about its schema, nor about the replica, which may come and go. Nobody waits
    /// for either for longer than the deadline of whoever asks.
    pub async fn open(
        primary: &PostgresOptions,
        replica: Option<&PostgresOptions>,
        clock: SystemClock,
        deadline: Deadline,
    ) -> Result<Self, OpenError> {
        let primary = Postgres::open(primary).await?.until(deadline);
        let replica = replica.map(|replica| Postgres::replica(replica).until(deadline));
        let reader = PgReader::new(primary.clone(), replica);
        Ok(Self { primary, reader, clock })
    }
}

impl ServedStore for PgStore {
    async fn migrate(&self) -> Result<(), SchemaError> {
        schema::migrate(&self.primary, &MIGRATIONS).await
    }

    async fn check_schema(&self) -> Result<(), SchemaError> {
        schema::check(&self.primary, &MIGRATIONS).await
    }

    async fn page_token_key(&self) -> Result<[u8; 32], StoreError> {
        let mut db = self.primary.read().await.map_err(failed)?;
        let key = sqlx::query_scalar("select page_token_key from service")
            .fetch_one(&mut db)
            .await
            .map_err(failed)?;
        stored::page_token_key(key)
    }

    async fn probe(&self) -> Result<(), SchemaError> {
        let versions = sqlx::query_as(schema::VERSIONS).fetch_one(&mut self.primary.read().await?).await?;
        schema::still_fits(&MIGRATIONS, versions)
    }

    fn connections(&self) -> Vec<PoolUsage> {
        let replica = self.reader.replica_usage();
        [self.primary.usage("primary")].into_iter().chain(replica).collect()
    }

    async fn close(&self) {
        self.reader.close().await;
        self.primary.close().await;
    }
}

impl Store for PgStore {
    type Tx = PgTransaction;
    type Reader = PgReader;
    type BootstrapLock = BootstrapLock;

    async fn begin(&self) -> Result<PgTransaction, StoreError> {
        let tx = database::usage::begun(DATABASE, self.primary.begin()).await.map_err(failed)?;
        Ok(PgTransaction { tx, clock: self.clock.clone() })
    }

    async fn begin_costly(&self) -> Result<PgTransaction, StoreError> {
        let tx = database::usage::begun(DATABASE, self.primary.begin_costly()).await.map_err(failed)?;
        Ok(PgTransaction { tx, clock: self.clock.clone() })
    }

    fn reader(&self) -> &PgReader {
        &self.reader
    }

    async fn find_user(&self, key: &UserKey) -> Result<Option<User>, StoreError> {
        let mut db = self.primary.read().await.map_err(failed)?;
        users::find(&mut db, key).await.map_err(failed)?.map(User::try_from).transpose()
    }

    async fn has_reached(&self, id: UserId, version: &AccountVersion) -> Result<bool, StoreError> {
        let mut db = self.primary.read().await.map_err(failed)?;
        users::has_reached(&mut db, id, version).await.map_err(failed)
    }

    async fn bootstrap_lock(&self) -> Result<Option<BootstrapLock>, StoreError> {
        bootstrap::lock(&self.primary).await
    }

    async fn wait_before_attempt(&self, attempt: u32) -> bool {
        let pause = FIRST_PAUSE * 2_u32.saturating_pow(attempt);
        // Whoever asked shall hear what has come of it, and not that its time is over.
        let in_time = self.primary.time_left().is_none_or(|left| left > pause + TIME_TO_ANSWER);
        if attempt >= ATTEMPTS || !in_time {
            return false;
        }
        sleep(pause).await;
        true
    }
}

impl Transaction for PgTransaction {
    async fn now(&mut self) -> Result<Timestamp, StoreError> {
        sqlx::query_scalar("select clock_timestamp() + $1 * interval '1 microsecond'")
            .bind(self.clock.offset_micros())
            .fetch_one(&mut *self.tx)
            .await
            .map_err(failed)
    }

    async fn commit(self) -> Result<(), StoreError> {
        self.tx.commit().await.map_err(|error| match error {
            CommitError::RolledBack(error) => failed(error),
            CommitError::OutcomeUnknown(error) => StoreError::OutcomeUnknown(error.into()),
        })
    }
}

/// What an error of the engine means for whoever asked.
fn failed(error: sqlx::Error) -> StoreError {
    database::usage::count_timeout(DATABASE, &error);
    if is_past_deadline(&error) {
        return StoreError::DeadlineExceeded;
    }
    stored::failed(is_unavailable(&error), error)
}

#[cfg(test)]
mod tests;
