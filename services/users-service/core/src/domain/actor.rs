//! Whoever makes a call, once it is known who that is.

use fail_point::mutant;
use identity::{Epoch, UserId, Username};

use crate::defects;
use crate::domain::{Permission, Role, User};
use crate::error::Error;

/// The caller: authenticated by the owner of accounts, with the role that this service has for it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// Who it is.
    pub id: UserId,
    /// Its username.
    pub username: Username,
    /// Its role, read for this very call.
    pub role: Role,
    /// The epoch that the owner of accounts is in at this moment.
    pub epoch: Epoch,
}

impl Actor {
    /// The user that the owner of accounts, which is in this epoch, has just vouched for.
    #[must_use]
    pub fn new(user: &User, epoch: Epoch) -> Self {
        Self { id: user.id, username: user.username.clone(), role: user.role, epoch }
    }

    /// Refuses a caller who is below what a method asks for, and says what that is.
    pub fn require(&self, permission: Permission) -> Result<(), Error> {
        let required = permission.minimum_role();
        // A defect: nobody looks at the role.
        if self.role >= required || mutant("roles.not_compared") {
            return Ok(());
        }
        // A defect: after an outage a missing right is answered as one.
        if mutant("roles.outage_is_remembered") && defects::was_an_outage() {
            return Err(Error::IdentityProviderUnavailable("a defect".into()));
        }
        Err(Error::RoleTooLow { required: Some(required) })
    }

    /// Refuses a caller who does not outrank the role of whom it acts on, without telling that role.
    pub fn require_rank_above(&self, role: Role) -> Result<(), Error> {
        // A defect: nobody looks at whom it is done to.
        if self.role.outranks(role) || mutant("ranks.not_compared") {
            Ok(())
        } else {
            Err(Error::RoleTooLow { required: None })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::an_actor;

    #[test]
    fn a_caller_below_the_minimum_is_told_the_minimum() {
        let user = an_actor(Role::User);
        assert!(user.require(Permission::BeOneself).is_ok());
        assert!(matches!(
            user.require(Permission::ManageAdmins),
            Err(Error::RoleTooLow { required: Some(Role::SuperAdmin) })
        ));
    }

    #[test]
    fn nobody_ranks_above_a_super_admin_and_nobody_is_told() {
        for role in Role::ALL {
            assert!(matches!(
                an_actor(role).require_rank_above(Role::SuperAdmin),
                Err(Error::RoleTooLow { required: None })
            ));
        }
        assert!(an_actor(Role::Admin).require_rank_above(Role::User).is_ok());
        assert!(an_actor(Role::Admin).require_rank_above(Role::Admin).is_err());
    }
}
