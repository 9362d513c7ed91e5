//! Accounts become users, and roles stay.

use chrono::TimeDelta;
use futures::future::join_all;
use identity::AccountVersion;
use users_core::domain::{Account, Role, State, UserKey};
use users_core::ports::{Reservations as _, Roles as _, Store, Transaction as _, UserRows as _};
use users_core::testing::{a_time, a_username, an_epoch};

use super::{account, apply, find, id, in_tx};

pub(super) async fn an_account_becomes_a_user_that_is_found_by_id_and_by_name_in_any_case<S: Store>(
    store: &S,
) {
    let account = account(1, "Alice", "e1", 1);
    let user = apply(store, &account).await;
    assert_eq!((user.role, user.role_version, user.state), (Role::User, 1, State::Active));
    assert_eq!((user.create_time, user.update_time), (account.create_time, account.update_time));
    assert_eq!((user.username.as_str(), &user.account), ("Alice", &account.version));
    let by_name = UserKey::Username(a_username("aLiCe"));
    assert_eq!(store.find_user(&by_name).await.unwrap(), Some(user.clone()));
    assert_eq!(in_tx!(store, tx => tx.lock_user(&by_name).await.unwrap()), Some(user));
    assert_eq!(find(store, id(2)).await, None);
}

pub(super) async fn applying_an_account_twice_changes_nothing<S: Store>(store: &S) {
    let account = account(1, "alice", "e1", 5);
    let once = apply(store, &account).await;
    assert_eq!(apply(store, &account).await, once);
}

pub(super) async fn an_older_version_is_ignored_and_a_newer_one_taken_over<S: Store>(store: &S) {
    let old = account(1, "alice", "e1", 5);
    let new = Account {
        state: State::Inactive,
        update_time: old.update_time + TimeDelta::seconds(9),
        ..account(1, "alice", "e1", 6)
    };
    apply(store, &old).await;
    let user = apply(store, &new).await;
    assert_eq!((user.state, user.account.number, user.update_time), (State::Inactive, 6, new.update_time));
    assert_eq!(apply(store, &old).await, user);
}

pub(super) async fn an_unseen_epoch_is_the_latest_and_an_older_one_is_ignored<S: Store>(store: &S) {
    let before = account(1, "alice", "zzz", 50);
    apply(store, &before).await;
    let after = apply(store, &account(1, "alice", "aaa", 2)).await;
    assert_eq!((after.account.epoch.as_str(), after.account.number), ("aaa", 2));
    let in_flight = Account { state: State::Inactive, ..account(1, "alice", "zzz", 51) };
    assert_eq!(apply(store, &in_flight).await, after);
}

pub(super) async fn the_update_time_never_goes_back<S: Store>(store: &S) {
    let first = Account { update_time: a_time(100), ..account(1, "alice", "e1", 1) };
    apply(store, &first).await;
    let restored = Account { update_time: a_time(10), ..account(1, "alice", "e2", 1) };
    let user = apply(store, &restored).await;
    assert_eq!((user.update_time, user.account_update_time), (a_time(100), a_time(10)));
}

pub(super) async fn of_two_users_with_one_name_the_newest_epoch_wins<S: Store>(store: &S) {
    apply(store, &account(1, "alice", "e1", 9)).await;
    apply(store, &account(2, "Alice", "e2", 1)).await;
    let key = UserKey::Username(a_username("alice"));
    assert_eq!(store.find_user(&key).await.unwrap().unwrap().id, id(2));
    assert_eq!(in_tx!(store, tx => tx.lock_user(&key).await.unwrap()).unwrap().id, id(2));
}

pub(super) async fn has_reached_compares_within_an_epoch_and_across<S: Store>(store: &S) {
    apply(store, &account(2, "bobby", "e1", 1)).await;
    apply(store, &account(1, "alice", "e2", 5)).await;
    for (epoch, number, reached) in
        [("e2", 5, true), ("e2", 4, true), ("e2", 6, false), ("e1", 99, true), ("unknown", 1, false)]
    {
        let version = AccountVersion { epoch: an_epoch(epoch), number };
        assert_eq!(store.has_reached(id(1), &version).await.unwrap(), reached, "{epoch} {number}");
    }
    let version = AccountVersion { epoch: an_epoch("e2"), number: 1 };
    assert!(!store.has_reached(id(2), &version).await.unwrap(), "an earlier epoch");
    assert!(!store.has_reached(id(3), &version).await.unwrap(), "nobody");
}

