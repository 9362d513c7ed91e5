//! Statements on `attempts`, `failures` and `address_counts`.
//!
//! What does not exist yet cannot be locked as a row, so an account and an address are locked by name, with advisory locks
//! that end with the transaction.

use auth_core::StoreError;
use auth_core::domain::{
    AddressCount, Attempt, AttemptId, ClientAddress, Failures, SignUps, Standing, Undecided,
};
use database::postgres::Connection;
use identity::{Timestamp, Username};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::failed;
use crate::stored::{self, EVERYWHERE, PURPOSES, SIGN_UP, purpose_number};

/// What an advisory lock is about.
enum Lock<'a> {
    Account(&'a Username),
    Address(&'a ClientAddress),
    SignUps(&'a ClientAddress),
}

impl Lock<'_> {
    /// Two names with one key would only wait for each other needlessly.
    fn key(&self) -> i64 {
        let (kind, name) = match self {
            Lock::Account(name) => ("account", name.canonical()),
            Lock::Address(address) => ("address", address.as_str()),
            Lock::SignUps(address) => ("sign-ups", address.as_str()),
        };
        let digest = Sha256::digest(format!("tandem {kind} {name}"));
        i64::from_be_bytes(*digest.first_chunk().expect("32 bytes have 8"))
    }
}

/// In the order that is given, which is the order in which the rows of the array come.
async fn lock(db: &mut Connection, locks: &[Lock<'_>]) -> Result<(), StoreError> {
    let keys: Vec<_> = locks.iter().map(Lock::key).collect();
    let query = sqlx::query("select pg_advisory_xact_lock(key) from unnest($1::bigint[]) as key");
    query.bind(keys).execute(db).await.map_err(failed).map(drop)
}

pub(super) async fn lock_standing(
    db: &mut Connection,
    attempt: &Attempt,
    offset: i64,
) -> Result<Standing, StoreError> {
    lock(db, &[Lock::Account(&attempt.username), Lock::Address(&attempt.address)]).await?;
    standing(db, attempt, offset).await
}

#[derive(sqlx::FromRow)]
struct StandingRow {
    now: Timestamp,
    pair_count: Option<i32>,
    pair_time: Option<Timestamp>,
    account_count: Option<i32>,
    account_time: Option<Timestamp>,
    address_count: Option<i32>,
    end_time: Option<Timestamp>,
    of_account: i64,
    of_pair: i64,
    of_address: i64,
}

pub(super) async fn standing(
    db: &mut Connection,
    attempt: &Attempt,
    offset: i64,
) -> Result<Standing, StoreError> {
    let query = sqlx::query_as::<_, StandingRow>(
        "with moment as materialized (select clock_timestamp() + $4 * interval '1 microsecond' as now)
         select now, pair.count as pair_count, pair.last_time as pair_time, account.count as account_count,
                account.last_time as account_time, origin.count as address_count, origin.end_time as end_time,
                (select count(*) from attempts where purpose = $1 and username = $2 and lapse_time > now) as of_account,
                (select count(*) from attempts
                 where purpose = $1 and username = $2 and address = $3 and lapse_time > now) as of_pair,
                (select count(*) from attempts where purpose = $1 and address = $3 and lapse_time > now) as of_address
         from moment
         left join failures pair
             on pair.purpose = $1 and pair.username = $2 and pair.address = $3 and pair.expire_time > now
         left join failures account
             on account.purpose = $1 and account.username = $2 and account.address = $5 and account.expire_time > now
         left join address_counts origin
             on origin.purpose = $1 and origin.address = $3 and origin.end_time > now",
    );
    let query = query
        .bind(purpose_number(attempt.purpose))
        .bind(attempt.username.canonical())
        .bind(attempt.address.as_str())
        .bind(offset)
        .bind(EVERYWHERE);
    let row = query.fetch_one(db).await.map_err(failed)?;
    let name = attempt.username.canonical();
    Ok(Standing {
        pair: stored::failures(row.pair_count.map(i64::from), row.pair_time, name)?,
        account: stored::failures(row.account_count.map(i64::from), row.account_time, name)?,
        address: stored::address_count(
            row.address_count.map(i64::from),
            row.end_time,
            attempt.address.as_str(),
        )?,
        undecided: Undecided {
            of_account: stored::attempts(row.of_account),
            of_pair: stored::attempts(row.of_pair),
            of_address: stored::attempts(row.of_address),
        },
        now: row.now,
    })
}

pub(super) async fn reserve(
    db: &mut Connection,
    id: AttemptId,
    attempt: &Attempt,
    lapse_time: Timestamp,
) -> Result<(), StoreError> {
    let query = sqlx::query(
        "insert into attempts (id, purpose, username, address, lapse_time) values ($1, $2, $3, $4, $5)",
    );
    let query = query
        .bind(Uuid::from_u128(id.bits()))
        .bind(purpose_number(attempt.purpose))
        .bind(attempt.username.canonical())
        .bind(attempt.address.as_str())
        .bind(lapse_time);
    query.execute(db).await.map_err(failed).map(drop)
}

pub(super) async fn release(db: &mut Connection, id: AttemptId) -> Result<(), StoreError> {
    let query = sqlx::query("delete from attempts where id = $1").bind(Uuid::from_u128(id.bits()));
    query.execute(db).await.map_err(failed).map(drop)
}

/// Writes what is other than it was before.
pub(super) async fn write(
    db: &mut Connection,
    attempt: &Attempt,
    before: &Standing,
    after: &Standing,
) -> Result<(), StoreError> {
    let address = attempt.address.as_str();
    for (address, before, after) in
        [(address, before.pair, after.pair), (EVERYWHERE, before.account, after.account)]
    {
        if before != after {
            write_failures(db, attempt, address, after).await?;
        }
    }
    if before.address != after.address {
        write_address_count(db, purpose_number(attempt.purpose), &attempt.address, after.address).await?;
    }
    Ok(())
}

async fn write_failures(
    db: &mut Connection,
    attempt: &Attempt,
    address: &str,
    failures: Option<Failures>,
) -> Result<(), StoreError> {
    let (purpose, username) = (purpose_number(attempt.purpose), attempt.username.canonical());
    let query = match failures {
        Some(failures) => sqlx::query(
            "insert into failures (purpose, username, address, count, last_time, expire_time)
             values ($1, $2, $3, $4, $5, $6)
             on conflict (purpose, username, address) do update
             set count = excluded.count, last_time = excluded.last_time, expire_time = excluded.expire_time",
        )
        .bind(purpose)
        .bind(username)
        .bind(address)
        .bind(stored::count_column(failures.count))
        .bind(failures.last_time)
        .bind(failures.expire_time()),
        None => sqlx::query("delete from failures where purpose = $1 and username = $2 and address = $3")
            .bind(purpose)
            .bind(username)
            .bind(address),
    };
    query.execute(db).await.map_err(failed).map(drop)
}

async fn write_address_count(
    db: &mut Connection,
    purpose: i16,
    address: &ClientAddress,
    count: Option<AddressCount>,
) -> Result<(), StoreError> {
    let query = match count {
        Some(count) => sqlx::query(
            "insert into address_counts (purpose, address, count, end_time) values ($1, $2, $3, $4)
             on conflict (purpose, address) do update
             set count = excluded.count, end_time = excluded.end_time",
        )
        .bind(purpose)
        .bind(address.as_str())
        .bind(stored::count_column(count.count))
        .bind(count.end_time),
        None => sqlx::query("delete from address_counts where purpose = $1 and address = $2")
            .bind(purpose)
            .bind(address.as_str()),
    };
    query.execute(db).await.map_err(failed).map(drop)
}

pub(super) async fn forget(db: &mut Connection, username: &Username) -> Result<(), StoreError> {
    lock(db, &[Lock::Account(username)]).await?;
    let query = sqlx::query("delete from failures where purpose = any ($1) and username = $2");
    let query = query.bind(PURPOSES.map(purpose_number).to_vec()).bind(username.canonical());
    query.execute(db).await.map_err(failed).map(drop)
}

pub(super) async fn lock_sign_ups(
    db: &mut Connection,
    address: &ClientAddress,
    offset: i64,
) -> Result<SignUps, StoreError> {
    lock(db, &[Lock::SignUps(address)]).await?;
    sign_ups(db, address, offset).await
}

pub(super) async fn sign_ups(
    db: &mut Connection,
    address: &ClientAddress,
    offset: i64,
) -> Result<SignUps, StoreError> {
    let query = sqlx::query_as::<_, (Timestamp, Option<i32>, Option<Timestamp>)>(
        "with moment as materialized (select clock_timestamp() + $3 * interval '1 microsecond' as now)
         select now, origin.count, origin.end_time
         from moment
         left join address_counts origin
             on origin.purpose = $1 and origin.address = $2 and origin.end_time > now",
    );
    let query = query.bind(SIGN_UP).bind(address.as_str()).bind(offset);
    let (now, count, end_time) = query.fetch_one(db).await.map_err(failed)?;
    Ok(SignUps { count: stored::address_count(count.map(i64::from), end_time, address.as_str())?, now })
}

pub(super) async fn write_sign_ups(
    db: &mut Connection,
    address: &ClientAddress,
    count: Option<AddressCount>,
) -> Result<(), StoreError> {
    write_address_count(db, SIGN_UP, address, count).await
}

/// Two at once divide the rows between them, and nobody waits.
pub(super) async fn purge(
    db: &mut Connection,
    limit: u32,
    kept_counts: u32,
    offset: i64,
) -> Result<u32, StoreError> {
    let expired = [
        "delete from attempts where id = any (array(
             select id from attempts
             where lapse_time <= (select clock_timestamp() + $2 * interval '1 microsecond')
             order by lapse_time limit $1 for update skip locked))",
        "delete from failures where ctid = any (array(
             select ctid from failures
             where expire_time <= (select clock_timestamp() + $2 * interval '1 microsecond')
             order by expire_time limit $1 for update skip locked))",
        "delete from address_counts where ctid = any (array(
             select ctid from address_counts
             where end_time <= (select clock_timestamp() + $2 * interval '1 microsecond')
             order by end_time limit $1 for update skip locked))",
    ];
    // The next one, where there are so many, is one too many, and those before it. Sign-ups (`SIGN_UP`) have a bound of their
    // own: they cost no hash.
    let too_many = [
        "delete from failures where ctid = any (array(
             select ctid from failures
             where expire_time <= (select expire_time from failures order by expire_time desc offset $2 limit 1)
             order by expire_time limit $1 for update skip locked))",
        "delete from address_counts where ctid = any (array(
             select ctid from address_counts
             where purpose <> 4 and end_time <= (
                 select end_time from address_counts where purpose <> 4 order by end_time desc offset $2 limit 1)
             order by end_time limit $1 for update skip locked))",
        "delete from address_counts where ctid = any (array(
             select ctid from address_counts
             where purpose = 4 and end_time <= (
                 select end_time from address_counts where purpose = 4 order by end_time desc offset $2 limit 1)
             order by end_time limit $1 for update skip locked))",
    ];
    let expired = expired.map(|statement| (statement, offset));
    let too_many = too_many.map(|statement| (statement, i64::from(kept_counts)));
    let mut rows = 0_u64;
    for (statement, argument) in expired.into_iter().chain(too_many) {
        let query = sqlx::query(statement).bind(i64::from(limit)).bind(argument);
        rows += query.execute(&mut *db).await.map_err(failed)?.rows_affected();
    }
    Ok(u32::try_from(rows).unwrap_or(u32::MAX))
}
