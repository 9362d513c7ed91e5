//! A PostgreSQL database as a store uses it: a pool for the work of callers, and single connections past the pooler for
//! what a pool cannot do.
//!
//! Every way to a connection goes through [`Connection`], so that four traps cannot be stepped into:
//!
//! - sqlx 0.9 loses writes when the future of `begin()` is dropped while `BEGIN` is under way: the connection goes back to
//!   the pool inside an open transaction. Here a task of its own begins, which a dropped caller does not cancel.
//! - PostgreSQL answers the commit of a transaction in which a statement failed with success, and rolls it back. Here such
//!   a transaction cannot be committed.
//! - Behind a pooler that gives every transaction another server connection (`prepared_statements = false`) nothing may
//!   outlive a transaction, and sqlx sends even an unnamed statement in two parts. Here everything is in a transaction then.
//! - sqlx waits for an answer for as long as TCP hopes for one, which is for ever where the other host is gone and nothing is
//!   on the way to it. Here every answer is waited for with an end (`bounds`), and so is what the pool asks by itself.
//!
//! Knows no tables.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use sqlx::pool::{PoolConnectionMetadata, PoolOptions};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgListener, PgPool};
use sqlx::{Connection as _, Executor as _, Row as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use crate::error::{past_deadline, silence};

mod bounds;
mod connection;
mod kept;
mod open_error;

use crate::PoolUsage;
pub use bounds::Deadline;
use bounds::{BOUNDS, Bounds};
pub use connection::{CommitError, Connection, Transaction};
use kept::{Kept, Lease, TEST_WAIT, Turn};
pub use open_error::OpenError;
use open_error::STANDBY;
pub(crate) use open_error::place;

/// How long a caller waits for a connection, the making of a new one included.
const ACQUIRE_WAIT: Duration = Duration::from_secs(2);

/// A connection that lay idle for longer is tested before it is used: the server may have gone meanwhile. One in steady
/// use is not, because that would cost every statement another round trip.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);

/// How many connections of a pool that has so many at least are kept from costly transactions, and how many from all: what
/// is cheap must not wait for those who come by the dozen after their hashes, and what only looks not for those who wait
/// for each other's locks.
const KEPT_FROM_COSTLY: u32 = 2;
const KEPT_FOR_READING: u32 = 1;
const LARGE_POOL: u32 = 4;

/// How long the connections in use are waited for at the end.
const CLOSE_WAIT: Duration = Duration::from_secs(5);

/// Idle connections are closed after this, and all of them when they are old: a server that moved is found, and what a
/// session of PostgreSQL accumulates is let go.
const IDLE_TIMEOUT: Duration = Duration::from_mins(10);
const MAX_LIFETIME: Duration = Duration::from_mins(30);

/// What a session is told when it begins.
///
/// The first three bound the work of one caller on the server, whatever becomes of this process: a statement has as long as a
/// call that names no deadline, unless its transaction says otherwise, a lock that is not to be had for 10 s is another's
/// trouble, and an open transaction that says nothing is a lost one.
///
/// The last one is what every unit of work relies on that reads after it has waited for a lock: it sees what the lock was
/// held for.
///
/// The others are about plans. A statement is planned once and not for each set of values, which takes longer than to
/// execute it; so the plans are the ones that the stores' tests look at. What such a plan expects of any values may be far
/// too much, and then seems to be worth a scan of the whole table, compiled code, or processes that help: never here,
/// where every statement has an index and reads few rows.
pub const SESSION_SETTINGS: &str = "set statement_timeout = '10s'; set lock_timeout = '10s'; \
                                    set idle_in_transaction_session_timeout = '30s'; \
                                    set plan_cache_mode = 'force_generic_plan'; set enable_seqscan = off; \
                                    set jit = off; set max_parallel_workers_per_gather = 0; \
                                    set default_transaction_isolation = 'read committed'";

/// The oldest version that this works with.
const OLDEST_VERSION: i32 = 150_000;

/// How a database is reached and how much of it may be used.
#[derive(Clone)]
pub struct PostgresOptions {
    /// The server, or a pooler in front of it.
    pub connect: PgConnectOptions,
    /// The server itself, where there is a pooler in front of it: for migrations, notifications and locks that outlive a
    /// transaction.
    pub direct: Option<PgConnectOptions>,
    /// Connections in the pool. Those past the pooler come on top: one for notifications.
    pub max_connections: u32,
    /// Whether statements may be kept prepared from one transaction to the next, which a pooler in transaction mode may
    /// not allow.
    pub prepared_statements: bool,
}

// Derived, it would show passwords.
impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("connect", &place(&self.connect))
            .field("direct", &self.direct.as_ref().map(place))
            .field("max_connections", &self.max_connections)
            .field("prepared_statements", &self.prepared_statements)
            .finish()
    }
}

