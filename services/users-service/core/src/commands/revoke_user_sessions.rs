//! Ends one or all sessions of a user. An admin may, if it outranks the user. A session that there is not counts
//! nothing.

use crate::commands::{Command, Context, target};
use crate::domain::{Actor, Permission, UserKey};
use crate::error::Error;
use crate::ports::{IdentityProvider as _, Ports, ProviderError};

/// Longer than any session's id, which is opaque here.
const MAX_SESSION_ID_LENGTH: usize = 256;

/// Asks to end sessions.
#[derive(Clone, Debug)]
pub struct RevokeUserSessions {
    /// Whose.
    pub user: UserKey,
    /// Which one; none for all.
    pub session_id: Option<String>,
}

impl Command for RevokeUserSessions {
    const NEEDS: Permission = Permission::AdministerUsers;
}

impl RevokeUserSessions {
    /// Has the owner of sessions end them, and says how many there were.
    pub async fn execute<P: Ports>(self, cx: &Context<P>, actor: &Actor) -> Result<i32, Error> {
        let user = target::outranked(cx, actor, &self.user).await?;
        let session_id = self.session_id.as_deref();
        // No session has such an id, and a text that fills the request would not fit into the port's.
        if session_id.is_some_and(|id| id.len() > MAX_SESSION_ID_LENGTH) {
            return Ok(0);
        }
        match cx.provider.revoke_sessions(user.id, session_id, Some(actor.id)).await {
            Ok(count) => Ok(count),
            Err(ProviderError::AccountNotFound) => Err(Error::UserNotFound(self.user.to_string())),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Role;
    use crate::testing::{World, an_actor};

    #[tokio::test]
    async fn all_sessions_or_one_are_ended_and_counted() {
        let world = World::new();
        let alice = world.user("alice", Role::User).await;
        let one = world.provider.open_session(alice.id);
        world.provider.open_session(alice.id);
        let user = UserKey::Id(alice.id);
        let actor = an_actor(Role::Admin);
        let first = RevokeUserSessions { user: user.clone(), session_id: Some(one) };
        assert_eq!(first.clone().execute(&world.commands(), &actor).await.unwrap(), 1);
        assert_eq!(first.execute(&world.commands(), &actor).await.unwrap(), 0);
        let all = RevokeUserSessions { user, session_id: None };
        assert_eq!(all.execute(&world.commands(), &actor).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn nobody_ends_the_sessions_of_an_equal() {
        let world = World::new();
        let admin = world.user("admin", Role::Admin).await;
        let command = RevokeUserSessions { user: UserKey::Id(admin.id), session_id: None };
        let error = command.execute(&world.commands(), &an_actor(Role::Admin)).await.unwrap_err();
        assert!(matches!(error, Error::RoleTooLow { required: None }));
    }
}
