//! The store on SQLite: one file a statement of each aggregate. The embedded default.
//!
//! Units of work begin with the write lock, so locking an account is just reading it: no other writer is under way.

mod accounts;
mod attempts;
mod feed;
mod requests;
mod row;
mod sessions;

use auth_core::domain::{
    AccountKey, AddressCount, Attempt, AttemptId, ClientAddress, LiveSession, NewAccount, PasswordHash,
    Session, SessionId, SessionPosition, SignUps, Standing, StoredAccount,
};
use auth_core::ports::{Changes, Claim, Insertion, LockedAccount, Reader, SignUpRecord, Store, Transaction};
use auth_core::{StoreError, domain::Account};
use clock::SystemClock;
use database::error::is_unavailable;
use database::schema::{self, Migrator};
use database::sqlite::Sqlite;
use database::{PoolUsage, SchemaError, usage};
use identity::{Epoch, RequestId, Timestamp, UserId, Username};

use crate::engine::ServedStore;
use crate::measurements::{self, SessionTally};
use crate::newest::Newest;
use crate::stored;

/// The schema.
pub static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/auth/sqlite");

/// Accounts, sessions and the feed in a SQLite file.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    reader: SqliteReader,
}

/// Single reads of the file.
#[derive(Clone, Debug)]
pub struct SqliteReader {
    database: Sqlite,
    clock: SystemClock,
    /// The newest change of an account that this process committed: it is the only one that writes.
    newest: Newest,
}

/// A unit of work.
#[derive(Debug)]
pub struct SqliteTx {
    tx: sqlx::Transaction<'static, sqlx::Sqlite>,
    clock: SystemClock,
    newest: Newest,
    changed: Option<i64>,
    sessions: SessionTally,
}

impl SqliteStore {
    /// A store over an open database whose schema is up to date. Stored times come from `clock`.
    #[must_use]
    pub fn new(database: Sqlite, clock: SystemClock) -> Self {
        Self { reader: SqliteReader { database, clock, newest: Newest::default() } }
    }

    /// Waits for the connections in use and closes them.
    pub async fn close(&self) {
        self.reader.database.close().await;
    }
}

impl ServedStore for SqliteStore {
    async fn page_token_key(&self) -> Result<[u8; 32], StoreError> {
        let query = sqlx::query_scalar("select key from page_token_key");
        stored::page_token_key(query.fetch_one(self.reader.database.reader()).await.map_err(failed)?)
    }

    async fn probe(&self) -> Result<(), SchemaError> {
        let versions = sqlx::query_as(schema::VERSIONS).fetch_one(self.reader.database.reader()).await?;
        schema::still_fits(&MIGRATIONS, versions)
    }

    fn connections(&self) -> Vec<PoolUsage> {
        self.reader.database.usage().to_vec()
    }
}

impl Store for SqliteStore {
    type Tx = SqliteTx;
    type Reader = SqliteReader;

    async fn begin(&self) -> Result<SqliteTx, StoreError> {
        let SqliteReader { database, clock, newest } = self.reader.clone();
        let tx = usage::begun(measurements::DATABASE, database.write()).await.map_err(failed)?;
        Ok(SqliteTx { tx, clock, newest, changed: None, sessions: SessionTally::default() })
    }

    /// There is one writer, and whoever wants it waits in one fair queue.
    async fn begin_costly(&self) -> Result<SqliteTx, StoreError> {
        self.begin().await
    }

    fn reader(&self) -> &SqliteReader {
        &self.reader
    }

    /// What calls begin with is not read by the connections that others could take.
    fn costly_reader(&self) -> &SqliteReader {
        &self.reader
    }
}

impl Transaction for SqliteTx {
    async fn now(&mut self) -> Result<Timestamp, StoreError> {
        Ok(self.clock.now())
    }

    async fn lock_account(&mut self, id: UserId) -> Result<Option<LockedAccount>, StoreError> {
        let found = accounts::by_key(&mut *self.tx, &AccountKey::Id(id)).await?;
        Ok(found.map(|stored| LockedAccount { stored, now: self.clock.now() }))
    }

    async fn insert_account(
        &mut self,
        account: &NewAccount,
        now: Timestamp,
    ) -> Result<Insertion, StoreError> {
        let insertion = accounts::insert(&mut self.tx, account, now).await?;
        if let Insertion::Inserted(account) = &insertion {
            self.changed = Some(account.version.number);
        }
        Ok(insertion)
    }

    async fn update_account(&mut self, account: &StoredAccount) -> Result<Account, StoreError> {
        let account = accounts::update(&mut self.tx, account).await?;
        self.changed = Some(account.version.number);
        Ok(account)
    }

    async fn rehash(&mut self, id: UserId, hash: &PasswordHash) -> Result<(), StoreError> {
        accounts::rehash(&mut self.tx, id, hash).await
    }

    async fn open_session(&mut self, session: &Session, others: u32) -> Result<(), StoreError> {
        let now = self.clock.now();
        self.sessions.displaced += sessions::end_oldest(&mut self.tx, session.user_id, others, now).await?;
        sessions::insert(&mut self.tx, session).await?;
        self.sessions.opened += 1;
        Ok(())
    }

