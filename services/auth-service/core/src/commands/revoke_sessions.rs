//! Ends one or all sessions of an account, asked for by a workload.

use identity::UserId;

use super::{Context, Trace};
use crate::Error;
use crate::domain::SessionId;
use crate::ports::{Ports, Store as _, Transaction as _};

/// One or all sessions of an account.
#[derive(Debug)]
pub struct RevokeSessions {
    /// Whose.
    pub account_id: UserId,
    /// Which one, as it was spelled; none for all.
    pub session_id: Option<String>,
}

impl RevokeSessions {
    /// Ends them and says how many were alive. One that is not there counts nothing.
    pub async fn execute<P: Ports>(self, cx: &Context<P>) -> Result<u32, Error> {
        let user_id = self.account_id;
        let mut tx = cx.store.begin().await?;
        let found = tx.lock_account(user_id).await?;
        found.ok_or_else(|| Error::AccountNotFound(user_id.to_string()))?;
        match self.session_id.as_deref().map(SessionId::parse) {
            None => {
                let ended = tx.end_sessions(user_id, None).await?;
                cx.commit(tx, Trace::SessionsEnded { user_id, keep: None }).await?;
                Ok(ended)
            }
            Some(Some(id)) if tx.end_session(user_id, &id).await?.is_some() => {
                cx.commit(tx, Trace::SessionEnded { user_id, id: &id }).await?;
                Ok(1)
            }
            Some(_) => Ok(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{PASSWORD, World};

    #[tokio::test]
    async fn one_session_or_all_end_and_are_counted() {
        let world = World::new();
        let first = world.logged_in("alice").await;
        let second = world.log_in("alice", PASSWORD).await.unwrap();
        world.log_in("alice", PASSWORD).await.unwrap();
        let account_id = first.session.user_id;
        let revoke = async |session_id: Option<&str>| {
            let revoke = RevokeSessions { account_id, session_id: session_id.map(str::to_owned) };
            revoke.execute(&world.commands).await.unwrap()
        };
        assert_eq!(revoke(Some(first.session.id.as_str())).await, 1);
        assert_eq!(revoke(Some(first.session.id.as_str())).await, 0);
        assert_eq!(revoke(Some("garbage")).await, 0);
        assert_eq!(revoke(None).await, 2);
        assert!(!world.is_good(&second.token).await);
    }
}
