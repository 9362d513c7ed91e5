//! No wait is without an end: neither for a server that takes longer than the caller has time, nor for one that says
//! nothing any more.

use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use test_kit::Proxy;
use tokio::time::{Instant, timeout};

use super::{PATIENCE, add_entry, database, entries, options, sessions_in};
use crate::error::{is_past_deadline, is_unavailable};
use crate::postgres::bounds::{BOUNDS, Bounds};
use crate::postgres::{ACQUIRE_WAIT, CommitError, Postgres, PostgresOptions, TRUSTED_IDLE};
use crate::testing::{TestDatabase, server_address};

tokio::task_local! {
    static DEADLINE: Instant;
}

fn deadline() -> Option<Instant> {
    DEADLINE.try_with(|deadline| *deadline).ok()
}

/// Does it for a caller who has so much time.
async fn within<F: Future>(time: Duration, work: F) -> F::Output {
    DEADLINE.scope(Instant::now() + time, work).await
}

/// The database by a proxy, where no more is waited for than this.
async fn by(proxy: &Proxy, place: &TestDatabase, connections: u32, bounds: &'static Bounds) -> Postgres {
    let PostgresOptions { connect, .. } = place.options_by(proxy.address(), connections);
    let options = PostgresOptions { connect, ..options(place, connections, true) };
    let database = Postgres::open(&options).await.expect("opens");
    Postgres { deadline, bounds, ..database }
}

const SHORT: Bounds = Bounds {
    statement: Duration::from_millis(200),
    margin: Duration::from_millis(100),
    round_trip: Duration::from_millis(300),
    least: Duration::from_millis(50),
};

async fn count(connection: &mut crate::postgres::Connection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("select count(*) from entry").fetch_one(connection).await
}

async fn write(transaction: &mut crate::postgres::Transaction, n: i64) -> Result<(), sqlx::Error> {
    sqlx::query("insert into entry values ($1)").bind(n).execute(&mut **transaction).await.map(drop)
}

#[tokio::test]
async fn a_statement_does_not_outlast_the_callers_deadline_on_the_server() {
    let (place, database) = database(2).await;
    let database = database.until(deadline);
    let lock = place.hold("lock table entry").await;
    let begun = Instant::now();
    let time = Duration::from_millis(1200);
    within(time, async {
        let mut transaction = database.begin().await.expect("begins");
        let error = write(&mut transaction, 1).await.expect_err("it is locked");
        assert!(is_past_deadline(&error), "{error}");
        let refusal = transaction.commit().await.expect_err("nothing to commit");
        assert!(matches!(refusal, CommitError::RolledBack(_)), "{refusal}");
    })
    .await;
    let lasted = begun.elapsed();
    assert!(lasted >= time && lasted < time + Duration::from_secs(1), "{lasted:?}");
    assert_eq!(sessions_in(&database, "active").await, 0, "the server does not wait for the lock any more");
    drop(lock);
    timeout(PATIENCE, async { while add_entry(&database, 2).await.is_err() {} })
        .await
        .expect("the lock ends");
    assert_eq!(entries(&database).await, [2]);
}

#[tokio::test]
async fn a_statement_that_is_stopped_in_time_is_the_stores_trouble_and_not_the_callers() {
    let (place, database) = database(2).await;
    let database = database.until(deadline);
    let _lock = place.hold("lock table entry").await;
    for limit in ["set local statement_timeout = '50ms'", "set local lock_timeout = '50ms'"] {
        within(Duration::from_secs(20), async {
            let mut transaction = database.begin().await.expect("begins");
            sqlx::raw_sql(limit).execute(&mut *transaction).await.expect("sets");
            let error = write(&mut transaction, 1).await.expect_err("it is locked");
            assert!(is_unavailable(&error) && !is_past_deadline(&error), "{error}");
        })
        .await;
    }
}

#[tokio::test]
async fn a_commit_is_not_cut_short_by_the_limit_of_the_statements_before_it() {
    let (_place, database) = database(2).await;
    let database = database.until(deadline);
    let mut transaction = database.begin().await.expect("begins");
    sqlx::raw_sql(
        "create function take_time() returns trigger language plpgsql as
             $$ begin perform pg_sleep(1.3); return null; end $$;
         create constraint trigger takes_time after insert on entry deferrable initially deferred
             for each row execute function take_time()",
    )
    .execute(&mut *transaction)
    .await
    .expect("creates");
    transaction.commit().await.expect("commits");
    within(Duration::ZERO, async {
        let mut transaction = database.begin().await.expect("begins");
        write(&mut transaction, 1).await.expect("inserts");
        let limit = sqlx::query_scalar::<_, String>("select current_setting('statement_timeout')");
        assert_eq!(limit.fetch_one(&mut *transaction).await.expect("reads"), "1s");
        transaction.commit().await.expect("commits, though it takes longer");
    })
    .await;
    assert_eq!(entries(&database).await, [1]);
}

