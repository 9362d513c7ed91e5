//! The plumbing under every store that is the same in both services: opening a database of either engine, its settings,
//! the schema's version, what an error of the engine means, and times as the engines keep them.
//!
//! Deliberately absent: tables, statements and migrations, which are each service's own. [`schema`] reads
//! the two tables of bookkeeping and nothing else.

#[cfg(test)]
use overheard as _;

pub mod error;
pub mod postgres;
pub mod schema;
pub mod settings;
pub mod sqlite;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod time;
pub mod usage;

pub use postgres::{Postgres, PostgresOptions};
pub use schema::SchemaError;
pub use settings::{DatabaseSettings, Engine};
pub use sqlite::{ServingLock, Sqlite, SqliteOptions};
pub use usage::PoolUsage;
