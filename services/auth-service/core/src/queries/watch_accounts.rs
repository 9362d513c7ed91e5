//! The account feed: the present state of every account that changed after a cursor, then each change as it commits.
//!
//! It is a compacted change log: an account that changes moves to the end, and only its present state is sent. The
//! store numbers changes in the order of their commits, so nothing before a number that was read can appear later.

use super::Context;
use crate::Error;
use crate::domain::{FeedCursor, FeedEvent};
use crate::ports::{Ports, Reader as _};

/// How many accounts are read at once.
const BATCH: u32 = 500;

/// A reader's place in the feed.
#[derive(Debug)]
pub struct WatchAccounts {
    cursor: FeedCursor,
    /// Whether everything there was has been sent, and a checkpoint after it.
    caught_up: bool,
}

impl WatchAccounts {
    /// Begins after a cursor; the empty one is the beginning. One that this database never gave is unknown.
    pub async fn open<P: Ports>(cx: &Context<P>, cursor: &str) -> Result<Self, Error> {
        let now = cx.reader.changes_after(0, 0).await?;
        let cursor = if cursor.is_empty() {
            FeedCursor { epoch: now.epoch, number: 0 }
        } else {
            let known = |cursor: &FeedCursor| cursor.epoch == now.epoch && cursor.number <= now.newest;
            FeedCursor::parse(cursor).filter(known).ok_or(Error::CursorUnknown)?
        };
        Ok(Self { cursor, caught_up: false })
    }

    /// The next messages, each with the cursor after it. Waits when there is nothing new, and sends a checkpoint then.
    pub async fn next<P: Ports>(&mut self, cx: &Context<P>) -> Result<Vec<(FeedEvent, FeedCursor)>, Error> {
        if self.caught_up {
            cx.reader.wait_for_change(self.cursor.number).await;
        }
        let changes = cx.reader.changes_after(self.cursor.number, BATCH).await?;
        // Or a database that has lost what was sent from it.
        if changes.epoch != self.cursor.epoch || changes.newest < self.cursor.number {
            return Err(Error::CursorUnknown);
        }
        self.caught_up = changes.accounts.len() < BATCH as usize;
        let mut events = Vec::with_capacity(changes.accounts.len() + 1);
        for account in changes.accounts {
            self.cursor.number = account.version.number;
            events.push((FeedEvent::Account(account), self.cursor.clone()));
        }
        if self.caught_up {
            events.push((FeedEvent::Checkpoint, self.cursor.clone()));
        }
        Ok(events)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::DisableAccount;
    use crate::testing::World;

    fn names(events: &[(FeedEvent, FeedCursor)]) -> Vec<String> {
        let name = |event: &FeedEvent| match event {
            FeedEvent::Account(account) => account.username.to_string(),
            FeedEvent::Checkpoint => "checkpoint".to_owned(),
        };
        events.iter().map(|(event, _)| name(event)).collect()
    }

    #[tokio::test]
    async fn an_empty_cursor_gives_every_account_once_in_its_present_state() {
        let world = World::new();
        let alice = world.signed_up("alice").await;
        world.signed_up("bobby").await;
        DisableAccount::any_version(alice).execute(&world.commands).await.unwrap();
        let mut watch = WatchAccounts::open(&world.queries, "").await.unwrap();
        assert_eq!(names(&watch.next(&world.queries).await.unwrap()), ["bobby", "alice", "checkpoint"]);
    }

    #[tokio::test]
    async fn a_cursor_goes_on_where_it_was() {
        let world = World::new();
        world.signed_up("alice").await;
        let mut watch = WatchAccounts::open(&world.queries, "").await.unwrap();
        let (_, cursor) = watch.next(&world.queries).await.unwrap().pop().unwrap();
        world.signed_up("bobby").await;
        assert_eq!(names(&watch.next(&world.queries).await.unwrap()), ["bobby", "checkpoint"]);
        let mut resumed = WatchAccounts::open(&world.queries, &cursor.to_string()).await.unwrap();
        assert_eq!(names(&resumed.next(&world.queries).await.unwrap()), ["bobby", "checkpoint"]);
    }

    #[tokio::test]
    async fn a_quiet_feed_sends_checkpoints() {
        let world = World::new();
        let mut watch = WatchAccounts::open(&world.queries, "").await.unwrap();
        assert_eq!(names(&watch.next(&world.queries).await.unwrap()), ["checkpoint"]);
        assert_eq!(names(&watch.next(&world.queries).await.unwrap()), ["checkpoint"]);
    }

    #[tokio::test]
    async fn a_cursor_beyond_the_end_or_of_another_life_is_unknown() {
        let world = World::new();
        world.signed_up("alice").await;
        let watch = WatchAccounts::open(&world.queries, "").await.unwrap();
        let beyond = FeedCursor { number: 2, ..watch.cursor.clone() };
        for cursor in [beyond.to_string().as_str(), "other.1", "garbage", "."] {
            let opened = WatchAccounts::open(&world.queries, cursor).await;
            assert!(matches!(opened, Err(Error::CursorUnknown)), "{cursor}");
        }
    }
}