/// An open database. Clones share the connections.
#[derive(Clone)]
pub struct Postgres {
    pool: PgPool,
    kept: Arc<Kept>,
    /// The right to have a transaction.
    transactions: Arc<Semaphore>,
    /// The right to have a costly one, or a connection for what comes before it, which is needed on top.
    costly: Arc<Semaphore>,
    direct: Arc<PgConnectOptions>,
    behind_pooler: bool,
    prepared_statements: bool,
    deadline: Deadline,
    bounds: &'static Bounds,
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Postgres").field(&place(&self.direct)).finish()
    }
}

impl Postgres {
    /// Connects to a primary, and makes sure that it is one and that this works with it. Says nothing about the schema.
    pub async fn open(options: &PostgresOptions) -> Result<Self, OpenError> {
        is_usable(&options.connect).await?;
        Ok(Self::new(options, pool_options(options).after_connect(|db, _| Box::pin(set_up_primary(db)))))
    }

    /// A read replica, which is connected to when it is first asked for something.
    #[must_use]
    pub fn replica(options: &PostgresOptions) -> Self {
        Self::new(options, pool_options(options).after_connect(|db, _| Box::pin(set_up(db))))
    }

    fn new(options: &PostgresOptions, pool: PoolOptions<sqlx::Postgres>) -> Self {
        let max = options.max_connections;
        let allowed =
            |kept| Arc::new(Semaphore::new((if max < LARGE_POOL { max } else { max - kept }) as usize));
        let pool = pool.connect_lazy_with(without_floats(&options.connect));
        Self {
            kept: Arc::new(Kept::new(pool.clone(), max)),
            pool,
            transactions: allowed(KEPT_FOR_READING),
            costly: allowed(KEPT_FROM_COSTLY),
            direct: Arc::new(without_floats(options.direct.as_ref().unwrap_or(&options.connect))),
            behind_pooler: options.direct.is_some(),
            prepared_statements: options.prepared_statements,
            deadline: || None,
            bounds: &BOUNDS,
        }
    }

    /// The same, with every wait and every transaction bounded by the deadline of whoever asks.
    #[must_use]
    pub fn until(self, deadline: Deadline) -> Self {
        Self { deadline, ..self }
    }

