//! Applies what the account feed brings, together with the place that it was brought from. Done by whoever holds the
//! lease on the feed.
//!
//! Accounts and cursor are written in one transaction that compares the fence, so nothing is applied twice with effect,
//! nothing is skipped, and a process that lost the lease without noticing changes nothing. Accounts are locked in the
//! order of their ids and the lease after them, as in every transaction, so none waits for another in a circle.

use std::collections::BTreeMap;
use std::vec;

use fail_point::{fail_point, mutant};
use identity::{Epoch, UserId};

use crate::commands::Context;
use crate::domain::{Account, FeedMessage, FeedState, LEASE_LIFETIME, Lease};
use crate::error::Error;
use crate::ports::{FeedRows as _, Ports, Store as _, Transaction as _, UserRows as _};

/// Users that are looked at in one transaction after a restore: a fraction of a second, however many there are in all.
const SLICE: u16 = 2000;

/// The lease is somebody else's by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseLost;

/// A batch of messages, in the order in which they came.
#[derive(Clone, Debug)]
pub struct ApplyFeed {
    /// Under which acquisition of the lease.
    pub lease: Lease,
    /// What the feed brought.
    pub messages: Vec<FeedMessage>,
}

impl ApplyFeed {
    /// Applies the batch. Each transaction of it lasts or not as a whole, and the place says how far they came.
    pub async fn execute<P: Ports>(self, cx: &Context<P>) -> Result<Result<(), LeaseLost>, Error> {
        let mut messages = self.messages.into_iter();
        loop {
            match apply(cx, self.lease, &mut messages).await? {
                Ok(Some(snapshot)) => {
                    if let Err(lost) = finish(cx, self.lease, snapshot).await? {
                        return Ok(Err(lost));
                    }
                }
                Ok(None) => return Ok(Ok(())),
                Err(lost) => return Ok(Err(lost)),
            }
        }
    }
}

/// Everything that the owner has was sent: its accounts are of this epoch, and this is the place.
struct Snapshot {
    epoch: Epoch,
    end: FeedState,
}

/// Applies messages up to the end of a snapshot, or all of them. As long as no account told the epoch, there is nothing
/// to tell the others by, and the next checkpoint is the first.
async fn apply<P: Ports>(
    cx: &Context<P>,
    lease: Lease,
    messages: &mut vec::IntoIter<FeedMessage>,
) -> Result<Result<Option<Snapshot>, LeaseLost>, Error> {
    let mut tx = cx.store.begin().await?;
    let before = tx.feed_state().await?;
    let mut state = before.clone();
    let mut accounts: BTreeMap<UserId, Account> = BTreeMap::new();
    let mut snapshot = None;
    for FeedMessage { cursor, account } in messages {
        match (account, &state.epoch) {
            (Some(account), _) => {
                state = FeedState { cursor, epoch: Some(account.version.epoch.clone()), ..state };
                accounts.insert(account.id, account);
            }
            (None, Some(epoch)) if !state.snapshot_done => {
                let end = FeedState { cursor, epoch: Some(epoch.clone()), snapshot_done: true };
                snapshot = Some(Snapshot { epoch: epoch.clone(), end });
                break;
            }
            (None, _) => state.cursor = cursor,
        }
    }
    if state != before {
        let accounts: Vec<Account> = accounts.into_values().collect();
        // A defect: the place is moved before what was brought to it is written.
        if mutant("apply_feed.cursor_apart") {
            if !tx.move_feed(lease.fence, &state).await? {
                return Ok(Err(LeaseLost));
            }
            tx.commit().await?;
            fail_point("apply_feed.moved");
            tx = cx.store.begin().await?;
        }
        tx.apply_accounts(&accounts).await?;
        if !tx.move_feed(lease.fence, &state).await? {
            return Ok(Err(LeaseLost));
        }
        fail_point("apply_feed.moved");
        tx.commit().await?;
    }
    Ok(Ok(snapshot))
}

/// Who was not in the snapshot is no more. In slices, because after a restore it may be everybody: each takes no longer
/// than the lease lasts and renews it. What a lost lease leaves undone its next holder does.
async fn finish<P: Ports>(
    cx: &Context<P>,
    lease: Lease,
    snapshot: Snapshot,
) -> Result<Result<(), LeaseLost>, Error> {
    let mut after = None;
    loop {
        let mut tx = cx.store.begin().await?;
        after = tx.retire_users_before(&snapshot.epoch, after, SLICE).await?;
        if tx.take_lease(lease.owner, LEASE_LIFETIME).await? != Some(lease.fence) {
            return Ok(Err(LeaseLost));
        }
        if after.is_none() && !tx.move_feed(lease.fence, &snapshot.end).await? {
            return Ok(Err(LeaseLost));
        }
        tx.commit().await?;
        if after.is_none() {
            return Ok(Ok(()));
        }
    }
}

