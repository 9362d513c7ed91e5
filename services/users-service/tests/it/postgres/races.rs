//! Two replicas of the service on one database.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use database::testing::TestDatabase;
use futures::future::{join, join_all};
use identity::RequestId;
use sqlx::PgConnection;
use users_core::commands::{ApplyFeed, Context, LeaseLost};
use users_core::domain::{FeedMessage, FeedState, Fence, Lease, LeaseOwner, Role, State, User, UserKey};
use users_core::ports::{
    FeedRows as _, Ports, Requests as _, Reservations as _, Roles as _, Store as _, StoredRequest,
    Transaction as _, UserRows as _,
};
use users_core::testing::{FakeIdentityProvider, SequentialIds, an_epoch};
use users_service::PgStore;

use super::long_lists::fill;
use crate::store_contract::{account, apply, engines, find, id, in_tx};

const ROUNDS: u64 = 50;
const LONG: Duration = Duration::from_mins(1);

async fn two() -> (PgStore, PgStore, TestDatabase) {
    let (one, database) = engines::postgres().await;
    let other = engines::postgres_on(&database.options(4), None).await;
    (one, other, database)
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_that_claim_a_mark_one_is_the_first_and_all_get_its_user() {
    let (one, other, _database) = two().await;
    for round in 0..ROUNDS {
        let claims = (0..8).map(|number| {
            let store = if number % 2 == 0 { &one } else { &other };
            let request = StoredRequest {
                caller: id(1),
                request_id: RequestId::parse(&id(round).to_string()).unwrap(),
                username: "Alice".into(),
                role: Role::Admin,
                user_id: id(round * 100 + number),
            };
            async move {
                in_tx!(store, tx => tx.claim_request(&request, TimeDelta::hours(24)).await.unwrap())
            }
        });
        let claims = join_all(claims).await;
        assert_eq!(claims.iter().filter(|claim| claim.is_new).count(), 1);
        assert!(claims.iter().all(|claim| claim.remembered == claims[0].remembered), "{claims:?}");
    }
}

/// What demoting does in its transaction.
async fn demote(store: &PgStore, user: &User) -> bool {
    let mut tx = store.begin().await.unwrap();
    let super_admins = tx.lock_super_admins().await.unwrap();
    let is_one = super_admins.iter().any(|other| other.id == user.id);
    let another = super_admins.iter().any(|other| other.id != user.id && other.state == State::Active);
    if !is_one || !another {
        return false;
    }
    let now = tx.now().await.unwrap();
    tx.update_role(&user.with_role(Role::User, now).unwrap()).await.unwrap();
    tx.commit().await.unwrap();
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_two_super_admins_are_never_demoted_both() {
    let (one, other, _database) = two().await;
    for round in 0..ROUNDS {
        let mut pair = Vec::new();
        for number in [round * 2 + 1, round * 2 + 2] {
            in_tx!(&one, tx => tx.reserve(id(number), Role::SuperAdmin).await.unwrap());
            pair.push(apply(&one, &account(number, &format!("boss{number}"), "e1", 1)).await);
        }
        let (first, second) = join(demote(&one, &pair[0]), demote(&other, &pair[1])).await;
        assert!(first != second, "one of both and not the other");
        let left = if first { &pair[1] } else { &pair[0] };
        let mut tx = one.begin().await.unwrap();
        tx.update_role(&left.with_role(Role::User, left.update_time).unwrap()).await.unwrap();
        tx.commit().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_was_handed_over_moves_nothing_for_its_old_holder() {
    let (one, other, _database) = two().await;
    let place =
        |cursor: &str| FeedState { cursor: cursor.into(), epoch: Some(an_epoch("e1")), snapshot_done: false };
    let owners = [LeaseOwner([1; 16]), LeaseOwner([2; 16])];
    let mut old = None;
    for round in 0..ROUNDS {
        let (store, owner) = if round % 2 == 0 { (&one, owners[0]) } else { (&other, owners[1]) };
        let fence: Fence = in_tx!(store, tx => tx.take_lease(owner, Duration::ZERO).await.unwrap()).unwrap();
        let moved = in_tx!(store, tx => {
            tx.apply_account(&account(1, "alice", "e1", i64::try_from(round).unwrap() + 1)).await.unwrap();
            tx.move_feed(fence, &place(&round.to_string())).await.unwrap()
        });
        assert!(moved);
        if let Some(old) = old.replace(fence) {
            assert!(!in_tx!(&one, tx => tx.move_feed(old, &place("stale")).await.unwrap()));
        }
    }
    in_tx!(&one, tx => tx.take_lease(owners[0], LONG).await.unwrap()).unwrap();
    assert_eq!(in_tx!(&other, tx => tx.take_lease(owners[1], LONG).await.unwrap()), None);
}

/// The core on PostgreSQL, without an owner of accounts.
struct OnPostgres;

impl Ports for OnPostgres {
    type Store = PgStore;
    type IdentityProvider = FakeIdentityProvider;
    type Ids = SequentialIds;
}

fn commands(store: &PgStore) -> Context<OnPostgres> {
    let ids = Arc::new(SequentialIds::default());
    let provider = Arc::new(FakeIdentityProvider::new(Arc::clone(&ids)));
    Context { store: Arc::new(store.clone()), provider, ids }
}

async fn retired(connection: &mut PgConnection) -> i64 {
    let count = "select count(*) from users where account_version = 0 and state = 2";
    sqlx::query_scalar(count).fetch_one(connection).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_loses_the_lease_in_the_middle_of_a_restore_stops_and_the_next_holder_goes_on() {
    let (one, other, database) = two().await;
    fill(&database, 9_000).await;
    let take = async |store: &PgStore, owner| {
        let fence = in_tx!(store, tx => tx.take_lease(owner, LONG).await.unwrap());
        Lease { owner, fence: fence.expect("it is free") }
    };
    let feed = |lease| ApplyFeed {
        lease,
        messages: vec![
            FeedMessage { cursor: "1".into(), account: Some(account(1, "alice", "e2", 1)) },
            FeedMessage { cursor: "1c".into(), account: None },
        ],
    };

    // Somebody holds a user of the third slice, so the work stands still after two.
    let mut holder = database.connect().await;
    let hold = "begin; select from users where id = (select id from users order by id offset 5000 limit 1) for update";
    sqlx::raw_sql(hold).execute(&mut holder).await.unwrap();
    let lease = take(&one, LeaseOwner([1; 16])).await;
    let cx = commands(&one);
    let old = tokio::spawn(async move { feed(lease).execute(&cx).await.unwrap() });
    let mut observer = database.connect().await;
    while retired(&mut observer).await < 3_000 {
        tokio::task::yield_now().await;
    }
    let expire = "update feed set lease_expire_time = 'epoch'";
    sqlx::raw_sql(expire).execute(&mut observer).await.unwrap();
    let lease = take(&other, LeaseOwner([2; 16])).await;
    sqlx::raw_sql("rollback").execute(&mut holder).await.unwrap();

    assert_eq!(old.await.unwrap(), Err(LeaseLost));
    let done = retired(&mut observer).await;
    assert!((3_000..=4_000).contains(&done), "what was committed stays, and nothing more: {done}");
    assert!(!in_tx!(&other, tx => tx.feed_state().await.unwrap()).snapshot_done);
    feed(lease).execute(&commands(&other)).await.unwrap().unwrap();
    assert_eq!(retired(&mut observer).await, 9_000);
    assert!(in_tx!(&other, tx => tx.feed_state().await.unwrap()).snapshot_done);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reservation_that_met_its_user_on_the_way_goes_with_the_next_look() {
    let (one, other, _database) = two().await;
    for round in 1..=ROUNDS {
        in_tx!(&one, tx => tx.reserve(id(round), Role::Admin).await.unwrap());
        let account = account(round, &format!("user{round}"), "e1", 1);
        let again = async { in_tx!(&other, tx => tx.reserve(id(round), Role::Admin).await.unwrap()) };
        let (user, ()) = join(apply(&one, &account), again).await;
        assert_eq!(user.role, Role::Admin);
        assert_eq!(apply(&one, &account).await, user);
    }
    in_tx!(&one, tx => {
        let future = tx.now().await.unwrap() + TimeDelta::days(1);
        assert_eq!(tx.reservations_before(future, 100).await.unwrap(), []);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_and_single_accounts_in_any_order_neither_deadlock_nor_go_back() {
    let (one, other, _database) = two().await;
    let stores = [Arc::new(one), Arc::new(other)];
    let work = (1..=40_i64).map(|version| {
        let store = Arc::clone(&stores[usize::from(version % 2 == 0)]);
        tokio::spawn(async move {
            let name = |number| format!("user{number}");
            if version % 4 == 0 {
                let number = u64::try_from(version).unwrap() % 20 + 1;
                apply(&*store, &account(number, &name(number), "e1", version)).await;
            } else {
                let batch: Vec<_> =
                    (1..=20).map(|number| account(number, &name(number), "e1", version)).collect();
                in_tx!(store, tx => tx.apply_accounts(&batch).await.unwrap());
            }
        })
    });
    for done in join_all(work).await {
        done.unwrap();
    }
    for number in 1..=20 {
        let version = find(&*stores[0], id(number)).await.unwrap().account.number;
        assert!(version >= 39, "{version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_that_meet_an_epoch_at_once_agree_on_its_place() {
    let (one, other, _database) = two().await;
    for round in 1..=ROUNDS {
        let epoch = format!("e{round}");
        let [a, b] = [1, 2].map(|number| account(number, &format!("user{number}"), &epoch, 1));
        let (a, b) = join(apply(&one, &a), apply(&other, &b)).await;
        assert_eq!((a.account.epoch.as_str(), b.account.epoch.as_str()), (epoch.as_str(), epoch.as_str()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_a_user_while_it_enters_another_epoch_finds_it() {
    let (one, other, database) = two().await;
    in_tx!(&one, tx => tx.reserve(id(1), Role::SuperAdmin).await.unwrap());
    apply(&one, &account(1, "alice", "e1", 1)).await;
    for round in 2..=10 {
        let mut tx = one.begin().await.unwrap();
        tx.apply_account(&account(1, "alice", &format!("e{round}"), 1)).await.unwrap();
        let key = UserKey::Id(id(1));
        let waiting = async {
            let mut tx = other.begin().await.unwrap();
            let locked = tx.lock_user(&key).await.unwrap();
            (locked, tx.lock_super_admins().await.unwrap())
        };
        let all = async {
            let mut tx = one.begin().await.unwrap();
            tx.lock_super_admins().await.unwrap()
        };
        let commit = async {
            let mut waiters = database.connect().await;
            let count = "select count(*) from pg_stat_activity
                         where datname = current_database() and wait_event_type = 'Lock'";
            while sqlx::query_scalar::<_, i64>(count).fetch_one(&mut waiters).await.unwrap() < 2 {
                tokio::task::yield_now().await;
            }
            tx.commit().await.unwrap();
        };
        let ((locked, super_admins), all, ()) = tokio::join!(waiting, all, commit);
        let locked = locked.expect("it is there all the time");
        assert_eq!(locked.account.epoch.as_str(), format!("e{round}"));
        assert_eq!((super_admins.len(), all.len()), (1, 1));
    }
}
