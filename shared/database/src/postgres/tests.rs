//! What the stores rely on: callers that share one connection, cancellation that leaves nothing behind, commits that
//! mean it, a pooler in between, and a server that goes away and comes back.
//!
//! The server is the one that `DATABASE_URL` names.

use std::time::{Duration, Instant};

use futures::future::{join_all, poll_immediate};
use sqlx::{Connection as _, PgConnection};
use tokio::time::timeout;

use super::{ACQUIRE_WAIT, CommitError, OpenError, Postgres, PostgresOptions};
use crate::error::is_unavailable;
use crate::testing::TestDatabase;

mod limits;

/// As long as nothing here takes that does not hang.
const PATIENCE: Duration = Duration::from_secs(20);

/// A database with an empty table `entry`, and as many connections to it.
async fn database(max_connections: u32) -> (TestDatabase, Postgres) {
    let place = TestDatabase::create().await;
    let database = open(&place, max_connections, true).await;
    let mut transaction = database.begin().await.expect("begins");
    sqlx::raw_sql("create table entry (n bigint not null unique deferrable initially deferred)")
        .execute(&mut *transaction)
        .await
        .expect("creates");
    transaction.commit().await.expect("commits");
    (place, database)
}

async fn open(place: &TestDatabase, max_connections: u32, prepared_statements: bool) -> Postgres {
    Postgres::open(&options(place, max_connections, prepared_statements)).await.expect("opens")
}

fn options(place: &TestDatabase, max_connections: u32, prepared_statements: bool) -> PostgresOptions {
    let connect = place.connect_options();
    PostgresOptions { connect, direct: None, max_connections, prepared_statements }
}

async fn add_entry(database: &Postgres, n: i64) -> Result<(), sqlx::Error> {
    let mut transaction = database.begin().await?;
    sqlx::query("insert into entry values ($1)").bind(n).execute(&mut *transaction).await?;
    transaction.commit().await.map_err(|error| match error {
        CommitError::RolledBack(cause) | CommitError::OutcomeUnknown(cause) => cause,
    })
}

async fn entries(database: &Postgres) -> Vec<i64> {
    let mut connection = database.read().await.expect("a connection");
    sqlx::query_scalar("select n from entry order by n").fetch_all(&mut connection).await.expect("reads")
}

/// What another session sees of the ones of a database.
async fn sessions_in(database: &Postgres, state: &str) -> i64 {
    let mut connection = database.connect_directly().await.expect("connects");
    sqlx::query_scalar(
        "select count(*) from pg_stat_activity
         where datname = current_database() and pid <> pg_backend_pid() and state = $1",
    )
    .bind(state)
    .fetch_one(&mut connection)
    .await
    .expect("counts")
}

async fn end_all_sessions(connection: &mut PgConnection) {
    sqlx::query(
        "select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and pid <> pg_backend_pid()",
    )
    .execute(connection)
    .await
    .expect("ends them");
}

async fn session_of(database: &Postgres) -> i32 {
    let mut connection = database.read().await.expect("a connection");
    sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut connection).await.expect("reads")
}

#[tokio::test]
async fn reads_take_turns_on_a_connection_and_a_transaction_takes_it_from_them() {
    let (_place, database) = database(1).await;
    let first = session_of(&database).await;
    for n in 0..20 {
        assert_eq!(session_of(&database).await, first);
        let begun = Instant::now();
        add_entry(&database, n).await.expect("writes");
        assert!(begun.elapsed() < ACQUIRE_WAIT / 2, "it waited for a connection that nobody used");
    }
    assert_eq!(entries(&database).await.len(), 20);
}

