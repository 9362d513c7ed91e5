//! Sets the password of a super admin, which nobody can through the API. Only an operator may, by a command of the
//! process, for a password that was lost.

use identity::{RawPassword, Username};

use crate::commands::{Context, target};
use crate::domain::{Role, User, UserKey};
use crate::error::AdministrationError;
use crate::ports::{IdentityProvider as _, Ports};

/// Asks to set a super admin's password.
#[derive(Clone, Debug)]
pub struct ResetSuperAdminPassword {
    /// Whose.
    pub username: Username,
}

impl ResetSuperAdminPassword {
    /// Finds out whether it is a super admin's, before a new password is shown to anybody.
    pub async fn target<P: Ports>(&self, cx: &Context<P>) -> Result<User, AdministrationError> {
        let user = target::find(cx, &UserKey::Username(self.username.clone())).await?;
        if user.role == Role::SuperAdmin {
            Ok(user)
        } else {
            Err(AdministrationError::NotASuperAdmin(user.username))
        }
    }

    /// Has the owner of accounts set it, which ends the sessions too.
    pub async fn execute<P: Ports>(
        self,
        cx: &Context<P>,
        password: &RawPassword,
    ) -> Result<User, AdministrationError> {
        let user = self.target(cx).await?;
        let reply = cx.provider.set_password(user.id, password, None).await;
        let changed = target::settle(cx, &UserKey::Username(self.username), &user, reply).await?;
        Ok(changed.user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{World, a_password, a_username};

    async fn reset(world: &World, name: &str) -> Result<User, AdministrationError> {
        let command = ResetSuperAdminPassword { username: a_username(name) };
        command.execute(&world.commands(), &a_password("a different long one")).await
    }

    #[tokio::test]
    async fn a_super_admin_gets_the_password() {
        let world = World::new();
        let boss = world.user("bossy", Role::SuperAdmin).await;
        reset(&world, "bossy").await.unwrap();
        assert_eq!(world.provider.password_of(boss.id), a_password("a different long one"));
    }

    #[tokio::test]
    async fn nobody_else_does() {
        let world = World::new();
        world.user("admin", Role::Admin).await;
        assert!(matches!(reset(&world, "admin").await, Err(AdministrationError::NotASuperAdmin(_))));
    }
}
