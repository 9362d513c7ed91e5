//! Deletes what has expired: sessions, and request ids older than a day. Run in the background; small units of work,
//! so that no log-in waits for one.

use super::Context;
use crate::Error;
use crate::ports::{Ports, Store as _, Transaction as _};

/// The most rows of each kind in one unit of work.
const BATCH: u32 = 500;

/// One round of purging.
#[derive(Debug)]
pub struct PurgeExpired;

impl PurgeExpired {
    /// Deletes batch after batch until nothing is left; returns how many rows went.
    pub async fn execute<P: Ports>(self, cx: &Context<P>) -> Result<u64, Error> {
        let mut total = 0;
        loop {
            let mut tx = cx.store.begin().await?;
            let purged = tx.purge(BATCH).await?;
            tx.commit().await?;
            if purged == 0 {
                return Ok(total);
            }
            total += u64::from(purged);
        }
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
        assert_eq!(PurgeExpired.execute(&world.commands).await.unwrap(), 1);
        assert_eq!(PurgeExpired.execute(&world.commands).await.unwrap(), 0);
        assert!(world.is_good(&live.token).await);
    }
}
