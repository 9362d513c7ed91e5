//! Where the two services of one test keep their data. Tests know nothing of an engine but what is here.

use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Mutex;

use auth_service::{PgStore, SqliteStore};
use clock::SystemClock;
use database::testing::{TestDatabase, run_on};
use database::{Postgres, Sqlite, SqliteOptions};

use crate::home::Folder;
use crate::{Engine, Service, Settings};

mod accounts;
mod template;

/// The data of two services.
#[derive(Debug)]
pub enum Data {
    /// Files in this folder.
    Sqlite(PathBuf),
    /// Databases of this test alone, of auth-service and of users-service.
    Postgres(Box<[Database; 2]>),
}

/// The database of a service, and the copy of it that was kept last.
#[derive(Debug)]
pub struct Database {
    live: TestDatabase,
    copy: Mutex<Option<TestDatabase>>,
}

/// What the data is at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begins {
    /// Nothing at all, not even a schema.
    Empty,
    /// Whatever makes the services start soonest.
    Prepared,
}

impl Data {
    pub(crate) async fn new(settings: &Settings, folder: &Folder, begins: Begins) -> Self {
        let server = settings.server();
        match settings.engine() {
            // The services make their files themselves.
            Engine::Sqlite => Self::Sqlite(folder.path().to_owned()),
            Engine::Postgres => {
                let database = async |service| {
                    let live = match begins {
                        Begins::Empty => TestDatabase::create_on(server).await,
                        Begins::Prepared => template::copy(server, service, folder).await,
                    };
                    Database { live, copy: Mutex::default() }
                };
                Self::Postgres(Box::new([database(Service::Auth).await, database(Service::Users).await]))
            }
        }
    }

    /// What `database.url` of a service is.
    #[must_use]
    pub fn url(&self, service: Service) -> String {
        match self {
            Self::Sqlite(_) => format!("sqlite://{}", self.file(service).display()),
            Self::Postgres(of) => of[service as usize].live.url(),
        }
    }

    /// Whether a service has made nothing, not even a schema.
    pub async fn is_untouched(&self, service: Service) -> bool {
        match self {
            Self::Sqlite(_) => !self.file(service).exists(),
            Self::Postgres(of) => of[service as usize].live.is_empty().await,
        }
    }

    /// Keeps a copy of what a service that is not running has stored.
    pub async fn back_up(&self, service: Service) {
        match self {
            Self::Sqlite(_) => {
                let data = self.file(service);
                fs::copy(&data, data.with_extension("backup")).expect("the data can be copied");
            }
            Self::Postgres(of) => {
                let Database { live, copy } = &of[service as usize];
                let made = live.copy().await;
                *copy.lock().expect("nobody panicked here") = Some(made);
            }
        }
    }

    /// Puts the copy in the place of what a service that is not running has stored.
    pub async fn restore(&self, service: Service) {
        match self {
            Self::Sqlite(_) => {
                let data = self.file(service);
                fs::copy(data.with_extension("backup"), &data).expect("the copy can be put back");
            }
            Self::Postgres(of) => {
                let Database { live, copy } = &of[service as usize];
                let kept = copy.lock().expect("nobody panicked here").take();
                live.replace_by(&kept.expect("a copy was kept")).await;
            }
        }
    }

    /// Makes a service that is not running forget everything.
    pub async fn erase(&self, service: Service) {
        match self {
            Self::Sqlite(_) => fs::remove_file(self.file(service)).expect("the data can be removed"),
            Self::Postgres(of) => of[service as usize].live.erase().await,
        }
    }

    /// Puts many accounts into the data of an auth-service that is not running, through its own store: faster by far
    /// than a call for each. Nobody can log in to them.
    pub async fn register(&self, numbers: Range<u32>) {
        let clock = SystemClock::default();
        match self {
            Self::Sqlite(_) => {
                let store = SqliteStore::new(self.open(Service::Auth).await, clock);
                accounts::insert(&store, numbers).await;
                store.close().await;
            }
            Self::Postgres(of) => {
                let database = Postgres::open(&of[Service::Auth as usize].live.options(2)).await;
                let store = PgStore::new(database.expect("the data opens"), clock);
                accounts::insert(&store, numbers).await;
                store.close().await;
            }
        }
    }

    /// Keeps a service from writing for as long as the result lives, as somebody else's work on its data would.
    pub async fn occupy(&self, service: Service) -> Box<dyn Send> {
        match self {
            Self::Sqlite(_) => Box::new(self.open(service).await.write().await.expect("the data is free")),
            Self::Postgres(of) => {
                let lock = match service {
                    Service::Auth => "lock table accounts in exclusive mode",
                    Service::Users => "lock table users in exclusive mode",
                };
                Box::new(of[service as usize].live.hold(lock).await)
            }
        }
    }

    /// Keeps a service on PostgreSQL from reading as well, for as long as the result lives.
    pub async fn withhold(&self, service: Service) -> Box<dyn Send> {
        let lock = match service {
            Service::Auth => "lock table accounts, sessions in access exclusive mode",
            Service::Users => "lock table users in access exclusive mode",
        };
        Box::new(self.in_postgres(service).hold(lock).await)
    }

    /// Ends every connection of a service to its database on PostgreSQL, as an operator or a failover does, and returns how many
    /// there were.
    pub async fn cut_connections(&self, service: Service) -> usize {
        self.in_postgres(service).cut_connections().await
    }

    /// Ends one of them, one that is at work if any is, and returns whether there was one.
    pub async fn cut_one_connection(&self, service: Service) -> bool {
        self.in_postgres(service).cut_one_connection().await
    }

    /// Changes what a service has stored, past everything.
    pub async fn run(&self, service: Service, statement: &str) {
        match self {
            Self::Sqlite(_) => {
                let database = self.open(service).await;
                run_on(&database, statement).await;
                database.close().await;
            }
            Self::Postgres(of) => of[service as usize].live.run(statement).await,
        }
    }

    /// The file of a service, for tests of what only files have.
    #[must_use]
    pub fn file(&self, service: Service) -> PathBuf {
        let Self::Sqlite(folder) = self else { panic!("the data is not in files") };
        folder.join(match service {
            Service::Auth => "auth.sqlite",
            Service::Users => "users.sqlite",
        })
    }

    fn in_postgres(&self, service: Service) -> &TestDatabase {
        let Self::Postgres(of) = self else { panic!("this is a matter of PostgreSQL") };
        &of[service as usize].live
    }

    async fn open(&self, service: Service) -> Sqlite {
        let options = SqliteOptions { path: self.file(service), max_connections: 2 };
        Sqlite::open(&options).await.expect("the data opens")
    }
}
