//! What happens to connections to PostgreSQL that nobody asked for.

use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::{TestDatabase, server};

/// How soon a place that is free again is taken.
const AT_ONCE: Duration = Duration::from_millis(5);
/// Of PostgreSQL: too many connections.
const TOO_MANY: &str = "53300";

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

/// Every place for a connection that a server has, and whichever becomes free, for as long as this lives.
#[derive(Debug)]
#[must_use = "the places are free again when it is dropped"]
pub struct EveryConnection {
    taking: JoinHandle<()>,
}

impl EveryConnection {
    /// Takes them, those that are kept for superusers included, and returns when the server says that there are no more.
    /// Connections of others stay; [`TestDatabase::cut_connections`] frees their places for this.
    pub async fn of(server_url: Option<&str>) -> Self {
        let (tell, mut full) = watch::channel(false);
        let taking = tokio::spawn(take(server(server_url), tell));
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
                let code = error.as_database_error().and_then(|error| error.code());
                if code.is_some_and(|code| code == TOO_MANY) {
                    full.send_replace(true);
                }
                sleep(AT_ONCE).await;
            }
        }
    }
}
