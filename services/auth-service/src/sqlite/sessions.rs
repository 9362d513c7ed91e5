//! Statements on `sessions`. Alive means: not expired by the time that the caller read off the store's clock.

use auth_core::StoreError;
use auth_core::domain::{LiveSession, Session, SessionId, SessionPosition};
use database::sqlite::{NotAtOnce, Parameter, Sqlite};
use database::time::to_micros;
use identity::{Timestamp, UserId};
use sqlx::{FromRow as _, SqliteConnection, SqlitePool};

use super::failed;
use super::row::{AccountRow, SessionRow};

pub(super) async fn insert(db: &mut SqliteConnection, session: &Session) -> Result<(), StoreError> {
    let query = sqlx::query(
        "insert into sessions (id, account_id, create_time, expire_time, absolute_expire_time, last_used_time,
                               authenticated_time, user_agent, peer_address)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    );
    query
        .bind(session.id.as_str())
        .bind(&session.user_id.as_bytes()[..])
        .bind(to_micros(session.create_time))
        .bind(to_micros(session.expire_time))
        .bind(to_micros(session.absolute_expire_time))
        .bind(to_micros(session.last_used_time))
        .bind(to_micros(session.authenticated_time))
        .bind(&session.client.user_agent)
        .bind(session.client.peer_address.map(|address| address.to_string()))
        .execute(db)
        .await
        .map_err(failed)
        .map(drop)
}

pub(super) async fn end(
    db: &mut SqliteConnection,
    user_id: UserId,
    id: &SessionId,
    now: Timestamp,
) -> Result<Option<Session>, StoreError> {
    let query = sqlx::query_as::<_, SessionRow>(
        "delete from sessions where id = $1 and account_id = $2
         returning id as session_id, account_id as session_account_id, create_time as session_create_time,
                   expire_time, absolute_expire_time, last_used_time, authenticated_time, user_agent, peer_address",
    );
    let ended =
        query.bind(id.as_str()).bind(&user_id.as_bytes()[..]).fetch_optional(db).await.map_err(failed)?;
    let ended = ended.map(SessionRow::read).transpose()?;
    Ok(ended.filter(|session| session.expire_time > now))
}

pub(super) async fn end_all(
    db: &mut SqliteConnection,
    user_id: UserId,
    keep: Option<&SessionId>,
    now: Timestamp,
) -> Result<u32, StoreError> {
    let query = sqlx::query_scalar::<_, bool>(
        "delete from sessions where account_id = $1 and id is not $2 returning expire_time > $3",
    );
    let query = query.bind(&user_id.as_bytes()[..]).bind(keep.map(SessionId::as_str)).bind(to_micros(now));
    let ended = query.fetch_all(db).await.map_err(failed)?;
    Ok(u32::try_from(ended.into_iter().filter(|alive| *alive).count()).unwrap_or(u32::MAX))
}

pub(super) async fn end_oldest(
    db: &mut SqliteConnection,
    user_id: UserId,
    remaining: u32,
    now: Timestamp,
) -> Result<u32, StoreError> {
    let query = sqlx::query(
        "delete from sessions where id in (
             select id from sessions where account_id = $1 and expire_time > $2
             order by create_time desc, id desc limit -1 offset $3)",
    );
    let query = query.bind(&user_id.as_bytes()[..]).bind(to_micros(now)).bind(i64::from(remaining));
    let ended = query.execute(db).await.map_err(failed)?;
    Ok(u32::try_from(ended.rows_affected()).unwrap_or(u32::MAX))
}

/// Ends all sessions that there are; returns how many were alive.
pub(super) async fn end_everybodys(db: &mut SqliteConnection, now: Timestamp) -> Result<u64, StoreError> {
    let query = sqlx::query_scalar::<_, i64>("select count(*) from sessions where expire_time > $1");
    let alive = query.bind(to_micros(now)).fetch_one(&mut *db).await.map_err(failed)?;
    sqlx::query("delete from sessions").execute(db).await.map_err(failed)?;
    Ok(u64::try_from(alive).unwrap_or_default())
}

