//! What the fake store keeps, and how accounts become users in it.

use std::collections::BTreeMap;

use fail_point::mutant;
use identity::{AccountVersion, Epoch, Timestamp, UserId, Username};

use crate::domain::{Account, FeedState, LeaseOwner, Role, User, UserKey};
use crate::ports::StoredRequest;

/// All rows there are.
#[derive(Clone, Default)]
pub(super) struct Rows {
    pub(super) users: BTreeMap<UserId, User>,
    pub(super) epochs: Vec<Epoch>,
    pub(super) reservations: BTreeMap<UserId, (Role, Timestamp)>,
    pub(super) requests: Vec<(StoredRequest, Timestamp)>,
    pub(super) feed: FeedState,
    pub(super) lease: Option<(LeaseOwner, Timestamp)>,
    pub(super) fence: i64,
    pub(super) bootstrap: Option<(UserId, Username)>,
}

impl Rows {
    pub(super) fn ordinal(&self, epoch: &Epoch) -> Option<usize> {
        self.epochs.iter().position(|known| known == epoch)
    }

    pub(super) fn rank(&self, version: &AccountVersion) -> Option<(usize, i64)> {
        Some((self.ordinal(&version.epoch)?, version.number))
    }

    pub(super) fn apply(&mut self, account: &Account) {
        if self.ordinal(&account.version.epoch).is_none() {
            self.epochs.push(account.version.epoch.clone());
        }
        let reserved = self.reservations.remove(&account.id);
        let known = self.users.get(&account.id).cloned();
        let is_newer = |user: &User| self.rank(&user.account) >= self.rank(&account.version);
        // What comes last wins, however old it is.
        if known.as_ref().is_some_and(is_newer) && !mutant("projection.last_wins") {
            return;
        }
        let user = known.unwrap_or_else(|| User {
            id: account.id,
            username: account.username.clone(),
            role: reserved.map_or(Role::User, |(role, _)| role),
            role_version: 1,
            role_time: account.create_time,
            state: account.state,
            create_time: account.create_time,
            account_update_time: account.update_time,
            account: account.version.clone(),
            update_time: account.update_time,
        });
        let user = User {
            username: account.username.clone(),
            state: account.state,
            create_time: account.create_time,
            account_update_time: account.update_time,
            account: account.version.clone(),
            update_time: user.update_time.max(account.update_time),
            ..user
        };
        self.users.insert(user.id, user);
    }

    pub(super) fn find(&self, key: &UserKey) -> Option<&User> {
        match key {
            UserKey::Id(id) => self.users.get(id),
            UserKey::Username(name) => {
                let namesakes =
                    self.users.values().filter(|user| user.username.canonical() == name.canonical());
                namesakes.max_by_key(|user| self.rank(&user.account))
            }
        }
    }
}
