//! A user: the account's projection and the role, which is owned here.

use std::fmt;

use identity::{AccountVersion, ConsistencyToken, Timestamp, UserId, Username};

use crate::domain::{Etag, Role};

/// Whether a user may log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// It may.
    Active,
    /// It may not, and has no sessions.
    Inactive,
}

impl State {
    /// In the order of their numbers.
    pub const ALL: [Self; 2] = [Self::Active, Self::Inactive];

    /// The number by which states are stored, sorted and numbered in the contract.
    #[must_use]
    pub const fn number(self) -> i64 {
        match self {
            Self::Active => 1,
            Self::Inactive => 2,
        }
    }

    /// The state with this number.
    #[must_use]
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.number() == number)
    }
}

/// How a caller names a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserKey {
    /// By id.
    Id(UserId),
    /// By username, ignoring case.
    Username(Username),
}

impl fmt::Display for UserKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Username(username) => username.fmt(f),
        }
    }
}

/// A user as it is at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Its id, which is the account's.
    pub id: UserId,
    /// Its name as it was entered.
    pub username: Username,
    /// Its role; the one fact about a user that is owned here.
    pub role: Role,
    /// How often the role was set, from 1.
    pub role_version: i64,
    /// When the role was last set.
    pub role_time: Timestamp,
    /// Whether it may log in, as far as is known here.
    pub state: State,
    /// When the account was registered.
    pub create_time: Timestamp,
    /// When the account's state or password last changed, as far as is known here.
    pub account_update_time: Timestamp,
    /// The version of the account that is known here.
    pub account: AccountVersion,
    /// The later of the last account change and the last role change; never decreases.
    pub update_time: Timestamp,
}

impl User {
    /// The opaque name of this state.
    #[must_use]
    pub fn etag(&self) -> Etag {
        Etag { role_version: self.role_version, account: self.account.clone() }
    }

    /// The token by which a query sees this role or a later one.
    #[must_use]
    pub const fn role_token(&self) -> ConsistencyToken {
        ConsistencyToken::Role { user_id: self.id, version: self.role_version }
    }

    /// The user with this role, or none when it has it already: a repeat changes nothing.
    #[must_use]
    pub fn with_role(&self, role: Role, now: Timestamp) -> Option<Self> {
        (self.role != role).then(|| Self {
            role,
            role_version: self.role_version + 1,
            role_time: now,
            update_time: self.update_time.max(now),
            ..self.clone()
        })
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::testing::a_user;

    #[test]
    fn a_new_role_is_a_new_version_with_a_later_time() {
        let user = a_user("alice", Role::User);
        let later = user.update_time + TimeDelta::seconds(1);
        let admin = user.with_role(Role::Admin, later).unwrap();
        assert_eq!((admin.role, admin.role_version), (Role::Admin, user.role_version + 1));
        assert_eq!((admin.role_time, admin.update_time), (later, later));
        assert_ne!(admin.etag(), user.etag());
    }

    #[test]
    fn the_same_role_again_changes_nothing() {
        let user = a_user("alice", Role::Admin);
        assert_eq!(user.with_role(Role::Admin, user.update_time + TimeDelta::seconds(1)), None);
    }

    #[test]
    fn the_update_time_never_goes_back() {
        let user = a_user("alice", Role::User);
        let earlier = user.update_time - TimeDelta::hours(1);
        assert_eq!(user.with_role(Role::Admin, earlier).unwrap().update_time, user.update_time);
    }
}
