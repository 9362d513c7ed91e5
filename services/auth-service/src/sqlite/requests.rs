//! Statements on `sign_up_requests`.

use auth_core::StoreError;
use auth_core::ports::{Claim, SignUpRecord};
use database::time::to_micros;
use identity::{RequestId, Timestamp};
use sqlx::{SqliteConnection, SqliteExecutor};

use super::failed;
use super::row::id;
use crate::stored::{self, REQUEST_MEMORY};

pub(super) async fn claim(
    db: &mut SqliteConnection,
    request: &SignUpRecord,
    now: Timestamp,
) -> Result<Claim, StoreError> {
    if let Some(known) = known(&mut *db, request.request_id, now).await? {
        return Ok(Claim::Known(known));
    }
    let query = sqlx::query(
        "insert or replace into sign_up_requests (request_id, username, account_id, create_time)
         values ($1, $2, $3, $4)",
    );
    query
        .bind(request.request_id.to_string())
        .bind(request.username.as_str())
        .bind(&request.account_id.as_bytes()[..])
        .bind(to_micros(now))
        .execute(db)
        .await
        .map_err(failed)?;
    Ok(Claim::Claimed)
}

pub(super) async fn known(
    db: impl SqliteExecutor<'_>,
    request_id: RequestId,
    now: Timestamp,
) -> Result<Option<SignUpRecord>, StoreError> {
    const TABLE: &str = "sign_up_requests";
    let query = sqlx::query_as::<_, (String, Vec<u8>)>(
        "select username, account_id from sign_up_requests where request_id = $1 and create_time > $2",
    );
    let query = query.bind(request_id.to_string()).bind(to_micros(now - REQUEST_MEMORY));
    let Some((username, account_id)) = query.fetch_optional(db).await.map_err(failed)? else {
        return Ok(None);
    };
    let username = stored::username(TABLE, &username, request_id)?;
    Ok(Some(SignUpRecord { request_id, username, account_id: id(TABLE, "account_id", &account_id)? }))
}

pub(super) async fn purge(db: &mut SqliteConnection, now: Timestamp, limit: u32) -> Result<u32, StoreError> {
    let query = sqlx::query(
        "delete from sign_up_requests where request_id in (
             select request_id from sign_up_requests where create_time <= $1 limit $2)",
    );
    let purged = query
        .bind(to_micros(now - REQUEST_MEMORY))
        .bind(i64::from(limit))
        .execute(db)
        .await
        .map_err(failed)?;
    Ok(u32::try_from(purged.rows_affected()).unwrap_or(u32::MAX))
}
