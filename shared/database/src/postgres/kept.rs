//! Connections between two reads.
//!
//! sqlx asks the server whether it is still there whenever a connection comes back to its pool, which is a second round
//! trip for each single read, and a task for it. A connection whose statement came to its end need not be asked. So it
//! is not given back to the pool: it is kept here for the next one. Any other (a statement failed, or its caller went
//! away in the middle of it) goes back to the pool, which finds out what state it is in, if it does so in time: sqlx would
//! wait for the answer of a server that is gone, and have a connection less all the while.
//!
//! The pool knows nothing of what is kept, so nobody may wait there for a connection that lies here. That is why
//! whoever wants one, for a read or a transaction, takes a *turn* first, of which there are as many as connections, and
//! then takes a kept one away, if there is one: `turns without a connection + lent + kept <= connections` always, so
//! that the pool has one for every turn. It may be long in coming where the pool waits for the end of a statement that
//! somebody gave up. So nothing is kept while anybody waits in the pool.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{Connection as _, Database, Error, Postgres, SqlStr};
use sqlx_core::transaction::TransactionManager as _;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use super::{IDLE_TIMEOUT, MAX_LIFETIME, Rights, TRUSTED_IDLE};
use crate::error::silence;

/// What sqlx's own transactions are made of. They drop their connection into the pool, which does not let it be closed.
type PgTransactionManager = <Postgres as Database>::TransactionManager;

/// How long an answer is waited for that a server in service gives at once.
pub(super) const TEST_WAIT: Duration = Duration::from_millis(500);

/// How long a rollback is waited for after its transaction was dropped, and the test of what comes back.
const ROLLBACK_WAIT: Duration = Duration::from_secs(2);

/// The right to have a connection.
pub(super) type Turn = OwnedSemaphorePermit;

/// The connections of a pool that are kept, the one used last at the end.
pub(super) struct Kept {
    pool: PgPool,
    turns: Arc<Semaphore>,
    here: Mutex<Here>,
}

#[derive(Default)]
struct Here {
    idle: Vec<Idle>,
    /// How many wait in the pool.
    waiting: usize,
}

struct Idle {
    connection: PoolConnection<Postgres>,
    /// When it was taken from the pool, which knows nothing of its age meanwhile.
    taken: Instant,
    since: Instant,
}

impl Kept {
    /// Of a pool of so many connections.
    pub(super) fn new(pool: PgPool, connections: u32) -> Self {
        Self { pool, turns: Arc::new(Semaphore::new(connections as usize)), here: Mutex::default() }
    }

    /// Waits for a turn. Limiting the wait is the caller's.
    pub(super) async fn turn(&self) -> Result<Turn, Error> {
        Arc::clone(&self.turns).acquire_owned().await.map_err(|_| Error::PoolClosed)
    }

    /// A connection. What happens seldom is on the heap: it would make the future of every call large.
    pub(super) async fn lend(self: &Arc<Self>, rights: Rights) -> Result<Lease, Error> {
        let (connection, taken) = match self.usable().await {
            Ok(usable) => usable,
            Err(_waiting) => (Box::pin(self.pool.acquire()).await?, Instant::now()),
        };
        Ok(Lease {
            kept: Arc::clone(self),
            connection: Some(connection),
            taken,
            state: State::AtRest,
            _rights: rights,
        })
    }

    /// Whoever has a turn takes its connection from the pool, to which a kept one is given back for that. To be held
    /// until it has one.
    fn make_room(self: &Arc<Self>) -> Waiting {
        let mut here = self.here();
        here.waiting += 1;
        let given_back = here.idle.pop();
        drop(here);
        if let Some(idle) = given_back {
            give_back(idle.connection, Instant::now() + TEST_WAIT);
        }
        Waiting(Arc::clone(self))
    }

    /// One that is neither old nor lost; else the right to wait in the pool.
    async fn usable(self: &Arc<Self>) -> Result<(PoolConnection<Postgres>, Instant), Waiting> {
        let Idle { connection, taken, since } = self.take()?;
        let usable = if taken.elapsed() > MAX_LIFETIME || since.elapsed() > IDLE_TIMEOUT {
            drop(Tested(Some(connection)));
            None
        } else if since.elapsed() <= TRUSTED_IDLE {
            Some(connection)
        } else {
            Box::pin(Tested(Some(connection)).answers()).await
        };
        usable.map(|connection| (connection, taken)).ok_or_else(|| self.make_room())
    }

    fn take(self: &Arc<Self>) -> Result<Idle, Waiting> {
        let mut here = self.here();
        here.idle.pop().ok_or_else(|| {
            here.waiting += 1;
            Waiting(Arc::clone(self))
        })
    }

    fn keep(&self, connection: PoolConnection<Postgres>, taken: Instant) {
        let now = Instant::now();
        let mut here = self.here();
        // Given back after the lock, to the pool, which closes what nobody needs any more.
        let unused = match here.idle.first() {
            Some(oldest) if now - oldest.since > IDLE_TIMEOUT => Some(here.idle.remove(0)),
            _ => None,
        };
        // The other half of being closed is in `clear`.
        let refused = if here.waiting > 0 || self.pool.is_closed() {
            Some(connection)
        } else {
            here.idle.push(Idle { connection, taken, since: now });
            None
        };
        drop(here);
        for connection in unused.map(|idle| idle.connection).into_iter().chain(refused) {
            give_back(connection, now + ROLLBACK_WAIT);
        }
    }