/// Forgets the place, after the feed said that it knows it no more: the next batch begins a new snapshot.
#[derive(Clone, Copy, Debug)]
pub struct StartFeedOver {
    /// Under which acquisition of the lease.
    pub lease: Lease,
}

impl StartFeedOver {
    /// Goes back to the empty cursor.
    pub async fn execute<P: Ports>(self, cx: &Context<P>) -> Result<Result<(), LeaseLost>, Error> {
        let mut tx = cx.store.begin().await?;
        if !tx.move_feed(self.lease.fence, &FeedState::default()).await? {
            return Ok(Err(LeaseLost));
        }
        tx.commit().await?;
        Ok(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{LeaseOwner, Role, State};
    use crate::testing::{World, an_account, an_id};

    fn message(account: Option<Account>, cursor: &str) -> FeedMessage {
        FeedMessage { cursor: cursor.into(), account }
    }

    async fn apply(world: &World, lease: Lease, messages: Vec<FeedMessage>) -> Result<(), LeaseLost> {
        ApplyFeed { lease, messages }.execute(&world.commands()).await.unwrap()
    }

    #[tokio::test]
    async fn accounts_and_cursor_move_together() {
        let world = World::new();
        let lease = world.lease(LeaseOwner([1; 16])).await.unwrap();
        let account = world.provider.register("alice");
        apply(&world, lease, vec![message(Some(account.clone()), "1"), message(None, "1c")]).await.unwrap();
        assert_eq!(world.find(account.id).await.unwrap().role, Role::User);
        let state = world.feed_state().await;
        assert_eq!((state.cursor.as_str(), state.snapshot_done), ("1c", true));
    }

    #[tokio::test]
    async fn whoever_lost_the_lease_changes_nothing() {
        let world = World::new();
        let old = world.lease(LeaseOwner([1; 16])).await.unwrap();
        assert_eq!(world.lease(LeaseOwner([2; 16])).await, None);
        world.store.advance(chrono::TimeDelta::seconds(11));
        world.lease(LeaseOwner([2; 16])).await.unwrap();
        let account = world.provider.register("alice");
        let outcome = apply(&world, old, vec![message(Some(account.clone()), "1")]).await;
        assert_eq!(outcome, Err(LeaseLost));
        assert_eq!(world.find(account.id).await, None);
        assert_eq!(StartFeedOver { lease: old }.execute(&world.commands()).await.unwrap(), Err(LeaseLost));
    }

    #[tokio::test]
    async fn users_that_a_restore_took_away_show_as_inactive() {
        let world = World::new();
        let lease = world.lease(LeaseOwner([1; 16])).await.unwrap();
        let kept = world.user("alice", Role::User).await;
        let gone = world.user("bobby", Role::Admin).await;
        world.provider.restore();
        world.provider.lose(gone.id);
        let account = world.provider.account(kept.id);

        StartFeedOver { lease }.execute(&world.commands()).await.unwrap().unwrap();
        apply(&world, lease, vec![message(None, "0")]).await.unwrap();
        assert!(!world.feed_state().await.snapshot_done, "no epoch is known yet");
        apply(&world, lease, vec![message(Some(account), "1"), message(None, "1c")]).await.unwrap();

        assert_eq!(world.find(kept.id).await.unwrap().state, State::Active);
        let retired = world.find(gone.id).await.unwrap();
        assert_eq!((retired.state, retired.role), (State::Inactive, Role::Admin));
        assert_ne!(retired.etag(), gone.etag());
        assert!(retired.update_time >= gone.update_time);
    }

    #[tokio::test]
    async fn more_users_than_a_slice_are_retired_and_the_place_moves_after_all_of_them() {
        let world = World::new();
        let lease = world.lease(LeaseOwner([1; 16])).await.unwrap();
        let mut tx = world.store.begin().await.unwrap();
        for number in 0..=u64::from(SLICE) * 2 {
            let id = an_id(1_000_000 + number);
            tx.apply_account(&an_account(id, &format!("user{number}"))).await.unwrap();
        }
        tx.commit().await.unwrap();
        world.provider.restore();
        let account = world.provider.register("alice");
        let messages = vec![message(Some(account.clone()), "1"), message(None, "1c"), message(None, "1d")];
        apply(&world, lease, messages).await.unwrap();
        for number in 0..=u64::from(SLICE) * 2 {
            assert_eq!(world.find(an_id(1_000_000 + number)).await.unwrap().state, State::Inactive);
        }
        assert_eq!(world.find(account.id).await.unwrap().state, State::Active);
        let state = world.feed_state().await;
        assert_eq!((state.cursor.as_str(), state.snapshot_done), ("1d", true));
    }
}
