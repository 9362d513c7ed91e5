//! Connections between two reads.
//!
//! sqlx asks the server whether it is still there whenever a connection comes back to its pool, which is a second round
//! trip for each single read, and a task for it. A connection whose statement came to its end need not be asked. So it
//! is not given back to the pool: it is kept here for the next one. Any other (a statement failed, or its caller went
//! away in the middle of it) goes back to the pool, which finds out what state it is in.
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
use sqlx::{Connection as _, Error, Postgres};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::{IDLE_TIMEOUT, MAX_LIFETIME, Rights, TRUSTED_IDLE};

/// How long an answer is waited for that a server in service gives at once.
const TEST_WAIT: Duration = Duration::from_millis(500);

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

    /// A connection for a read. What happens seldom is on the heap: it would make the future of every call large.
    pub(super) async fn lend(self: &Arc<Self>, rights: Rights) -> Result<Lease, Error> {
        let (connection, taken) = match self.usable().await {
            Ok(usable) => usable,
            Err(_waiting) => (Box::pin(self.pool.acquire()).await?, Instant::now()),
        };
        Ok(Lease {
            kept: Arc::clone(self),
            connection: Some(connection),
            taken,
            at_rest: true,
            _rights: rights,
        })
    }

    /// Whoever has a turn takes its connection from the pool, to which a kept one is given back for that. To be held
    /// until it has one.
    pub(super) fn make_room(self: &Arc<Self>) -> Waiting {
        let mut here = self.here();
        here.waiting += 1;
        let given_back = here.idle.pop();
        drop(here);
        match given_back {
            // The pool tests what comes back, for as long as TCP hopes for an answer, and has one connection less meanwhile.
            Some(idle) if idle.since.elapsed() > TRUSTED_IDLE => {
                drop(tokio::spawn(async { Tested(Some(idle.connection)).answers().await }));
            }
            given_back => drop(given_back),
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
        // Dropped after the lock, into the pool, which closes what nobody needs any more.
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
        drop((unused, refused));
    }

    /// Gives everything back to the pool, which must be closing already, so that nothing is kept after this.
    pub(super) fn clear(&self) {
        let idle = std::mem::take(&mut self.here().idle);
        drop(idle);
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

/// A connection that is lent for reading.
pub(super) struct Lease {
    kept: Arc<Kept>,
    /// There until it is dropped.
    connection: Option<PoolConnection<Postgres>>,
    taken: Instant,
    /// No statement is under way, and none failed.
    at_rest: bool,
    /// Dropped last, when the connection can be had again.
    _rights: Rights,
}

impl Lease {
    /// The connection, and whether it is at rest; to be set by whoever uses it.
    pub(super) fn parts(&mut self) -> (&mut PgConnection, &mut bool) {
        let Self { connection, at_rest, .. } = self;
        // It is taken out by `drop` only.
        let Some(connection) = connection else {
            unreachable!("a lease has its connection until it is dropped")
        };
        (connection, at_rest)
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("at_rest", &self.at_rest).finish_non_exhaustive()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take().filter(|_| self.at_rest) {
            self.kept.keep(connection, self.taken);
        }
    }
}