    async fn end_session(&mut self, user_id: UserId, id: &SessionId) -> Result<Option<Session>, StoreError> {
        let ended = sessions::end(&mut self.tx, user_id, id, self.clock.now()).await?;
        self.sessions.ended += u32::from(ended.is_some());
        Ok(ended)
    }

    async fn end_sessions(&mut self, user_id: UserId, keep: Option<&SessionId>) -> Result<u32, StoreError> {
        let ended = sessions::end_all(&mut self.tx, user_id, keep, self.clock.now()).await?;
        self.sessions.ended += ended;
        Ok(ended)
    }

    async fn use_session(
        &mut self,
        id: &SessionId,
        expire_time: Timestamp,
        last_used_time: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        sessions::note_use(&mut self.tx, id, expire_time, last_used_time, self.clock.now()).await
    }

    async fn claim_request(&mut self, request: &SignUpRecord) -> Result<Claim, StoreError> {
        requests::claim(&mut self.tx, request, self.clock.now()).await
    }

    async fn lock_standing(&mut self, attempt: &Attempt) -> Result<Standing, StoreError> {
        attempts::standing(&mut *self.tx, attempt, self.clock.now()).await
    }

    async fn reserve_attempt(
        &mut self,
        id: AttemptId,
        attempt: &Attempt,
        lapse_time: Timestamp,
    ) -> Result<(), StoreError> {
        attempts::reserve(&mut self.tx, id, attempt, lapse_time).await
    }

    async fn settle_attempt(
        &mut self,
        id: AttemptId,
        attempt: &Attempt,
        before: &Standing,
        after: &Standing,
    ) -> Result<(), StoreError> {
        attempts::release(&mut self.tx, id).await?;
        attempts::write(&mut self.tx, attempt, before, after).await
    }

    async fn release_attempt(&mut self, id: AttemptId) -> Result<(), StoreError> {
        attempts::release(&mut self.tx, id).await
    }

    async fn forget_failures(&mut self, username: &Username) -> Result<(), StoreError> {
        attempts::forget(&mut self.tx, username).await
    }

    async fn lock_sign_ups(&mut self, address: &ClientAddress) -> Result<SignUps, StoreError> {
        attempts::sign_ups(&mut *self.tx, address, self.clock.now()).await
    }

    async fn write_sign_ups(
        &mut self,
        address: &ClientAddress,
        count: Option<AddressCount>,
    ) -> Result<(), StoreError> {
        attempts::write_sign_ups(&mut self.tx, address, count).await
    }

    async fn purge(&mut self, limit: u32, kept_counts: u32) -> Result<u32, StoreError> {
        let now = self.clock.now();
        let sessions = sessions::purge(&mut self.tx, now, limit).await?;
        self.sessions.expired += sessions;
        Ok(sessions
            + requests::purge(&mut self.tx, now, limit).await?
            + attempts::purge(&mut self.tx, now, limit, kept_counts).await?)
    }

    async fn begin_epoch(&mut self, epoch: &Epoch) -> Result<u64, StoreError> {
        feed::begin_epoch(&mut self.tx, epoch).await?;
        sessions::end_everybodys(&mut self.tx, self.clock.now()).await
    }

    async fn commit(self) -> Result<(), StoreError> {
        self.tx.commit().await.map_err(|cause| StoreError::OutcomeUnknown(cause.into()))?;
        self.sessions.count();
        if let Some(changed) = self.changed {
            self.newest.raise(changed);
        }
        Ok(())
    }
}

impl Reader for SqliteReader {
    async fn account(&self, key: &AccountKey) -> Result<Option<StoredAccount>, StoreError> {
        accounts::by_key(self.database.reader(), key).await
    }

    async fn live_session(&self, id: &SessionId) -> Result<Option<LiveSession>, StoreError> {
        sessions::live(&self.database, id, self.clock.now()).await
    }

    async fn live_sessions(
        &self,
        user_id: UserId,
        after: Option<&SessionPosition>,
        limit: u32,
    ) -> Result<Vec<Session>, StoreError> {
        sessions::live_of_user(self.database.reader(), user_id, after, limit, self.clock.now()).await
    }

    async fn sign_up_request(&self, id: RequestId) -> Result<Option<SignUpRecord>, StoreError> {
        requests::known(self.database.reader(), id, self.clock.now()).await
    }

    async fn standing(&self, attempt: &Attempt) -> Result<Standing, StoreError> {
        attempts::standing(self.database.reader(), attempt, self.clock.now()).await
    }

    async fn sign_ups(&self, address: &ClientAddress) -> Result<SignUps, StoreError> {
        attempts::sign_ups(self.database.reader(), address, self.clock.now()).await
    }

    async fn changes_after(&self, number: i64, limit: u32) -> Result<Changes, StoreError> {
        feed::changes_after(self.database.reader(), number, limit).await
    }

    async fn wait_for_change(&self, number: i64) {
        self.newest.wait_beyond(number).await;
    }
}

/// What a failed statement means. Conflicts that are expected are told from failures before it comes to this.
fn failed(cause: sqlx::Error) -> StoreError {
    usage::count_timeout(measurements::DATABASE, &cause);
    if is_unavailable(&cause) {
        StoreError::Unavailable(cause.into())
    } else {
        StoreError::Broken(cause.into())
    }
}