#[tokio::test]
async fn an_operators_work_takes_as_long_as_it_takes() {
    let (place, _database) = database(1).await;
    let proxy = Proxy::to(server_address()).await;
    let database = by(&proxy, &place, 1, &SHORT).await;
    let mut transaction = database.begin().await.expect("begins");
    transaction.lift_limits().await.expect("lifts them");
    sqlx::query("select pg_sleep(0.5)").execute(&mut *transaction).await.expect("there is time");
    transaction.commit().await.expect("commits");
}

#[tokio::test]
async fn a_transaction_with_a_limit_is_as_many_round_trips_as_one_without() {
    let (place, _database) = database(1).await;
    let proxy = Proxy::to(server_address()).await;
    let database = by(&proxy, &place, 1, &BOUNDS).await;
    // Whatever is prepared the first time.
    add_entry(&database, 0).await.expect("writes");
    let asked = async |work: &dyn Fn() -> BoxFuture<'static, ()>| {
        let before = proxy.passed().requests;
        work().await;
        proxy.passed().requests - before
    };
    let writes = |n| {
        let database = database.clone();
        move || -> BoxFuture<'static, ()> {
            let database = database.clone();
            Box::pin(async move { add_entry(&database, n).await.expect("writes") })
        }
    };
    let without = asked(&writes(1)).await;
    let within = within(Duration::from_secs(9), asked(&writes(2))).await;
    assert_eq!((without, within), (3, 3), "begin, insert, commit");
    // And nothing came after them, such as the question whether the server is still there.
    assert_eq!(entries(&database).await, [0, 1, 2]);
}

#[tokio::test]
async fn a_server_that_falls_silent_is_waited_for_with_an_end_and_every_place_is_free_again() {
    const CONNECTIONS: u32 = 4;
    let (place, _database) = database(1).await;
    let proxy = Proxy::to(server_address()).await;
    let database = by(&proxy, &place, CONNECTIONS, &SHORT).await;
    let mut reader = database.read().await.expect("a connection");
    let mut writer = database.begin().await.expect("begins");
    let mut committer = database.begin().await.expect("begins");
    write(&mut committer, 1).await.expect("inserts");
    let mut leaver = database.begin().await.expect("begins");
    proxy.abandon().await;

    let begun = Instant::now();
    let (read, written, outcome, left) = tokio::join!(
        count(&mut reader),
        write(&mut writer, 2),
        committer.commit(),
        timeout(Duration::from_millis(20), write(&mut leaver, 3)),
    );
    assert!(is_unavailable(&read.expect_err("nobody answers")));
    assert!(is_unavailable(&written.expect_err("nobody answers")));
    assert!(matches!(outcome.expect_err("nobody answers"), CommitError::OutcomeUnknown(_)));
    assert!(left.is_err(), "it is under way");
    let lasted = begun.elapsed();
    assert!(lasted < Duration::from_secs(1), "{lasted:?}");
    let refusal = writer.commit().await.expect_err("a statement failed");
    assert!(matches!(refusal, CommitError::RolledBack(_)), "{refusal}");
    drop((reader, leaver));
    all_places_are_free(&database, CONNECTIONS).await;
}

#[tokio::test]
async fn a_transaction_that_does_not_begin_any_more_is_unavailable_and_its_place_is_free_again() {
    let (place, _database) = database(1).await;
    let proxy = Proxy::to(server_address()).await;
    let database = by(&proxy, &place, 2, &SHORT).await;
    all_places_are_free(&database, 2).await;
    proxy.abandon().await;
    let begun = Instant::now();
    let error = database.begin().await.map(drop).expect_err("nobody answers");
    assert!(is_unavailable(&error), "{error}");
    assert!(begun.elapsed() < ACQUIRE_WAIT, "the pool is not what was waited for");
    all_places_are_free(&database, 2).await;
}

/// So many can read at the same time, sooner or later; and the pool has no more connections than that.
async fn all_places_are_free(database: &Postgres, places: u32) {
    let all = async || {
        let mut connections = Vec::new();
        for connection in join_all((0..places).map(|_| database.read())).await {
            connections.push(connection?);
        }
        join_all(connections.iter_mut().map(count)).await.into_iter().collect::<Result<Vec<_>, _>>()
    };
    timeout(PATIENCE, async { while all().await.is_err() {} }).await.expect("a place was lost");
    assert_eq!(database.pool.size(), places);
}

#[tokio::test]
async fn kept_connections_whose_server_has_fallen_silent_are_replaced() {
    const CONNECTIONS: u32 = 4;
    let (place, _database) = database(1).await;
    let proxy = Proxy::to(server_address()).await;
    let database = by(&proxy, &place, CONNECTIONS, &BOUNDS).await;
    drop(join_all((0..CONNECTIONS).map(|_| database.read())).await);
    tokio::time::pause();
    tokio::time::advance(TRUSTED_IDLE * 2).await;
    tokio::time::resume();
    proxy.abandon().await;
    // Each of the old ones may cost somebody its wait. Then there is a server again.
    let end = Instant::now() + PATIENCE;
    let mut in_a_row = 0;
    while in_a_row < 2 * CONNECTIONS {
        assert!(Instant::now() < end, "they are waited for still");
        let read = async { count(&mut database.read().await?).await };
        in_a_row = if read.await.is_ok() { in_a_row + 1 } else { 0 };
    }
}
