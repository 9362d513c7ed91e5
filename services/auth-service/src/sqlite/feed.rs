//! Statements on `feed`.

use auth_core::StoreError;
use auth_core::ports::Changes;
use identity::{AccountVersion, Epoch};
use sqlx::{FromRow as _, Row as _, SqliteConnection, SqlitePool};

use super::failed;
use super::row::AccountRow;
use crate::stored::{self, unreadable};

/// Takes the next number of the feed: the caller commits right after.
pub(super) async fn next_version(db: &mut SqliteConnection) -> Result<AccountVersion, StoreError> {
    let query =
        sqlx::query_as::<_, (i64, String)>("update feed set newest = newest + 1 returning newest, epoch");
    let (number, epoch) = query.fetch_one(db).await.map_err(failed)?;
    Ok(AccountVersion { epoch: stored::epoch(&epoch)?, number })
}

pub(super) async fn begin_epoch(db: &mut SqliteConnection, epoch: &Epoch) -> Result<(), StoreError> {
    let query = sqlx::query("update feed set epoch = $1").bind(epoch.as_str());
    query.execute(db).await.map_err(failed).map(drop)
}

/// One statement, so that epoch, newest number and accounts are of one moment.
pub(super) async fn changes_after(db: &SqlitePool, number: i64, limit: u32) -> Result<Changes, StoreError> {
    let rows = sqlx::query(
        "select feed.epoch, feed.newest, account.*
         from feed left join (
             select id as account_id, username, state, create_time as account_create_time, update_time, version
             from accounts where version > $1 order by version limit $2
         ) account
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
