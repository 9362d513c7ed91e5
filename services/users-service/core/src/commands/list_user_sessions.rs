//! Lists a user's live sessions. An admin may, if it outranks the user.
//!
//! It changes nothing of its own, but stands among the commands because its target may have to be projected on the
//! spot, and because the sessions are behind the port.

use identity::PageSize;

use crate::commands::{Command, Context, target};
use crate::domain::{Actor, Permission, SessionPage, User, UserKey};
use crate::error::Error;
use crate::ports::{IdentityProvider as _, Ports, ProviderError};

/// Asks for a page of sessions.
#[derive(Clone, Debug)]
pub struct ListUserSessions {
    /// Whose.
    pub user: UserKey,
}

impl Command for ListUserSessions {
    const NEEDS: Permission = Permission::AdministerUsers;
}

impl ListUserSessions {
    /// Finds the user whose sessions they are, so that a page token can be opened for that user only.
    pub async fn target<P: Ports>(&self, cx: &Context<P>, actor: &Actor) -> Result<User, Error> {
        target::outranked(cx, actor, &self.user).await
    }

    /// Asks the owner of sessions for a page, which begins where the port said that it goes on.
    pub async fn execute<P: Ports>(
        self,
        cx: &Context<P>,
        target: &User,
        page_size: PageSize,
        after: Option<&str>,
    ) -> Result<SessionPage, Error> {
        match cx.provider.list_sessions(target.id, page_size, after).await {
            Ok(page) => Ok(page),
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
    async fn sessions_come_page_by_page() {
        let world = World::new();
        let alice = world.user("alice", Role::User).await;
        for _ in 0..3 {
            world.provider.open_session(alice.id);
        }
        let query = ListUserSessions { user: UserKey::Id(alice.id) };
        let size = PageSize::parse(2).unwrap();
        let cx = world.commands();
        let target = query.target(&cx, &an_actor(Role::Admin)).await.unwrap();
        let first = query.clone().execute(&cx, &target, size, None).await.unwrap();
        let rest = query.execute(&cx, &target, size, first.next.as_deref()).await.unwrap();
        assert_eq!((first.sessions.len(), rest.sessions.len(), rest.next), (2, 1, None));
    }

    #[tokio::test]
    async fn nobody_sees_the_sessions_of_an_equal() {
        let world = World::new();
        let admin = world.user("admin", Role::Admin).await;
        let query = ListUserSessions { user: UserKey::Id(admin.id) };
        let error = query.target(&world.commands(), &an_actor(Role::Admin)).await.unwrap_err();
        assert!(matches!(error, Error::RoleTooLow { required: None }));
    }
}
