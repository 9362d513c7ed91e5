//! Databases that begin as copies of another: of a template that is made once for all tests on a server, or of what a
//! service has stored.

use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};

use super::{TestDatabase, connect, run, server, url};

impl TestDatabase {
    /// Creates a copy of a template. It is made by `make`, which is given an empty database, unless a test on this
    /// server has made it before. The name of a template has to say what is in it.
    pub async fn from_template(
        server_url: Option<&str>,
        template: &str,
        make: impl AsyncFnOnce(&str),
    ) -> Self {
        let server = server(server_url);
        let mut connection = connect(&server).await;
        if !exists(&mut connection, template).await {
            prepare(&mut connection, &server, template, make).await;
        }
        Self::copied(connection, server, template).await
    }

    /// Creates a copy of this one, to which nobody may be connected.
    pub async fn copy(&self) -> Self {
        let connection = connect(&self.server).await;
        Self::copied(connection, self.server.clone(), &self.name).await
    }

    /// Puts a copy of another in the place of this one, whoever is connected to it.
    pub async fn replace_by(&self, other: &Self) {
        let mut connection = connect(&self.server).await;
        run(&mut connection, format!("drop database {} with (force)", self.name)).await;
        run(&mut connection, format!("create database {} template {}", self.name, other.name)).await;
    }

    /// Makes this one empty again, whoever is connected to it.
    pub async fn erase(&self) {
        let mut connection = connect(&self.server).await;
        run(&mut connection, format!("drop database {} with (force)", self.name)).await;
        run(&mut connection, format!("create database {}", self.name)).await;
    }

    /// Whether nobody has made a table in it.
    pub async fn is_empty(&self) -> bool {
        let found = "select not exists (select from pg_tables where schemaname = 'public')";
        sqlx::query_scalar(found).fetch_one(&mut self.connect().await).await.expect("the list of tables")
    }

    async fn copied(mut connection: PgConnection, server: PgConnectOptions, template: &str) -> Self {
        let name = super::new_name(&mut connection).await;
        run(&mut connection, format!("create database {name} template {template}")).await;
        Self { server, name }
    }
}

async fn exists(connection: &mut PgConnection, name: &str) -> bool {
    let found = sqlx::query_scalar("select exists (select from pg_database where datname = $1)").bind(name);
    found.fetch_one(connection).await.expect("the list of databases")
}

/// One test makes it while the others that need it wait. Under its name it is complete: whoever dies on the way leaves
/// only what the next one removes.
async fn prepare(
    connection: &mut PgConnection,
    server: &PgConnectOptions,
    template: &str,
    make: impl AsyncFnOnce(&str),
) {
    let mut turn = connection.begin().await.expect("a transaction");
    let lock = sqlx::query("select pg_advisory_xact_lock(hashtextextended($1, 0))").bind(template);
    lock.execute(&mut *turn).await.expect("a turn");
    if !exists(&mut turn, template).await {
        // What creates a database cannot be in a transaction.
        let mut beside = connect(server).await;
        let unfinished = format!("{template}_unfinished");
        run(&mut beside, format!("drop database if exists {unfinished} with (force)")).await;
        run(&mut beside, format!("create database {unfinished}")).await;
        make(&url(&server.clone().database(&unfinished))).await;
        run(&mut beside, format!("alter database {unfinished} rename to {template}")).await;
    }
    turn.commit().await.expect("the turn is over");
}
