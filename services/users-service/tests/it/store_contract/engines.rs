//! A store of each engine, empty, for one test.

use clock::SystemClock;
use database::postgres::Deadline;
use database::testing::TestDatabase;
use database::{PostgresOptions, SqliteOptions};
use tempfile::TempDir;
use users_core::testing::MemoryStore;
use users_service::{PgStore, ServedStore, SqliteStore};

/// The fake.
pub(crate) fn memory() -> MemoryStore {
    MemoryStore::default()
}

/// SQLite, in a folder that goes when it is dropped.
pub(crate) async fn sqlite() -> (SqliteStore, TempDir) {
    let folder = TempDir::new().expect("a folder");
    let options = SqliteOptions { path: folder.path().join("users.sqlite"), max_connections: 4 };
    let store = SqliteStore::open(&options, SystemClock::default()).await.expect("a file");
    (migrated(store).await, folder)
}

/// PostgreSQL, in a database that goes when it is dropped.
pub(crate) async fn postgres() -> (PgStore, TestDatabase) {
    let database = TestDatabase::create().await;
    (postgres_on(&database.options(4), None).await, database)
}

/// The same as behind a pooler that gives every transaction another connection of the server.
pub(crate) async fn postgres_pooled() -> (PgStore, TestDatabase) {
    let database = TestDatabase::create().await;
    let options = PostgresOptions { prepared_statements: false, ..database.options(4) };
    (postgres_on(&options, None).await, database)
}

/// The same with a single connection.
pub(crate) async fn postgres_alone() -> (PgStore, TestDatabase) {
    let database = TestDatabase::create().await;
    (postgres_on(&database.options(1), None).await, database)
}

/// A store on these databases, with its schema.
pub(crate) async fn postgres_on(primary: &PostgresOptions, replica: Option<&PostgresOptions>) -> PgStore {
    postgres_until(primary, replica, || None).await
}

/// The same for callers that have no more time than this.
pub(crate) async fn postgres_until(
    primary: &PostgresOptions,
    replica: Option<&PostgresOptions>,
    deadline: Deadline,
) -> PgStore {
    let store = PgStore::open(primary, replica, SystemClock::default(), deadline).await;
    migrated(store.expect("a server")).await
}

async fn migrated<S: ServedStore>(store: S) -> S {
    store.migrate().await.expect("a schema");
    store.check_schema().await.expect("the schema of this program");
    store
}
