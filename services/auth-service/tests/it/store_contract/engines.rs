//! A store of each engine, empty, for one test, and its clock.

use auth_core::testing::{FakeClock, FakeStore};
use auth_service::{POSTGRES_MIGRATIONS, PgStore, SQLITE_MIGRATIONS, SqliteStore};
use chrono::TimeDelta;
use clock::SystemClock;
use database::testing::TestDatabase;
use database::{Postgres, PostgresOptions, Sqlite, SqliteOptions, schema};
use tempfile::TempDir;

/// A store and what moves its time.
pub(crate) struct Engine<S> {
    pub(crate) store: S,
    advance: Box<dyn Fn(TimeDelta) + Send + Sync>,
}

impl<S> Engine<S> {
    /// Moves the store's time.
    pub(crate) fn advance(&self, delta: TimeDelta) {
        (self.advance)(delta);
    }
}

/// The fake.
pub(super) fn memory() -> Engine<FakeStore> {
    let clock = FakeClock::default();
    Engine { store: FakeStore::new(clock.clone()), advance: Box::new(move |delta| clock.advance(delta)) }
}

/// SQLite, in a folder that goes when it is dropped.
pub(super) async fn sqlite() -> (Engine<SqliteStore>, TempDir) {
    let folder = TempDir::new().expect("a folder");
    let options = SqliteOptions { path: folder.path().join("auth.sqlite"), max_connections: 4 };
    let database = Sqlite::open(&options).await.expect("a file");
    schema::migrate(&database, &SQLITE_MIGRATIONS).await.expect("a schema");
    schema::check(&database, &SQLITE_MIGRATIONS).await.expect("the schema of this program");
    let clock = SystemClock::default();
    let store = SqliteStore::new(database, clock.clone());
    (Engine { store, advance: Box::new(move |delta| clock.advance(delta)) }, folder)
}

/// PostgreSQL, in a database that goes when it is dropped.
pub(super) async fn postgres() -> (Engine<PgStore>, TestDatabase) {
    let (place, database) = migrated(4).await;
    (on_postgres(database), place)
}

/// PostgreSQL as it is used through a pooler that gives every transaction another connection.
pub(super) async fn pooled_postgres() -> (Engine<PgStore>, TestDatabase) {
    let (place, _database) = migrated(4).await;
    let options = PostgresOptions { prepared_statements: false, ..place.options(4) };
    (on_postgres(Postgres::open(&options).await.expect("a server")), place)
}

/// A database with the schema and nothing in it.
pub(crate) async fn migrated(max_connections: u32) -> (TestDatabase, Postgres) {
    let place = TestDatabase::create().await;
    let database = Postgres::open(&place.options(max_connections)).await.expect("a server");
    schema::migrate(&database, &POSTGRES_MIGRATIONS).await.expect("a schema");
    schema::check(&database, &POSTGRES_MIGRATIONS).await.expect("the schema of this program");
    (place, database)
}

/// A store over such a database.
pub(crate) fn on_postgres(database: Postgres) -> Engine<PgStore> {
    let clock = SystemClock::default();
    let store = PgStore::new(database, clock.clone());
    Engine { store, advance: Box::new(move |delta| clock.advance(delta)) }
}
