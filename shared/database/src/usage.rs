//! How many of its connections a process uses, for operators. Knows no tables.

use std::time::Instant;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use sqlx::{Database, Error, Pool};

const CONNECTIONS: &str = "tandem_database_connections";
const TIMEOUTS: &str = "tandem_database_timeouts_total";
const BEGIN: &str = "tandem_database_begin_seconds";

/// The connections of a pool at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolUsage {
    /// What the pool is for, in a word: `primary`, `writer`.
    pub pool: &'static str,
    /// Those that somebody has.
    pub in_use: u32,
    /// Those that are open, and nobody has.
    pub idle: u32,
    /// The most that there may be.
    pub max: u32,
}

impl PoolUsage {
    /// Of a pool that keeps its idle connections itself, or lends so many that lie idle elsewhere.
    pub(crate) fn of<D: Database>(name: &'static str, pool: &Pool<D>, idle_elsewhere: usize) -> Self {
        let idle = u32::try_from(pool.num_idle() + idle_elsewhere).unwrap_or(u32::MAX);
        let max = pool.options().get_max_connections();
        // Counted one after the other while others work: never a negative number.
        Self { pool: name, in_use: pool.size().saturating_sub(idle), idle, max }
    }

    /// Shows it in the metrics of the service whose database is called so.
    pub fn record(&self, database: &'static str) {
        for (state, connections) in [("in_use", self.in_use), ("idle", self.idle), ("max", self.max)] {
            gauge!(CONNECTIONS, "database" => database, "pool" => self.pool, "state" => state)
                .set(connections);
        }
    }
}

/// Describes the metrics, and makes those that count.
pub fn announce(database: &'static str) {
    describe_gauge!(
        CONNECTIONS,
        "Connections to the database, by pool: in_use and idle are open; max is how many there may be."
    );
    describe_counter!(TIMEOUTS, "Calls that waited in vain for a connection to the database.");
    describe_histogram!(
        BEGIN,
        "How long a transaction took to begin, the wait for a connection included, in seconds."
    );
    counter!(TIMEOUTS, "database" => database).increment(0);
    let _ = histogram!(BEGIN, "database" => database);
}

/// Measures how long a transaction takes to begin: on SQLite most of it is the wait for the one writer.
pub async fn begun<T>(
    database: &'static str,
    beginning: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let arrived = Instant::now();
    let begun = beginning.await;
    histogram!(BEGIN, "database" => database).record(arrived.elapsed());
    begun
}

/// Counts an error if it means that there was no connection to be had.
pub fn count_timeout(database: &'static str, error: &Error) {
    if matches!(error, Error::PoolTimedOut) {
        counter!(TIMEOUTS, "database" => database).increment(1);
    }
}