    /// How much time whoever asks has left; none when there is no end to it.
    #[must_use]
    pub fn time_left(&self) -> Option<Duration> {
        (self.deadline)().map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// A connection for statements that each stand alone and change nothing.
    pub async fn read(&self) -> Result<Connection, sqlx::Error> {
        self.read_within(&[]).await
    }

    /// As [`read`](Self::read), for what comes before something costly: it leaves connections to others.
    pub async fn read_costly(&self) -> Result<Connection, sqlx::Error> {
        self.read_within(&[&self.costly]).await
    }

    async fn read_within(&self, limits: &[&Arc<Semaphore>]) -> Result<Connection, sqlx::Error> {
        self.in_time(async |deadline| {
            let rights = self.rights(limits).await?;
            if self.prepared_statements {
                let lease = self.kept.lend(rights).await?;
                Ok(Connection::single(lease, self.bounds.of_reads(deadline)))
            } else {
                Ok(Box::pin(self.begin_holding(rights, deadline)).await?.into_connection())
            }
        })
        .await
    }

    /// Begins a transaction. Rolled back when it is dropped.
    pub async fn begin(&self) -> Result<Transaction, sqlx::Error> {
        self.begin_within(&[&self.transactions]).await
    }

    /// As [`begin`](Self::begin), for what is so costly that the others must not wait for it: it leaves connections to them.
    pub async fn begin_costly(&self) -> Result<Transaction, sqlx::Error> {
        self.begin_within(&[&self.costly, &self.transactions]).await
    }

    async fn begin_within(&self, limits: &[&Arc<Semaphore>]) -> Result<Transaction, sqlx::Error> {
        self.in_time(async |deadline| {
            let rights = self.rights(limits).await?;
            self.begin_holding(rights, deadline).await
        })
        .await
    }

    /// All waits for a connection together. What is begun after that ends by itself.
    async fn in_time<T>(
        &self,
        work: impl AsyncFnOnce(Option<Instant>) -> Result<T, sqlx::Error>,
    ) -> Result<T, sqlx::Error> {
        let deadline = (self.deadline)();
        let wait = self.bounds.of_waiting(ACQUIRE_WAIT, deadline);
        timeout(wait, work(deadline)).await.unwrap_or_else(|_| {
            let is_over = deadline.is_some_and(|deadline| Instant::now() >= deadline);
            Err(if is_over { past_deadline() } else { sqlx::Error::PoolTimedOut })
        })
    }

    async fn rights(&self, limits: &[&Arc<Semaphore>]) -> Result<Rights, sqlx::Error> {
        let mut permits = Vec::with_capacity(limits.len());
        for limit in limits {
            permits.extend(Arc::clone(limit).acquire_owned().await);
        }
        Ok(Rights { _turn: self.kept.turn().await?, _permits: permits })
    }

    async fn begin_holding(
        &self,
        rights: Rights,
        deadline: Option<Instant>,
    ) -> Result<Transaction, sqlx::Error> {
        let mut lease = self.kept.lend(rights).await?;
        let (term, wait) = (self.bounds.of_transaction(deadline), self.bounds.round_trip);
        let statement = term.begin();
        let begun = tokio::spawn(async move { lease.begin(statement, wait).await.map(|()| lease) }).await;
        // The task neither panics nor is aborted, but for a runtime that ends.
        let lease: Lease = begun.map_err(|_| sqlx::Error::PoolClosed)??;
        Ok(Transaction::new(lease, term, self.prepared_statements))
    }

    /// A connection of its own, past the pool and any pooler. Closed when it is dropped.
    pub async fn connect_directly(&self) -> Result<PgConnection, sqlx::Error> {
        within(ACQUIRE_WAIT, PgConnection::connect_with(&self.direct)).await
    }

    /// Listens to a channel, on a connection of its own past the pool and any pooler. It does not come back by itself
    /// after it is lost: whoever listens has to look at what it missed anyway.
    pub async fn listen(&self, channel: &str) -> Result<PgListener, sqlx::Error> {
        let pool = self.direct_pool();
        within(ACQUIRE_WAIT, async {
            let mut listener = PgListener::connect_with(&pool).await?;
            listener.eager_reconnect(false);
            listener.listen(channel).await?;
            Ok(listener)
        })
        .await
    }

    /// Makes sure that the server itself can be reached where there is a pooler in front of it, for what goes past that.
    pub(crate) async fn look_past_the_pooler(&self) -> Result<(), OpenError> {
        if self.behind_pooler { is_usable(&self.direct).await } else { Ok(()) }
    }

    /// Begins a transaction on a connection of its own, which is closed after it. What it does takes as long as it takes.
    pub(crate) async fn begin_directly(
        &self,
    ) -> Result<sqlx::Transaction<'static, sqlx::Postgres>, sqlx::Error> {
        within(ACQUIRE_WAIT, self.direct_pool().begin()).await
    }

