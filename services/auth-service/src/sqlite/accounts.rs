//! Statements on `accounts`.

use auth_core::StoreError;
use auth_core::domain::{Account, AccountKey, NewAccount, PasswordHash, StoredAccount};
use auth_core::ports::Insertion;
use database::error::is_unique_violation;
use database::time::to_micros;
use identity::{Timestamp, UserId};
use sqlx::{SqliteConnection, SqliteExecutor};

use super::row::StoredAccountRow;
use super::{failed, feed};
use crate::stored::{ACTIVE, state_number};

pub(super) async fn by_key(
    db: impl SqliteExecutor<'_>,
    key: &AccountKey,
) -> Result<Option<StoredAccount>, StoreError> {
    let query = match key {
        AccountKey::Id(id) => sqlx::query_as::<_, StoredAccountRow>(
            "select id as account_id, username, state, create_time as account_create_time, update_time, version,
                    (select epoch from feed) as epoch, password_hash, credential_version
             from accounts where id = $1",
        )
        .bind(&id.as_bytes()[..]),
        AccountKey::Username(name) => sqlx::query_as::<_, StoredAccountRow>(
            "select id as account_id, username, state, create_time as account_create_time, update_time, version,
                    (select epoch from feed) as epoch, password_hash, credential_version
             from accounts where canonical_username = $1",
        )
        .bind(name.canonical()),
    };
    query.fetch_optional(db).await.map_err(failed)?.map(StoredAccountRow::read).transpose()
}

pub(super) async fn insert(
    db: &mut SqliteConnection,
    new: &NewAccount,
    now: Timestamp,
) -> Result<Insertion, StoreError> {
    let version = feed::next_version(&mut *db).await?;
    let inserted = sqlx::query(
        "insert into accounts (id, username, canonical_username, state, password_hash, credential_version,
                               create_time, update_time, version)
         values ($1, $2, $3, $4, $5, 1, $6, $6, $7)",
    )
    .bind(&new.id.as_bytes()[..])
    .bind(new.username.as_str())
    .bind(new.username.canonical())
    .bind(ACTIVE)
    .bind(new.password_hash.as_str())
    .bind(to_micros(now))
    .bind(version.number)
    .execute(&mut *db)
    .await;
    let Err(cause) = inserted else { return inserted_account(db, new.id).await };
    match is_unique_violation(&cause).as_deref() {
        Some("accounts.id") => Ok(Insertion::IdTaken),
        Some("accounts.canonical_username") => Ok(Insertion::UsernameTaken),
        Some(_) | None => Err(failed(cause)),
    }
}

async fn inserted_account(db: &mut SqliteConnection, id: UserId) -> Result<Insertion, StoreError> {
    let stored = by_key(db, &AccountKey::Id(id)).await?;
    let stored = stored.ok_or_else(|| failed(sqlx::Error::RowNotFound))?;
    Ok(Insertion::Inserted(stored.account))
}

pub(super) async fn update(
    db: &mut SqliteConnection,
    changed: &StoredAccount,
) -> Result<Account, StoreError> {
    let account = &changed.account;
    let version = feed::next_version(&mut *db).await?;
    let updated = sqlx::query(
        "update accounts set state = $2, password_hash = $3, credential_version = $4, update_time = $5, version = $6
         where id = $1",
    )
    .bind(&account.id.as_bytes()[..])
    .bind(state_number(account.state))
    .bind(changed.password_hash.as_str())
    .bind(changed.credential_version)
    .bind(to_micros(account.update_time))
    .bind(version.number)
    .execute(db)
    .await
    .map_err(failed)?;
    if updated.rows_affected() == 0 {
        return Err(failed(sqlx::Error::RowNotFound));
    }
    Ok(Account { version, ..account.clone() })
}

pub(super) async fn rehash(
    db: &mut SqliteConnection,
    id: UserId,
    hash: &PasswordHash,
) -> Result<(), StoreError> {
    let query = sqlx::query("update accounts set password_hash = $2 where id = $1");
    query.bind(&id.as_bytes()[..]).bind(hash.as_str()).execute(db).await.map_err(failed).map(drop)
}
