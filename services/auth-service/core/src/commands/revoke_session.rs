//! Ends one of the caller's own sessions. The caller is authenticated.

use identity::UserId;

use super::{Context, Trace};
use crate::Error;
use crate::domain::SessionId;
use crate::ports::{Ports, Reader as _, Store as _, Transaction as _};

/// A session that the caller wants gone.
#[derive(Debug)]
pub struct RevokeSession {
    /// Who asks.
    pub user_id: UserId,
    /// Which session, as the caller spelled it.
    pub session_id: String,
}

impl RevokeSession {
    /// Ends the session. No live session with that id is fine: it is gone. Somebody else's is not found.
    pub async fn execute<P: Ports>(self, cx: &Context<P>) -> Result<(), Error> {
        let Some(id) = SessionId::parse(&self.session_id) else {
            return Ok(());
        };
        let mut tx = cx.store.begin().await?;
        if tx.end_session(self.user_id, &id).await?.is_some() {
            return cx.commit(tx, Trace::SessionEnded { user_id: self.user_id, id: &id }).await;
        }
        drop(tx);
        match cx.store.reader().live_session(&id).await? {
            Some(_) => Err(Error::SessionNotFound(self.session_id)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{PASSWORD, World};

    #[tokio::test]
    async fn own_sessions_end_gone_ones_stay_gone_and_others_are_not_found() {
        let world = World::new();
        let first = world.logged_in("alice").await;
        let second = world.log_in("alice", PASSWORD).await.unwrap();
        let other = world.logged_in("bobby").await;
        let user_id = first.session.user_id;
        let revoke = async |id: &str| {
            RevokeSession { user_id, session_id: id.to_owned() }.execute(&world.commands).await
        };
        revoke(second.session.id.as_str()).await.unwrap();
        assert!(!world.is_good(&second.token).await);
        revoke(second.session.id.as_str()).await.unwrap();
        revoke("never was").await.unwrap();
        assert!(matches!(revoke(other.session.id.as_str()).await, Err(Error::SessionNotFound(_))));
        assert!(world.is_good(&other.token).await);
        assert!(world.is_good(&first.token).await);
    }
}
