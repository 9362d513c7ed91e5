//! Makes a super admin a user and ends its sessions. Only an operator may, by a command of the process; the last active
//! one stays.

use identity::Username;

use crate::commands::{Context, target};
use crate::domain::{Role, State, User, UserKey};
use crate::error::{AdministrationError, Error};
use crate::ports::{IdentityProvider as _, Ports, Roles as _, Store as _, Transaction as _};

/// Asks to demote a super admin.
#[derive(Clone, Debug)]
pub struct DemoteSuperAdmin {
    /// Whom.
    pub username: Username,
}

impl DemoteSuperAdmin {
    /// Sets the role, then ends the sessions; a repeat after a failure in between ends them too.
    pub async fn execute<P: Ports>(self, cx: &Context<P>) -> Result<User, AdministrationError> {
        let user = target::find(cx, &UserKey::Username(self.username.clone())).await?;
        let mut tx = cx.store.begin().await?;
        let super_admins = tx.lock_super_admins().await?;
        let user = super_admins
            .iter()
            .find(|other| other.id == user.id)
            .ok_or(AdministrationError::NotASuperAdmin(self.username))?;
        let another_is_active =
            super_admins.iter().any(|other| other.id != user.id && other.state == State::Active);
        if user.state == State::Active && !another_is_active {
            return Err(AdministrationError::LastActiveSuperAdmin(user.username.clone()));
        }
        let now = tx.now().await?;
        let demoted = user.with_role(Role::User, now).unwrap_or_else(|| user.clone());
        tx.update_role(&demoted).await?;
        // The sessions end before the role does: a failure leaves a super admin who has to log in again, and this
        // command can be repeated.
        cx.provider.revoke_sessions(demoted.id, None, None).await.map_err(Error::from)?;
        tx.commit().await?;
        Ok(demoted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{World, a_username};

    async fn demote(world: &World, name: &str) -> Result<User, AdministrationError> {
        DemoteSuperAdmin { username: a_username(name) }.execute(&world.commands()).await
    }

    #[tokio::test]
    async fn a_super_admin_becomes_a_user_and_loses_its_sessions() {
        let world = World::new();
        world.user("bossy", Role::SuperAdmin).await;
        let other = world.user("other", Role::SuperAdmin).await;
        world.provider.open_session(other.id);
        assert_eq!(demote(&world, "Other").await.unwrap().role, Role::User);
        assert_eq!(world.provider.sessions_of(other.id), 0);
    }

    #[tokio::test]
    async fn the_last_active_one_stays() {
        let world = World::new();
        let boss = world.user("bossy", Role::SuperAdmin).await;
        let idle = world.user("idler", Role::SuperAdmin).await;
        world.project_as_inactive(idle.id).await;
        assert!(matches!(demote(&world, "bossy").await, Err(AdministrationError::LastActiveSuperAdmin(_))));
        assert_eq!(world.find(boss.id).await.unwrap().role, Role::SuperAdmin);
        demote(&world, "idler").await.unwrap();
    }

    #[tokio::test]
    async fn nobody_else_is_demoted() {
        let world = World::new();
        world.user("admin", Role::Admin).await;
        assert!(matches!(demote(&world, "admin").await, Err(AdministrationError::NotASuperAdmin(_))));
    }
}
