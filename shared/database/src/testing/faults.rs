//! What happens to connections to PostgreSQL that nobody asked for.

use std::time::Duration;

use sqlx::error::DatabaseError;
use sqlx::postgres::PgConnectOptions;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::{TestDatabase, server};

/// How soon a place that is free again is taken.
const AT_ONCE: Duration = Duration::from_millis(5);
/// Of PostgreSQL: too many connections.
const TOO_MANY: &str = "53300";
/// What these connections are called, by which they know each other.
const NAME: &str = "every connection";
/// Ends all others, and says how many there were.
const CUT_OTHERS: &str = "select count(*) from pg_stat_activity
    where backend_type = 'client backend' and application_name <> 'every connection' and pg_terminate_backend(pid)";

impl TestDatabase {
    /// Ends every connection to it as an operator or a failover does, and returns how many there were.
    pub async fn cut_connections(&self) -> usize {
        self.cut("").await
    }

    /// Ends one connection to it, the one that was made first of those that are at work if any are, and returns whether there
    /// was one.
    pub async fn cut_one_connection(&self) -> bool {
        self.cut("order by state <> 'active', backend_start limit 1").await > 0
    }

    async fn cut(&self, which: &'static str) -> usize {
        let statement = format!(
            "with victims as materialized (
                 select pid from pg_stat_activity
                 where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
                 {which})
             select count(*) from victims where pg_terminate_backend(pid)"
        );
        let ended: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(statement))
            .fetch_one(&mut self.connect().await)
            .await
            .expect("the superuser may do everything");
        usize::try_from(ended).expect("a count")
    }
}

/// Every place for a connection that a server has, for as long as this lives: nobody else has any.
#[derive(Debug)]
#[must_use = "the places are free again when it is dropped"]
pub struct EveryConnection {
    taking: JoinHandle<()>,
}

impl EveryConnection {
    /// Takes them, those that are kept for superusers included, ends those that others have, and returns when there are none left
    /// of either.
    pub async fn of(server_url: Option<&str>) -> Self {
        let (tell, mut full) = watch::channel(false);
        let taking = tokio::spawn(take(server(server_url).application_name(NAME), tell));
        full.wait_for(|full| *full).await.expect("it goes on taking");
        Self { taking }
    }
}

impl Drop for EveryConnection {
    fn drop(&mut self) {
        self.taking.abort();
    }
}

async fn take(server: PgConnectOptions, full: watch::Sender<bool>) {
    let mut taken = Vec::new();
    loop {
        match super::try_connect(&server).await {
            Ok(connection) => taken.push(connection),
            Err(error) => {
                let code = error.as_database_error().and_then(DatabaseError::code);
                if code.is_some_and(|code| code == TOO_MANY) {
                    let first = taken.first_mut().expect("whoever is let in first stays");
                    let others: i64 =
                        sqlx::query_scalar(CUT_OTHERS).fetch_one(first).await.expect("a superuser");
                    full.send_if_modified(|full| others == 0 && !std::mem::replace(full, true));
                }
                sleep(AT_ONCE).await;
            }
        }
    }
}
