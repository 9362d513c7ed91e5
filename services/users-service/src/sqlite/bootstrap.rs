//! The super admin that is being made.

use identity::{UserId, Username};
use users_core::StoreError;
use users_core::ports::Bootstraps;

use super::{SqliteTransaction, failed, row};
use crate::stored;

impl Bootstraps for SqliteTransaction {
    async fn unfinished_bootstrap(&mut self) -> Result<Option<(UserId, Username)>, StoreError> {
        let found: Option<(Vec<u8>, String)> = sqlx::query_as("select user_id, username from bootstrap")
            .fetch_optional(&mut *self.tx)
            .await
            .map_err(failed)?;
        let Some((id, username)) = found else { return Ok(None) };
        Ok(Some((row::id(&id, "bootstrap", "user_id")?, stored::username(&username, "bootstrap", 1)?)))
    }

    async fn begin_bootstrap(&mut self, id: UserId, username: &Username) -> Result<(), StoreError> {
        sqlx::query("insert into bootstrap (only, user_id, username) values (1, $1, $2)")
            .bind(id.as_bytes().as_slice())
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
