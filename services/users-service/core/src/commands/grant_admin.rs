//! Grants the admin role. Only a super admin may; super admins cannot be changed. It works on inactive users, keeps
//! sessions and acts on the target's next call.

use std::sync::{Mutex, PoisonError};

use fail_point::mutant;

use crate::commands::until_known::until_known;
use crate::commands::{Changed, Command, Context, target};
use crate::domain::{Actor, Expected, Permission, Role, User, UserKey};
use crate::error::Error;
use crate::ports::{Ports, Roles as _, Store as _, Transaction as _, UserRows as _};

/// Asks to make a user an admin.
#[derive(Clone, Debug)]
pub struct GrantAdmin {
    /// Whom.
    pub user: UserKey,
    /// As what the caller knows it.
    pub expected: Expected,
}

impl Command for GrantAdmin {
    const NEEDS: Permission = Permission::ManageAdmins;
}

impl GrantAdmin {
    /// Sets the role; a repeat changes nothing.
    pub async fn execute<P: Ports>(self, cx: &Context<P>, actor: &Actor) -> Result<Changed, Error> {
        set_role(cx, actor, &self.user, &self.expected, Role::Admin).await
    }
}

/// Gives a user that the actor outranks another role: the one transaction of granting and revoking.
pub(super) async fn set_role<P: Ports>(
    cx: &Context<P>,
    actor: &Actor,
    key: &UserKey,
    expected: &Expected,
    role: Role,
) -> Result<Changed, Error> {
    let id = target::find(cx, key).await?.id;
    let written = Written::default();
    let user = until_known(cx, || async {
        let mut tx = cx.store.begin().await?;
        let found = tx.lock_user(&UserKey::Id(id)).await?;
        let user = found.ok_or_else(|| Error::UserNotFound(key.to_string()))?;
        if written.is_in(&user) {
            return Ok(Ok(user));
        }
        if written.is_overwritten_in(&user) {
            return Ok(Err(Error::OutcomeUnknown("the role was changed by somebody else since".into())));
        }
        actor.require_rank_above(user.role)?;
        require_expected(&user, expected)?;
        let now = tx.now().await?;
        let Some(changed) = user.with_role(role, now) else {
            // A defect: whoever repeats what is done is refused for an etag that it did not send.
            if *expected == Expected::Anything && mutant("set_role.repeats_are_stale") {
                return Err(Error::EtagMismatch { current: user.etag() });
            }
            return Ok(Ok(user));
        };
        written.note(&changed);
        tx.update_role(&changed).await?;
        // A defect: what is answered is not written.
        if !mutant("set_role.not_committed") {
            tx.commit().await?;
        }
        Ok(Ok(changed))
    })
    .await??;
    Ok(Changed { token: user.role_token(), user })
}

/// The role that the last attempt wrote, by which its commit is recognised if the connection was lost meanwhile: to
/// decide again would find a stale etag, or a target that is not what it was.
#[derive(Default)]
pub(super) struct Written(Mutex<Option<User>>);

impl Written {
    pub(super) fn note(&self, user: &User) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(user.clone());
    }

    /// Whether the user has this role by the very change that was noted: no two have both version and time in common.
    pub(super) fn is_in(&self, user: &User) -> bool {
        let change = |user: &User| (user.id, user.role, user.role_version, user.role_time);
        let noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.as_ref().is_some_and(|noted| change(noted) == change(user))
    }

    /// Whether somebody has changed the role after the noted change, or in its place: which of both cannot be told, and
    /// to decide again might undo what was answered OK. At the noted version it was in its place.
    pub(super) fn is_overwritten_in(&self, user: &User) -> bool {
        let noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.as_ref().is_some_and(|noted| user.role_version > noted.role_version)
    }
}

fn require_expected(user: &User, expected: &Expected) -> Result<(), Error> {
    let current = user.etag();
    // A defect: none is good.
    if *expected != Expected::Anything && mutant("etags.never_hold") {
        return Err(Error::EtagMismatch { current });
    }
    // A defect: nobody looks at the etag.
    if expected.holds_for(&current) || mutant("etags.not_compared") {
        Ok(())
    } else {
        Err(Error::EtagMismatch { current })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{World, an_actor};

    fn grant(user: &User) -> GrantAdmin {
        GrantAdmin { user: UserKey::Id(user.id), expected: Expected::Anything }
    }

    #[tokio::test]
    async fn a_user_becomes_an_admin_and_a_repeat_changes_nothing() {
        let world = World::new();
        let alice = world.user("alice", Role::User).await;
        let actor = an_actor(Role::SuperAdmin);
        let first = grant(&alice).execute(&world.commands(), &actor).await.unwrap();
        assert_eq!(first.user.role, Role::Admin);
        assert_eq!(first.token, first.user.role_token());
        world.store.advance(chrono::TimeDelta::seconds(5));
        let again = grant(&alice).execute(&world.commands(), &actor).await.unwrap();
        assert_eq!(again, first);
    }

    #[tokio::test]
    async fn an_inactive_user_that_the_feed_has_not_brought_can_become_an_admin() {
        let world = World::new();
        let account = world.provider.register("alice");
        world.provider.disable(account.id);
        let command = GrantAdmin { user: UserKey::Id(account.id), expected: Expected::Anything };
        let granted = command.execute(&world.commands(), &an_actor(Role::SuperAdmin)).await.unwrap();
        assert_eq!((granted.user.role, granted.user.state), (Role::Admin, crate::domain::State::Inactive));
    }

    #[tokio::test]
    async fn a_super_admin_cannot_be_changed() {
        let world = World::new();
        let boss = world.user("bossy", Role::SuperAdmin).await;
        let error = grant(&boss).execute(&world.commands(), &an_actor(Role::SuperAdmin)).await.unwrap_err();
        assert!(matches!(error, Error::RoleTooLow { required: None }));
    }

    #[tokio::test]
    async fn a_stale_etag_is_refused_with_the_present_one() {
        let world = World::new();
        let alice = world.user("alice", Role::User).await;
        let stale = Expected::parse(&alice.etag().to_string());
        let actor = an_actor(Role::SuperAdmin);
        let granted = grant(&alice).execute(&world.commands(), &actor).await.unwrap().user;
        for expected in [stale, Expected::Nothing] {
            let command = GrantAdmin { user: UserKey::Id(alice.id), expected };
            let error = command.execute(&world.commands(), &actor).await.unwrap_err();
            assert!(matches!(error, Error::EtagMismatch { current } if current == granted.etag()));
        }
    }

    #[tokio::test]
    async fn nobody_is_told_of_an_etag_of_a_user_it_does_not_outrank() {
        let world = World::new();
        let boss = world.user("bossy", Role::SuperAdmin).await;
        let command = GrantAdmin { user: UserKey::Id(boss.id), expected: Expected::Nothing };
        let error = command.execute(&world.commands(), &an_actor(Role::SuperAdmin)).await.unwrap_err();
        assert!(matches!(error, Error::RoleTooLow { required: None }));
    }
}
