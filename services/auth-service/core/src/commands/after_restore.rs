//! Makes a restored backup safe to serve: a new epoch, so that readers of the feed start over, and no sessions, since
//! some of those in the backup were ended after it was made. Run by an operator while no service serves.

use super::Context;
use crate::Error;
use crate::ports::{Ids as _, Ports, Store as _, Transaction as _};
use identity::Epoch;

/// The database was restored.
#[derive(Debug)]
pub struct AfterRestore;

impl AfterRestore {
    /// Begins the epoch; returns it and how many sessions were ended.
    pub async fn execute<P: Ports>(self, cx: &Context<P>) -> Result<(Epoch, u64), Error> {
        let epoch = cx.ids.epoch();
        let mut tx = cx.store.begin().await?;
        let ended = tx.begin_epoch(&epoch).await?;
        // An operator who does not hear whether it was committed runs it again.
        tx.commit().await?;
        Ok((epoch, ended))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queries::WatchAccounts;
    use crate::testing::World;

    #[tokio::test]
    async fn old_sessions_and_old_cursors_are_gone() {
        let world = World::new();
        let opened = world.logged_in("alice").await;
        let mut watch = WatchAccounts::open(&world.queries, "").await.unwrap();
        let (_, cursor) = watch.next(&world.queries).await.unwrap().remove(0);
        let (_, ended) = AfterRestore.execute(&world.commands).await.unwrap();
        assert_eq!(ended, 1);
        assert!(!world.is_good(&opened.token).await);
        let stale = WatchAccounts::open(&world.queries, &cursor.to_string()).await;
        assert!(matches!(stale, Err(Error::CursorUnknown)));
    }
}
