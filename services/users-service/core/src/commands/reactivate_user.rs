//! Makes a user active again. An admin may, if it outranks the user.

use crate::commands::{Changed, Command, Context, target};
use crate::domain::{Actor, Expected, Permission, UserKey};
use crate::error::Error;
use crate::ports::{IdentityProvider as _, Ports};

/// Asks to make a user active.
#[derive(Clone, Debug)]
pub struct ReactivateUser {
    /// Whom.
    pub user: UserKey,
    /// As what the caller knows it.
    pub expected: Expected,
}

impl Command for ReactivateUser {
    const NEEDS: Permission = Permission::AdministerUsers;
}

impl ReactivateUser {
    /// Asks the owner of accounts in any case, whatever is projected here.
    pub async fn execute<P: Ports>(self, cx: &Context<P>, actor: &Actor) -> Result<Changed, Error> {
        let user = target::outranked(cx, actor, &self.user).await?;
        let version = target::expected_version(cx, actor, &user, &self.expected).await?;
        let reply = cx.provider.enable_account(user.id, version, Some(actor.id)).await;
        target::settle(cx, &self.user, &user, reply).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Role, State};
    use crate::testing::{World, an_actor_of};

    #[tokio::test]
    async fn a_user_becomes_active_and_a_repeat_changes_nothing() {
        let world = World::new();
        let alice = world.user("alice", Role::User).await;
        world.provider.disable(alice.id);
        let actor = an_actor_of(&world.provider, Role::Admin);
        let command = ReactivateUser { user: UserKey::Id(alice.id), expected: Expected::Anything };
        let first = command.clone().execute(&world.commands(), &actor).await.unwrap();
        assert_eq!(first.user.state, State::Active);
        assert_eq!(command.execute(&world.commands(), &actor).await.unwrap(), first);
    }

    #[tokio::test]
    async fn an_equal_rank_is_not_touched() {
        let world = World::new();
        let admin = world.user("admin", Role::Admin).await;
        let command = ReactivateUser { user: UserKey::Id(admin.id), expected: Expected::Anything };
        let actor = an_actor_of(&world.provider, Role::Admin);
        let error = command.execute(&world.commands(), &actor).await.unwrap_err();
        assert!(matches!(error, Error::RoleTooLow { required: None }));
    }
}
