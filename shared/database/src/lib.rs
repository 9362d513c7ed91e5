//! The plumbing under every store that is the same in both services: opening a database, one writer at a
//! time, the schema's version, what an error of the engine means, and times as the engines keep them.
//!
//! Deliberately absent: tables, statements and migrations, which are each service's own. [`schema`] reads
//! the two tables of bookkeeping and nothing else.

pub mod error;
pub mod schema;
pub mod sqlite;
pub mod time;

pub use schema::SchemaError;
pub use sqlite::{OpenError, ServingLock, Sqlite, SqliteOptions};
