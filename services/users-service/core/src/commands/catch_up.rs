//! Makes sure that the primary has what the caller of a query has seen already.
//!
//! A query itself only reads. Whatever the feed has not brought yet is fetched here and applied, before it; what comes
//! out is the query's way to a reader, so none can be made that forgets the caller's token.

use identity::{ConsistencyToken, Rule};

use crate::commands::{Context, target};
use crate::domain::UserKey;
use crate::error::Error;
use crate::ports::{Ports, Store as _};

/// Waits for nothing: what is missing is fetched from its owner.
#[derive(Clone, Debug, Default)]
pub struct CatchUp {
    /// A write that has to be visible.
    pub token: Option<ConsistencyToken>,
}

/// The primary has what the caller has seen: what a query needs to be given a reader.
#[derive(Clone, Debug)]
pub struct CaughtUp {
    token: Option<ConsistencyToken>,
}

impl CatchUp {
    /// Fails when the token names a write that its owner knows nothing of.
    pub async fn execute<P: Ports>(self, cx: &Context<P>) -> Result<CaughtUp, Error> {
        if let Some(token) = &self.token
            && !is_visible(cx, token).await?
        {
            return Err(Error::invalid("consistency_token", Rule::NotAConsistencyToken));
        }
        Ok(CaughtUp { token: self.token })
    }
}

impl CaughtUp {
    /// The write that a reader has to see.
    pub(crate) const fn token(&self) -> Option<&ConsistencyToken> {
        self.token.as_ref()
    }
}

async fn is_visible<P: Ports>(cx: &Context<P>, token: &ConsistencyToken) -> Result<bool, Error> {
    match token {
        ConsistencyToken::Account { user_id, version } => Ok(cx.store.has_reached(*user_id, version).await?
            || {
                target::fetch(cx, &UserKey::Id(*user_id)).await?.is_some()
                    && cx.store.has_reached(*user_id, version).await?
            }),
        ConsistencyToken::Role { user_id, version } => {
            let user = cx.store.find_user(&UserKey::Id(*user_id)).await?;
            Ok(user.is_some_and(|user| user.role_version >= *version))
        }
    }
}

#[cfg(test)]
mod tests {
    use identity::{AccountVersion, Epoch};

    use super::*;
    use crate::domain::Role;
    use crate::testing::World;

    async fn catch_up(world: &World, token: ConsistencyToken) -> Result<CaughtUp, Error> {
        CatchUp { token: Some(token) }.execute(&world.commands()).await
    }

    fn is_refused(outcome: Result<CaughtUp, Error>) -> bool {
        matches!(outcome, Err(Error::InvalidField(broken)) if broken[0].field == "consistency_token")
    }

    #[tokio::test]
    async fn a_write_that_the_feed_has_not_brought_becomes_visible() {
        let world = World::new();
        let account = world.provider.register("alice");
        let token = ConsistencyToken::Account { user_id: account.id, version: account.version };
        catch_up(&world, token).await.unwrap();
        assert!(world.find(account.id).await.is_some());
    }

    #[tokio::test]
    async fn a_token_newer_than_the_owner_has_is_refused() {
        let world = World::new();
        let account = world.provider.register("alice");
        let version = AccountVersion { number: account.version.number + 1, ..account.version };
        let token = ConsistencyToken::Account { user_id: account.id, version };
        assert!(is_refused(catch_up(&world, token).await));
    }

    #[tokio::test]
    async fn a_token_of_an_unknown_epoch_or_user_is_refused() {
        let world = World::new();
        let account = world.provider.register("alice");
        let version = AccountVersion { epoch: Epoch::parse("never").unwrap(), number: 1 };
        let token = ConsistencyToken::Account { user_id: account.id, version };
        assert!(is_refused(catch_up(&world, token).await));
        let nobody = world.new_id();
        let token = ConsistencyToken::Account { user_id: nobody, version: account.version };
        assert!(is_refused(catch_up(&world, token).await));
    }

    #[tokio::test]
    async fn a_token_of_an_earlier_epoch_is_satisfied_after_a_restore() {
        let world = World::new();
        let alice = world.user("alice", Role::User).await;
        let token = ConsistencyToken::Account { user_id: alice.id, version: alice.account };
        world.provider.restore();
        let bob = world.provider.register("bobby");
        let bobs = ConsistencyToken::Account { user_id: bob.id, version: bob.version };
        catch_up(&world, bobs).await.unwrap();
        catch_up(&world, token).await.unwrap();
    }

    #[tokio::test]
    async fn a_role_version_that_was_never_written_is_refused() {
        let world = World::new();
        let admin = world.user("admin", Role::Admin).await;
        catch_up(&world, admin.role_token()).await.unwrap();
        let later = ConsistencyToken::Role { user_id: admin.id, version: admin.role_version + 1 };
        assert!(is_refused(catch_up(&world, later).await));
    }

    #[tokio::test]
    async fn a_visible_write_needs_no_owner() {
        let world = World::new();
        let alice = world.user("alice", Role::User).await;
        world.provider.go_away();
        let token = ConsistencyToken::Account { user_id: alice.id, version: alice.account };
        catch_up(&world, token).await.unwrap();
    }
}
