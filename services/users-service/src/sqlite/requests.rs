//! Requests that may be repeated.

use chrono::TimeDelta;
use database::time::{from_micros, to_micros};
use identity::Timestamp;
use users_core::StoreError;
use users_core::ports::{Claim, Requests, StoredRequest};

use super::{SqliteTransaction, failed, row};
use crate::stored::{self, broken};

impl Requests for SqliteTransaction {
    async fn claim_request(
        &mut self,
        request: &StoredRequest,
        lifetime: TimeDelta,
    ) -> Result<Claim, StoreError> {
        let now = self.time();
        // One that is too old gives way, and one that was released does too, but a repeat of itself gets its user.
        let claimed: Option<Vec<u8>> = sqlx::query_scalar(
            "insert into requests as old (caller_id, request_id, username, role, user_id, create_time)
             values ($1, $2, $3, $4, $5, $6)
             on conflict (caller_id, request_id) do update set
                 username = excluded.username,
                 role = excluded.role,
                 user_id = iif(
                     old.create_time = 0 and (old.username, old.role) = (excluded.username, excluded.role),
                     old.user_id, excluded.user_id
                 ),
                 create_time = excluded.create_time
             where old.create_time < $7
             returning user_id",
        )
        .bind(request.caller.as_bytes().as_slice())
        .bind(request.request_id.to_string())
        .bind(&request.username)
        .bind(request.role.number())
        .bind(request.user_id.as_bytes().as_slice())
        .bind(to_micros(now))
        .bind(to_micros(now - lifetime))
        .fetch_optional(&mut *self.tx)
        .await
        .map_err(failed)?;
        if let Some(user_id) = claimed {
            let user_id = row::id(&user_id, "requests", "user_id")?;
            let remembered = StoredRequest { user_id, ..request.clone() };
            return Ok(Claim { remembered, is_new: true, time: now });
        }
        let (username, role, user_id, time): (String, i64, Vec<u8>, i64) = sqlx::query_as(
            "select username, role, user_id, create_time from requests where caller_id = $1 and request_id = $2",
        )
        .bind(request.caller.as_bytes().as_slice())
        .bind(request.request_id.to_string())
        .fetch_one(&mut *self.tx)
        .await
        .map_err(failed)?;
        let remembered = StoredRequest {
            username,
            role: stored::role(role, "requests", request.request_id)?,
            user_id: row::id(&user_id, "requests", "user_id")?,
            ..request.clone()
        };
        let time = from_micros(time).map_err(|_| broken("requests", "create_time", request.request_id))?;
        Ok(Claim { remembered, is_new: false, time })
    }

    async fn confirm_request(&mut self, request: &StoredRequest) -> Result<(), StoreError> {
        let now = self.time();
        sqlx::query(
            "insert into requests as old (caller_id, request_id, username, role, user_id, create_time)
             values ($1, $2, $3, $4, $5, $6)
             on conflict (caller_id, request_id) do update
             set create_time = max(excluded.create_time, old.create_time + 1)
             where old.user_id = excluded.user_id",
        )
        .bind(request.caller.as_bytes().as_slice())
        .bind(request.request_id.to_string())
        .bind(&request.username)
        .bind(request.role.number())
        .bind(request.user_id.as_bytes().as_slice())
        .bind(to_micros(now))
        .execute(&mut *self.tx)
        .await
        .map_err(failed)?;
        Ok(())
    }

    async fn release_request(&mut self, request: &StoredRequest, time: Timestamp) -> Result<(), StoreError> {
        sqlx::query(
            "update requests set create_time = 0
             where caller_id = $1 and request_id = $2 and user_id = $3 and create_time = $4",
        )
        .bind(request.caller.as_bytes().as_slice())
        .bind(request.request_id.to_string())
        .bind(request.user_id.as_bytes().as_slice())
        .bind(to_micros(time))
        .execute(&mut *self.tx)
        .await
        .map_err(failed)?;
        Ok(())
    }

    async fn delete_requests_before(&mut self, time: Timestamp, limit: u16) -> Result<u64, StoreError> {
        let deleted = sqlx::query(
            "delete from requests where (caller_id, request_id) in (
                 select caller_id, request_id from requests where create_time < $1 limit $2
             )",
        )
        .bind(to_micros(time))
        .bind(limit)
        .execute(&mut *self.tx)
        .await
        .map_err(failed)?;
        Ok(deleted.rows_affected())
    }
}
