//! Statements on `sessions`. Alive means: not expired by the server's clock; `offset` is how far tests moved it.
//!
//! What is to be deleted is picked by an array, not by a join: a list of keys is always looked up in the index.

use auth_core::StoreError;
use auth_core::domain::{LiveSession, Session, SessionId, SessionPosition};
use database::postgres::Connection;
use identity::{Timestamp, UserId};
use sqlx::{FromRow as _, Row as _};

use super::failed;
use super::row::{AccountRow, SessionRow, session_uuid};

/// Returns how many of the others had to go. These are those of before: the two halves see the same snapshot.
pub(super) async fn open(
    db: &mut Connection,
    session: &Session,
    others: u32,
    offset: i64,
) -> Result<u32, StoreError> {
    let query = sqlx::query_scalar::<_, i64>(
        "with displaced as (
             delete from sessions where id = any (array(
                 select id from sessions
                 where account_id = $2 and expire_time > (select clock_timestamp() + $11 * interval '1 microsecond')
                 order by create_time desc, id desc offset $10))
             returning id
         ), opened as (
             insert into sessions (id, account_id, create_time, expire_time, absolute_expire_time, last_used_time,
                                   authenticated_time, user_agent, peer_address)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         )
         select count(*) from displaced",
    );
    let displaced = query
        .bind(session_uuid(&session.id))
        .bind(session.user_id.as_uuid())
        .bind(session.create_time)
        .bind(session.expire_time)
        .bind(session.absolute_expire_time)
        .bind(session.last_used_time)
        .bind(session.authenticated_time)
        .bind(&session.client.user_agent)
        .bind(session.client.peer_address.map(|address| address.to_string()))
        .bind(i64::from(others))
        .bind(offset)
        .fetch_one(db)
        .await
        .map_err(failed)?;
    Ok(u32::try_from(displaced).unwrap_or(u32::MAX))
}

pub(super) async fn end(
    db: &mut Connection,
    user_id: UserId,
    id: &SessionId,
    offset: i64,
) -> Result<Option<Session>, StoreError> {
    let query = sqlx::query(
        "delete from sessions where id = $1 and account_id = $2
         returning id as session_id, account_id as session_account_id, create_time as session_create_time,
                   expire_time, absolute_expire_time, last_used_time, authenticated_time, user_agent, peer_address,
                   expire_time > clock_timestamp() + $3 * interval '1 microsecond' as alive",
    );
    let query = query.bind(session_uuid(id)).bind(user_id.as_uuid()).bind(offset);
    match query.fetch_optional(db).await.map_err(failed)? {
        Some(row) if row.try_get("alive").map_err(failed)? => {
            SessionRow::from_row(&row).map_err(failed)?.read().map(Some)
        }
        Some(_) | None => Ok(None),
    }
}

/// Those that expired within the last hour go too: should the clock step back, they must not live again. What expired
/// earlier is left to the purge, however much it is.
pub(super) async fn end_all(
    db: &mut Connection,
    user_id: UserId,
    keep: Option<&SessionId>,
    offset: i64,
) -> Result<u32, StoreError> {
    let query = sqlx::query_scalar::<_, i64>(
        "with ended as (
             delete from sessions
             where account_id = $1 and id is distinct from $2
                   and expire_time > (select clock_timestamp() + $3 * interval '1 microsecond' - interval '1 hour')
             returning expire_time > clock_timestamp() + $3 * interval '1 microsecond' as alive
         )
         select count(*) filter (where alive) from ended",
    );
    let query = query.bind(user_id.as_uuid()).bind(keep.map(session_uuid)).bind(offset);
    let ended = query.fetch_one(db).await.map_err(failed)?;
    Ok(u32::try_from(ended).unwrap_or(u32::MAX))
}

/// Ends all sessions that there are; returns how many were alive.
pub(super) async fn end_everybodys(db: &mut Connection, offset: i64) -> Result<u64, StoreError> {
    let query = sqlx::query_scalar::<_, i64>(
        "select count(*) from sessions
         where expire_time at time zone 'UTC'
               > (select clock_timestamp() + $1 * interval '1 microsecond') at time zone 'UTC'",
    );
    let alive = query.bind(offset).fetch_one(&mut *db).await.map_err(failed)?;
    sqlx::query("delete from sessions").execute(db).await.map_err(failed)?;
    Ok(u64::try_from(alive).unwrap_or_default())
}

