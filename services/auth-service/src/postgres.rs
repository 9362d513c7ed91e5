//! The store on PostgreSQL: one file a statement of each aggregate. Any number of processes share one database.
//!
//! Units of work lock what they change, always in the same order: a request id, the account, its sessions, and last the
//! feed's counter, after which they commit. Times are the server's; statements that compare with the time read it
//! themselves, in a subselect that is evaluated once, so that an index can be used for it. The number that is added to it
//! is how far tests moved the clock.

mod accounts;
mod attempts;
mod feed;
mod follower;
mod requests;
mod row;
mod sessions;

use std::sync::atomic::{AtomicU32, Ordering};

use auth_core::StoreError;
use auth_core::domain::{
    Account, AccountKey, AddressCount, Attempt, AttemptId, ClientAddress, LiveSession, NewAccount,
    PasswordHash, Session, SessionId, SessionPosition, SignUps, Standing, StoredAccount,
};
use auth_core::ports::{Changes, Claim, Insertion, LockedAccount, Reader, SignUpRecord, Store, Transaction};
use clock::SystemClock;
use database::error::{is_past_deadline, is_unavailable};
use database::postgres::{CommitError, Connection};
use database::schema::{self, Migrator};
use database::{PoolUsage, Postgres, SchemaError, usage};
use fail_point::mutant;
use identity::{Epoch, RequestId, Timestamp, UserId, Username};

use crate::defects;
use crate::engine::ServedStore;
use crate::measurements::{self, SessionTally};
use crate::newest::Newest;
use crate::stored;
use follower::Follower;

/// The schema.
pub static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/auth/postgres");

/// Accounts, sessions and the feed in a PostgreSQL database.
#[derive(Clone, Debug)]
pub struct PgStore {
    reader: PgReader,
    costly_reader: PgReader,
    follower: Follower,
}

/// Single reads of the database.
#[derive(Clone, Debug)]
pub struct PgReader {
    database: Postgres,
    clock: SystemClock,
    newest: Newest,
    /// Whether it leaves connections to others.
    costly: bool,
}

/// A unit of work.
#[derive(Debug)]
pub struct PgTx {
    tx: database::postgres::Transaction,
    clock: SystemClock,
    newest: Newest,
    changed: Option<i64>,
    sessions: SessionTally,
}

impl PgStore {
    /// A store over an open database whose schema is up to date. It follows the feed until it is closed or dropped.
    /// Stored times come from the server's clock, moved as `clock` is.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn new(database: Postgres, clock: SystemClock) -> Self {
        let newest = Newest::default();
        let follower = Follower::start(database.clone(), newest.clone());
        let reader = PgReader { database, clock, newest, costly: false };
        let costly_reader = PgReader { costly: true, ..reader.clone() };
        Self { reader, costly_reader, follower }
    }

    fn tx(&self, tx: database::postgres::Transaction) -> PgTx {
        let PgReader { clock, newest, .. } = self.reader.clone();
        PgTx { tx, clock, newest, changed: None, sessions: SessionTally::default() }
    }

    /// Waits for the connections in use and closes them.
    pub async fn close(&self) {
        self.follower.stop().await;
        self.reader.database.close().await;
    }
}

impl ServedStore for PgStore {
    async fn page_token_key(&self) -> Result<[u8; 32], StoreError> {
        let query = sqlx::query_scalar("select key from page_token_key");
        stored::page_token_key(query.fetch_one(&mut self.reader.connection().await?).await.map_err(failed)?)
    }

    async fn probe(&self) -> Result<(), SchemaError> {
        let mut connection = self.reader.database.read().await?;
        let versions = sqlx::query_as(schema::VERSIONS).fetch_one(&mut connection).await?;
        schema::still_fits(&MIGRATIONS, versions)
    }

    fn connections(&self) -> Vec<PoolUsage> {
        vec![self.reader.database.usage("primary")]
    }
}

impl PgReader {
    async fn connection(&self) -> Result<Connection, StoreError> {
        let database = &self.database;
        let connection = if self.costly { database.read_costly().await } else { database.read().await };
        connection.map_err(failed)
    }
}

impl Store for PgStore {
    type Tx = PgTx;
    type Reader = PgReader;

    async fn begin(&self) -> Result<PgTx, StoreError> {
        static LEFT: AtomicU32 = AtomicU32::new(0);
        // A defect: a connection is left behind, a few times: a server that has none left would end the look at it.
        if mutant("begin.leaves_a_connection") && LEFT.fetch_add(1, Ordering::Relaxed) < 12 {
            std::mem::forget(Box::pin(self.reader.database.connect_directly()).await);
        }
        let begun = usage::begun(measurements::DATABASE, self.reader.database.begin()).await;
        Ok(self.tx(begun.map_err(failed)?))
    }

    async fn begin_costly(&self) -> Result<PgTx, StoreError> {
        let begun = usage::begun(measurements::DATABASE, self.reader.database.begin_costly()).await;
        Ok(self.tx(begun.map_err(failed)?))
    }

    fn reader(&self) -> &PgReader {
        &self.reader
    }

    fn costly_reader(&self) -> &PgReader {
        &self.costly_reader
    }
}

impl Transaction for PgTx {
    async fn now(&mut self) -> Result<Timestamp, StoreError> {
        let query = sqlx::query_scalar("select clock_timestamp() + $1 * interval '1 microsecond'");
        query.bind(self.clock.offset_micros()).fetch_one(&mut *self.tx).await.map_err(failed)
    }

