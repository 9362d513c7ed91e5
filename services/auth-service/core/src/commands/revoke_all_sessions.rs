//! Ends every session of the caller, or every one but this. The caller is authenticated.

use fail_point::mutant;
use identity::UserId;

use super::{Context, Trace};
use crate::Error;
use crate::domain::SessionId;
use crate::ports::{Ports, Store as _, Transaction as _};

/// All sessions but perhaps one.
#[derive(Debug)]
pub struct RevokeAllSessions {
    /// Whose.
    pub user_id: UserId,
    /// The one that goes on.
    pub keep: Option<SessionId>,
}

impl RevokeAllSessions {
    /// Ends the sessions under the account's lock, so that a log-in comes wholly before or wholly after.
    pub async fn execute<P: Ports>(self, cx: &Context<P>) -> Result<u32, Error> {
        let mut tx = cx.store.begin().await?;
        tx.lock_account(self.user_id).await?.ok_or(Error::Unauthenticated)?;
        let keep = self.keep.as_ref();
        let ended = tx.end_sessions(self.user_id, keep).await?;
        // It is answered before it is made.
        if mutant("revoke_all_sessions.not_committed") {
            return Ok(ended);
        }
        cx.commit(tx, Trace::SessionsEnded { user_id: self.user_id, keep }).await?;
        Ok(ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{PASSWORD, World};

    #[tokio::test]
    async fn all_sessions_end_or_all_but_this() {
        let world = World::new();
        let first = world.logged_in("alice").await;
        let second = world.log_in("alice", PASSWORD).await.unwrap();
        let user_id = first.session.user_id;
        let others = RevokeAllSessions { user_id, keep: Some(first.session.id.clone()) };
        assert_eq!(others.execute(&world.commands).await.unwrap(), 1);
        assert!(world.is_good(&first.token).await);
        assert!(!world.is_good(&second.token).await);
        let all = RevokeAllSessions { user_id, keep: None };
        assert_eq!(all.execute(&world.commands).await.unwrap(), 1);
        assert!(!world.is_good(&first.token).await);
    }
}
