//! Statements on `attempts`, `failures` and `address_counts`. There is nothing to lock: a unit of work is the only one.

use auth_core::StoreError;
use auth_core::domain::{
    AddressCount, Attempt, AttemptId, ClientAddress, Failures, SignUps, Standing, Undecided,
};
use database::time::{from_micros, to_micros};
use identity::{Timestamp, Username};
use sqlx::{SqliteConnection, SqliteExecutor};

use super::failed;
use crate::stored::{self, EVERYWHERE, PURPOSES, SIGN_UP, purpose_number, unreadable};

#[derive(sqlx::FromRow)]
struct StandingRow {
    pair_count: Option<i64>,
    pair_time: Option<i64>,
    account_count: Option<i64>,
    account_time: Option<i64>,
    address_count: Option<i64>,
    end_time: Option<i64>,
    of_account: i64,
    of_pair: i64,
    of_address: i64,
}

pub(super) async fn standing(
    db: impl SqliteExecutor<'_>,
    attempt: &Attempt,
    now: Timestamp,
) -> Result<Standing, StoreError> {
    let query = sqlx::query_as::<_, StandingRow>(
        "select pair.count as pair_count, pair.last_time as pair_time, account.count as account_count,
                account.last_time as account_time, origin.count as address_count, origin.end_time as end_time,
                (select count(*) from attempts where purpose = $1 and username = $2 and lapse_time > $4) as of_account,
                (select count(*) from attempts
                 where purpose = $1 and username = $2 and address = $3 and lapse_time > $4) as of_pair,
                (select count(*) from attempts where purpose = $1 and address = $3 and lapse_time > $4) as of_address
         from (select 1)
         left join failures pair
             on pair.purpose = $1 and pair.username = $2 and pair.address = $3 and pair.expire_time > $4
         left join failures account
             on account.purpose = $1 and account.username = $2 and account.address = $5 and account.expire_time > $4
         left join address_counts origin
             on origin.purpose = $1 and origin.address = $3 and origin.end_time > $4",
    );
    let query = query
        .bind(purpose_number(attempt.purpose))
        .bind(attempt.username.canonical())
        .bind(attempt.address.as_str())
        .bind(to_micros(now))
        .bind(EVERYWHERE);
    let row = query.fetch_one(db).await.map_err(failed)?;
    let (name, address) = (attempt.username.canonical(), attempt.address.as_str());
    Ok(Standing {
        pair: stored::failures(row.pair_count, time("failures", "last_time", row.pair_time, name)?, name)?,
        account: stored::failures(
            row.account_count,
            time("failures", "last_time", row.account_time, name)?,
            name,
        )?,
        address: stored::address_count(
            row.address_count,
            time("address_counts", "end_time", row.end_time, address)?,
            address,
        )?,
        undecided: Undecided {
            of_account: stored::attempts(row.of_account),
            of_pair: stored::attempts(row.of_pair),
            of_address: stored::attempts(row.of_address),
        },
        now,
    })
}

fn time(
    table: &'static str,
    column: &'static str,
    micros: Option<i64>,
    row: &str,
) -> Result<Option<Timestamp>, StoreError> {
    micros.map(from_micros).transpose().map_err(|_| unreadable(table, column, row))
}

pub(super) async fn reserve(
    db: &mut SqliteConnection,
    id: AttemptId,
    attempt: &Attempt,
    lapse_time: Timestamp,
) -> Result<(), StoreError> {
    let query = sqlx::query(
        "insert into attempts (id, purpose, username, address, lapse_time) values ($1, $2, $3, $4, $5)",
    );
    let query = query
        .bind(id.bits().to_be_bytes().to_vec())
        .bind(purpose_number(attempt.purpose))
        .bind(attempt.username.canonical())
        .bind(attempt.address.as_str())
        .bind(to_micros(lapse_time));
    query.execute(db).await.map_err(failed).map(drop)
}

pub(super) async fn release(db: &mut SqliteConnection, id: AttemptId) -> Result<(), StoreError> {
    let query = sqlx::query("delete from attempts where id = $1").bind(id.bits().to_be_bytes().to_vec());
    query.execute(db).await.map_err(failed).map(drop)
}

