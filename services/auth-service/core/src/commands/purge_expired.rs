//! Deletes what has expired: sessions, request ids older than a day, and counts of failures. Run in the background, on every
//! replica; in small units of work, so that no log-in waits for one.

use super::Context;
use crate::Error;
use crate::ports::{Ports, Store as _, Transaction as _};

/// The most rows of each kind in one unit of work.
const BATCH: u32 = 500;

/// The most counts that are kept of failures, of addresses with failures, and of addresses with sign-ups, each by itself: some
/// 75 MB. A failure costs a hash and makes two at most, so it takes half an hour of all that a core can do to get there; then
/// those go that would go first anyway. A sign-up with a taken name costs none: whoever has so many addresses can have sign-ups
/// forgotten, and no failure.
const KEPT_COUNTS: u32 = 250_000;

/// One batch.
#[derive(Debug)]
pub struct PurgeExpired;

/// What a batch came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purged {
    /// How many rows went.
    pub rows: u32,
    /// Whether there may be more to purge at once.
    pub more: bool,
}

impl PurgeExpired {
    /// Deletes a batch of each kind.
    pub async fn execute<P: Ports>(self, cx: &Context<P>) -> Result<Purged, Error> {
        let mut tx = cx.store.begin_costly().await?;
        let rows = tx.purge(BATCH, KEPT_COUNTS).await?;
        // Whether it was committed is no question to settle: what is left over goes with the next batch.
        tx.commit().await?;
        Ok(Purged { rows, more: rows >= BATCH })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{PASSWORD, World};

    #[tokio::test]
    async fn only_what_has_expired_goes() {
        let world = World::new();
        world.logged_in("alice").await;
        world.clock.advance(chrono::TimeDelta::minutes(31));
        let live = world.log_in("alice", PASSWORD).await.unwrap();
        assert_eq!(PurgeExpired.execute(&world.commands).await.unwrap(), Purged { rows: 1, more: false });
        assert_eq!(PurgeExpired.execute(&world.commands).await.unwrap(), Purged { rows: 0, more: false });
        assert!(world.is_good(&live.token).await);
    }
}