    /// Begins a transaction that only reads, at the start of a process: on the first connection of the pool, which stays in
    /// it, unless a pooler is in between.
    pub(crate) async fn begin_inspection(
        &self,
    ) -> Result<sqlx::Transaction<'static, sqlx::Postgres>, sqlx::Error> {
        if self.behind_pooler || !self.prepared_statements {
            return self.begin_directly().await;
        }
        // A connection whose BEGIN was cut off would go back into the pool as it is. Nobody will use it: who cannot look at
        // the schema does not serve.
        within(ACQUIRE_WAIT, self.pool.begin()).await
    }

    fn direct_pool(&self) -> PgPool {
        PoolOptions::new()
            .max_connections(1)
            .acquire_timeout(ACQUIRE_WAIT)
            .max_lifetime(None)
            .idle_timeout(None)
            .connect_lazy_with((*self.direct).clone())
    }

    /// Waits for the connections in use, but not for those of a server that says nothing any more, and closes them all.
    pub async fn close(&self) {
        // Closing from here on, not from the first poll on.
        let closed = self.pool.close();
        self.kept.clear();
        if timeout(CLOSE_WAIT, closed).await.is_err() {
            tracing::warn!(database = ?self, "connections in use were left behind");
        }
    }

    /// How many connections are in use. `pool`: what they are for.
    #[must_use]
    pub fn usage(&self, pool: &'static str) -> PoolUsage {
        PoolUsage::of(pool, &self.pool, self.kept.idle())
    }
}

/// The rights to have a transaction.
struct Rights {
    _turn: Turn,
    _permits: Vec<OwnedSemaphorePermit>,
}

async fn within<T>(
    wait: Duration,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    timeout(wait, work).await.unwrap_or_else(|_| Err(silence(wait)))
}

fn pool_options(options: &PostgresOptions) -> PoolOptions<sqlx::Postgres> {
    PoolOptions::new()
        .max_connections(options.max_connections)
        .acquire_timeout(ACQUIRE_WAIT)
        .idle_timeout(IDLE_TIMEOUT)
        .max_lifetime(MAX_LIFETIME)
        .test_before_acquire(false)
        .before_acquire(test_after_idling)
}

/// Without a parameter at its start that poolers refuse: how many digits of a float are shown, of which there are none.
fn without_floats(options: &PgConnectOptions) -> PgConnectOptions {
    options.clone().extra_float_digits(None)
}

/// Makes sure that a server can be reached, is a primary, and new enough. Not through a pool: that tries again until its time is
/// up, and then knows of no cause but that.
async fn is_usable(options: &PgConnectOptions) -> Result<(), OpenError> {
    let looked = within(ACQUIRE_WAIT, look_at(options)).await;
    let (version, is_standby) = looked.map_err(|cause| OpenError::new(options, cause))?;
    if version < OLDEST_VERSION {
        return Err(OpenError::too_old(options, version));
    }
    if is_standby { Err(OpenError::standby(options)) } else { Ok(()) }
}

/// The version of the server, and whether it only follows another.
async fn look_at(options: &PgConnectOptions) -> Result<(i32, bool), sqlx::Error> {
    let mut connection = PgConnection::connect_with(&without_floats(options)).await?;
    let found = connection
        .fetch_one("select current_setting('server_version_num')::int4, pg_is_in_recovery()")
        .await?;
    let found = (found.try_get(0)?, found.try_get(1)?);
    connection.close().await?;
    Ok(found)
}

fn test_after_idling(
    connection: &mut PgConnection,
    metadata: PoolConnectionMetadata,
) -> BoxFuture<'_, Result<bool, sqlx::Error>> {
    Box::pin(async move {
        if metadata.idle_for > TRUSTED_IDLE {
            within(TEST_WAIT, connection.ping()).await?;
        }
        Ok(true)
    })
}

async fn set_up(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    connection.execute(SESSION_SETTINGS).await.map(drop)
}

/// Refuses a server that follows another: after a failover a name may lead to the old primary for a while, which would
/// still let in whom the new one does not. A primary that is demoted restarts, so it is enough to look once.
async fn set_up_primary(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    // In one message, for which nothing is prepared.
    let statements = sqlx::AssertSqlSafe(format!("{SESSION_SETTINGS}; select pg_is_in_recovery()"));
    let is_standby: bool = connection.fetch_one(sqlx::raw_sql(statements)).await?.try_get(0)?;
    if is_standby { Err(sqlx::Error::Protocol(STANDBY.to_owned())) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
