//! Requests that may be repeated.

use chrono::TimeDelta;
use identity::{Timestamp, UserId};
use users_core::StoreError;
use users_core::ports::{Claim, Requests, StoredRequest};
use uuid::Uuid;

use super::row::small;
use super::{PgTransaction, failed};
use crate::stored;

impl Requests for PgTransaction {
    async fn claim_request(
        &mut self,
        request: &StoredRequest,
        lifetime: TimeDelta,
    ) -> Result<Claim, StoreError> {
        // Whoever comes second waits on the unique key. One that is too old gives way, and one that was released does too,
        // but a repeat of itself gets its user.
        let claimed: Option<(Uuid, Timestamp)> = sqlx::query_as(
            "insert into requests as old (caller_id, request_id, username, role, user_id, create_time)
             values ($1, $2, $3, $4, $5, clock_timestamp() + $6 * interval '1 microsecond')
             on conflict (caller_id, request_id) do update set
                 username = excluded.username,
                 role = excluded.role,
                 user_id = case
                     when old.create_time = 'epoch'
                         and (old.username, old.role) = (excluded.username, excluded.role)
                     then old.user_id else excluded.user_id
                 end,
                 create_time = excluded.create_time
             where old.create_time < excluded.create_time - $7 * interval '1 microsecond'
             returning user_id, create_time",
        )
        .bind(request.caller.as_uuid())
        .bind(request.request_id.as_uuid())
        .bind(&request.username)
        .bind(small(request.role.number()))
        .bind(request.user_id.as_uuid())
        .bind(self.clock.offset_micros())
        .bind(lifetime.num_microseconds().unwrap_or(i64::MAX))
        .fetch_optional(&mut *self.tx)
        .await
        .map_err(failed)?;
        if let Some((user_id, time)) = claimed {
            let remembered = StoredRequest { user_id: UserId::new(user_id), ..request.clone() };
            return Ok(Claim { remembered, is_new: true, time });
        }
        // The statement locked the row, so it stays as it is.
        let (username, role, user_id, time): (String, i16, Uuid, Timestamp) = sqlx::query_as(
            "select username, role, user_id, create_time from requests where caller_id = $1 and request_id = $2",
        )
        .bind(request.caller.as_uuid())
        .bind(request.request_id.as_uuid())
        .fetch_one(&mut *self.tx)
        .await
        .map_err(failed)?;
        let remembered = StoredRequest {
            username,
            role: stored::role(role, "requests", request.request_id)?,
            user_id: UserId::new(user_id),
            ..request.clone()
        };
        Ok(Claim { remembered, is_new: false, time })
    }

    async fn confirm_request(&mut self, request: &StoredRequest) -> Result<(), StoreError> {
        sqlx::query(
            "insert into requests as old (caller_id, request_id, username, role, user_id, create_time)
             values ($1, $2, $3, $4, $5, clock_timestamp() + $6 * interval '1 microsecond')
             on conflict (caller_id, request_id) do update
             set create_time = greatest(excluded.create_time, old.create_time + interval '1 microsecond')
             where old.user_id = excluded.user_id",
        )
        .bind(request.caller.as_uuid())
        .bind(request.request_id.as_uuid())
        .bind(&request.username)
        .bind(small(request.role.number()))
        .bind(request.user_id.as_uuid())
        .bind(self.clock.offset_micros())
        .execute(&mut *self.tx)
        .await
        .map_err(failed)?;
        Ok(())
    }

    async fn release_request(&mut self, request: &StoredRequest, time: Timestamp) -> Result<(), StoreError> {
        sqlx::query(
            "update requests set create_time = 'epoch'
             where caller_id = $1 and request_id = $2 and user_id = $3 and create_time = $4",
        )
        .bind(request.caller.as_uuid())
        .bind(request.request_id.as_uuid())
        .bind(request.user_id.as_uuid())
        .bind(time)
        .execute(&mut *self.tx)
        .await
        .map_err(failed)?;
        Ok(())
    }

    async fn delete_requests_before(&mut self, time: Timestamp, limit: u16) -> Result<u64, StoreError> {
        let deleted = sqlx::query(
            "delete from requests where ctid = any (array(
                 select ctid from requests
                 where create_time < $1 order by create_time limit $2 for update skip locked
             ))",
        )
        .bind(time)
        .bind(i64::from(limit))
        .execute(&mut *self.tx)
        .await
        .map_err(failed)?;
        Ok(deleted.rows_affected())
    }
}
