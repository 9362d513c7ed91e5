//! Several processes over one PostgreSQL database: what only then can go wrong.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use auth_core::domain::AccountState;
use auth_core::ports::{
    Claim, Insertion, LockedAccount, Reader as _, SignUpRecord, Store as _, Transaction as _,
};
use auth_service::PgStore;
use chrono::TimeDelta;
use database::testing::TestDatabase;
use database::{Postgres, PostgresOptions};
use futures::future::{join_all, try_join_all};
use identity::RequestId;
use sqlx::PgConnection;
use tokio::task::yield_now;
use tokio::time::timeout;

use crate::store_contract::engines::{Engine, migrated, on_postgres};
use crate::store_contract::{add, id, in_tx, lives, name, new_account, open};

/// A database, and as many processes as there are stores.
async fn replicas<const N: usize>() -> (TestDatabase, [Engine<PgStore>; N]) {
    let (place, _database) = migrated(1).await;
    let mut stores = Vec::new();
    for _ in 0..N {
        stores.push(replica(&place.options(4)).await);
    }
    (place, stores.try_into().unwrap_or_else(|_| panic!("as many as were made")))
}

async fn replica(options: &PostgresOptions) -> Engine<PgStore> {
    on_postgres(Postgres::open(options).await.unwrap())
}

/// Waits until so many sessions of the server wait for a lock of another.
async fn until_waiting(connection: &mut PgConnection, expected: i64) {
    let waiting = "select count(*) from pg_stat_activity
                   where datname = current_database() and wait_event_type = 'Lock'";
    while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut *connection).await.unwrap() < expected {
        yield_now().await;
    }
}