#[tokio::test]
async fn a_connection_is_not_kept_in_the_middle_of_a_statement_or_after_one_that_failed() {
    let (_place, database) = database(1).await;
    for _ in 0..20 {
        let mut connection = database.read().await.expect("a connection");
        let query = sqlx::query_scalar::<_, i32>("select 1 from pg_sleep(1)");
        assert!(poll_immediate(query.fetch_one(&mut connection)).await.is_none(), "it is under way");
        drop(connection);
        assert!(session_of(&database).await > 1, "the answer to this one and not to the one before");

        let mut connection = database.read().await.expect("a connection");
        let query = sqlx::query_scalar::<_, i32>("select 1 / n from generate_series(0, 0) n");
        assert!(query.fetch_one(&mut connection).await.is_err());
        drop(connection);
        assert!(session_of(&database).await > 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_and_writers_share_few_connections_without_waiting_for_kept_ones() {
    for connections in [2, 3, 4, 5] {
        let (_place, database) = database(connections).await;
        let callers = (0..64).map(|n| {
            let database = database.clone();
            tokio::spawn(async move {
                for round in 0..10 {
                    if (n + round) % 3 == 0 {
                        add_entry(&database, n * 10 + round).await.expect("writes");
                    } else {
                        session_of(&database).await;
                    }
                }
            })
        });
        for caller in timeout(PATIENCE, join_all(callers)).await.expect("nobody hangs") {
            caller.expect("nobody failed");
        }
    }
}

#[tokio::test]
async fn nobody_waits_for_a_statement_that_was_given_up_while_another_connection_is_free() {
    let (_place, database) = database(2).await;
    let mut free = database.read().await.expect("a connection");
    let mut given_up = database.read().await.expect("a connection");
    let query = sqlx::query("select pg_sleep(10)").execute(&mut given_up);
    assert!(timeout(Duration::from_millis(100), query).await.is_err(), "it is under way");
    drop(given_up);

    let mut next = Box::pin(session_of(&database));
    assert!(poll_immediate(&mut next).await.is_none(), "both are in use");
    sqlx::query("select 1").execute(&mut free).await.expect("reads");
    drop(free);
    timeout(ACQUIRE_WAIT / 2, next).await.expect("the one that is free");
}

#[tokio::test]
async fn a_kept_connection_is_closed_with_the_others() {
    let (_place, database) = database(4).await;
    session_of(&database).await;
    timeout(ACQUIRE_WAIT, database.close()).await.expect("nobody waits for what is kept");
    assert!(database.read().await.is_err());
    // The server hears of it a moment later.
    timeout(PATIENCE, async { while sessions_in(&database, "idle").await > 0 {} }).await.expect("it ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_serves_sixty_four_callers() {
    let (_place, database) = database(1).await;
    let callers = (0..64).map(|n| {
        let database = database.clone();
        tokio::spawn(async move {
            add_entry(&database, n).await?;
            let mut connection = database.read().await?;
            sqlx::query("select 1").execute(&mut connection).await
        })
    });
    for caller in join_all(callers).await {
        caller.expect("no panic").expect("nobody waits in vain");
    }
    assert_eq!(entries(&database).await, (0..64).collect::<Vec<_>>());
}

#[tokio::test]
async fn whoever_waits_in_vain_for_a_connection_hears_that_the_store_is_unavailable() {
    let (_place, database) = database(1).await;
    let _held = database.begin().await.expect("begins");
    for beginning in [false, true] {
        let began = Instant::now();
        let error = if beginning {
            database.begin().await.map(drop).expect_err("the only transaction is lent")
        } else {
            database.read().await.map(drop).expect_err("the only connection is lent")
        };
        assert!(is_unavailable(&error), "{error}");
        let waited = began.elapsed();
        assert!(waited >= ACQUIRE_WAIT && waited < PATIENCE, "after {waited:?}");
    }
}

#[tokio::test]
async fn whoever_is_not_let_in_or_finds_no_database_hears_that_the_store_is_unavailable() {
    let place = TestDatabase::create().await;
    for connect in [place.connect_options().username("nobody"), place.connect_options().database("nowhere")] {
        let refused = PgConnection::connect_with(&connect).await.expect_err("there is none");
        assert!(refused.as_database_error().is_some(), "{refused}");
        assert!(is_unavailable(&refused), "{refused}");
    }
}

#[tokio::test]
async fn costly_transactions_leave_connections_for_cheap_ones_and_those_for_who_only_reads() {
    let (_place, database) = database(4).await;
    let costly = join_all((0..2).map(|_| database.begin_costly())).await;
    let mut third = Box::pin(database.begin_costly());
    assert!(poll_immediate(&mut third).await.is_none(), "two of four are not for what is costly");
    let mut before_it = Box::pin(database.read_costly());
    assert!(poll_immediate(&mut before_it).await.is_none(), "nor for what comes before it");
    let cheap = database.begin().await.expect("begins");
    let mut another = Box::pin(database.begin());
    assert!(poll_immediate(&mut another).await.is_none(), "one of four is for reading");
    let reader = database.read().await.expect("a connection");
    for transaction in costly {
        transaction.expect("begins").commit().await.expect("commits");
    }
    another.await.expect("its turn").commit().await.expect("commits");
    third.await.expect("its turn").commit().await.expect("commits");
    drop(before_it.await.expect("its turn"));
    cheap.commit().await.expect("commits");
    drop(reader);
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_leave_anywhere_lose_no_acknowledged_write() {
    let (_place, database) = database(2).await;
    let mut acknowledged = Vec::new();
    for round in 0..500_u32 {
        // From "at once" to "surely done", in steps finer than a statement takes.
        let patience = Duration::from_micros(u64::from(round) * 4);
        let n = i64::from(round) * 2;
        if let Ok(Ok(())) = timeout(patience, add_entry(&database, n)).await {
            acknowledged.push(n);
        }
        add_entry(&database, n + 1).await.expect("the next caller is not disturbed");
        acknowledged.push(n + 1);
    }
    let entries = entries(&database).await;
    let lost: Vec<_> = acknowledged.iter().filter(|n| !entries.contains(n)).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_leaves_while_its_transaction_begins_leaves_none_open() {
    let (_place, database) = database(1).await;
    for round in 0..50_u64 {
        let patience = Duration::from_micros(round * 10);
        let _ = timeout(patience, database.begin()).await;
        drop(poll_immediate(database.begin()).await);
        // Nobody uses the connection any more: what is open now stays so.
        timeout(PATIENCE, async { while sessions_in(&database, "idle in transaction").await > 0 {} })
            .await
            .expect("the transaction ends");
    }
}

#[tokio::test]
async fn a_transaction_in_which_a_statement_failed_cannot_be_committed() {
    let (_place, database) = database(2).await;
    let mut transaction = database.begin().await.expect("begins");
    sqlx::query("insert into entry values (1)").execute(&mut *transaction).await.expect("inserts");
    sqlx::query("select 1 / 0").execute(&mut *transaction).await.expect_err("fails");
    let refusal = transaction.commit().await.expect_err("nothing to commit");
    assert!(matches!(refusal, CommitError::RolledBack(_)), "{refusal}");
    assert!(entries(&database).await.is_empty());
}

#[tokio::test]
async fn a_commit_that_breaks_a_constraint_is_known_to_have_changed_nothing() {
    let (_place, database) = database(2).await;
    let mut transaction = database.begin().await.expect("begins");
    sqlx::query("insert into entry values (1), (1)").execute(&mut *transaction).await.expect("checked later");
    let refusal = transaction.commit().await.expect_err("not unique");
    assert!(matches!(refusal, CommitError::RolledBack(_)), "{refusal}");
}

#[tokio::test]
async fn a_commit_whose_connection_is_lost_has_an_unknown_outcome() {
    let (_place, database) = database(2).await;
    let mut transaction = database.begin().await.expect("begins");
    sqlx::query("insert into entry values (1)").execute(&mut *transaction).await.expect("inserts");
    end_all_sessions(&mut database.connect_directly().await.expect("connects")).await;
    let refusal = transaction.commit().await.expect_err("nobody is there");
    assert!(matches!(refusal, CommitError::OutcomeUnknown(_)), "{refusal}");
}

#[tokio::test]
async fn a_dropped_transaction_is_rolled_back_before_its_connection_is_lent_again() {
    let (_place, database) = database(1).await;
    for n in 0..50 {
        let mut transaction = database.begin().await.expect("begins");
        sqlx::query("insert into entry values (-1)").execute(&mut *transaction).await.expect("inserts");
        drop(transaction);
        add_entry(&database, n).await.expect("writes");
    }
    assert_eq!(entries(&database).await, (0..50).collect::<Vec<_>>());
}

#[tokio::test]
async fn nothing_outlives_a_transaction_where_a_pooler_may_be_in_between() {
    let (place, _database) = database(1).await;
    let database = open(&place, 1, false).await;
    for n in 0..3 {
        add_entry(&database, n).await.expect("writes");
        assert_eq!(entries(&database).await.len(), usize::try_from(n + 1).expect("fits"));
    }
    let mut connection = database.read().await.expect("a connection");
    let (prepared, in_transaction): (i64, bool) = sqlx::query_as(
        "select (select count(*) from pg_prepared_statements), now() <> statement_timestamp()",
    )
    .fetch_one(&mut connection)
    .await
    .expect("reads");
    assert_eq!(prepared, 0, "a statement stays prepared on the server");
    assert!(in_transaction, "a statement whose parts may go to two servers");
}

#[tokio::test]
async fn connections_that_broke_while_they_lay_idle_disturb_nobody_for_long() {
    let (_place, database) = database(3).await;
    let held = join_all((0..3).map(|_| database.read())).await;
    drop(held);
    end_all_sessions(&mut database.connect_directly().await.expect("connects")).await;
    // Each broken one may be met once; after that there are only sound ones.
    let mut failures = 0;
    for n in 0..6 {
        failures += usize::from(add_entry(&database, n).await.is_err_and(|error| is_unavailable(&error)));
    }
    assert!(failures <= 3, "{failures} failures with 3 broken connections");
    assert_eq!(entries(&database).await.len(), 6 - failures);
}

#[tokio::test]
async fn a_session_is_told_its_limits_and_to_plan_once() {
    let (_place, database) = database(1).await;
    let mut connection = database.read().await.expect("a connection");
    for (setting, value) in [
        ("statement_timeout", "10s"),
        ("lock_timeout", "10s"),
        ("idle_in_transaction_session_timeout", "30s"),
        ("plan_cache_mode", "force_generic_plan"),
        ("enable_seqscan", "off"),
        ("jit", "off"),
        ("max_parallel_workers_per_gather", "0"),
        ("default_transaction_isolation", "read committed"),
    ] {
        let found: String = sqlx::query_scalar("select current_setting($1)")
            .bind(setting)
            .fetch_one(&mut connection)
            .await
            .expect("reads");
        assert_eq!(found, value, "{setting}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_without_its_password() {
    let connect =
        "postgres://auth:hunter2hunter2@127.0.0.1:1/tandem".parse::<sqlx::postgres::PgConnectOptions>();
    let connect = connect.expect("a url");
    let options = PostgresOptions { connect, direct: None, max_connections: 1, prepared_statements: true };
    let refusal = Postgres::open(&options).await.expect_err("nobody listens there");
    assert!(matches!(refusal, OpenError::Refused { .. }));
    let message = refusal.to_string();
    assert!(
        message.starts_with("PostgreSQL at 127.0.0.1:1, database tandem cannot be opened: "),
        "{message}"
    );
    assert!(message.contains("Connection refused"), "{message}");
    assert!(!format!("{message} {refusal:?}").contains("hunter2"), "{refusal:?}");
}

#[tokio::test]
async fn a_notification_reaches_whoever_listens() {
    let (_place, database) = database(2).await;
    let mut listener = database.listen("tandem_test").await.expect("listens");
    let mut transaction = database.begin().await.expect("begins");
    sqlx::query("select pg_notify('tandem_test', '')").execute(&mut *transaction).await.expect("notifies");
    transaction.commit().await.expect("commits");
    assert_eq!(listener.recv().await.expect("arrives").channel(), "tandem_test");
}
