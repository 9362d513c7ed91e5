//! Queries on a read replica. A second database stands for it, which has only what a test puts there.

use std::time::Duration;

use database::testing::TestDatabase;
use identity::ConsistencyToken;
use tokio::time::Instant;
use users_core::domain::UserKey;
use users_core::ports::{Reader as _, Store as _};
use users_service::{PgStore, ServedStore as _};

use crate::store_contract::{account, apply, engines, id};

tokio::task_local! {
    static DEADLINE: Instant;
}

fn deadline() -> Option<Instant> {
    DEADLINE.try_with(|deadline| *deadline).ok()
}

/// Does it for a caller who has so much time, and says how much it took.
async fn within<F: Future>(time: Duration, work: F) -> (F::Output, Duration) {
    let begun = Instant::now();
    (DEADLINE.scope(begun + time, work).await, begun.elapsed())
}

struct Pair {
    store: PgStore,
    lagging: PgStore,
    databases: [TestDatabase; 2],
}

async fn pair() -> Pair {
    let (lagging, replica) = engines::postgres().await;
    let primary = TestDatabase::create().await;
    let store = engines::postgres_until(&primary.options(2), Some(&replica.options(2)), deadline).await;
    Pair { store, lagging, databases: [primary, replica] }
}

async fn version_seen(reader: &impl users_core::ports::Reader) -> Option<i64> {
    reader.find_user(&UserKey::Id(id(1))).await.unwrap().map(|user| user.account.number)
}

/// Every look at a replica that a token makes.
pub(super) async fn every_look() {
    let Pair { store, lagging, databases: _databases } = pair().await;
    let user = apply(&store, &account(1, "alice", "e1", 1)).await;
    apply(&lagging, &account(1, "alice", "e1", 1)).await;
    let tokens = [
        ConsistencyToken::Account { user_id: user.id, version: user.account },
        ConsistencyToken::Role { user_id: user.id, version: 1 },
    ];
    for token in tokens {
        store.reader().at_least(&token).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_reads_the_replica_and_a_command_never_does() {
    let Pair { store, lagging, databases: _databases } = pair().await;
    apply(&store, &account(1, "alice", "e1", 2)).await;
    apply(&lagging, &account(1, "alice", "e1", 1)).await;
    assert_eq!(version_seen(store.reader()).await, Some(1));
    assert_eq!(version_seen(&store.reader().primary()).await, Some(2));
    assert_eq!(store.find_user(&UserKey::Id(id(1))).await.unwrap().unwrap().account.number, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_behind_a_token_is_not_asked() {
    let Pair { store, lagging, databases: _databases } = pair().await;
    let user = apply(&store, &account(1, "alice", "e1", 2)).await;
    apply(&lagging, &account(1, "alice", "e1", 1)).await;
    let newer = ConsistencyToken::Account { user_id: user.id, version: user.account.clone() };
    assert_eq!(version_seen(&store.reader().at_least(&newer).await).await, Some(2));
    let role = ConsistencyToken::Role { user_id: user.id, version: 1 };
    assert_eq!(version_seen(&store.reader().at_least(&role).await).await, Some(1), "it has come that far");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_comes_up_in_time_is_waited_for() {
    let Pair { store, lagging, databases: _databases } = pair().await;
    let user = apply(&store, &account(1, "alice", "e1", 2)).await;
    let token = ConsistencyToken::Account { user_id: user.id, version: user.account };
    let replayed = account(1, "alice", "e1", 3);
    let (reader, _) = tokio::join!(store.reader().at_least(&token), apply(&lagging, &replayed));
    assert!([Some(2), Some(3)].contains(&version_seen(&reader).await), "it is never behind the token");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_away_or_unfit_is_no_trouble_of_a_caller() {
    let away = TestDatabase::create().await;
    let mut nowhere = away.options(2);
    nowhere.connect = nowhere.connect.port(1);
    let without_schema = TestDatabase::create().await;
    for replica in [nowhere, without_schema.options(2)] {
        let primary = TestDatabase::create().await;
        let store = engines::postgres_on(&primary.options(2), Some(&replica)).await;
        let user = apply(&store, &account(1, "alice", "e1", 2)).await;
        assert_eq!(version_seen(store.reader()).await, Some(2));
        let token = ConsistencyToken::Account { user_id: user.id, version: user.account };
        assert_eq!(version_seen(&store.reader().at_least(&token).await).await, Some(2));
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_does_not_answer_leaves_the_primary_the_time_to() {
    let Pair { store, lagging, databases: [_primary, replica] } = pair().await;
    let user = apply(&store, &account(1, "alice", "e1", 2)).await;
    apply(&lagging, &account(1, "alice", "e1", 1)).await;
    let token = ConsistencyToken::Account { user_id: user.id, version: user.account };
    let lock = replica.hold("lock table users").await;
    let time = Duration::from_millis(800);
    let (seen, lasted) = within(time, version_seen(store.reader())).await;
    assert_eq!(seen, Some(2), "the primary's");
    assert!(lasted < time, "{lasted:?}");
    let (reader, lasted) = within(time, store.reader().at_least(&token)).await;
    assert!(lasted < time, "{lasted:?}");
    let (seen, lasted) = within(Duration::from_millis(150), version_seen(&reader)).await;
    assert_eq!(seen, Some(2));
    assert!(lasted < Duration::from_millis(150), "{lasted:?}: it has no time for a replica at all");
    // Callers in a hurry say nothing of the replica: the next one reads it again.
    drop(lock);
    assert_eq!(version_seen(store.reader()).await, Some(1), "the replica's");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_behind_a_token_is_not_waited_for_by_who_has_no_time() {
    let Pair { store, lagging, databases: _databases } = pair().await;
    let user = apply(&store, &account(1, "alice", "e1", 2)).await;
    apply(&lagging, &account(1, "alice", "e1", 1)).await;
    let token = ConsistencyToken::Account { user_id: user.id, version: user.account };
    let (reader, patient) = within(Duration::from_secs(5), store.reader().at_least(&token)).await;
    assert_eq!(version_seen(&reader).await, Some(2));
    assert!(patient >= Duration::from_millis(100), "{patient:?}: it may come up");
    let (reader, hasty) = within(Duration::from_millis(210), store.reader().at_least(&token)).await;
    assert_eq!(version_seen(&reader).await, Some(2));
    assert!(hasty < Duration::from_millis(100), "{hasty:?}: 200 ms are the primary's");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_is_not_looked_for_until_there_is_no_time_to_tell_it() {
    let Pair { store, databases: _databases, .. } = pair().await;
    let (goes_on, _) = within(Duration::from_secs(5), store.wait_before_attempt(2)).await;
    assert!(goes_on);
    let (goes_on, lasted) = within(Duration::from_millis(390), store.wait_before_attempt(2)).await;
    assert!(!goes_on && lasted < Duration::from_millis(100), "{lasted:?}");
}
