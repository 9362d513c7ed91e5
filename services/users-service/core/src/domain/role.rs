//! Roles, their order, and what each of them allows.

/// What a user may do. A role outranks the roles below it, never itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Sees itself.
    User,
    /// Administers users.
    Admin,
    /// Administers users and admins. Made by an operator only.
    SuperAdmin,
}

impl Role {
    /// From the lowest to the highest.
    pub const ALL: [Self; 3] = [Self::User, Self::Admin, Self::SuperAdmin];

    /// The number by which roles are stored, sorted and numbered in the contract.
    #[must_use]
    pub const fn number(self) -> i64 {
        match self {
            Self::User => 1,
            Self::Admin => 2,
            Self::SuperAdmin => 3,
        }
    }

    /// The role with this number.
    #[must_use]
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.number() == number)
    }

    /// Whether this role is above the other one.
    #[must_use]
    pub fn outranks(self, other: Self) -> bool {
        self > other
    }

    /// Whether a caller can give this role to somebody.
    #[must_use]
    pub const fn is_assignable(self) -> bool {
        !matches!(self, Self::SuperAdmin)
    }
}

/// What a method asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// To see and use one's own user.
    BeOneself,
    /// To see and administer other users.
    AdministerUsers,
    /// To make users admins and admins users.
    ManageAdmins,
}

impl Permission {
    /// The lowest role that has it.
    #[must_use]
    pub const fn minimum_role(self) -> Role {
        match self {
            Self::BeOneself => Role::User,
            Self::AdministerUsers => Role::Admin,
            Self::ManageAdmins => Role::SuperAdmin,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_outranks_those_below_it_and_never_itself() {
        for (a, role) in Role::ALL.into_iter().enumerate() {
            for (b, other) in Role::ALL.into_iter().enumerate() {
                assert_eq!(role.outranks(other), a > b, "{role:?} {other:?}");
            }
        }
    }

    #[test]
    fn nobody_is_made_a_super_admin_by_a_caller() {
        assert_eq!(Role::ALL.map(Role::is_assignable), [true, true, false]);
    }

    #[test]
    fn a_role_is_read_back_from_its_number() {
        for role in Role::ALL {
            assert_eq!(Role::from_number(role.number()), Some(role));
        }
        assert_eq!(Role::from_number(0), None);
    }
}
