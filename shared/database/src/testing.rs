//! PostgreSQL databases for tests: each test has one of its own, empty, on the server that `DATABASE_URL` names as a
//! superuser, and it goes when the test ends.
//!
//! Knows no schema: whose database it becomes is the test's to say.

#![expect(clippy::missing_panics_doc, reason = "a test without its database fails")]

use std::net::SocketAddr;
use std::thread;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

use crate::{PostgresOptions, Sqlite};

mod copies;
mod faults;
mod plans;

pub use faults::EveryConnection;
pub use plans::reads_whole;

const NOT_SET: &str = "DATABASE_URL is not set: run `tests/postgres run cargo nextest run …`";

/// A database of its own for one test. Dropped with the value, whoever is still connected to it.
#[derive(Debug)]
#[must_use = "the database goes when it is dropped"]
pub struct TestDatabase {
    server: PgConnectOptions,
    name: String,
}

impl TestDatabase {
    /// Creates an empty one.
    pub async fn create() -> Self {
        Self::create_on(None).await
    }

    /// Creates an empty one on the server that this URL names as a superuser.
    pub async fn create_on(server_url: Option<&str>) -> Self {
        let server = server(server_url);
        let mut connection = connect(&server).await;
        let name = new_name(&mut connection).await;
        run(&mut connection, format!("create database {name}")).await;
        Self { server, name }
    }

    /// How it is connected to, as the superuser.
    #[must_use]
    pub fn connect_options(&self) -> PgConnectOptions {
        self.server.clone().database(&self.name)
    }

    /// The same for a service's database, without a pooler in between.
    #[must_use]
    pub fn options(&self, max_connections: u32) -> PostgresOptions {
        let connect = self.connect_options();
        PostgresOptions { direct: connect.clone(), connect, max_connections, prepared_statements: true }
    }

    /// The URL that `connect_options` amounts to.
    #[must_use]
    pub fn url(&self) -> String {
        url(&self.connect_options())
    }

    /// As [`options`](Self::options), but connected to by way of a proxy, [`server_address`] being where that leads.
    #[must_use]
    pub fn options_by(&self, proxy: SocketAddr, max_connections: u32) -> PostgresOptions {
        let connect = self.connect_options().host(&proxy.ip().to_string()).port(proxy.port());
        PostgresOptions { connect, ..self.options(max_connections) }
    }

    /// A connection past every pool, to look at what a store left behind and to be in its way.
    pub async fn connect(&self) -> PgConnection {
        connect(&self.connect_options()).await
    }

    /// Executes statements past every pool.
    pub async fn run(&self, statements: &str) {
        run(&mut self.connect().await, statements.to_owned()).await;
    }

    /// Executes a statement in a transaction that stays open for as long as the result lives.
    pub async fn hold(&self, statement: &str) -> PgConnection {
        let mut connection = self.connect().await;
        run(&mut connection, format!("begin; {statement}")).await;
        connection
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        // On a runtime of its own: that of the test does not wait in here, and may be ending.
        let dropped = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let mut connection = connect(&server).await;
                run(&mut connection, format!("drop database if exists {name} with (force)")).await;
            });
        });
        let left_behind = dropped.join().is_err();
        assert!(!left_behind || thread::panicking(), "{} is left behind", self.name);
    }
}

/// Where the server of `DATABASE_URL` listens: `127.0.0.1:5432`.
#[must_use]
pub fn server_address() -> String {
    let server = server(None);
    format!("{}:{}", server.get_host(), server.get_port())
}

fn server(url: Option<&str>) -> PgConnectOptions {
    #[expect(clippy::disallowed_methods, reason = "where the server is, the caller of the tests has to say")]
    let url = url.map_or_else(|| std::env::var("DATABASE_URL").expect(NOT_SET), str::to_owned);
    url.parse().expect("the URL of a PostgreSQL server")
}

fn url(options: &PgConnectOptions) -> String {
    options.to_url_lossy().to_string()
}

async fn new_name(connection: &mut PgConnection) -> String {
    let name = sqlx::query_scalar("select 'test_' || replace(gen_random_uuid()::text, '-', '')");
    name.fetch_one(connection).await.expect("the server makes up a name")
}

async fn connect(options: &PgConnectOptions) -> PgConnection {
    try_connect(options).await.expect("the server that DATABASE_URL names answers")
}

async fn try_connect(options: &PgConnectOptions) -> sqlx::Result<PgConnection> {
    PgConnection::connect_with(options).await
}

/// Executes statements on a file, all or none.
///
/// # Panics
/// When they do not run.
pub async fn run_on(database: &Sqlite, statements: &str) {
    let mut transaction = database.write().await.expect("the file is free");
    let statements = AssertSqlSafe(statements.to_owned());
    sqlx::raw_sql(statements).execute(&mut *transaction).await.expect("they run");
    transaction.commit().await.expect("they are committed");
}

/// These statements are tests' own, with names of databases in them that the server or a test made up.
async fn run(connection: &mut PgConnection, statement: String) {
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(connection)
        .await
        .expect("the superuser may do everything");
}