pub(super) async fn note_use(
    db: &mut Connection,
    id: &SessionId,
    expire_time: Timestamp,
    last_used_time: Timestamp,
    offset: i64,
) -> Result<Option<Session>, StoreError> {
    let query = sqlx::query_as::<_, SessionRow>(
        "update sessions
         set expire_time = greatest(expire_time, $2), last_used_time = greatest(last_used_time, $3)
         where id = $1 and expire_time > (select clock_timestamp() + $4 * interval '1 microsecond')
         returning id as session_id, account_id as session_account_id, create_time as session_create_time,
                   expire_time, absolute_expire_time, last_used_time, authenticated_time, user_agent, peer_address",
    );
    let query = query.bind(session_uuid(id)).bind(expire_time).bind(last_used_time).bind(offset);
    query.fetch_optional(db).await.map_err(failed)?.map(SessionRow::read).transpose()
}

/// Session, account, epoch and the time in one round trip: every call of every client begins with it.
pub(super) async fn live(
    db: &mut Connection,
    id: &SessionId,
    offset: i64,
) -> Result<Option<LiveSession>, StoreError> {
    let query = sqlx::query(
        "select s.id as session_id, s.account_id as session_account_id, s.create_time as session_create_time,
                s.expire_time, s.absolute_expire_time, s.last_used_time, s.authenticated_time, s.user_agent,
                s.peer_address,
                a.id as account_id, a.username, a.state, a.create_time as account_create_time, a.update_time,
                a.version, (select epoch from feed_epoch) as epoch, clock.now
         from (select clock_timestamp() + $2 * interval '1 microsecond' as now) clock
              join sessions s on s.id = $1 and s.expire_time > clock.now
              join accounts a on a.id = s.account_id",
    );
    let found = query.bind(session_uuid(id)).bind(offset).fetch_optional(db).await.map_err(failed)?;
    let Some(row) = found else { return Ok(None) };
    let session = SessionRow::from_row(&row).map_err(failed)?.read()?;
    let account = AccountRow::from_row(&row).map_err(failed)?.read()?;
    Ok(Some(LiveSession { session, account, now: row.try_get("now").map_err(failed)? }))
}

pub(super) async fn live_of_user(
    db: &mut Connection,
    user_id: UserId,
    after: Option<&SessionPosition>,
    limit: u32,
    offset: i64,
) -> Result<Vec<Session>, StoreError> {
    let query = sqlx::query_as::<_, SessionRow>(
        "select id as session_id, account_id as session_account_id, create_time as session_create_time, expire_time,
                absolute_expire_time, last_used_time, authenticated_time, user_agent, peer_address
         from sessions
         where account_id = $1 and expire_time > (select clock_timestamp() + $2 * interval '1 microsecond')
               and ($3::timestamptz is null or (create_time, id) < ($3, $4))
         order by create_time desc, id desc limit $5",
    );
    let query = query.bind(user_id.as_uuid()).bind(offset);
    let query =
        query.bind(after.map(|place| place.create_time)).bind(after.map(|place| session_uuid(&place.id)));
    let rows = query.bind(i64::from(limit)).fetch_all(db).await.map_err(failed)?;
    rows.into_iter().map(SessionRow::read).collect()
}

/// Two at once divide the rows between them, and nobody waits: for them, or they for anybody.
pub(super) async fn purge(db: &mut Connection, limit: u32, offset: i64) -> Result<u32, StoreError> {
    let query = sqlx::query(
        "delete from sessions where id = any (array(
             select id from sessions
             where expire_time at time zone 'UTC'
                   <= (select clock_timestamp() + $2 * interval '1 microsecond') at time zone 'UTC'
             order by expire_time at time zone 'UTC' limit $1 for update skip locked))",
    );
    let purged = query.bind(i64::from(limit)).bind(offset).execute(db).await.map_err(failed)?;
    Ok(u32::try_from(purged.rows_affected()).unwrap_or(u32::MAX))
}
