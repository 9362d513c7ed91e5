//! The super admin that is being made.

use std::fmt;
use std::time::Duration;

use database::Postgres;
use identity::{UserId, Username};
use sqlx::PgConnection;
use tokio::time::timeout;
use users_core::StoreError;
use users_core::ports::Bootstraps;
use uuid::Uuid;

use super::{PgTransaction, failed};
use crate::stored;

/// PostgreSQL's state for a lock that was not to be had in time.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// How long the server is waited for, which does not wait for the lock for so long.
const ANSWER_WAIT: Duration = Duration::from_secs(5);

/// Held while a super admin is made. It belongs to a connection of its own, past any pooler, and goes with it: when it is
/// dropped and when the process dies.
pub struct BootstrapLock {
    _connection: PgConnection,
}

impl fmt::Debug for BootstrapLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BootstrapLock")
    }
}

/// The lock of the schema that the service is in. It is waited for a moment, because the server needs one to hear that
/// whoever had it before is gone.
pub(super) async fn lock(primary: &Postgres) -> Result<Option<BootstrapLock>, StoreError> {
    let mut connection = primary.connect_directly().await.map_err(failed)?;
    let locked = timeout(ANSWER_WAIT, async {
        sqlx::query("set lock_timeout = '500ms'").execute(&mut connection).await?;
        let lock = sqlx::query(
            "select pg_advisory_lock(hashtextextended('super admin bootstrap of ' || current_schema(), 0))",
        );
        lock.execute(&mut connection).await
    })
    .await;
    match locked.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
        Ok(_) => Ok(Some(BootstrapLock { _connection: connection })),
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(LOCK_NOT_AVAILABLE) => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

impl Bootstraps for PgTransaction {
    async fn unfinished_bootstrap(&mut self) -> Result<Option<(UserId, Username)>, StoreError> {
        let found: Option<(Uuid, String)> = sqlx::query_as("select user_id, username from bootstrap")
            .fetch_optional(&mut *self.tx)
            .await
            .map_err(failed)?;
        let Some((id, username)) = found else { return Ok(None) };
        Ok(Some((UserId::new(id), stored::username(&username, "bootstrap", 1)?)))
    }

    async fn begin_bootstrap(&mut self, id: UserId, username: &Username) -> Result<(), StoreError> {
        sqlx::query("insert into bootstrap (only_row, user_id, username) values (true, $1, $2)")
            .bind(id.as_uuid())
            .bind(username.as_str())
            .execute(&mut *self.tx)
            .await
            .map_err(failed)?;
        Ok(())
    }

    async fn end_bootstrap(&mut self) -> Result<(), StoreError> {
        sqlx::query("delete from bootstrap").execute(&mut *self.tx).await.map_err(failed)?;
        Ok(())
    }
}
