//! A store of each engine, empty, for one test.

use clock::SystemClock;
use database::SqliteOptions;
use tempfile::TempDir;
use users_core::testing::MemoryStore;
use users_service::SqliteStore;

/// The fake.
pub(super) fn memory() -> MemoryStore {
    MemoryStore::default()
}

/// SQLite, in a folder that goes when it is dropped.
pub(super) async fn sqlite() -> (SqliteStore, TempDir) {
    let folder = TempDir::new().expect("a folder");
    let options = SqliteOptions { path: folder.path().join("users.sqlite"), max_connections: 4 };
    let store = SqliteStore::open(&options, SystemClock::default()).await.expect("a file");
    store.migrate().await.expect("a schema");
    store.check_schema().await.expect("the schema of this program");
    (store, folder)
}
