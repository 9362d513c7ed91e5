//! Inactivates a user and ends all its sessions, also when it was inactive already. An admin may, if it outranks the
//! user. When it is done no token of the user is accepted anywhere: the owner of accounts does both in one transaction.

use crate::commands::{Changed, Command, Context, target};
use crate::domain::{Actor, Expected, Permission, UserKey};
use crate::error::Error;
use crate::ports::{IdentityProvider as _, Ports};

/// Asks to make a user inactive.
#[derive(Clone, Debug)]
pub struct InactivateUser {
    /// Whom.
    pub user: UserKey,
    /// As what the caller knows it.
    pub expected: Expected,
}

impl Command for InactivateUser {
    const NEEDS: Permission = Permission::AdministerUsers;
}

impl InactivateUser {
    /// Asks the owner of accounts in any case, whatever is projected here.
    pub async fn execute<P: Ports>(self, cx: &Context<P>, actor: &Actor) -> Result<Changed, Error> {
        let user = target::outranked(cx, actor, &self.user).await?;
        let version = target::expected_version(cx, actor, &user, &self.expected).await?;
        let reply = cx.provider.disable_account(user.id, version, Some(actor.id)).await;
        target::settle(cx, &self.user, &user, reply).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Role, State, User};
    use crate::testing::{World, an_actor_of};

    async fn inactivate(
        world: &World,
        actor: Role,
        user: &User,
        expected: Expected,
    ) -> Result<Changed, Error> {
        let actor = an_actor_of(&world.provider, actor);
        let command = InactivateUser { user: UserKey::Id(user.id), expected };
        command.execute(&world.commands(), &actor).await
    }

    #[tokio::test]
    async fn a_user_becomes_inactive_and_loses_its_sessions() {
        let world = World::new();
        let alice = world.user("alice", Role::User).await;
        world.provider.open_session(alice.id);
        let changed = inactivate(&world, Role::Admin, &alice, Expected::Anything).await.unwrap();
        assert_eq!(changed.user.state, State::Inactive);
        assert_eq!(world.provider.sessions_of(alice.id), 0);
        assert_eq!(world.find(alice.id).await.unwrap(), changed.user);
    }

    #[tokio::test]
    async fn the_owner_is_asked_although_the_user_shows_as_inactive() {
        let world = World::new();
        let alice = world.user("alice", Role::User).await;
        world.project_as_inactive(alice.id).await;
        world.provider.open_session(alice.id);
        inactivate(&world, Role::Admin, &alice, Expected::Anything).await.unwrap();
        assert_eq!(world.provider.sessions_of(alice.id), 0);
    }

    #[tokio::test]
    async fn an_equal_and_a_higher_rank_are_not_touched() {
        let world = World::new();
        for (name, role) in [("admin", Role::Admin), ("bossy", Role::SuperAdmin)] {
            let user = world.user(name, role).await;
            let error = inactivate(&world, Role::Admin, &user, Expected::Nothing).await.unwrap_err();
            assert!(matches!(error, Error::RoleTooLow { required: None }));
            assert_eq!(world.find(user.id).await.unwrap().state, State::Active);
        }
    }

    #[tokio::test]
    async fn a_fresh_etag_is_honoured_and_a_stale_one_refused_with_the_present_one() {
        let world = World::new();
        let alice = world.user("alice", Role::User).await;
        let expected = Expected::parse(&alice.etag().to_string());
        let changed = inactivate(&world, Role::Admin, &alice, expected.clone()).await.unwrap();
        let error = inactivate(&world, Role::Admin, &alice, expected).await.unwrap_err();
        assert!(matches!(error, Error::EtagMismatch { current } if current == changed.user.etag()));
    }

    #[tokio::test]
    async fn an_etag_that_only_the_owner_knows_to_be_stale_is_refused_with_the_present_one() {
        let world = World::new();
        let alice = world.user("alice", Role::User).await;
        let expected = Expected::parse(&alice.etag().to_string());
        let disabled = world.provider.disable(alice.id);
        let error = inactivate(&world, Role::Admin, &alice, expected).await.unwrap_err();
        assert!(matches!(error, Error::EtagMismatch { current } if current.account == disabled.version));
    }

    #[tokio::test]
    async fn an_etag_from_before_a_restore_is_stale() {
        let world = World::new();
        let alice = world.user("alice", Role::User).await;
        let expected = Expected::parse(&alice.etag().to_string());
        world.provider.restore();
        let error = inactivate(&world, Role::Admin, &alice, expected).await.unwrap_err();
        assert!(
            matches!(error, Error::EtagMismatch { current } if current.account.epoch != alice.account.epoch)
        );
    }

    #[tokio::test]
    async fn an_account_that_is_gone_is_no_user() {
        let world = World::new();
        let alice = world.user("alice", Role::User).await;
        world.provider.lose(alice.id);
        let error = inactivate(&world, Role::Admin, &alice, Expected::Anything).await.unwrap_err();
        assert!(matches!(error, Error::UserNotFound(_)));
    }
}
