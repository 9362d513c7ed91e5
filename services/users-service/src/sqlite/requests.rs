//! Requests that may be repeated.

use database::time::to_micros;
use identity::{RequestId, Timestamp, UserId};
use users_core::StoreError;
use users_core::ports::{Requests, StoredRequest};

use super::{SqliteTransaction, failed, row};

impl Requests for SqliteTransaction {
    async fn find_request(
        &mut self,
        caller: UserId,
        request_id: RequestId,
        not_before: Timestamp,
    ) -> Result<Option<StoredRequest>, StoreError> {
        let found: Option<(String, i64, Vec<u8>)> = sqlx::query_as(
            "select username, role, user_id from requests
             where caller_id = $1 and request_id = $2 and create_time >= $3",
        )
        .bind(caller.as_bytes().as_slice())
        .bind(request_id.to_string())
        .bind(to_micros(not_before))
        .fetch_optional(&mut *self.tx)
        .await
        .map_err(failed)?;
        let Some((username, role, user_id)) = found else { return Ok(None) };
        Ok(Some(StoredRequest {
            caller,
            request_id,
            username,
            role: row::role(role, "requests", request_id)?,
            user_id: row::id(&user_id, "requests", "user_id")?,
        }))
    }

    async fn insert_request(&mut self, request: &StoredRequest) -> Result<(), StoreError> {
        let now = to_micros(self.time());
        sqlx::query(
            "insert or replace into requests (caller_id, request_id, username, role, user_id, create_time)
             values ($1, $2, $3, $4, $5, $6)",
        )
        .bind(request.caller.as_bytes().as_slice())
        .bind(request.request_id.to_string())
        .bind(&request.username)
        .bind(request.role.number())
        .bind(request.user_id.as_bytes().as_slice())
        .bind(now)
        .execute(&mut *self.tx)
        .await
        .map_err(failed)?;
        Ok(())
    }

    async fn forget_request(&mut self, request: &StoredRequest) -> Result<(), StoreError> {
        sqlx::query("delete from requests where caller_id = $1 and request_id = $2 and user_id = $3")
            .bind(request.caller.as_bytes().as_slice())
            .bind(request.request_id.to_string())
            .bind(request.user_id.as_bytes().as_slice())
            .execute(&mut *self.tx)
            .await
            .map_err(failed)?;
        Ok(())
    }

    async fn delete_requests_before(&mut self, time: Timestamp) -> Result<(), StoreError> {
        sqlx::query("delete from requests where create_time < $1")
            .bind(to_micros(time))
            .execute(&mut *self.tx)
            .await
            .map_err(failed)?;
        Ok(())
    }
}
