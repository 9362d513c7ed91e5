//! Makes a super admin a user and ends its sessions. Only an operator may, by a command of the process; the last active
//! one stays.
//!
//! The sessions end before the role does, and no transaction is open meanwhile. So a failure on the way leaves a super
//! admin who has to log in again, and the command can be repeated as it is; the other way round it would find a user
//! who is no super admin any more, and nobody to end the sessions of. A session that is opened in between is one of a
//! user: the role is read for every call.
//!
//! Who may go is decided in the transaction that writes it, with all super admins locked, so of two that are demoted at
//! the same time the second one sees what became of the first. It is decided before that too, so that a refusal costs
//! nobody its sessions.

use fail_point::mutant;
use identity::{UserId, Username};

use crate::commands::grant_admin::Written;
use crate::commands::until_known::until_known;
use crate::commands::{Context, target};
use crate::domain::{Role, State, User, UserKey};
use crate::error::{AdministrationError, Error};
use crate::ports::{IdentityProvider as _, Ports, Roles as _, Store as _, Transaction as _, UserRows as _};

/// Asks to demote a super admin.
#[derive(Clone, Debug)]
pub struct DemoteSuperAdmin {
    /// Whom.
    pub username: Username,
}

impl DemoteSuperAdmin {
    /// Ends the sessions, then sets the role.
    pub async fn execute<P: Ports>(self, cx: &Context<P>) -> Result<User, AdministrationError> {
        let id = target::find(cx, &UserKey::Username(self.username.clone())).await?.id;
        let super_admins = cx.store.begin().await?.lock_super_admins().await?;
        self.require_dispensable(id, &super_admins)?;
        cx.provider.revoke_sessions(id, None, None).await.map_err(Error::from)?;
        let written = Written::default();
        until_known(cx, || self.demote(cx, id, &written)).await?
    }

    async fn demote<P: Ports>(
        &self,
        cx: &Context<P>,
        id: UserId,
        written: &Written,
    ) -> Result<Result<User, AdministrationError>, Error> {
        let mut tx = cx.store.begin().await?;
        let super_admins = tx.lock_super_admins().await?;
        // The lock of a lost attempt that has ended is ours: its user is as it left it.
        if let Some(user) = tx.lock_user(&UserKey::Id(id)).await? {
            if written.is_in(&user) {
                return Ok(Ok(user));
            }
            if written.is_overwritten_in(&user) {
                let unknown = Error::OutcomeUnknown("the role was changed by somebody else since".into());
                return Ok(Err(unknown.into()));
            }
        }
        let user = match self.require_dispensable(id, &super_admins) {
            Ok(user) => user,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let now = tx.now().await?;
        let demoted = user.with_role(Role::User, now).unwrap_or_else(|| user.clone());
        written.note(&demoted);
        tx.update_role(&demoted).await?;
        tx.commit().await?;
        Ok(Ok(demoted))
    }

    /// The user among the super admins, unless it is none or the last who can act.
    fn require_dispensable<'a>(
        &self,
        id: UserId,
        super_admins: &'a [User],
    ) -> Result<&'a User, AdministrationError> {
        let user = super_admins
            .iter()
            .find(|user| user.id == id)
            .ok_or_else(|| AdministrationError::NotASuperAdmin(self.username.clone()))?;
        let another_is_active =
            super_admins.iter().any(|other| other.id != id && other.state == State::Active);
        // A defect: the last one may go.
        let last_may_go = mutant("demote_super_admin.last_may_go");
        // A defect: nobody may go.
        let nobody_may_go = mutant("demote_super_admin.nobody_may_go");
        if user.state == State::Active && (!another_is_active || nobody_may_go) && !last_may_go {
            return Err(AdministrationError::LastActiveSuperAdmin(user.username.clone()));
        }
        Ok(user)
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
    async fn who_is_refused_keeps_its_sessions() {
        let world = World::new();
        let boss = world.user("bossy", Role::SuperAdmin).await;
        world.provider.open_session(boss.id);
        demote(&world, "bossy").await.unwrap_err();
        assert_eq!(world.provider.sessions_of(boss.id), 1);
    }

    #[tokio::test]
    async fn a_failure_on_the_way_leaves_what_can_be_repeated() {
        let world = World::new();
        world.user("bossy", Role::SuperAdmin).await;
        let other = world.user("other", Role::SuperAdmin).await;
        world.provider.go_away();
        demote(&world, "other").await.unwrap_err();
        assert_eq!(world.find(other.id).await.unwrap().role, Role::SuperAdmin);
    }

    #[tokio::test]
    async fn nobody_else_is_demoted() {
        let world = World::new();
        world.user("admin", Role::Admin).await;
        assert!(matches!(demote(&world, "admin").await, Err(AdministrationError::NotASuperAdmin(_))));
    }
}
