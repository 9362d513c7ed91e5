//! Ends the caller's session. The caller is authenticated; a second log-out with the same token is refused there, or
//! here when two of them race.

use fail_point::mutant;
use identity::UserId;

use super::{Context, Trace};
use crate::Error;
use crate::defects;
use crate::domain::SessionId;
use crate::ports::{Ports, Store as _, Transaction as _};

/// The session of the call.
#[derive(Debug)]
pub struct LogOut {
    /// Whose session.
    pub user_id: UserId,
    /// Which one.
    pub session_id: SessionId,
}

impl LogOut {
    /// Deletes the session's row.
    pub async fn execute<P: Ports>(self, cx: &Context<P>) -> Result<(), Error> {
        // A defect: it panics.
        if mutant("log_out.panics") {
            defects::panics();
        }
        let mut tx = cx.store.begin().await?;
        tx.end_session(self.user_id, &self.session_id).await?.ok_or(Error::Unauthenticated)?;
        cx.commit(tx, Trace::SessionEnded { user_id: self.user_id, id: &self.session_id }).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::World;

    #[tokio::test]
    async fn a_session_ends_once() {
        let world = World::new();
        let opened = world.logged_in("alice").await;
        let log_out = || LogOut { user_id: opened.session.user_id, session_id: opened.session.id.clone() };
        log_out().execute(&world.commands).await.unwrap();
        assert!(!world.is_good(&opened.token).await);
        assert!(matches!(log_out().execute(&world.commands).await, Err(Error::Unauthenticated)));
    }
}
