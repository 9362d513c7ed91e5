//! Statements on `feed`.

use auth_core::StoreError;
use auth_core::ports::Changes;
use database::postgres::Connection;
use identity::Epoch;
use sqlx::{FromRow as _, Row as _};

use super::failed;
use super::row::AccountRow;
use crate::stored::{self, unreadable};

/// What whoever changes an account notifies.
pub(super) const CHANNEL: &str = "tandem_accounts";

pub(super) async fn newest(db: &mut Connection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("select newest from feed").fetch_one(db).await
}

pub(super) async fn begin_epoch(db: &mut Connection, epoch: &Epoch) -> Result<(), StoreError> {
    // Whoever changes an account waits for this, though nobody should be there who does: the reply may name the old epoch,
    // the feed names the new one.
    sqlx::query("select from feed for no key update").execute(&mut *db).await.map_err(failed)?;
    let query = sqlx::query("update feed_epoch set epoch = $1").bind(epoch.as_str());
    query.execute(db).await.map_err(failed).map(drop)
}

/// One statement, so that epoch, newest number and accounts are of one moment.
pub(super) async fn changes_after(
    db: &mut Connection,
    number: i64,
    limit: u32,
) -> Result<Changes, StoreError> {
    let rows = sqlx::query(
        "select feed_epoch.epoch, feed.newest, account.*
         from feed cross join feed_epoch left join (
             select id as account_id, username, state, create_time as account_create_time, update_time, version
             from accounts where version > $1 order by version limit $2
         ) account on true
         order by account.version",
    )
    .bind(number)
    .bind(i64::from(limit))
    .fetch_all(db)
    .await
    .map_err(failed)?;

    let first = rows.first().ok_or_else(|| unreadable("feed", "id", 1))?;
    let epoch = stored::epoch(first.try_get("epoch").map_err(failed)?)?;
    let newest = first.try_get("newest").map_err(failed)?;
    let mut accounts = Vec::with_capacity(rows.len());
    for row in &rows {
        if row.try_get::<Option<i64>, _>("version").map_err(failed)?.is_some() {
            accounts.push(AccountRow::from_row(row).map_err(failed)?.read()?);
        }
    }
    Ok(Changes { epoch, newest, accounts })
}
