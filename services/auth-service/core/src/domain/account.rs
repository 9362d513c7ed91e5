use std::fmt;

use identity::{AccountVersion, Timestamp, UserId, Username};

/// An account as the feed and the port show it: no credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The account's id, which is the user's id.
    pub id: UserId,
    /// The name as it was entered.
    pub username: Username,
    /// Whether it may be used.
    pub state: AccountState,
    /// When it was registered.
    pub create_time: Timestamp,
    /// When its state or password last changed. Never decreases.
    pub update_time: Timestamp,
    /// The place of its last change in the feed. Assigned by the store.
    pub version: AccountVersion,
}

/// Whether an account may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountState {
    /// It may log in.
    Active,
    /// It may not log in and has no sessions.
    Disabled,
}

/// How a caller names an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountKey {
    /// By id.
    Id(UserId),
    /// By name, ignoring case.
    Username(Username),
}

/// A password hash in PHC form. Not secret like a password, but never shown either.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Takes what the hasher made, or what a store kept.
    #[must_use]
    pub const fn new(phc: String) -> Self {
        Self(phc)
    }

    /// The PHC string, for the hasher and the store.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

/// An account that does not exist yet.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// Its id.
    pub id: UserId,
    /// Its name.
    pub username: Username,
    /// Its password.
    pub password_hash: PasswordHash,
}

/// An account with its credential, as it is loaded to decide on it.
#[derive(Clone, Debug)]
pub struct StoredAccount {
    /// The account.
    pub account: Account,
    /// Its password.
    pub password_hash: PasswordHash,
    /// Raised by every change of the password, not by a rehash of the same one.
    pub credential_version: i64,
}

impl StoredAccount {
    /// The account in another state, or `None` when it is in that state already and nothing changes.
    #[must_use]
    pub fn with_state(&self, state: AccountState, now: Timestamp) -> Option<Self> {
        (self.account.state != state).then(|| {
            let mut changed = self.changed(now);
            changed.account.state = state;
            changed
        })
    }

    /// The account with another password.
    #[must_use]
    pub fn with_password(&self, password_hash: PasswordHash, now: Timestamp) -> Self {
        Self { password_hash, credential_version: self.credential_version + 1, ..self.changed(now) }
    }

    /// Whether a password that was verified against `seen` still opens this account.
    #[must_use]
    pub fn same_credential(&self, seen: &Self) -> bool {
        self.credential_version == seen.credential_version
    }

    fn changed(&self, now: Timestamp) -> Self {
        let mut changed = self.clone();
        changed.account.update_time = self.account.update_time.max(now);
        changed
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};
    use identity::Epoch;

    use super::*;

    fn account() -> StoredAccount {
        let time = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        StoredAccount {
            account: Account {
                id: UserId::parse("0198f0c2-7d1e-7cc3-98a4-2f6f3f1a2b3c").unwrap(),
                username: Username::parse("alice").unwrap(),
                state: AccountState::Active,
                create_time: time,
                update_time: time,
                version: AccountVersion { epoch: Epoch::parse("e").unwrap(), number: 1 },
            },
            password_hash: PasswordHash::new("old".into()),
            credential_version: 1,
        }
    }

    #[test]
    fn a_repeated_state_change_changes_nothing() {
        let account = account();
        let later = account.account.update_time + TimeDelta::hours(1);
        assert!(account.with_state(AccountState::Active, later).is_none());
        let disabled = account.with_state(AccountState::Disabled, later).unwrap();
        assert_eq!((disabled.account.state, disabled.account.update_time), (AccountState::Disabled, later));
        assert!(disabled.same_credential(&account));
    }

    #[test]
    fn the_update_time_never_decreases() {
        let account = account();
        let earlier = account.account.update_time - TimeDelta::hours(1);
        let disabled = account.with_state(AccountState::Disabled, earlier).unwrap();
        assert_eq!(disabled.account.update_time, account.account.update_time);
    }

    #[test]
    fn another_password_is_another_credential() {
        let account = account();
        let changed = account.with_password(PasswordHash::new("new".into()), account.account.update_time);
        assert!(!changed.same_credential(&account));
    }

    #[test]
    fn a_hash_is_never_shown() {
        assert!(!format!("{:?}", account()).contains("old"));
    }
}