async fn numbers(engine: &Engine<PgStore>) -> Vec<i64> {
    let changes = engine.store.reader().changes_after(0, 1000).await.unwrap();
    changes.accounts.iter().map(|account| account.version.number).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_number_is_never_seen_before_an_earlier_one() {
    let (place, [a, b]) = replicas().await;
    let mut earlier = a.store.begin().await.unwrap();
    let now = earlier.now().await.unwrap();
    let Insertion::Inserted(_) = earlier.insert_account(&new_account(1, "alice"), now).await.unwrap() else {
        panic!("the name is free");
    };
    let later = tokio::spawn(async move {
        add(&b, 2, "bobby").await;
        b
    });
    until_waiting(&mut place.connect().await, 1).await;
    assert!(numbers(&a).await.is_empty());
    earlier.commit().await.unwrap();
    let b = later.await.unwrap();
    assert_eq!(numbers(&b).await, [1, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_beside_fifty_writers_sees_every_change_once_and_in_order() {
    const WRITERS: u64 = 50;
    const EACH: u64 = 4;
    let (_place, [a, b, c]) = replicas().await;
    let writers = join_all((0..WRITERS).map(async |writer| {
        for number in 0..EACH {
            let number = writer * EACH + number + 1;
            add(if writer % 2 == 0 { &a } else { &b }, number, &format!("user{number}")).await;
        }
    }));
    let reader = async {
        let mut seen = Vec::new();
        while seen.len() < usize::try_from(WRITERS * EACH).unwrap() {
            let position = seen.last().copied().unwrap_or(0);
            c.store.reader().wait_for_change(position).await;
            let changes = c.store.reader().changes_after(position, 7).await.unwrap();
            seen.extend(changes.accounts.iter().map(|account| account.version.number));
        }
        seen
    };
    let (_, seen) = tokio::join!(writers, reader);
    // Each account is changed once, so that no number may be missing.
    assert_eq!(seen, (1..=i64::try_from(WRITERS * EACH).unwrap()).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_of_an_account_come_one_after_the_other() {
    let (place, [a, b]) = replicas().await;
    add(&a, 1, "alice").await;
    open(&a, 1, id(1)).await;
    let mut disabling = a.store.begin().await.unwrap();
    let LockedAccount { stored, now: before } = disabling.lock_account(id(1)).await.unwrap().unwrap();
    let log_in = tokio::spawn(async move {
        let mut tx = b.store.begin().await.unwrap();
        tx.lock_account(id(1)).await.unwrap().unwrap()
    });
    until_waiting(&mut place.connect().await, 1).await;
    let now = disabling.now().await.unwrap();
    assert_eq!(disabling.end_sessions(id(1), None).await.unwrap(), 1);
    disabling.update_account(&stored.with_state(AccountState::Disabled, now).unwrap()).await.unwrap();
    disabling.commit().await.unwrap();
    let LockedAccount { stored, now: after } = log_in.await.unwrap();
    assert_eq!(stored.account.state, AccountState::Disabled, "what it read while it waited is out of date");
    assert!(before <= now && now <= after, "and so is the time: {before}, {now}, {after}");
    assert!(!lives(&a, 1).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_adds_the_same_account_waits_for_the_outcome() {
    for committed in [true, false] {
        let (place, [a, b]) = replicas().await;
        let mut first = a.store.begin().await.unwrap();
        let now = first.now().await.unwrap();
        first.insert_account(&new_account(1, "alice"), now).await.unwrap();
        let second = tokio::spawn(async move {
            let mut tx = b.store.begin().await.unwrap();
            tx.insert_account(&new_account(1, "alice"), now).await.unwrap()
        });
        until_waiting(&mut place.connect().await, 1).await;
        if committed {
            first.commit().await.unwrap();
        } else {
            drop(first);
        }
        match second.await.unwrap() {
            Insertion::IdTaken | Insertion::UsernameTaken => assert!(committed),
            Insertion::Inserted(account) => assert!(!committed && account.version.number == 1),
        }
    }
}

fn record(number: u64) -> SignUpRecord {
    let request_id = RequestId::parse("0198f0c2-7d1e-4cc3-98a4-2f6f3f1a2b3c").unwrap();
    SignUpRecord { request_id, username: name(&format!("user{number}")), account_id: id(number) }
}

/// A sign-up under the one request id.
async fn sign_up(engine: &Engine<PgStore>, number: u64) -> Claim {
    in_tx!(engine, tx => {
        let claim = tx.claim_request(&record(number)).await.unwrap();
        if claim == Claim::Claimed {
            let now = tx.now().await.unwrap();
            tx.insert_account(&new_account(number, &format!("user{number}")), now).await.unwrap();
        }
        claim
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_many_parallel_sign_ups_takes_a_request_id_the_others_learn_of_it() {
    let (_place, [a, b]) = replicas().await;
    // The second time the request id is taken over, a day later.
    for day in [0, 100] {
        let claims = (1..=20).map(|n| sign_up(if n % 2 == 0 { &a } else { &b }, day + n));
        let claims = join_all(claims).await;
        let winner = (1..=20).zip(&claims).find(|(_, claim)| **claim == Claim::Claimed).expect("a winner").0;
        let others = claims.iter().filter(|claim| **claim == Claim::Known(record(day + winner))).count();
        assert_eq!(others, 19, "{claims:?}");
        for engine in [&a, &b] {
            engine.advance(TimeDelta::hours(24));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_id_whose_taker_gave_up_goes_to_the_next() {
    let (place, [a, b]) = replicas().await;
    let mut first = a.store.begin().await.unwrap();
    assert_eq!(first.claim_request(&record(1)).await.unwrap(), Claim::Claimed);
    let second = tokio::spawn(async move { sign_up(&b, 2).await });
    until_waiting(&mut place.connect().await, 1).await;
    drop(first);
    assert_eq!(second.await.unwrap(), Claim::Claimed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_purges_at_once_share_the_work_and_wait_for_nobody() {
    let (place, [a, b]) = replicas().await;
    add(&a, 1, "alice").await;
    let mut connection = place.connect().await;
    let expired = "insert into sessions
                   select gen_random_uuid(), (select id from accounts), now() - interval '2 hours',
                          now() - interval '1 hour', now(), now(), now(), '', null
                   from generate_series(1, 1000)";
    sqlx::raw_sql(expired).execute(&mut connection).await.unwrap();
    let in_use = place.hold("select 1 from sessions limit 1 for update").await;

    let (mut first, mut second) = (a.store.begin().await.unwrap(), b.store.begin().await.unwrap());
    assert_eq!(first.purge(300, 1000).await.unwrap(), 300);
    assert_eq!(second.purge(300, 1000).await.unwrap(), 300, "others than the first took");
    assert_eq!(first.purge(300, 1000).await.unwrap(), 300);
    assert_eq!(second.purge(300, 1000).await.unwrap(), 99, "but for the one in use");
    first.commit().await.unwrap();
    second.commit().await.unwrap();
    drop(in_use);
    let mut last = a.store.begin().await.unwrap();
    while last.purge(300, 1000).await.unwrap() == 0 {
        yield_now().await;
    }
    last.commit().await.unwrap();
    let left: i64 =
        sqlx::query_scalar("select count(*) from sessions").fetch_one(&mut connection).await.unwrap();
    assert_eq!(left, 0);
}

/// The server's sessions that listen.
async fn listeners(connection: &mut PgConnection) -> BTreeSet<i32> {
    let listening = "select pid from pg_stat_activity
                     where datname = current_database() and query ilike 'listen %'";
    sqlx::query_scalar(listening).fetch_all(connection).await.unwrap().into_iter().collect()
}

/// Waits until so many stores listen on connections other than these.
async fn until_listening(
    connection: &mut PgConnection,
    expected: usize,
    others: &BTreeSet<i32>,
) -> BTreeSet<i32> {
    loop {
        let listening = listeners(&mut *connection).await;
        if listening.difference(others).count() == expected {
            return listening;
        }
        yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_wakes_who_waits_in_another_process() {
    let (place, [a, b]) = replicas().await;
    let mut connection = place.connect().await;
    until_listening(&mut connection, 2, &BTreeSet::new()).await;
    let database = Postgres::open(&place.options(1)).await.unwrap();
    let mut listener = database.listen("tandem_accounts").await.unwrap();
    let began = Instant::now();
    for number in 1..=20 {
        let position = i64::try_from(number).unwrap() - 1;
        let waiting = timeout(Duration::from_secs(3), b.store.reader().wait_for_change(position));
        let name = format!("user{number}");
        let (woken, _) = tokio::join!(waiting, add(&a, number, &name));
        assert!(woken.is_ok(), "waits are cut short after 4 seconds only");
        assert_eq!(listener.recv().await.unwrap().payload(), "");
    }
    assert!(listener.next_buffered().is_none(), "one notification for a change");
    // By the look once a second alone, each of them would have waited for most of one.
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "nobody was woken: {:?} for 20 changes",
        began.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_whose_connections_were_cut_hears_of_changes_again() {
    let (place, [a, b]) = replicas().await;
    let mut connection = place.connect().await;
    let before = until_listening(&mut connection, 2, &BTreeSet::new()).await;
    let cut = "select pg_terminate_backend(pid) from pg_stat_activity
               where datname = current_database() and pid <> pg_backend_pid()";
    sqlx::query(cut).execute(&mut connection).await.unwrap();
    // While nobody listens, the poll finds the change.
    let mut position = 0;
    let changed = async {
        while a.store.reader().changes_after(0, 1).await.is_err() {}
        add(&a, 1, "alice").await;
    };
    let found = async {
        while position == 0 {
            b.store.reader().wait_for_change(0).await;
            position = b.store.reader().changes_after(0, 1).await.map_or(0, |changes| changes.newest);
        }
    };
    tokio::join!(changed, found);
    until_listening(&mut connection, 2, &before).await;
    let waiting = timeout(Duration::from_secs(3), b.store.reader().wait_for_change(1));
    let (woken, _) = tokio::join!(waiting, add(&a, 2, "bobby"));
    assert!(woken.is_ok(), "a new connection listens");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_store_leaves_no_connection_behind() {
    let (place, [a, b]) = replicas().await;
    let mut connection = place.connect().await;
    until_listening(&mut connection, 2, &BTreeSet::new()).await;
    a.store.close().await;
    // Dropped, not closed.
    drop(b);
    until_listening(&mut connection, 0, &BTreeSet::new()).await;
    drop(a);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_connection_serves_units_of_work_and_reads_of_many() {
    let (place, _database) = migrated(1).await;
    let engine = replica(&place.options(1)).await;
    add(&engine, 1, "alice").await;
    let callers = (1..=64).map(async |number| {
        open(&engine, number, id(1)).await;
        engine.store.reader().live_sessions(id(1), None, 10).await
    });
    let pages = try_join_all(callers).await.unwrap();
    assert!(pages.iter().all(|page| !page.is_empty()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_cannot_be_read_back_is_named() {
    let (place, [a]) = replicas().await;
    add(&a, 1, "alice").await;
    let spoil = "update accounts set username = 'al..ice', canonical_username = 'al..ice'";
    sqlx::raw_sql(spoil).execute(&mut place.connect().await).await.unwrap();
    let error = a.store.reader().changes_after(0, 10).await.unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(cause, format!("accounts.username cannot be read back in row {}", id(1)));
}
