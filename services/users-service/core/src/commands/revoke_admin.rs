//! Revokes the admin role. Only a super admin may; super admins cannot be changed. It works on inactive users, keeps
//! sessions and acts on the target's next call.

use crate::commands::grant_admin::set_role;
use crate::commands::{Changed, Command, Context};
use crate::domain::{Actor, Expected, Permission, Role, UserKey};
use crate::error::Error;
use crate::ports::Ports;

/// Asks to make an admin a user.
#[derive(Clone, Debug)]
pub struct RevokeAdmin {
    /// Whom.
    pub user: UserKey,
    /// As what the caller knows it.
    pub expected: Expected,
}

impl Command for RevokeAdmin {
    const NEEDS: Permission = Permission::ManageAdmins;
}

impl RevokeAdmin {
    /// Sets the role; a repeat changes nothing.
    pub async fn execute<P: Ports>(self, cx: &Context<P>, actor: &Actor) -> Result<Changed, Error> {
        set_role(cx, actor, &self.user, &self.expected, Role::User).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{World, an_actor};

    async fn revoke(world: &World, role: Role) -> Result<Changed, Error> {
        let user = world.user("alice", role).await;
        let command = RevokeAdmin { user: UserKey::Id(user.id), expected: Expected::Anything };
        command.execute(&world.commands(), &an_actor(Role::SuperAdmin)).await
    }

    #[tokio::test]
    async fn an_admin_becomes_a_user() {
        assert_eq!(revoke(&World::new(), Role::Admin).await.unwrap().user.role, Role::User);
    }

    #[tokio::test]
    async fn a_user_stays_one_unchanged() {
        let changed = revoke(&World::new(), Role::User).await.unwrap();
        assert_eq!((changed.user.role, changed.user.role_version), (Role::User, 1));
    }

    #[tokio::test]
    async fn a_super_admin_stays_one() {
        let error = revoke(&World::new(), Role::SuperAdmin).await.unwrap_err();
        assert!(matches!(error, Error::RoleTooLow { required: None }));
    }
}