/// Writes what is other than it was before.
pub(super) async fn write(
    db: &mut SqliteConnection,
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
    db: &mut SqliteConnection,
    attempt: &Attempt,
    address: &str,
    failures: Option<Failures>,
) -> Result<(), StoreError> {
    let (purpose, username) = (purpose_number(attempt.purpose), attempt.username.canonical());
    let query = match failures {
        Some(failures) => sqlx::query(
            "insert or replace into failures (purpose, username, address, count, last_time, expire_time)
             values ($1, $2, $3, $4, $5, $6)",
        )
        .bind(purpose)
        .bind(username)
        .bind(address)
        .bind(stored::count_column(failures.count))
        .bind(to_micros(failures.last_time))
        .bind(to_micros(failures.expire_time())),
        None => sqlx::query("delete from failures where purpose = $1 and username = $2 and address = $3")
            .bind(purpose)
            .bind(username)
            .bind(address),
    };
    query.execute(db).await.map_err(failed).map(drop)
}

async fn write_address_count(
    db: &mut SqliteConnection,
    purpose: i16,
    address: &ClientAddress,
    count: Option<AddressCount>,
) -> Result<(), StoreError> {
    let query = match count {
        Some(count) => sqlx::query(
            "insert or replace into address_counts (purpose, address, count, end_time) values ($1, $2, $3, $4)",
        )
        .bind(purpose)
        .bind(address.as_str())
        .bind(stored::count_column(count.count))
        .bind(to_micros(count.end_time)),
        None => sqlx::query("delete from address_counts where purpose = $1 and address = $2")
            .bind(purpose)
            .bind(address.as_str()),
    };
    query.execute(db).await.map_err(failed).map(drop)
}

pub(super) async fn forget(db: &mut SqliteConnection, username: &Username) -> Result<(), StoreError> {
    let [log_in, change_password, register_account] = PURPOSES.map(purpose_number);
    let query = sqlx::query("delete from failures where purpose in ($1, $2, $3) and username = $4");
    let query = query.bind(log_in).bind(change_password).bind(register_account).bind(username.canonical());
    query.execute(db).await.map_err(failed).map(drop)
}

pub(super) async fn sign_ups(
    db: impl SqliteExecutor<'_>,
    address: &ClientAddress,
    now: Timestamp,
) -> Result<SignUps, StoreError> {
    let query = sqlx::query_as::<_, (i64, i64)>(
        "select count, end_time from address_counts where purpose = $1 and address = $2 and end_time > $3",
    );
    let query = query.bind(SIGN_UP).bind(address.as_str()).bind(to_micros(now));
    let (count, end_time) = query.fetch_optional(db).await.map_err(failed)?.unzip();
    let end_time = time("address_counts", "end_time", end_time, address.as_str())?;
    Ok(SignUps { count: stored::address_count(count, end_time, address.as_str())?, now })
}

pub(super) async fn write_sign_ups(
    db: &mut SqliteConnection,
    address: &ClientAddress,
    count: Option<AddressCount>,
) -> Result<(), StoreError> {
    write_address_count(db, SIGN_UP, address, count).await
}

pub(super) async fn purge(
    db: &mut SqliteConnection,
    now: Timestamp,
    limit: u32,
    kept_counts: u32,
) -> Result<u32, StoreError> {
    let expired = [
        "delete from attempts where id in (select id from attempts where lapse_time <= $2 limit $1)",
        "delete from failures where (purpose, username, address) in (
             select purpose, username, address from failures where expire_time <= $2 limit $1)",
        "delete from address_counts where (purpose, address) in (
             select purpose, address from address_counts where end_time <= $2 limit $1)",
    ];
    // The next one, where there are so many, is one too many, and those before it. Sign-ups (`SIGN_UP`) have a bound of their
    // own: they cost no hash.
    let too_many = [
        "delete from failures where (purpose, username, address) in (
             select purpose, username, address from failures
             where expire_time <= (select expire_time from failures order by expire_time desc limit 1 offset $2)
             order by expire_time limit $1)",
        "delete from address_counts where (purpose, address) in (
             select purpose, address from address_counts
             where purpose <> 4 and end_time <= (
                 select end_time from address_counts where purpose <> 4 order by end_time desc limit 1 offset $2)
             order by end_time limit $1)",
        "delete from address_counts where (purpose, address) in (
             select purpose, address from address_counts
             where purpose = 4 and end_time <= (
                 select end_time from address_counts where purpose = 4 order by end_time desc limit 1 offset $2)
             order by end_time limit $1)",
    ];
    let expired = expired.map(|statement| (statement, to_micros(now)));
    let too_many = too_many.map(|statement| (statement, i64::from(kept_counts)));
    let mut rows = 0_u64;
    for (statement, argument) in expired.into_iter().chain(too_many) {
        let query = sqlx::query(statement).bind(i64::from(limit)).bind(argument);
        rows += query.execute(&mut *db).await.map_err(failed)?.rows_affected();
    }
    Ok(u32::try_from(rows).unwrap_or(u32::MAX))
}
