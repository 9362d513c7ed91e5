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
        // One that is too old gives way, and one that was released does too, but not to a repeat of itself. Whoever comes
        // second waits on the unique key.
        let (username, role, user_id, is_new): (String, i16, Uuid, bool) = sqlx::query_as(
            "with clock as materialized (
                 select clock_timestamp() + $6 * interval '1 microsecond' as now
             )
             insert into requests as old (caller_id, request_id, username, role, user_id, create_time)
             select $1, $2, $3, $4, $5, now from clock
             on conflict (caller_id, request_id) do update set (username, role, user_id, create_time) = (
                 select
                     case when is_old then excluded.username else old.username end,
                     case when is_old then excluded.role else old.role end,
                     case when is_old and not is_released_repeat then excluded.user_id else old.user_id end,
                     case when is_old then excluded.create_time else old.create_time end
                 from (
                     select old.create_time < excluded.create_time - $7 * interval '1 microsecond' as is_old,
                         old.create_time = 'epoch'
                             and (old.username, old.role) = (excluded.username, excluded.role)
                             as is_released_repeat
                 ) as age
             )
             returning username, role, user_id, create_time = (select now from clock)",
        )
        .bind(request.caller.as_uuid())
        .bind(request.request_id.as_uuid())
        .bind(&request.username)
        .bind(small(request.role.number()))
        .bind(request.user_id.as_uuid())
        .bind(self.clock.offset_micros())
        .bind(lifetime.num_microseconds().unwrap_or(i64::MAX))
        .fetch_one(&mut *self.tx)
        .await
        .map_err(failed)?;
        let remembered = StoredRequest {
            username,
            role: stored::role(role, "requests", request.request_id)?,
            user_id: UserId::new(user_id),
            ..request.clone()
        };
        Ok(Claim { remembered, is_new })
    }

    async fn release_request(&mut self, request: &StoredRequest) -> Result<(), StoreError> {
        sqlx::query(
            "update requests set create_time = 'epoch'
             where caller_id = $1 and request_id = $2 and user_id = $3",
        )
        .bind(request.caller.as_uuid())
        .bind(request.request_id.as_uuid())
        .bind(request.user_id.as_uuid())
        .execute(&mut *self.tx)
        .await
        .map_err(failed)?;
        Ok(())
    }

    async fn delete_requests_before(&mut self, time: Timestamp, limit: u16) -> Result<u64, StoreError> {
        let deleted = sqlx::query(
            "delete from requests where (caller_id, request_id) in (
                 select caller_id, request_id from requests
                 where create_time < $1 order by create_time limit $2 for update skip locked
             )",
        )
        .bind(time)
        .bind(i64::from(limit))
        .execute(&mut *self.tx)
        .await
        .map_err(failed)?;
        Ok(deleted.rows_affected())
    }
}