pub(super) async fn users_of_earlier_epochs_can_be_retired_slice_by_slice<S: Store>(store: &S) {
    let gone = apply(store, &account(1, "alice", "e1", 9)).await;
    let kept = apply(store, &account(2, "bobby", "e2", 1)).await;
    for number in 3..=5 {
        apply(store, &account(number, &format!("carol{number}"), "e1", 1)).await;
    }
    let epoch = an_epoch("e2");
    let retire = async |after| in_tx!(store, tx => tx.retire_users_before(&epoch, after, 2).await.unwrap());
    assert_eq!(retire(None).await, Some(id(2)));
    assert_eq!(find(store, id(3)).await.unwrap().state, State::Active, "of the next slice");
    assert_eq!(retire(Some(id(2))).await, Some(id(4)));
    assert_eq!(retire(Some(id(4))).await, None);
    for number in [1, 3, 4, 5] {
        let user = find(store, id(number)).await.unwrap();
        let version = (user.account.epoch.as_str(), user.account.number);
        assert_eq!((user.state, version), (State::Inactive, ("e2", 0)));
    }
    let user = find(store, gone.id).await.unwrap();
    assert!(user.update_time >= gone.update_time);
    assert_ne!(user.etag(), gone.etag());
    assert_eq!(find(store, kept.id).await, Some(kept));
    let back = apply(store, &account(1, "alice", "e2", 2)).await;
    assert_eq!(back.state, State::Active);
}

pub(super) async fn a_batch_is_applied_as_one<S: Store>(store: &S) {
    let known = apply(store, &account(2, "bobby", "e1", 9)).await;
    in_tx!(store, tx => tx.reserve(id(3), Role::Admin).await.unwrap());
    let batch = [
        account(1, "alice", "e1", 1),
        account(2, "bobby", "e1", 8),
        account(3, "carol", "e1", 2),
        account(4, "david", "e2", 1),
    ];
    in_tx!(store, tx => tx.apply_accounts(&batch).await.unwrap());
    assert_eq!(find(store, id(1)).await.unwrap().role, Role::User);
    assert_eq!(find(store, id(2)).await, Some(known));
    assert_eq!(find(store, id(3)).await.unwrap().role, Role::Admin);
    assert_eq!(find(store, id(4)).await.unwrap().account.epoch, an_epoch("e2"));
    in_tx!(store, tx => tx.apply_accounts(&[]).await.unwrap());
}

pub(super) async fn what_is_not_committed_did_not_happen<S: Store>(store: &S) {
    let mut tx = store.begin().await.unwrap();
    tx.apply_account(&account(1, "alice", "e1", 1)).await.unwrap();
    drop(tx);
    assert_eq!(find(store, id(1)).await, None);
    apply(store, &account(1, "alice", "e1", 1)).await;
}

pub(super) async fn a_role_is_written_with_its_version_and_times<S: Store>(store: &S) {
    let user = apply(store, &account(1, "alice", "e1", 1)).await;
    let admin = user.with_role(Role::Admin, user.update_time + TimeDelta::seconds(7)).unwrap();
    in_tx!(store, tx => tx.update_role(&admin).await.unwrap());
    assert_eq!(find(store, user.id).await, Some(admin.clone()));
    let later = apply(store, &account(1, "alice", "e1", 2)).await;
    assert_eq!((later.role, later.role_version, later.update_time), (Role::Admin, 2, admin.update_time));
}

pub(super) async fn super_admins_are_found<S: Store>(store: &S) {
    in_tx!(store, tx => tx.reserve(id(2), Role::SuperAdmin).await.unwrap());
    apply(store, &account(1, "alice", "e1", 1)).await;
    let boss = apply(store, &account(2, "bossy", "e1", 2)).await;
    assert_eq!(in_tx!(store, tx => tx.lock_super_admins().await.unwrap()), [boss]);
}

pub(super) async fn a_hundred_parallel_writers_all_succeed<S: Store>(store: &S) {
    let numbers = (1..=100).collect::<Vec<_>>();
    join_all(numbers.iter().map(|number| async move {
        let name = format!("user{number}");
        apply(store, &account(*number, &name, "e1", i64::try_from(*number).unwrap())).await;
    }))
    .await;
    for number in &numbers {
        assert!(find(store, id(*number)).await.is_some());
    }
}
