//! The place in the account feed and its lease.

use std::time::Duration;

use users_core::domain::{FeedState, Fence, LeaseOwner};
use users_core::ports::{FeedRows as _, Store, Transaction as _, UserRows as _};
use users_core::testing::an_epoch;

use super::{account, find, id, in_tx};

const ONE: LeaseOwner = LeaseOwner([1; 16]);
const OTHER: LeaseOwner = LeaseOwner([2; 16]);
const LONG: Duration = Duration::from_mins(1);

async fn take<S: Store>(store: &S, owner: LeaseOwner, lifetime: Duration) -> Option<Fence> {
    in_tx!(store, tx => tx.take_lease(owner, lifetime).await.unwrap())
}

fn place(cursor: &str) -> FeedState {
    FeedState { cursor: cursor.into(), epoch: Some(an_epoch("e1")), snapshot_done: true }
}

pub(super) async fn the_lease_is_one_owners_until_it_is_released<S: Store>(store: &S) {
    let fence = take(store, ONE, LONG).await.unwrap();
    assert_eq!(take(store, OTHER, LONG).await, None);
    assert_eq!(take(store, ONE, LONG).await, Some(fence), "it is extended");
    in_tx!(store, tx => tx.release_lease(OTHER).await.unwrap());
    assert_eq!(take(store, OTHER, LONG).await, None, "it is not the other's to release");
    in_tx!(store, tx => tx.release_lease(ONE).await.unwrap());
    assert!(take(store, OTHER, LONG).await.unwrap() > fence);
}

pub(super) async fn each_acquisition_of_the_lease_has_a_higher_fence<S: Store>(store: &S) {
    let first = take(store, ONE, Duration::ZERO).await.unwrap();
    let second = take(store, OTHER, Duration::ZERO).await.unwrap();
    let third = take(store, OTHER, LONG).await.unwrap();
    assert!(first < second && second < third, "{first:?} {second:?} {third:?}");
}

pub(super) async fn the_place_is_moved_under_the_latest_fence_only<S: Store>(store: &S) {
    assert_eq!(in_tx!(store, tx => tx.feed_state().await.unwrap()), FeedState::default());
    let old = take(store, ONE, Duration::ZERO).await.unwrap();
    let new = take(store, OTHER, LONG).await.unwrap();
    assert!(in_tx!(store, tx => tx.move_feed(new, &place("5")).await.unwrap()));
    assert!(!in_tx!(store, tx => tx.move_feed(old, &place("6")).await.unwrap()));
    assert_eq!(in_tx!(store, tx => tx.feed_state().await.unwrap()), place("5"));
}

pub(super) async fn accounts_and_place_are_written_together_or_not_at_all<S: Store>(store: &S) {
    let fence = take(store, ONE, LONG).await.unwrap();
    let mut tx = store.begin().await.unwrap();
    tx.apply_account(&account(1, "alice", "e1", 1)).await.unwrap();
    assert!(tx.move_feed(fence, &place("1")).await.unwrap());
    drop(tx);
    assert_eq!(find(store, id(1)).await, None);
    assert_eq!(in_tx!(store, tx => tx.feed_state().await.unwrap()), FeedState::default());
}
