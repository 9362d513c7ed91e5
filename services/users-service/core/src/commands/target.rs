//! The user that a command acts on: found, outranked and as expected, in this order; and what the port's answer about
//! its account means.

use fail_point::mutant;
use identity::{ConsistencyToken, UserId};

use crate::commands::apply_account::apply_account;
use crate::commands::{Changed, Context};
use crate::domain::{Account, Actor, Expected, User, UserKey};
use crate::error::Error;
use crate::ports::{IdentityProvider as _, Ports, ProviderError, Store as _};

/// Finds a user on the primary. One that the feed has not brought yet is asked for through the port and applied, so
/// nobody who has just signed up is unknown.
pub(crate) async fn find<P: Ports>(cx: &Context<P>, key: &UserKey) -> Result<User, Error> {
    if let Some(user) = cx.store.find_user(key).await? {
        return Ok(user);
    }
    fetch(cx, key).await?.ok_or_else(|| Error::UserNotFound(key.to_string()))
}

/// Asks the owner and applies what it says, whatever is known here; none when there is no such account.
pub(crate) async fn fetch<P: Ports>(cx: &Context<P>, key: &UserKey) -> Result<Option<User>, Error> {
    match cx.provider.get_account(key).await {
        Ok(account) => apply_account(cx, &account).await,
        Err(ProviderError::AccountNotFound) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Finds a user that the actor outranks.
pub(crate) async fn outranked<P: Ports>(
    cx: &Context<P>,
    actor: &Actor,
    key: &UserKey,
) -> Result<User, Error> {
    let user = find(cx, key).await?;
    actor.require_rank_above(user.role)?;
    Ok(user)
}

/// The account version that the owner shall compare under its lock, after what can be told here was compared here. An
/// etag of another epoch than the owner is in is stale however its numbers look.
pub(crate) async fn expected_version<P: Ports>(
    cx: &Context<P>,
    actor: &Actor,
    user: &User,
    expected: &Expected,
) -> Result<Option<i64>, Error> {
    // Whatever was expected, it is done.
    if mutant("etags.not_compared") {
        return Ok(None);
    }
    let version = expected.account();
    // Version 0 is a user whose account a restore took away: to the port, 0 would mean "any".
    let comparable = version.is_none_or(|version| version.epoch == actor.epoch && version.number > 0);
    if expected.holds_for(&user.etag()) && comparable {
        Ok(version.map(|version| version.number))
    } else {
        Err(stale(cx, user.id).await?)
    }
}

/// The error for an etag that is no longer the user's, with the one that is, the owner's latest word included. Whom the
/// owner does not know any more, since a restore, is not found: there is no etag to try again with.
async fn stale<P: Ports>(cx: &Context<P>, id: UserId) -> Result<Error, Error> {
    let current = fetch(cx, &UserKey::Id(id)).await?;
    let current = current.ok_or_else(|| Error::UserNotFound(id.to_string()))?;
    Ok(Error::EtagMismatch { current: current.etag() })
}

/// Applies the account in the port's reply, or says what its refusal means.
pub(crate) async fn settle<P: Ports>(
    cx: &Context<P>,
    key: &UserKey,
    user: &User,
    reply: Result<Account, ProviderError>,
) -> Result<Changed, Error> {
    match reply {
        Ok(account) => applied(cx, &account).await,
        Err(ProviderError::AccountNotFound) => Err(Error::UserNotFound(key.to_string())),
        Err(ProviderError::VersionMismatch) => Err(stale(cx, user.id).await?),
        Err(error) => Err(error.into()),
    }
}

/// Applies the account that a change has just returned. If it cannot be, the change is done nevertheless: an outage must
/// not be answered as one in which nothing was changed.
pub(crate) async fn applied<P: Ports>(cx: &Context<P>, account: &Account) -> Result<Changed, Error> {
    let token = ConsistencyToken::Account { user_id: account.id, version: account.version.clone() };
    let user = apply_account(cx, account).await.map_err(after_the_change)?;
    let user = user.ok_or_else(|| Error::UserNotFound(account.id.to_string()))?;
    Ok(Changed { user, token })
}

/// What a failure means after the owner has done its part.
pub(crate) fn after_the_change(error: Error) -> Error {
    match error {
        Error::StorageUnavailable(cause) => Error::OutcomeUnknown(cause),
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Role;
    use crate::testing::{World, a_username};

    #[tokio::test]
    async fn a_user_that_the_feed_has_not_brought_is_found_by_id_and_by_name_in_any_case() {
        for by_name in [false, true] {
            let world = World::new();
            let account = world.provider.register("Alice");
            let key = if by_name { UserKey::Username(a_username("aLICE")) } else { UserKey::Id(account.id) };
            let user = find(&world.commands(), &key).await.unwrap();
            assert_eq!((user.id, user.username.as_str()), (account.id, "Alice"));
        }
    }

    #[tokio::test]
    async fn a_known_user_is_found_while_the_owner_is_away() {
        let world = World::new();
        let user = world.user("alice", Role::User).await;
        world.provider.go_away();
        assert_eq!(find(&world.commands(), &UserKey::Id(user.id)).await.unwrap(), user);
    }

    #[tokio::test]
    async fn what_was_asked_for_is_named_when_nobody_has_it() {
        let world = World::new();
        let key = UserKey::Username(a_username("nobody"));
        let error = find(&world.commands(), &key).await.unwrap_err();
        assert!(matches!(error, Error::UserNotFound(name) if name == "nobody"));
    }

    #[tokio::test]
    async fn an_owner_that_is_away_is_no_proof_of_absence() {
        let world = World::new();
        world.provider.go_away();
        let key = UserKey::Username(a_username("nobody"));
        let error = find(&world.commands(), &key).await.unwrap_err();
        assert!(matches!(error, Error::IdentityProviderUnavailable(_)));
    }

    #[tokio::test]
    async fn nobody_hears_that_nothing_was_changed_when_the_account_was() {
        let world = World::new();
        let account = world.provider.register("alice");
        world.store.break_down();
        let error = applied(&world.commands(), &account).await.unwrap_err();
        assert!(matches!(error, Error::OutcomeUnknown(_)));
    }

    #[tokio::test]
    async fn a_reservation_is_nobody() {
        let world = World::new();
        let id = world.reserve(Role::Admin).await;
        let error = find(&world.commands(), &UserKey::Id(id)).await.unwrap_err();
        assert!(matches!(error, Error::UserNotFound(_)));
    }
}
