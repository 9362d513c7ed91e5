//! Statements on `accounts`. Those that change one take the feed's counter and tell the listeners of every process, which
//! hear it when it is committed.

use auth_core::StoreError;
use auth_core::domain::{Account, AccountKey, NewAccount, PasswordHash, StoredAccount};
use auth_core::ports::{Insertion, LockedAccount};
use database::error::is_unique_violation;
use database::postgres::Connection;
use fail_point::mutant;
use identity::{AccountVersion, Timestamp, UserId};

use super::failed;
use super::row::{AccountRow, LockedAccountRow, StoredAccountRow};
use crate::stored::{self, ACTIVE, state_number};

pub(super) async fn by_key(
    db: &mut Connection,
    key: &AccountKey,
) -> Result<Option<StoredAccount>, StoreError> {
    let query = match key {
        AccountKey::Id(id) => sqlx::query_as::<_, StoredAccountRow>(
            "select id as account_id, username, state, create_time as account_create_time, update_time, version,
                    (select epoch from feed_epoch) as epoch, password_hash, credential_version
             from accounts where id = $1",
        )
        .bind(id.as_uuid()),
        AccountKey::Username(name) => sqlx::query_as::<_, StoredAccountRow>(
            "select id as account_id, username, state, create_time as account_create_time, update_time, version,
                    (select epoch from feed_epoch) as epoch, password_hash, credential_version
             from accounts where canonical_username = $1",
        )
        .bind(name.canonical()),
    };
    query.fetch_optional(db).await.map_err(failed)?.map(StoredAccountRow::read).transpose()
}

/// Of the locks that exclude each other the weakest: what only refers to the account need not wait for it. The time is read
/// outside of what locks: inside, it would be read before the wait.
pub(super) async fn lock(
    db: &mut Connection,
    id: UserId,
    offset: i64,
) -> Result<Option<LockedAccount>, StoreError> {
    let query = sqlx::query_as::<_, LockedAccountRow>(
        "with locked as materialized (
             select id as account_id, username, state, create_time as account_create_time, update_time, version,
                    (select epoch from feed_epoch) as epoch, password_hash, credential_version
             from accounts where id = $1 for no key update
         )
         select locked.*, clock_timestamp() + $2 * interval '1 microsecond' as now from locked",
    );
    let found = query.bind(id.as_uuid()).bind(offset).fetch_optional(db).await.map_err(failed)?;
    found.map(LockedAccountRow::read).transpose()
}

pub(super) async fn insert(
    db: &mut Connection,
    new: &NewAccount,
    now: Timestamp,
) -> Result<Insertion, StoreError> {
    // A defect: nothing keeps a name from being stored twice.
    if mutant("accounts.names_not_unique") {
        let defect = "alter table accounts drop constraint if exists accounts_canonical_username_key";
        sqlx::query(defect).execute(&mut *db).await.map_err(failed)?;
    }
    let query = sqlx::query_as::<_, AccountRow>(
        "with next as (
             update feed set newest = newest + 1
             returning newest as version, pg_notify('tandem_accounts', '')
         )
         insert into accounts (id, username, canonical_username, state, password_hash, credential_version,
                               create_time, update_time, version)
         select $1, $2, $3, $4, $5, 1, $6, $6, version from next
         returning id as account_id, username, state, create_time as account_create_time, update_time, version,
                   (select epoch from feed_epoch) as epoch",
    );
    let inserted = query
        .bind(new.id.as_uuid())
        .bind(new.username.as_str())
        .bind(new.username.canonical())
        .bind(ACTIVE)
        .bind(new.password_hash.as_str())
        .bind(now)
        .fetch_one(db)
        .await;
    match inserted {
        Ok(row) => row.read().map(Insertion::Inserted),
        Err(cause) => match is_unique_violation(&cause).as_deref() {
            Some("accounts_pkey") => Ok(Insertion::IdTaken),
            Some("accounts_canonical_username_key") => Ok(Insertion::UsernameTaken),
            Some(_) | None => Err(failed(cause)),
        },
    }
}

pub(super) async fn update(db: &mut Connection, changed: &StoredAccount) -> Result<Account, StoreError> {
    let account = &changed.account;
    let query = sqlx::query_as::<_, (i64, String)>(
        "with next as (
             update feed set newest = newest + 1
             returning newest as version, pg_notify('tandem_accounts', '')
         )
         update accounts
         set state = $2, password_hash = $3, credential_version = $4, update_time = $5, version = next.version
         from next where id = $1
         returning next.version, (select epoch from feed_epoch)",
    );
    let (number, epoch) = query
        .bind(account.id.as_uuid())
        .bind(state_number(account.state))
        .bind(changed.password_hash.as_str())
        .bind(changed.credential_version)
        .bind(account.update_time)
        .fetch_one(db)
        .await
        .map_err(failed)?;
    let version = AccountVersion { epoch: stored::epoch(&epoch)?, number };
    Ok(Account { version, ..account.clone() })
}

pub(super) async fn rehash(db: &mut Connection, id: UserId, hash: &PasswordHash) -> Result<(), StoreError> {
    let query = sqlx::query("update accounts set password_hash = $2 where id = $1");
    query.bind(id.as_uuid()).bind(hash.as_str()).execute(db).await.map_err(failed).map(drop)
}
