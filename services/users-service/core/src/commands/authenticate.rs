//! Finds out who calls. Any token at all may ask.
//!
//! The owner of accounts alone admits; the state that is projected here is for display and refuses nobody. The role is
//! read on the primary for every call, so a change of it acts on the very next one.

use fail_point::mutant;
use identity::AccountVersion;

use crate::commands::{Context, target};
use crate::defects;
use crate::domain::{AccessToken, Actor, Authenticated, Principal, RenewedToken, User, UserKey};
use crate::error::Error;
use crate::ports::{IdentityProvider as _, Ports, Store as _};

/// Asks who the bearer of a token is.
#[derive(Clone, Debug)]
pub struct Authenticate {
    /// The token, if the call carried exactly one that is well-formed.
    pub token: Option<AccessToken>,
    /// Whether a token near its end is to be left as it is.
    pub skip_renewal: bool,
}

/// Who the caller is, and the token that it has to be given in any case once it was renewed.
#[derive(Debug)]
pub struct Authentication {
    /// The token to use from now on.
    pub renewed: Option<RenewedToken>,
    /// The caller.
    pub caller: Result<Actor, Error>,
}

impl Authenticate {
    /// Asks the port, then reads the caller's role.
    pub async fn execute<P: Ports>(self, cx: &Context<P>) -> Authentication {
        let authentication = match self.admitted(cx).await {
            Ok((principal, renewed)) => Authentication { renewed, caller: actor(cx, principal).await },
            Err(error) => Authentication { renewed: None, caller: Err(error) },
        };
        // A defect: after an outage everybody is taken for a user.
        if mutant("authenticate.outage_takes_the_role") {
            return defects::without_its_role_after_an_outage(authentication);
        }
        authentication
    }

    async fn admitted<P: Ports>(self, cx: &Context<P>) -> Result<(Principal, Option<RenewedToken>), Error> {
        let token = self.token.ok_or(Error::Unauthenticated)?;
        let authenticated = match cx.provider.authenticate(&token, self.skip_renewal).await {
            // A defect: whom nobody can vouch for is answered as nobody.
            Err(_) if mutant("authenticate.outage_is_a_denial") => Authenticated::Denied,
            // A defect: whoever calls while nobody can be vouched for is taken for whoever was let in last.
            answer if mutant("authenticate.outage_lets_in") => defects::or_whoever_was_last(answer)?,
            // A defect: whoever calls is taken for whoever was let in before.
            Ok(authenticated) if mutant("authenticate.takes_for_the_last") => {
                defects::as_whoever_was_before(authenticated)
            }
            Err(error) if mutant("roles.outage_is_remembered") => return Err(defects::noted(error).into()),
            authenticated => authenticated?,
        };
        match authenticated {
            Authenticated::Admitted { principal, renewed } => Ok((principal, renewed)),
            Authenticated::Denied => Err(Error::Unauthenticated),
        }
    }
}

async fn actor<P: Ports>(cx: &Context<P>, principal: Principal) -> Result<Actor, Error> {
    let key = UserKey::Id(principal.id);
    let user = match cx.store.find_user(&key).await? {
        Some(user) if has_reached(&user, &principal.version) => user,
        _ => target::fetch(cx, &key).await?.ok_or(Error::Unauthenticated)?,
    };
    Ok(Actor::new(&user, principal.version.epoch))
}

/// Versions compare within one epoch only; in any other case the owner is asked.
fn has_reached(user: &User, version: &AccountVersion) -> bool {
    user.account.epoch == version.epoch && user.account.number >= version.number
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Role;
    use crate::testing::World;

    async fn authenticate(world: &World, token: Option<AccessToken>) -> Authentication {
        Authenticate { token, skip_renewal: false }.execute(&world.commands()).await
    }

    #[tokio::test]
    async fn a_caller_has_the_role_that_it_has_now() {
        let world = World::new();
        let admin = world.user("admin", Role::Admin).await;
        let token = world.provider.token_of(admin.id);
        let actor = authenticate(&world, Some(token)).await.caller.unwrap();
        assert_eq!((actor.id, actor.role), (admin.id, Role::Admin));
    }

    #[tokio::test]
    async fn a_caller_who_has_just_signed_up_is_known() {
        let world = World::new();
        let account = world.provider.register("alice");
        let token = world.provider.token_of(account.id);
        let actor = authenticate(&world, Some(token)).await.caller.unwrap();
        assert_eq!((actor.id, actor.role), (account.id, Role::User));
    }

    #[tokio::test]
    async fn no_token_and_a_token_that_is_denied_are_refused_alike() {
        let world = World::new();
        for token in [None, Some(AccessToken::new("nonsense".into()))] {
            let caller = authenticate(&world, token).await.caller;
            assert!(matches!(caller, Err(Error::Unauthenticated)));
        }
    }

    #[tokio::test]
    async fn an_outage_is_no_denial() {
        let world = World::new();
        let admin = world.user("admin", Role::Admin).await;
        let token = world.provider.token_of(admin.id);
        world.provider.go_away();
        let caller = authenticate(&world, Some(token)).await.caller;
        assert!(matches!(caller, Err(Error::IdentityProviderUnavailable(_))));
    }

    #[tokio::test]
    async fn the_projected_state_refuses_nobody() {
        let world = World::new();
        let alice = world.user("alice", Role::User).await;
        let token = world.provider.token_of(alice.id);
        world.project_as_inactive(alice.id).await;
        assert!(authenticate(&world, Some(token)).await.caller.is_ok());
    }

    #[tokio::test]
    async fn a_caller_whose_account_is_gone_is_refused() {
        let world = World::new();
        let account = world.provider.register("alice");
        let token = world.provider.token_of(account.id);
        world.provider.lose(account.id);
        let caller = authenticate(&world, Some(token)).await.caller;
        assert!(matches!(caller, Err(Error::Unauthenticated)));
    }

    #[tokio::test]
    async fn a_renewed_token_is_handed_on_unless_renewal_is_skipped() {
        let world = World::new();
        let alice = world.user("alice", Role::User).await;
        let token = world.provider.token_near_its_end(alice.id);
        assert!(authenticate(&world, Some(token.clone())).await.renewed.is_some());
        let skipped = Authenticate { token: Some(token), skip_renewal: true };
        assert_eq!(skipped.execute(&world.commands()).await.renewed, None);
    }

    #[tokio::test]
    async fn a_renewed_token_is_handed_on_even_when_the_call_fails() {
        let world = World::new();
        let account = world.provider.register("alice");
        let token = world.provider.token_near_its_end(account.id);
        world.store.break_down();
        let authentication = authenticate(&world, Some(token)).await;
        assert!(authentication.renewed.is_some());
        assert!(matches!(authentication.caller, Err(Error::StorageUnavailable(_))));
    }
}
