//! Statements on `sign_up_requests`.

use auth_core::StoreError;
use auth_core::ports::{Claim, SignUpRecord};
use database::postgres::Connection;
use identity::{RequestId, UserId};
use sqlx::postgres::types::PgInterval;
use uuid::Uuid;

use super::failed;
use crate::stored::{self, REQUEST_MEMORY};

/// Whoever takes an id that another is just taking waits for the outcome; one that was forgotten is taken over.
pub(super) async fn claim(
    db: &mut Connection,
    request: &SignUpRecord,
    offset: i64,
) -> Result<Claim, StoreError> {
    let query = sqlx::query(
        "insert into sign_up_requests as known (request_id, username, account_id, create_time)
         values ($1, $2, $3, clock_timestamp() + $4 * interval '1 microsecond')
         on conflict (request_id) do update
         set username = excluded.username, account_id = excluded.account_id, create_time = excluded.create_time
         where known.create_time <= excluded.create_time - $5",
    );
    let claimed = query
        .bind(request.request_id.as_uuid())
        .bind(request.username.as_str())
        .bind(request.account_id.as_uuid())
        .bind(offset)
        .bind(memory())
        .execute(&mut *db)
        .await
        .map_err(failed)?;
    if claimed.rows_affected() > 0 {
        return Ok(Claim::Claimed);
    }
    // The statement locked the row, so it stays as it is.
    let query = sqlx::query_as("select username, account_id from sign_up_requests where request_id = $1");
    let row = query.bind(request.request_id.as_uuid()).fetch_one(db).await.map_err(failed)?;
    read(request.request_id, row).map(Claim::Known)
}

pub(super) async fn known(
    db: &mut Connection,
    request_id: RequestId,
    offset: i64,
) -> Result<Option<SignUpRecord>, StoreError> {
    let query = sqlx::query_as(
        "select username, account_id from sign_up_requests
         where request_id = $1 and create_time > (select clock_timestamp() + $2 * interval '1 microsecond') - $3",
    );
    let query = query.bind(request_id.as_uuid()).bind(offset).bind(memory());
    let found = query.fetch_optional(db).await.map_err(failed)?;
    found.map(|row| read(request_id, row)).transpose()
}

fn read(request_id: RequestId, (username, account_id): (String, Uuid)) -> Result<SignUpRecord, StoreError> {
    let username = stored::username("sign_up_requests", &username, request_id)?;
    Ok(SignUpRecord { request_id, username, account_id: UserId::new(account_id) })
}

fn memory() -> PgInterval {
    PgInterval { months: 0, days: 0, microseconds: REQUEST_MEMORY.num_microseconds().unwrap_or(i64::MAX) }
}

/// Two at once divide the rows between them, and nobody waits.
pub(super) async fn purge(db: &mut Connection, limit: u32, offset: i64) -> Result<u32, StoreError> {
    let query = sqlx::query(
        "delete from sign_up_requests where request_id = any (array(
             select request_id from sign_up_requests
             where create_time <= (select clock_timestamp() + $2 * interval '1 microsecond') - $3
             order by create_time limit $1 for update skip locked))",
    );
    let query = query.bind(i64::from(limit)).bind(offset).bind(memory());
    let purged = query.execute(db).await.map_err(failed)?;
    Ok(u32::try_from(purged.rows_affected()).unwrap_or(u32::MAX))
}