    /// Gives everything back to the pool, which must be closing already, so that nothing is kept after this.
    pub(super) fn clear(&self) {
        let idle = std::mem::take(&mut self.here().idle);
        for idle in idle {
            give_back(idle.connection, Instant::now() + ROLLBACK_WAIT);
        }
    }

    /// How many lie here.
    pub(super) fn idle(&self) -> usize {
        self.here().idle.len()
    }

    fn here(&self) -> MutexGuard<'_, Here> {
        // Nothing panics while it holds the lock.
        self.here.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever drops a pool without closing it may be outside of any runtime, where nothing can go back to it any more.
impl Drop for Kept {
    fn drop(&mut self) {
        for idle in self.here().idle.drain(..) {
            drop(idle.connection.leak());
        }
    }
}

/// Gives a connection back to the pool, which asks the server whether it is in order. If there is no answer until then the
/// connection is closed, and the pool may make another.
fn give_back(mut connection: PoolConnection<Postgres>, until: Instant) {
    // Outside of any runtime nothing can be asked.
    let Ok(runtime) = Handle::try_current() else { return drop(connection.detach()) };
    // What sqlx itself does with one that is dropped. The place in the pool goes with this future.
    let returned = connection.return_to_pool();
    runtime.spawn(async move {
        if timeout_at(until, returned).await.is_err() {
            tracing::warn!("a connection that came back is closed, because the server does not answer by it");
        }
    });
}

/// Somebody who waits in the pool.
pub(super) struct Waiting(Arc<Kept>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.here().waiting -= 1;
    }
}

/// A connection of which it is not known whether there is anybody at the other end. Closed when it is dropped: given back
/// to the pool it would be asked for an answer without end.
struct Tested(Option<PoolConnection<Postgres>>);

impl Tested {
    /// The connection, if the server answers by it soon.
    async fn answers(mut self) -> Option<PoolConnection<Postgres>> {
        let answer = timeout(TEST_WAIT, self.0.as_mut()?.ping()).await;
        answer.is_ok_and(|answer| answer.is_ok()).then(|| self.0.take()).flatten()
    }
}

impl Drop for Tested {
    fn drop(&mut self) {
        if let Some(connection) = &mut self.0 {
            connection.close_on_drop();
        }
    }
}

/// A connection that is lent: for statements that stand alone, or for a transaction.
pub(super) struct Lease {
    kept: Arc<Kept>,
    /// There until it is dropped.
    connection: Option<PoolConnection<Postgres>>,
    taken: Instant,
    state: State,
    /// Dropped last, when the connection can be had again.
    _rights: Rights,
}

/// What is known of a connection, to be said by whoever uses it.
#[derive(Clone, Copy, Debug)]
pub(super) enum State {
    /// No statement is under way, and none failed.
    AtRest,
    /// One may be, and is over by then.
    Busy(Instant),
    /// Nobody answers by it.
    Lost,
}

impl Lease {
    /// The connection, and what is known of it.
    pub(super) fn parts(&mut self) -> (&mut PgConnection, &mut State) {
        let Self { connection, state, .. } = self;
        // It is taken out by `drop` only.
        let Some(connection) = connection else {
            unreachable!("a lease has its connection until it is dropped")
        };
        (connection, state)
    }

    /// Begins a transaction. To be called in a task of its own: this must not be dropped half-way.
    pub(super) async fn begin(&mut self, begin: SqlStr, wait: Duration) -> Result<(), Error> {
        let (connection, state) = self.parts();
        answered(state, Some(wait), PgTransactionManager::begin(connection, Some(begin))).await
    }

    /// Commits a transaction.
    pub(super) async fn commit(&mut self, wait: Option<Duration>) -> Result<(), Error> {
        let (connection, state) = self.parts();
        answered(state, wait, PgTransactionManager::commit(connection)).await
    }
}

/// Waits for an answer, and knows what to think of the connection after it.
async fn answered(
    state: &mut State,
    wait: Option<Duration>,
    answer: impl Future<Output = Result<(), Error>>,
) -> Result<(), Error> {
    let begin = Instant::now();
    let end = wait.map(|wait| begin + wait);
    *state = State::Busy(end.unwrap_or(begin));
    let answer = match end {
        Some(end) => timeout_at(end, answer).await,
        None => Ok(answer.await),
    };
    match answer {
        Ok(Ok(())) => *state = State::AtRest,
        Ok(Err(_)) => {}
        Err(_) => *state = State::Lost,
    }
    answer.unwrap_or_else(|_| Err(silence(begin.elapsed())))
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        if matches!(self.state, State::Lost) {
            // At once: there is nobody to say farewell to.
            return drop(connection.detach());
        }
        let is_open = PgTransactionManager::get_transaction_depth(&connection) > 0;
        if is_open {
            // Sent with the question that follows.
            PgTransactionManager::start_rollback(&mut connection);
        }
        let soon = Instant::now() + ROLLBACK_WAIT;
        match self.state {
            State::AtRest if !is_open => self.kept.keep(connection, self.taken),
            State::Busy(end) => give_back(connection, end.max(soon)),
            State::AtRest | State::Lost => give_back(connection, soon),
        }
    }
}
