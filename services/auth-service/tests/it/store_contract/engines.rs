//! A store of each engine, empty, for one test, and its clock.

use auth_core::testing::{FakeClock, FakeStore};
use auth_service::{MIGRATIONS, SqliteStore};
use chrono::TimeDelta;
use clock::SystemClock;
use database::{Sqlite, SqliteOptions, schema};
use tempfile::TempDir;

/// A store and what moves its time.
pub(super) struct Engine<S> {
    pub(super) store: S,
    advance: Box<dyn Fn(TimeDelta) + Send + Sync>,
}

impl<S> Engine<S> {
    /// Moves the store's time.
    pub(super) fn advance(&self, delta: TimeDelta) {
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
    schema::migrate(&database, &MIGRATIONS).await.expect("a schema");
    schema::check(&database, &MIGRATIONS).await.expect("the schema of this program");
    let clock = SystemClock::default();
    let store = SqliteStore::new(database, clock.clone());
    (Engine { store, advance: Box::new(move |delta| clock.advance(delta)) }, folder)
}
