//! Takes over what the owner of accounts says about one of them. Reply, feed and look-up on the spot all end here or
//! in the same store method, so a user is projected by one rule only.

use fail_point::fail_point;

use crate::commands::Context;
use crate::commands::until_known::until_known;
use crate::domain::{Account, User, UserKey};
use crate::error::Error;
use crate::ports::{Ports, Store as _, Transaction as _, UserRows as _};

/// Applies an account and gives the user as it is now.
pub(crate) async fn apply_account<P: Ports>(
    cx: &Context<P>,
    account: &Account,
) -> Result<Option<User>, Error> {
    until_known(cx, || attempt(cx, account)).await
}

async fn attempt<P: Ports>(cx: &Context<P>, account: &Account) -> Result<Option<User>, Error> {
    let mut tx = cx.store.begin().await?;
    tx.apply_account(account).await?;
    let user = tx.lock_user(&UserKey::Id(account.id)).await?;
    fail_point("apply_account.before_commit");
    tx.commit().await?;
    Ok(user)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Role, State};
    use crate::testing::World;

    #[tokio::test]
    async fn an_account_becomes_a_user_and_a_newer_one_changes_it() {
        let world = World::new();
        let account = world.provider.register("alice");
        let user = apply_account(&world.commands(), &account).await.unwrap().unwrap();
        assert_eq!((user.role, user.state, user.role_version), (Role::User, State::Active, 1));

        let disabled = world.provider.disable(account.id);
        let later = apply_account(&world.commands(), &disabled).await.unwrap().unwrap();
        assert_eq!(later.state, State::Inactive);
        assert_ne!(later.etag(), user.etag());
    }

    #[tokio::test]
    async fn an_older_account_changes_nothing() {
        let world = World::new();
        let account = world.provider.register("alice");
        let disabled = world.provider.disable(account.id);
        let newest = apply_account(&world.commands(), &disabled).await.unwrap();
        assert_eq!(apply_account(&world.commands(), &account).await.unwrap(), newest);
    }
}
