//! Applies what the account feed brings, together with the place that it was brought from. Done by whoever holds the
//! lease on the feed.
//!
//! Accounts and cursor are written in one transaction that compares the fence, so nothing is applied twice with effect,
//! nothing is skipped, and a process that lost the lease without noticing changes nothing.

use crate::commands::Context;
use crate::domain::{FeedMessage, FeedState, Fence};
use crate::error::Error;
use crate::ports::{FeedRows as _, Ports, Store as _, Transaction as _, UserRows as _};

/// The lease is somebody else's by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseLost;

/// A batch of messages, in the order in which they came.
#[derive(Clone, Debug)]
pub struct ApplyFeed {
    /// Under which acquisition of the lease.
    pub fence: Fence,
    /// What the feed brought.
    pub messages: Vec<FeedMessage>,
}

impl ApplyFeed {
    /// Applies the batch as a whole, or nothing of it.
    pub async fn execute<P: Ports>(self, cx: &Context<P>) -> Result<Result<(), LeaseLost>, Error> {
        let mut tx = cx.store.begin().await?;
        let before = tx.feed_state().await?;
        let mut state = before.clone();
        for message in self.messages {
            state.cursor = message.cursor;
            match message.account {
                Some(account) => {
                    tx.apply_account(&account).await?;
                    state.epoch = Some(account.version.epoch);
                }
                None => finish_snapshot(&mut tx, &mut state).await?,
            }
        }
        if state == before {
            // A checkpoint where nothing has happened since the one before.
            return Ok(Ok(()));
        }
        if !tx.move_feed(self.fence, &state).await? {
            return Ok(Err(LeaseLost));
        }
        tx.commit().await?;
        Ok(Ok(()))
    }
}

/// At the first checkpoint everything that the owner has was sent: who was not among it is no more. As long as no
/// account told the epoch, there is nothing to tell the others by, and the next checkpoint is the first.
async fn finish_snapshot<T: crate::ports::Transaction>(
    tx: &mut T,
    state: &mut FeedState,
) -> Result<(), Error> {
    if let (false, Some(epoch)) = (state.snapshot_done, &state.epoch) {
        tx.retire_users_before(epoch).await?;
        state.snapshot_done = true;
    }
    Ok(())
}

/// Forgets the place, after the feed said that it knows it no more: the next batch begins a new snapshot.
#[derive(Clone, Copy, Debug)]
pub struct StartFeedOver {
    /// Under which acquisition of the lease.
    pub fence: Fence,
}

impl StartFeedOver {
    /// Goes back to the empty cursor.
    pub async fn execute<P: Ports>(self, cx: &Context<P>) -> Result<Result<(), LeaseLost>, Error> {
        let mut tx = cx.store.begin().await?;
        if !tx.move_feed(self.fence, &FeedState::default()).await? {
            return Ok(Err(LeaseLost));
        }
        tx.commit().await?;
        Ok(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Account, LeaseOwner, Role, State};
    use crate::testing::World;

    fn message(account: Option<Account>, cursor: &str) -> FeedMessage {
        FeedMessage { cursor: cursor.into(), account }
    }

    async fn apply(world: &World, fence: Fence, messages: Vec<FeedMessage>) -> Result<(), LeaseLost> {
        ApplyFeed { fence, messages }.execute(&world.commands()).await.unwrap()
    }

    #[tokio::test]
    async fn accounts_and_cursor_move_together() {
        let world = World::new();
        let fence = world.lease(LeaseOwner([1; 16])).await.unwrap();
        let account = world.provider.register("alice");
        apply(&world, fence, vec![message(Some(account.clone()), "1"), message(None, "1c")]).await.unwrap();
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
        assert_eq!(StartFeedOver { fence: old }.execute(&world.commands()).await.unwrap(), Err(LeaseLost));
    }

    #[tokio::test]
    async fn users_that_a_restore_took_away_show_as_inactive() {
        let world = World::new();
        let fence = world.lease(LeaseOwner([1; 16])).await.unwrap();
        let kept = world.user("alice", Role::User).await;
        let gone = world.user("bobby", Role::Admin).await;
        world.provider.restore();
        world.provider.lose(gone.id);
        let account = world.provider.account(kept.id);

        StartFeedOver { fence }.execute(&world.commands()).await.unwrap().unwrap();
        apply(&world, fence, vec![message(None, "0")]).await.unwrap();
        assert!(!world.feed_state().await.snapshot_done, "no epoch is known yet");
        apply(&world, fence, vec![message(Some(account), "1"), message(None, "1c")]).await.unwrap();

        assert_eq!(world.find(kept.id).await.unwrap().state, State::Active);
        let retired = world.find(gone.id).await.unwrap();
        assert_eq!((retired.state, retired.role), (State::Inactive, Role::Admin));
        assert_ne!(retired.etag(), gone.etag());
        assert!(retired.update_time >= gone.update_time);
    }
}
