//! Where the services keep their data. Every test runs on the engine under test and knows nothing of it but what is
//! here.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use auth_core::domain::{NewAccount, PasswordHash};
use auth_core::ports::{Store, Transaction as _};
use auth_service::SqliteStore;
use clock::SystemClock;
use database::sqlite::{Sqlite, SqliteOptions};
use identity::{UserId, Username};
use uuid::Uuid;

/// A database engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// A file for each service, in the test's own folder.
    Sqlite,
}

impl Engine {
    /// The engine that this run is about.
    #[must_use]
    pub const fn under_test() -> Self {
        Self::Sqlite
    }

    /// What `database.url` of a service is.
    #[must_use]
    pub fn url(self, home: &Path, service: &str) -> String {
        match self {
            Self::Sqlite => format!("sqlite://{}", self.data(home, service).display()),
        }
    }

    /// Keeps a copy of what a service that is not running has stored.
    pub fn back_up(self, home: &Path, service: &str) {
        match self {
            Self::Sqlite => {
                let data = self.data(home, service);
                fs::copy(&data, data.with_extension("backup")).expect("the data can be copied");
            }
        }
    }

    /// Puts the copy in the place of what a service that is not running has stored.
    pub fn restore(self, home: &Path, service: &str) {
        match self {
            Self::Sqlite => {
                let data = self.data(home, service);
                fs::copy(data.with_extension("backup"), &data).expect("the copy can be put back");
            }
        }
    }

    /// Makes a service that is not running forget everything.
    pub fn erase(self, home: &Path, service: &str) {
        match self {
            Self::Sqlite => fs::remove_file(self.data(home, service)).expect("the data can be removed"),
        }
    }

    /// Puts many accounts into the data of an auth-service that is not running, through its own store: faster by far
    /// than a call for each. Nobody can log in to them.
    pub async fn register(self, home: &Path, accounts: Range<u32>) {
        match self {
            Self::Sqlite => {
                let options = SqliteOptions { path: self.data(home, "auth"), max_connections: 2 };
                let database = Sqlite::open(&options).await.expect("the data opens");
                let store = SqliteStore::new(database, SystemClock::default());
                insert(&store, accounts).await;
                store.close().await;
            }
        }
    }

    /// Keeps a service from writing for as long as the result lives, as somebody else's work on its data would.
    pub async fn occupy(self, home: &Path, service: &str) -> impl Send + use<> {
        match self {
            Self::Sqlite => {
                let options = SqliteOptions { path: self.data(home, service), max_connections: 2 };
                let database = Sqlite::open(&options).await.expect("the data opens");
                database.write().await.expect("the data is free")
            }
        }
    }

    /// The file of a service.
    #[must_use]
    pub fn data(self, home: &Path, service: &str) -> PathBuf {
        match self {
            Self::Sqlite => home.join(format!("{service}.sqlite")),
        }
    }
}

async fn insert(store: &impl Store, accounts: Range<u32>) {
    let mut tx = store.begin().await.expect("a transaction");
    let now = tx.now().await.expect("the time");
    for number in accounts {
        let account = NewAccount {
            id: UserId::new(Uuid::from_u128(0x0198_f0c2_0000_7000_8000_0000_0000_0000 + u128::from(number))),
            username: Username::parse(&format!("bulk{number:06}")).expect("a username"),
            password_hash: PasswordHash::new("of no password".to_owned()),
        };
        tx.insert_account(&account, now).await.expect("inserted");
    }
    tx.commit().await.expect("committed");
}