pub(super) async fn note_use(
    db: &mut SqliteConnection,
    id: &SessionId,
    expire_time: Timestamp,
    last_used_time: Timestamp,
    now: Timestamp,
) -> Result<Option<Session>, StoreError> {
    let query = sqlx::query_as::<_, SessionRow>(
        "update sessions set expire_time = max(expire_time, $2), last_used_time = max(last_used_time, $3)
         where id = $1 and expire_time > $4
         returning id as session_id, account_id as session_account_id, create_time as session_create_time,
                   expire_time, absolute_expire_time, last_used_time, authenticated_time, user_agent, peer_address",
    );
    let query = query.bind(id.as_str()).bind(to_micros(expire_time)).bind(to_micros(last_used_time));
    let used = query.bind(to_micros(now)).fetch_optional(db).await.map_err(failed)?;
    used.map(SessionRow::read).transpose()
}

/// Session, account and epoch in one read: every call of every client begins with it.
const LIVE: &str =
    "select s.id as session_id, s.account_id as session_account_id, s.create_time as session_create_time,
            s.expire_time, s.absolute_expire_time, s.last_used_time, s.authenticated_time, s.user_agent,
            s.peer_address,
            a.id as account_id, a.username, a.state, a.create_time as account_create_time, a.update_time,
            a.version, (select epoch from feed) as epoch
     from sessions s join accounts a on a.id = s.account_id
     where s.id = $1 and s.expire_time > $2";

pub(super) async fn live(
    db: &Sqlite,
    id: &SessionId,
    now: Timestamp,
) -> Result<Option<LiveSession>, StoreError> {
    let parameters = [Parameter::Text(id.as_str()), Parameter::Integer(to_micros(now))];
    let at_once =
        db.read_at_once(LIVE, &parameters, |row| Ok((SessionRow::at(row, 0)?, AccountRow::at(row, 9)?)));
    let found = match at_once {
        Ok(found) => found,
        Err(NotAtOnce) => live_by_the_pool(db.reader(), id, now).await?,
    };
    let Some((session, account)) = found else { return Ok(None) };
    Ok(Some(LiveSession { session: session.read()?, account: account.read()?, now }))
}

async fn live_by_the_pool(
    db: &SqlitePool,
    id: &SessionId,
    now: Timestamp,
) -> Result<Option<(SessionRow, AccountRow)>, StoreError> {
    let query = sqlx::query(LIVE).bind(id.as_str()).bind(to_micros(now));
    let Some(row) = query.fetch_optional(db).await.map_err(failed)? else { return Ok(None) };
    let session = SessionRow::from_row(&row).map_err(failed)?;
    let account = AccountRow::from_row(&row).map_err(failed)?;
    Ok(Some((session, account)))
}

pub(super) async fn live_of_user(
    db: &SqlitePool,
    user_id: UserId,
    after: Option<&SessionPosition>,
    limit: u32,
    now: Timestamp,
) -> Result<Vec<Session>, StoreError> {
    let query = sqlx::query_as::<_, SessionRow>(
        "select id as session_id, account_id as session_account_id, create_time as session_create_time, expire_time,
                absolute_expire_time, last_used_time, authenticated_time, user_agent, peer_address
         from sessions
         where account_id = $1 and expire_time > $2 and (create_time, id) < ($3, $4)
         order by create_time desc, id desc limit $5",
    );
    // Before the newest that there can be, when there is no place to begin at.
    let (create_time, id) =
        after.map_or((i64::MAX, ""), |place| (to_micros(place.create_time), place.id.as_str()));
    let query = query.bind(&user_id.as_bytes()[..]).bind(to_micros(now)).bind(create_time).bind(id);
    let rows = query.bind(i64::from(limit)).fetch_all(db).await.map_err(failed)?;
    rows.into_iter().map(SessionRow::read).collect()
}

pub(super) async fn purge(db: &mut SqliteConnection, now: Timestamp, limit: u32) -> Result<u32, StoreError> {
    let query = sqlx::query(
        "delete from sessions where id in (select id from sessions where expire_time <= $1 limit $2)",
    );
    let purged = query.bind(to_micros(now)).bind(i64::from(limit)).execute(db).await.map_err(failed)?;
    Ok(u32::try_from(purged.rows_affected()).unwrap_or(u32::MAX))
}
