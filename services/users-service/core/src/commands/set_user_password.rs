//! Sets a user's password and ends its sessions. An admin may, if it outranks the user.
//!
//! What a password must be is the owner's policy: it is asked while the fields are checked, and the owner checks it
//! again with the name of the account when the password is set.

use identity::{RawPassword, Rule, Violations};

use crate::commands::{Changed, Command, Context, target};
use crate::domain::{Actor, Permission, UserKey};
use crate::error::Error;
use crate::ports::{IdentityProvider as _, Ports};

/// The fields as they came.
#[derive(Debug)]
pub struct SetUserPasswordForm {
    /// Whose, or which fields are wrong with it.
    pub user: Result<UserKey, (&'static str, Vec<Rule>)>,
    /// The password, within its maximum or not.
    pub password: Result<RawPassword, Rule>,
}

/// Asks to set a user's password.
#[derive(Clone, Debug)]
pub struct SetUserPassword {
    /// Whose.
    pub user: UserKey,
    /// The new password.
    pub password: RawPassword,
}

impl Command for SetUserPassword {
    const NEEDS: Permission = Permission::AdministerUsers;
}

impl SetUserPasswordForm {
    /// Lets the fields through, or names everything that is wrong with them.
    pub async fn check<P: Ports>(self, cx: &Context<P>) -> Result<SetUserPassword, Error> {
        let mut violations = Violations::new();
        let user = match self.user {
            Ok(user) => Some(user),
            Err((field, rules)) => violations.field(field, Err(rules)),
        };
        let password = violations.field("password", self.password);
        if let Some(password) = &password {
            let username = match &user {
                Some(UserKey::Username(username)) => Some(username),
                Some(UserKey::Id(_)) | None => None,
            };
            let broken = cx.provider.check_credential(username, password).await?;
            violations.extend(broken.into_iter().filter(|violation| violation.field == "password"));
        }
        let (user, password) = violations.finish(user.zip(password)).map_err(Error::InvalidField)?;
        Ok(SetUserPassword { user, password })
    }
}

impl SetUserPassword {
    /// Has the owner of accounts set it.
    pub async fn execute<P: Ports>(self, cx: &Context<P>, actor: &Actor) -> Result<Changed, Error> {
        let user = target::outranked(cx, actor, &self.user).await?;
        let reply = cx.provider.set_password(user.id, &self.password, Some(actor.id)).await;
        target::settle(cx, &self.user, &user, reply).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Role;
    use crate::testing::{World, a_password, an_actor};

    #[tokio::test]
    async fn the_password_is_set_and_sessions_end() {
        let world = World::new();
        let alice = world.user("alice", Role::User).await;
        world.provider.open_session(alice.id);
        let command =
            SetUserPassword { user: UserKey::Id(alice.id), password: a_password("another one entirely") };
        let changed = command.execute(&world.commands(), &an_actor(Role::Admin)).await.unwrap();
        assert_ne!(changed.user.etag(), alice.etag());
        assert_eq!(world.provider.sessions_of(alice.id), 0);
    }

    #[tokio::test]
    async fn nobody_sets_the_password_of_an_equal() {
        let world = World::new();
        let admin = world.user("admin", Role::Admin).await;
        let command =
            SetUserPassword { user: UserKey::Id(admin.id), password: a_password("another one entirely") };
        let error = command.execute(&world.commands(), &an_actor(Role::Admin)).await.unwrap_err();
        assert!(matches!(error, Error::RoleTooLow { required: None }));
    }

    #[tokio::test]
    async fn every_field_is_named_at_once() {
        let world = World::new();
        let form = SetUserPasswordForm {
            user: Err(("user_id", vec![Rule::NotAUuid])),
            password: Ok(a_password("short")),
        };
        let error = form.check(&world.commands()).await.unwrap_err();
        let Error::InvalidField(broken) = error else { panic!("{error}") };
        let fields: Vec<_> = broken.iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(fields, ["user_id", "password"]);
    }
}