    async fn lock_account(&mut self, id: UserId) -> Result<Option<LockedAccount>, StoreError> {
        let offset = self.clock.offset_micros();
        // A defect: where nobody waits for the answer the account is taken to be as it was read before.
        if mutant("log_in.left_is_not_compared") {
            defects::linger().await;
            return Ok(defects::as_read_before(accounts::lock(&mut self.tx, id, offset).await?));
        }
        accounts::lock(&mut self.tx, id, offset).await
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
        let offset = self.clock.offset_micros();
        self.sessions.displaced += sessions::open(&mut self.tx, session, others, offset).await?;
        self.sessions.opened += 1;
        Ok(())
    }

    async fn end_session(&mut self, user_id: UserId, id: &SessionId) -> Result<Option<Session>, StoreError> {
        let ended = sessions::end(&mut self.tx, user_id, id, self.clock.offset_micros()).await?;
        self.sessions.ended += u32::from(ended.is_some());
        Ok(ended)
    }

    async fn end_sessions(&mut self, user_id: UserId, keep: Option<&SessionId>) -> Result<u32, StoreError> {
        let ended = sessions::end_all(&mut self.tx, user_id, keep, self.clock.offset_micros()).await?;
        self.sessions.ended += ended;
        Ok(ended)
    }

    async fn use_session(
        &mut self,
        id: &SessionId,
        expire_time: Timestamp,
        last_used_time: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        let offset = self.clock.offset_micros();
        sessions::note_use(&mut self.tx, id, expire_time, last_used_time, offset).await
    }

    async fn claim_request(&mut self, request: &SignUpRecord) -> Result<Claim, StoreError> {
        requests::claim(&mut self.tx, request, self.clock.offset_micros()).await
    }

    async fn lock_standing(&mut self, attempt: &Attempt) -> Result<Standing, StoreError> {
        attempts::lock_standing(&mut self.tx, attempt, self.clock.offset_micros()).await
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
        attempts::lock_sign_ups(&mut self.tx, address, self.clock.offset_micros()).await
    }

    async fn write_sign_ups(
        &mut self,
        address: &ClientAddress,
        count: Option<AddressCount>,
    ) -> Result<(), StoreError> {
        attempts::write_sign_ups(&mut self.tx, address, count).await
    }

    async fn purge(&mut self, limit: u32, kept_counts: u32) -> Result<u32, StoreError> {
        let offset = self.clock.offset_micros();
        let sessions = sessions::purge(&mut self.tx, limit, offset).await?;
        self.sessions.expired += sessions;
        let requests = requests::purge(&mut self.tx, limit, offset).await?;
        let attempts = attempts::purge(&mut self.tx, limit, kept_counts, offset).await?;
        Ok(sessions.saturating_add(requests).saturating_add(attempts))
    }

    async fn begin_epoch(&mut self, epoch: &Epoch) -> Result<u64, StoreError> {
        // Of millions of sessions that takes longer than anything that callers wait for.
        self.tx.lift_limits().await.map_err(failed)?;
        let ended = sessions::end_everybodys(&mut self.tx, self.clock.offset_micros()).await?;
        feed::begin_epoch(&mut self.tx, epoch).await?;
        Ok(ended)
    }

    async fn commit(self) -> Result<(), StoreError> {
        match self.tx.commit().await {
            Ok(()) => {}
            Err(CommitError::RolledBack(cause)) => return Err(failed(cause)),
            Err(CommitError::OutcomeUnknown(cause)) => return Err(StoreError::OutcomeUnknown(cause.into())),
        }
        self.sessions.count();
        if let Some(changed) = self.changed {
            self.newest.raise(changed);
        }
        Ok(())
    }
}

impl Reader for PgReader {
    async fn account(&self, key: &AccountKey) -> Result<Option<StoredAccount>, StoreError> {
        let found = accounts::by_key(&mut self.connection().await?, key).await?;
        Ok(if mutant("log_in.left_is_not_compared") { defects::read(found) } else { found })
    }

    async fn live_session(&self, id: &SessionId) -> Result<Option<LiveSession>, StoreError> {
        sessions::live(&mut self.connection().await?, id, self.clock.offset_micros()).await
    }

    async fn live_sessions(
        &self,
        user_id: UserId,
        after: Option<&SessionPosition>,
        limit: u32,
    ) -> Result<Vec<Session>, StoreError> {
        let offset = self.clock.offset_micros();
        sessions::live_of_user(&mut self.connection().await?, user_id, after, limit, offset).await
    }

    async fn sign_up_request(&self, id: RequestId) -> Result<Option<SignUpRecord>, StoreError> {
        requests::known(&mut self.connection().await?, id, self.clock.offset_micros()).await
    }

    async fn standing(&self, attempt: &Attempt) -> Result<Standing, StoreError> {
        attempts::standing(&mut self.connection().await?, attempt, self.clock.offset_micros()).await
    }

    async fn sign_ups(&self, address: &ClientAddress) -> Result<SignUps, StoreError> {
        attempts::sign_ups(&mut self.connection().await?, address, self.clock.offset_micros()).await
    }

    async fn changes_after(&self, number: i64, limit: u32) -> Result<Changes, StoreError> {
        feed::changes_after(&mut self.connection().await?, number, limit).await
    }

    async fn wait_for_change(&self, number: i64) {
        self.newest.wait_beyond(number).await;
    }
}

/// What a failed statement means. Conflicts that are expected are told from failures before it comes to this.
fn failed(cause: sqlx::Error) -> StoreError {
    usage::count_timeout(measurements::DATABASE, &cause);
    if is_past_deadline(&cause) {
        StoreError::DeadlineExceeded
    } else if is_unavailable(&cause) {
        StoreError::Unavailable(cause.into())
    } else {
        StoreError::Broken(cause.into())
    }
}
